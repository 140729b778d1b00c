"""Products of chosen pairs of rows, dense or sparse."""

from typing import Any

import numpy as np
from jaxtyping import Float, Float32, Int
from scipy import sparse
from sklearn.preprocessing import normalize

CHUNK = 1 << 16


def unit_rows(matrix: sparse.csr_matrix, weights: np.ndarray) -> sparse.csr_matrix:
    """Each column times its weight, then each row at unit length."""
    weighed = matrix.multiply(weights[None]).tocsr().astype(np.float32)
    return normalize(weighed, copy=False) if weighed.shape[0] else weighed


def present(counts: sparse.csr_matrix) -> sparse.csr_matrix:
    """One where a token occurs, however often."""
    out = counts.copy()
    out.data = np.ones_like(out.data)
    return out


def overlap(
    left: Any,
    right: Any,
    left_rows: Int[np.ndarray, " P"],
    right_rows: Int[np.ndarray, " P"],
) -> Float32[np.ndarray, " P"]:
    """sum_c left[l, c] right[r, c] for each pair of rows (l, r), dense or sparse.

    Memory: the rows of 65,536 pairs at a time.
    """
    if not isinstance(left, np.ndarray):
        every = np.ones((left.shape[1], 1), np.float32)
        return weighted_overlap(left, right, left_rows, right_rows, every)[:, 0]
    out = np.empty(len(left_rows), np.float32)
    for i in range(0, len(left_rows), CHUNK):
        some = slice(i, i + CHUNK)
        a, b = left[left_rows[some]], right[right_rows[some]].astype(np.float32)
        out[some] = np.einsum("pd,pd->p", a, b)
    return out


def weighted_overlap(
    left: sparse.csr_matrix,
    right: sparse.csr_matrix,
    left_rows: Int[np.ndarray, " P"],
    right_rows: Int[np.ndarray, " P"],
    weights: Float[np.ndarray, "V S"],
) -> Float32[np.ndarray, "P S"]:
    """sum_c left[l, c] right[r, c] weights[c, s] for each pair of rows (l, r) and each s.

    A left row is spread out once, and the right rows of its pairs look their columns up in it: fast
    when the pairs of a left row follow each other.

    Memory: the right rows of 65,536 pairs at a time, and one dense row.
    """
    out = np.empty((len(left_rows), weights.shape[1]), np.float32)
    dense = np.zeros(left.shape[1], np.float32)
    for i in range(0, len(left_rows), CHUNK):
        some = slice(i, i + CHUNK)
        rows, b = left_rows[some], right[right_rows[some]]
        met = np.empty(b.nnz, np.float32)
        edges = np.flatnonzero(np.diff(rows, prepend=-1, append=-1))
        for first, last in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
            begin, end = left.indptr[rows[first]], left.indptr[rows[first] + 1]
            columns = left.indices[begin:end]
            dense[columns] = left.data[begin:end]
            inside = slice(b.indptr[first], b.indptr[last])
            met[inside] = dense[b.indices[inside]]
            dense[columns] = 0.0
        b.data = b.data * met
        out[some] = b @ weights
    return out
