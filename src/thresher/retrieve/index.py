"""The interface that every index keeps, and the one check of what a search is given."""

from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float32, Int64

from thresher.errors import InputError
from thresher.retrieve.hits import Hits

Kind = Literal["auto", "exact", "flat", "ivf"]


@runtime_checkable
class Index(Protocol):
    """A searchable catalogue of vectors.

    Scores are inner products: higher is closer. Items with equal scores are ordered by row number,
    lowest first, also at the k-th place. A query gets the same hits alone or in a batch.
    """

    def __len__(self) -> int:
        """Number of items."""
        ...

    def search(
        self,
        vectors: Float32[np.ndarray, "Q D"],
        k: int,
        *,
        allow: Bool[np.ndarray, " N"] | None = None,
    ) -> Hits:
        """The k nearest items of each query, among those that `allow` marks.

        When fewer than k items are allowed the hits are padded with row -1 and score -inf.

        Raises:
            InputError: k is not between 1 and the number of items, a vector is not finite, or
                `allow` or the dimensions do not fit the catalogue.
        """
        ...

    def save(self, folder: Path) -> None:
        """Write the index to a folder, from which `thresher.retrieve.load` reads it."""
        ...


def squared_norms(vectors: Float32[np.ndarray, "N D"], *, name: str) -> Float32[np.ndarray, " N"]:
    """Squared length of each row, which also proves that every value is finite.

    Raises:
        InputError: a row holds NaN or infinity, or its squared length overflows float32.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        squares = np.einsum("ij,ij->i", vectors, vectors)
    wrong = np.flatnonzero(~np.isfinite(squares))
    if len(wrong):
        raise InputError(
            f"{len(wrong)} of {len(vectors)} {name} vectors hold NaN, infinity or values too large "
            f"for float32 (first at row {wrong[0]}); every value must be finite, so check the "
            "encoder's output, for instance for a division by a zero norm."
        )
    return squares


def allowed_rows(
    vectors: Float32[np.ndarray, "Q D"],
    k: int,
    allow: Bool[np.ndarray, " M"] | None,
    *,
    shape: tuple[int, int],
) -> Int64[np.ndarray, " A"] | None:
    """Check the arguments of a search in a catalogue of `shape`; the allowed rows, None for all.

    Raises:
        InputError: see `Index.search`.
    """
    items, dimensions = shape
    if not 1 <= k <= items:
        raise InputError(
            f"k = {k} was asked of an index of {items} items; k must be from 1 to {items}."
        )
    if vectors.ndim != 2 or vectors.shape[1] != dimensions:
        raise InputError(
            f"The queries have shape {vectors.shape} but the index holds vectors of {dimensions} "
            f"dimensions; give an array [queries, {dimensions}] from the encoder of this index."
        )
    if allow is None or (len(allow) == items and allow.all()):
        return None
    if len(allow) != items:
        raise InputError(
            f"The filter marks {len(allow)} items but the index holds {items}; "
            "give one True or False for each item of the catalogue, in row order."
        )
    return np.flatnonzero(allow).astype(np.int64)
