"""Numbers, placed between quantiles."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from jaxtyping import Float64
from scipy import sparse

from thresher.data.values import numbers
from thresher.errors import InputError
from thresher.towers.encoders.base import Bag, Generator, Reading, Seen, Start, random_rows

KNOTS = 11
"""Quantiles between which a number is placed: the deciles and both ends."""


@dataclass(frozen=True)
class Number:
    """Numbers, placed between quantiles of those that were seen.

    Equation:  x between the knots k_j <= x <= k_{j+1} has  w_{j+1} = (x - k_j) / (k_{j+1} - k_j)
    and w_j = 1 - w_{j+1}; below the first and above the last it has that one alone. So its vector
    moves along straight lines from knot to knot, whatever the scale of the numbers, and a far
    outlier is no further than the last knot.

    Source:    the piecewise linear encoding of Gorishniy et al., *On embeddings for numerical
               features in tabular deep learning*, NeurIPS 2022.
    Differs:   only the two knots beside a number have a weight.

    Args:
        knots: ascending, all different.
    """

    knots: Float64[np.ndarray, " K"]

    def __len__(self) -> int:
        return len(self.knots)

    @classmethod
    def fit(cls, seen: Sequence[Seen], how: Reading) -> "Number":
        """Knots at the quantiles of the numbers of these columns; InputError for no numbers."""
        values = np.concatenate([numbers(each.column, each.name) for each in seen])
        if np.isnan(values).all():
            raise InputError(f"column {seen[0].name!r} is to be a number, and has none; ignore it")
        return cls(np.unique(np.nanquantile(values, np.linspace(0, 1, KNOTS))))

    def read(self, column: pa.ChunkedArray, name: str) -> Bag:
        """See `Encoder`."""
        values = numbers(column, name)
        rows = np.flatnonzero(~np.isnan(values))
        place = np.interp(values[rows], self.knots, np.arange(len(self.knots)))
        below = np.floor(place).astype(np.int64)
        above = np.minimum(below + 1, len(self.knots) - 1)
        data = np.concatenate([1 - (place - below), place - below]).astype(np.float32)
        found = sparse.csr_matrix(
            (data, (np.tile(rows, 2), np.concatenate([below, above]))), (len(values), len(self))
        )
        found.eliminate_zeros()
        return found

    def start(self, width: int, generator: Generator) -> Start:
        """See `Encoder`: of the length 1, short beside the tokens of a text."""
        return random_rows(len(self), width, generator)

    def values(self, bags: Bag) -> Bag:
        """See `Encoder`: the nearest knot."""
        kept = bags.copy()
        kept.data = (kept.data >= 0.5).astype(np.float32)
        kept.eliminate_zeros()
        # Half-way between two knots both are nearest.
        twice = np.flatnonzero(np.diff(kept.indptr) > 1)
        kept.data[kept.indptr[twice]] = 0
        kept.eliminate_zeros()
        return kept
