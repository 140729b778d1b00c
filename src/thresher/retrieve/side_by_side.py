"""Queries in shares, a thread a core: products of matrices and compiled loops let others run."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import faiss
import numpy as np
from jaxtyping import Int64

from thresher.retrieve.index import pools

LEAST = 1024
"""Queries of a share, at least: fewer are not worth a thread."""

_T = TypeVar("_T")


def shares(queries: int) -> list[Int64[np.ndarray, " q"]]:
    """The rows of each share: as many shares as FAISS may use threads, or fewer."""
    many = max(1, min(faiss.omp_get_max_threads(), queries // LEAST))
    return np.array_split(np.arange(queries), many)


def side_by_side(
    run: Callable[[Int64[np.ndarray, " q"]], _T], parts: Sequence[Int64[np.ndarray, " q"]]
) -> list[_T]:
    """What `run` makes of each share, each with one thread of FAISS and of NumPy."""
    with (
        pools().limit(limits=1, user_api="blas"),
        ThreadPoolExecutor(len(parts), initializer=faiss.omp_set_num_threads, initargs=(1,)) as own,
    ):
        return list(own.map(run, parts))
