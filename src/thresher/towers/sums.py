"""Vectors of queries as weighted sums of rows of tables, in compiled loops and without torch."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Float32

from thresher.data.queries import Queries
from thresher.towers import sum_loops
from thresher.towers.encoders.base import Bag
from thresher.towers.schema import Schema

_TYPES = {"F32": np.float32, "F16": np.uint16}
_DAMAGED = (OSError, ValueError, KeyError, TypeError, IndexError)

Part = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""A table [V, D] of float32, or of float16 as uint16, and bags: rows of it, weights, starts."""


def unit_sums(parts: Sequence[Part], rows: int, dim: int) -> Float32[np.ndarray, "n D"]:
    """The weighted sums of all parts, each row scaled to the length 1; one of nothing stays 0.

    Equation:  z_i = normalise(sum over parts, and over their bags, of w_it E_t)

    Tables in half precision give to the last bit what the same numbers in single precision give.
    """
    out = np.zeros((rows, dim), np.float32)
    for given, tokens, weights, start in parts:
        table = given[:]
        table.flags.writeable = False  # one type to compile for, mapped into memory or not
        add = sum_loops.add_halves if table.dtype == np.uint16 else sum_loops.add
        add(table, tokens, weights, start, out)
    sum_loops.normalise(out)
    return out


@dataclass(frozen=True)
class SumReader:
    """What a `features` tower of combine = "sum" makes of queries without histories.

    Args:
        schema: of the tower.
        tables: of the schema's encoders, by name, mapped into memory.
        dim: width of the vectors.
    """

    schema: Schema
    tables: dict[str, np.ndarray]
    dim: int
    interests: int = 1

    def describe(self, items: pa.Table) -> None:
        """Nothing: queries without histories do not refer to items."""

    def queries(self, queries: Queries) -> tuple[int, dict[str, Bag]]:
        """How many there are, and the bags of each feature; InputError as `Schema.read`."""
        return len(queries), self.schema.read("query", queries.aligned())

    def encode(self, inputs: tuple[int, dict[str, Bag]]) -> Float32[np.ndarray, "n D"]:
        """Unit rows of queries."""
        rows, bags = inputs
        parts = []
        for feature in self.schema.queries:
            table, bag = self.tables[feature.table], bags[feature.name]
            tokens, weights = bag.indices.astype(np.int32), bag.data.astype(np.float32)
            parts.append((table, tokens, weights, bag.indptr.astype(np.int64)))
        return unit_sums(parts, rows, self.dim)


def read_sums(folder: Path) -> SumReader | None:
    """The reader of a saved tower; None for one of another kind, or whose files are damaged."""
    try:
        about = json.loads((folder / "tower.json").read_text("utf-8"))
        if about["kind"] != "features" or about["combine"] != "sum":
            return None
        tables, metadata = _tensors(folder / "model.safetensors")
        schema = Schema.load(folder)
        names = [(name, f"tables.{number}") for number, name in enumerate(schema.encoders)]
        if metadata["histories"] == "1":
            return None
        found = {name: tables[key] for name, key in names}
        sizes = all(t.shape == (len(schema.encoders[n]), about["dim"]) for n, t in found.items())
    except _DAMAGED:
        return None
    return SumReader(schema, found, about["dim"]) if sizes else None


def _tensors(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The tensors of a safetensors file, mapped into memory, and its metadata."""
    whole = np.asarray(np.memmap(path, np.uint8, "r"))
    begin = 8 + int(whole[:8].view(np.uint64)[0])
    header = json.loads(whole[8:begin].tobytes())
    metadata = header.pop("__metadata__", {})
    arrays = {}
    for name, about in header.items():
        first, last = about["data_offsets"]
        if about["dtype"] in _TYPES:
            raw = whole[begin + first : begin + last].view(_TYPES[about["dtype"]])
            arrays[name] = raw.reshape(about["shape"])
    return arrays, metadata
