"""The interface that every index keeps, the check of its arguments, its manifest, its threads."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import faiss
import numpy as np
from jaxtyping import Bool, Float32, Int64
from scipy import sparse
from threadpoolctl import ThreadpoolController

from thresher.errors import InputError
from thresher.files import read_json
from thresher.retrieve.hits import Hits

Kind = Literal["auto", "exact", "flat", "ivf"]
MANIFEST = "index.json"
PARALLEL_FROM = 1 << 28
"""Multiplications of a search from which FAISS and NumPy use all their threads.

Their threads spin while they wait. On two cores beside other work a search of 20 x 1,500 x 256
took 52 ms with two threads and 1 ms with one; they were equal at 2^28, on an idle machine 10 ms.
"""


@runtime_checkable
class Index(Protocol):
    """A searchable catalogue of vectors.

    Scores are inner products: higher is closer. Items with equal scores are ordered by row number,
    lowest first, also at the k-th place. A query gets the same hits alone or in a batch.
    """

    def __len__(self) -> int:
        """Number of items."""

    @property
    def vectors(self) -> Float32[np.ndarray, "N D"] | sparse.csr_matrix:
        """The vectors of the items, in row order; not to be written to."""

    def search(self, vectors: Any, k: int, *, allow: Bool[np.ndarray, " N"] | None = None) -> Hits:
        """The k nearest items of each query, among those that `allow` marks.

        When fewer than k items are allowed the hits are padded with row -1 and score -inf.

        Raises:
            InputError: k is not between 1 and the number of items, a vector is not finite, or
                `allow` or the dimensions do not fit the catalogue.
        """

    def save(self, folder: Path) -> None:
        """Write the index to a folder, from which `thresher.retrieve.load` reads it.

        InputError where the folder cannot be written to; an index in it is replaced.
        """

    @classmethod
    def load(cls, folder: Path) -> "Index":
        """Read what `save` wrote; InputError where a file is missing or of another save."""


def squared_norms(vectors: Float32[np.ndarray, "N D"], *, name: str) -> Float32[np.ndarray, " N"]:
    """Squared length of each row; InputError where one is NaN, infinite or overflows float32."""
    with np.errstate(over="ignore", invalid="ignore"):
        squares = np.einsum("ij,ij->i", vectors, vectors)
    wrong = np.flatnonzero(~np.isfinite(squares))
    if len(wrong):
        raise InputError(
            f"{len(wrong)} of {len(vectors)} {name} vectors hold NaN, infinity or values too large "
            f"for float32 (first at row {wrong[0]}); every value must be finite, so check the "
            "encoder's output, for instance for a division by a zero norm"
        )
    return squares


def allowed_rows(
    vectors: Float32[np.ndarray, "Q D"] | sparse.csr_matrix,
    k: int,
    allow: Bool[np.ndarray, " M"] | None,
    *,
    shape: tuple[int, int],
) -> Int64[np.ndarray, " A"] | None:
    """Check the arguments of a search in a catalogue of `shape`; the allowed rows, None for all."""
    items, dimensions = shape
    if not 1 <= k <= items:
        raise InputError(f"k is {k}, but the index holds {items} items; give 1 to {items}")
    if vectors.ndim != 2 or vectors.shape[1] != dimensions:
        raise InputError(
            f"the queries have shape {vectors.shape} but the index holds vectors of {dimensions} "
            f"dimensions; give an array [queries, {dimensions}] from the encoder of this index"
        )
    if allow is None or (len(allow) == items and allow.all()):
        return None
    if len(allow) != items:
        raise InputError(
            f"the filter marks {len(allow)} items but the index holds {items}; "
            "give one True or False for each item of the catalogue, in row order"
        )
    return np.flatnonzero(allow).astype(np.int64)


@contextmanager
def threads_for(multiplications: int, *, matrices: bool = False) -> Iterator[None]:
    """Use one thread for a search of fewer than `PARALLEL_FROM` multiplications.

    Args:
        multiplications: of the search.
        matrices: whether NumPy multiplies; of its threads another library has to be told.
    """
    threads, small = faiss.omp_get_max_threads(), multiplications < PARALLEL_FROM
    faiss.omp_set_num_threads(1 if small else threads)
    try:
        with pools().limit(limits=1, user_api="blas") if matrices and small else nullcontext():
            yield
    finally:
        faiss.omp_set_num_threads(threads)


@cache
def pools() -> ThreadpoolController:
    """The threads of the libraries that multiply matrices."""
    return ThreadpoolController()


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read an index's index.json; InputError where the folder holds none, or it is no manifest."""
    fix = "give a folder that an index was saved to, or save it again"
    manifest = read_json(folder / MANIFEST, what="the manifest of an index", fix=fix)
    if not isinstance(manifest, dict):
        raise InputError(f"{folder / MANIFEST} is no manifest of an index; {fix}")
    return manifest


def check_rows(folder: Path, *, promised: object, found: int) -> None:
    """InputError for a folder whose manifest promises another number of rows than a file holds."""
    if promised != found:
        raise InputError(
            f"{folder} holds {found} vectors but its {MANIFEST} promises {promised}; "
            "the files belong to different saves, so save the index again"
        )
