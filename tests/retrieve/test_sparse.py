"""Search over sparse rows against a plain loop."""

import numpy as np
import pytest
from scipy import sparse

from thresher.errors import InputError
from thresher.retrieve import build, load
from thresher.retrieve.sparse import SparseExact

ITEMS, WIDTH = 300, 40


@pytest.fixture
def draw():
    return np.random.default_rng(7)


@pytest.fixture
def items(draw):
    """Scores on both sides of zero; every tenth item is a copy of the one before."""
    dense = draw.normal(size=(ITEMS, WIDTH)) * (draw.random((ITEMS, WIDTH)) < 0.2)
    dense[1::10] = dense[::10]
    return sparse.csr_matrix(dense.astype(np.float32))


@pytest.fixture
def queries(draw):
    dense = draw.normal(size=(20, WIDTH)) * (draw.random((20, WIDTH)) < 0.2)
    return sparse.csr_matrix(dense.astype(np.float32))


def nearest(items, query, k, allow=None):
    rows = range(ITEMS) if allow is None else np.flatnonzero(allow).tolist()
    score = {r: np.float32(items[r].multiply(query).sum()) for r in rows}
    return sorted(rows, key=lambda r: (-round(float(score[r]), 5), r))[:k]


def same(a, b):
    return np.array_equal(a.rows, b.rows) and np.array_equal(a.scores, b.scores)


def test_it_finds_the_closest_in_order(items, queries):
    hits = SparseExact(items).search(queries, 9)
    assert hits.scores.dtype == np.float32
    assert hits.rows.dtype == np.int64
    for i in range(queries.shape[0]):
        assert hits.rows[i].tolist() == nearest(items, queries[i], 9)


def test_negative_scores_are_scores(items, queries):
    hits = SparseExact(items).search(queries, ITEMS)
    assert (np.sort(hits.rows, axis=1) == np.arange(ITEMS)).all()
    assert (hits.scores[:, -1] < 0).all()
    assert (np.diff(hits.scores, axis=1) <= 0).all()


def test_ties_go_to_the_lowest_row_also_at_the_kth_place(items):
    zero = sparse.csr_matrix((2, WIDTH), dtype=np.float32)
    hits = SparseExact(items).search(zero, 5)
    assert hits.rows.tolist() == [[0, 1, 2, 3, 4]] * 2


def test_filters_and_padding(items, queries, draw):
    allow = draw.random(ITEMS) < 0.3
    hits = SparseExact(items).search(queries, 4, allow=allow)
    for i in range(queries.shape[0]):
        assert hits.rows[i].tolist() == nearest(items, queries[i], 4, allow)
    few = np.zeros(ITEMS, bool)
    few[[5, 200]] = True
    hits = SparseExact(items).search(queries, 4, allow=few)
    assert (np.sort(hits.rows[:, :2], axis=1) == [5, 200]).all()
    assert (hits.rows[:, 2:] == -1).all()
    assert np.isneginf(hits.scores[:, 2:]).all()
    nothing = SparseExact(items).search(queries, 3, allow=np.zeros(ITEMS, bool))
    assert (nothing.rows == -1).all()


def test_blocks_change_nothing(items, queries, monkeypatch):
    whole = SparseExact(items).search(queries, 7)
    monkeypatch.setattr(SparseExact, "SCORES", 3 * ITEMS)
    assert same(SparseExact(items).search(queries, 7), whole)
    assert same(SparseExact(items).search(queries[4:5], 7), whole[4:5])
    assert SparseExact(items).search(queries[:0], 7).rows.shape == (0, 7)


def test_saved_and_loaded(items, queries, tmp_path):
    SparseExact(items).save(tmp_path / "index")
    loaded = SparseExact.load(tmp_path / "index")
    assert len(loaded) == ITEMS
    assert same(loaded.search(queries, 5), SparseExact(items).search(queries, 5))
    assert {p.name for p in (tmp_path / "index").iterdir()} == {"rows.npz", "index.json"}
    again = load(tmp_path / "index")
    assert isinstance(again, SparseExact)
    assert isinstance(build(items, kind="ivf"), SparseExact)
    assert (again.vectors != items).nnz == 0
    (tmp_path / "index" / "rows.npz").unlink()
    with pytest.raises(InputError, match=r"holds no rows\.npz; save the index again"):
        load(tmp_path / "index")


@pytest.mark.parametrize("k", [0, ITEMS + 1])
def test_k_outside_the_catalogue(items, queries, k):
    with pytest.raises(InputError, match=f"k is {k}, but the index holds {ITEMS} items"):
        SparseExact(items).search(queries, k)
