"""Products of chosen pairs of rows."""

import numpy as np
from scipy import sparse

from thresher.decide import rowwise
from thresher.decide.rowwise import overlap, present, unit_rows, weighted_overlap

LEFT = np.array([[1, 0, 2, 0], [0, 0, 0, 0], [3, 1, 0, 0]], np.float32)
RIGHT = np.array([[1, 1, 1, 1], [0, 0, -2, 5]], np.float32)


def test_sparse_products_with_several_weights():
    weights = np.array([[1, 0], [1, 1], [0.5, 0], [1, 0]], np.float32)
    found = weighted_overlap(
        sparse.csr_matrix(LEFT),
        sparse.csr_matrix(RIGHT),
        np.array([0, 0, 1, 2]),
        np.array([0, 1, 0, 0]),
        weights,
    )
    # 1*1 + .5*2*1; .5*2*(-2); an empty row; 3*1 + 1*1 and, with the second weights, 1*1
    np.testing.assert_allclose(found, [[2, 0], [-2, 0], [0, 0], [4, 1]])


def test_dense_and_sparse_agree_across_chunks(monkeypatch):
    monkeypatch.setattr(rowwise, "CHUNK", 7)
    rng = np.random.default_rng(0)
    a = (rng.normal(size=(9, 12)) * (rng.random((9, 12)) < 0.4)).astype(np.float32)
    b = (rng.normal(size=(5, 12)) * (rng.random((5, 12)) < 0.4)).astype(np.float32)
    left, right = rng.integers(0, 9, 40), rng.integers(0, 5, 40)  # left rows in no order
    slow = [sum(a[i, c] * b[j, c] for c in range(12)) for i, j in zip(left, right, strict=True)]
    np.testing.assert_allclose(overlap(a, b, left, right), slow, atol=1e-5)
    found = overlap(sparse.csr_matrix(a), sparse.csr_matrix(b), left, right)
    np.testing.assert_allclose(found, slow, atol=1e-5)


def test_no_pairs():
    none = np.zeros(0, np.int64)
    assert overlap(LEFT, RIGHT, none, none).shape == (0,)
    assert overlap(sparse.csr_matrix(LEFT), sparse.csr_matrix(RIGHT), none, none).shape == (0,)


def test_unit_rows_and_presence():
    rows = unit_rows(sparse.csr_matrix(LEFT), np.array([1, 0, 2, 1], np.float32)).toarray()
    # (1, 0, 4): length sqrt(17); an empty row stays empty; (3, 0): the second column weighs nothing
    np.testing.assert_allclose(rows[0], np.array([1, 0, 4, 0]) / np.sqrt(17), rtol=1e-6)
    np.testing.assert_allclose(rows[1:], [[0, 0, 0, 0], [1, 0, 0, 0]])
    np.testing.assert_array_equal(present(sparse.csr_matrix(LEFT)).toarray(), LEFT > 0)
