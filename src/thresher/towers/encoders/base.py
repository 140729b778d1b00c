"""What every encoder is, what it is fitted to, and how one is written and read."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Int
from scipy import sparse

Bag: TypeAlias = sparse.csr_matrix
# Of torch, which reading does not import: it takes seconds.
Generator: TypeAlias = Any
Start: TypeAlias = Any  # float32 [rows, width]


@dataclass(frozen=True)
class Seen:
    """A column that an encoder is fitted to, and in how many training pairs each row stands."""

    column: pa.ChunkedArray
    counts: Int[np.ndarray, " rows"]
    name: str


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How the values of a feature are read.

    Args:
        kind: of the feature.
        min_count: values that occur less often have no vector of their own.
        buckets: vectors that values without one of their own share.
        unit: whether each row is scaled to the length 1; otherwise a value's vector starts as long
            as the value is rare, and a row as long as what it holds says.
        bits: the tokens of a "text" are hashed to 2 ** bits numbers.
        ngram_range: shortest and longest character n-gram of a "text", in characters.
    """

    kind: str
    min_count: int = 1
    buckets: int = 0
    unit: bool = True
    bits: int = 17
    ngram_range: tuple[int, int] = (2, 3)


@runtime_checkable
class Encoder(Protocol):
    """Reads a column as bags: for each row some rows of one table of vectors, with weights.

    The vector of a row is the weighted sum of those vectors; a row without any is one of which
    nothing is known. An encoder is a frozen dataclass of plain values, NumPy arrays and Arrow
    arrays of one length, which is all that `write_encoder` needs.
    """

    def __len__(self) -> int:
        """Rows of the table."""

    @classmethod
    def fit(cls, seen: Sequence[Seen], how: Reading) -> "Encoder":
        """The encoder of the columns of one table; InputError for what their kind cannot be."""

    def read(self, column: pa.ChunkedArray, name: str) -> Bag:
        """The weights of each row of a column: [rows, len(self)], float32; InputError as `fit`."""

    def start(self, width: int, generator: Generator) -> Start:
        """The first vectors of the table, a tensor [len(self), width], drawn."""

    def values(self, bags: Bag) -> Bag:
        """The bags as values to count, for the mutual information of two features."""


def random_rows(rows: int, width: int, generator: Generator) -> Start:
    """Random vectors of about the length 1, a tensor [rows, width]."""
    import torch

    table = torch.empty(rows, width)
    return torch.nn.init.normal_(table, std=width**-0.5, generator=generator) if rows else table


def unit(matrix: Bag) -> Bag:
    """The rows, each of length 1 or empty; one of zeros alone is empty."""
    kept = matrix.copy()
    kept.eliminate_zeros()
    counts = np.diff(kept.indptr)
    row = np.repeat(np.arange(kept.shape[0]), counts)
    length = np.sqrt(np.bincount(row, kept.data**2, minlength=kept.shape[0]))
    kept.data = (kept.data / np.repeat(length, counts)).astype(np.float32)
    return kept


def write_encoder(encoder: Encoder, path: Path, **about: Any) -> None:
    """Writes an encoder as a Parquet file: its arrays as columns, all else as metadata."""
    held = {f.name: getattr(encoder, f.name) for f in fields(encoder)}  # type: ignore[arg-type]
    arrays = {k: v for k, v in held.items() if isinstance(v, np.ndarray | pa.Array)}
    plain = {k: v for k, v in held.items() if k not in arrays}
    metadata = {"encoder": json.dumps({**about, "plain": plain})}
    pq.write_table(pa.table(arrays).replace_schema_metadata(metadata), path, compression="zstd")


def read_encoder(path: Path, kinds: Mapping[str, type[Encoder]]) -> tuple[Encoder, dict[str, Any]]:
    """The encoder that `write_encoder` wrote, and what was said about it, its `kind` among it."""
    with pq.ParquetFile(path) as file:  # `pq.read_table` imports pandas
        table = file.read()
    about = json.loads(table.schema.metadata[b"encoder"])
    made = kinds[about["kind"]]
    arrays: dict[str, Any] = {}
    for name in table.column_names:
        column = table[name].combine_chunks()
        arrays[name] = column if pa.types.is_string(column.type) else column.to_numpy().copy()
    return made(**about.pop("plain"), **arrays), about
