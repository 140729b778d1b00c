"""Vectors that were made elsewhere, such as of a picture."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

from thresher.data.plain_types import is_list
from thresher.data.values import vectors
from thresher.errors import InputError
from thresher.towers.encoders.base import Bag, Generator, Reading, Seen, Start, random_rows, unit


@dataclass(frozen=True)
class Vector:
    """Vectors that were made elsewhere, scaled to the length 1, through a learned linear map.

    Equation:  y = length * P x / |x|,  P random at the start, with entries of variance 1 / width

    As a bag whose values are the places of the vector and whose weights are its numbers, the map is
    a table like any other.

    Source:    the start: Johnson and Lindenstrauss 1984; a random projection keeps angles.

    Args:
        size: numbers of each vector.
        length: of y at the start.
    """

    size: int
    length: float = 1.0

    def __len__(self) -> int:
        return self.size

    @classmethod
    def fit(cls, seen: Sequence[Seen], how: Reading) -> "Vector":
        """The length that all vectors have; InputError for columns without a list of numbers."""
        for each in seen:
            if not is_list(each.column.type):
                raise InputError(
                    f"column {each.name!r} is to be a vector, and holds {each.column.type}; give "
                    "lists of numbers, all of one length"
                )
            for length in pc.list_value_length(each.column).drop_null().unique().to_pylist():
                if length:
                    return cls(length, 1.0 if how.unit else BESIDE_TEXT)
        raise InputError(f"column {seen[0].name!r} is to be a vector, and has none; ignore it")

    def read(self, column: pa.ChunkedArray, name: str) -> Bag:
        """See `Encoder`."""
        there, rows = vectors(column, name, self.size)
        bounds = np.zeros(len(column) + 1, np.int64)
        bounds[there + 1] = self.size
        indices = np.tile(np.arange(self.size), len(there))
        shape = (len(column), self.size)
        return unit(sparse.csr_matrix((rows.ravel(), indices, np.cumsum(bounds)), shape))

    def start(self, width: int, generator: Generator) -> Start:
        """See `Encoder`."""
        return self.length * random_rows(len(self), width, generator)

    def values(self, bags: Bag) -> Bag:
        """See `Encoder`: whether there is a vector."""
        there = np.diff(bags.indptr) > 0
        return sparse.csr_matrix(there[:, None].astype(np.float32))


BESIDE_TEXT = 20.0
"""Start of a vector's length beside a title, which has about 50: 60 tokens of an idf of 6."""
