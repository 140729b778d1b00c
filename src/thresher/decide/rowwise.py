"""Products of chosen pairs of rows, dense or sparse."""

from typing import Any

import numpy as np
from jaxtyping import Float32, Int
from scipy import sparse
from sklearn.preprocessing import normalize

CHUNK = 1 << 16


def unit_rows(matrix: sparse.csr_matrix, weights: np.ndarray) -> sparse.csr_matrix:
    """Each column times its weight, then each row at unit length."""
    return normalize(matrix.multiply(weights[None]).tocsr().astype(np.float32), copy=False)


def weights_of_rows(present: sparse.csr_matrix, weights: np.ndarray) -> Float32[np.ndarray, " R"]:
    """The sum of the weights of each row's columns."""
    return np.asarray(present @ weights, np.float32)


def weighted_overlap(
    left: Any,
    right: Any,
    left_rows: Int[np.ndarray, " P"],
    right_rows: Int[np.ndarray, " P"],
    weights: np.ndarray | None = None,
) -> Float32[np.ndarray, " P"]:
    """sum_c left[l, c] right[r, c] weights[c] for each pair of rows (l, r).

    Memory: the rows of 65,536 pairs at a time.
    """
    out = np.empty(len(left_rows), np.float32)
    for i in range(0, len(left_rows), CHUNK):
        some = slice(i, i + CHUNK)
        a, b = left[left_rows[some]], right[right_rows[some]]
        if isinstance(a, np.ndarray):
            out[some] = np.einsum("pd,pd->p", a, b.astype(np.float32))
        else:
            product = a.multiply(b)
            total = product.sum(axis=1) if weights is None else product @ weights
            out[some] = np.asarray(total).ravel()
    return out
