"""Queries in shares, a thread a core: products of matrices and compiled loops let others run."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import faiss
import numpy as np

from thresher.retrieve.index import pools

LEAST = 1024
"""Queries of a share, at least: fewer are not worth a thread."""


def shares(queries: int) -> list[np.ndarray]:
    """The rows of each share: as many shares as FAISS may use threads, or fewer."""
    many = max(1, min(faiss.omp_get_max_threads(), queries // LEAST))
    return np.array_split(np.arange(queries), many)


def side_by_side(run: Callable[[np.ndarray], Any], parts: Sequence[np.ndarray]) -> list[Any]:
    """What `run` makes of each share, each with one thread of FAISS and of NumPy."""
    with (
        pools().limit(limits=1, user_api="blas"),
        ThreadPoolExecutor(len(parts), initializer=faiss.omp_set_num_threads, initargs=(1,)) as own,
    ):
        return list(own.map(run, parts))
