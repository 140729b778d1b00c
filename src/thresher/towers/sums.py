"""Vectors of queries as weighted sums of rows of tables, in compiled loops and without torch."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float32
from safetensors import SafetensorError, safe_open

from thresher.data.queries import Queries
from thresher.towers import sum_loops
from thresher.towers.encoders.base import Bag
from thresher.towers.quantised import Table, read_tables, shape_of
from thresher.towers.schema import Schema

_DAMAGED = (OSError, ValueError, KeyError, TypeError, SafetensorError)

Part = tuple[Table, np.ndarray, np.ndarray, np.ndarray]
"""A table and bags: rows of it, weights, starts."""


def unit_sums(parts: Sequence[Part], rows: int, dim: int) -> Float32[np.ndarray, "n D"]:
    """The weighted sums of all parts, each row scaled to the length 1; one of nothing stays 0.

    Equation:  z_i = normalise(sum over parts, and over their bags, of w_it E_t)

    Quantised tables give to the last bit what the same numbers in single precision give.
    """
    out = np.zeros((rows, dim), np.float32)
    for given, tokens, weights, start in parts:
        views = [array[:] for array in (given if isinstance(given, tuple) else (given,))]
        for view in views:
            view.flags.writeable = False  # one type to compile for, mapped into memory or not
        add: Any = sum_loops.add if len(views) == 1 else sum_loops.add_quantised
        add(*views, tokens, weights, start, out)
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
    tables: dict[str, Table]
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
        with safe_open(str(folder / "model.safetensors"), "np") as file:
            if file.metadata()["histories"] == "1":
                return None
        schema, tables = Schema.load(folder), read_tables(folder)
        shapes = [(len(encoder), about["dim"]) for encoder in schema.encoders.values()]
        if [shape_of(table) for table in tables] != shapes:
            return None
    except _DAMAGED:
        return None
    return SumReader(schema, dict(zip(schema.encoders, tables, strict=True)), about["dim"])
