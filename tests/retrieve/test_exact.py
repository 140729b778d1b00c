"""Exact search stays exact, whatever its tiling."""

import faiss
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from threadpoolctl import threadpool_info, threadpool_limits

from thresher.retrieve import Exact, exact
from thresher.retrieve import index as index_module


@given(
    items=arrays.arrays(np.float32, (40, 3), elements=st.sampled_from([-1.0, -0.1, 0.0, 0.3, 1.0])),
    query=arrays.arrays(np.float32, (2, 3), elements=st.sampled_from([-0.7, 0.0, 0.1, 1.0])),
    k=st.integers(1, 40),
    allow=arrays.arrays(np.bool_, 40),
)
def test_ties_by_row_number_in_any_catalogue(items, query, k, allow):
    hits = Exact(items).search(query, k, allow=allow)
    for q in range(2):
        score = {
            r: np.float32(sum(float(a) * float(b) for a, b in zip(query[q], items[r], strict=True)))
            for r in np.flatnonzero(allow).tolist()
        }
        best = sorted(score, key=lambda r: (-score[r], r))[:k]
        assert hits.rows[q].tolist() == best + [-1] * (k - len(best))


@pytest.mark.parametrize("filtered", [False, True])
def test_tiling_changes_nothing(monkeypatch, filtered):
    generator = np.random.default_rng(0)
    items = generator.normal(size=(900, 8)).astype(np.float32)
    items[100:200] = items[7]  # more copies than there are candidates
    queries = np.vstack([generator.normal(size=(40, 8)), items[:10]]).astype(np.float32)
    allow = generator.random(900) < 0.7 if filtered else None
    whole = Exact(items).search(queries, 6, allow=allow)
    for name, value in {"_QUERIES": 7, "_TILE": 8 * 30, "_SCORED": 8 * 5, "_SCANNED": 2}.items():
        monkeypatch.setattr(exact, name, value)
    tiled = Exact(items).search(queries, 6, allow=allow)
    np.testing.assert_array_equal(tiled.rows, whole.rows)
    np.testing.assert_array_equal(tiled.scores, whole.scores)


def test_near_ties_below_float32_resolution_are_settled_in_float64():
    """Scores 1 + j 2^-30 do not differ in float32: rounded, they tie, and rows decide."""
    items = np.zeros((300, 2), dtype=np.float32)
    items[:, 0] = 1
    items[:, 1] = np.arange(300)[::-1] * 2.0**-30
    hits = Exact(items).search(np.array([[1, 1]], dtype=np.float32), 3)
    # float32 steps above 1 are 2^-23 = 128 x 2^-30: rows 0..107 hold 299..192 of them and round
    # to 1 + 2^-22 (192 is half way and goes to the even 2 steps); they tie, the lowest rows win.
    assert hits.rows.tolist() == [[0, 1, 2]]
    assert hits.scores.tolist() == [[1 + 2.0**-22] * 3]


def test_the_vectors_given_are_the_vectors_kept():
    items = np.eye(3, dtype=np.float32)
    assert np.shares_memory(Exact(items).vectors, items)


@pytest.mark.parametrize("matrices", [1, 1000])
def test_matrices_and_scans_find_the_same(monkeypatch, matrices):
    monkeypatch.setattr("thresher.retrieve.exact._MATRICES", matrices)
    monkeypatch.setattr("thresher.retrieve.exact._TILE", 1)  # 256 items a tile
    generator = np.random.default_rng(3)
    items = generator.normal(size=(1000, 24)).astype(np.float32)
    queries = generator.normal(size=(33, 24)).astype(np.float32)
    hits = Exact(items).search(queries, 7)
    scores = queries.astype(np.float64) @ items.T.astype(np.float64)
    assert np.array_equal(hits.rows, np.argsort(-scores, axis=1, kind="stable")[:, :7])


@pytest.mark.parametrize(("queries", "threads"), [(1, 1), (4, 1), (5, 3)])
def test_a_small_search_uses_one_thread_of_faiss(monkeypatch, queries, threads):
    # 5 x 100 x 8 = 4,000 multiplications
    monkeypatch.setattr(index_module, "PARALLEL_FROM", 4_000)
    monkeypatch.setattr("thresher.retrieve.exact._MATRICES", 1000)
    seen, knn = [], faiss.knn

    def watched(*args, **options):
        seen.append(faiss.omp_get_max_threads())
        return knn(*args, **options)

    monkeypatch.setattr(faiss, "knn", watched)
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(3)
    try:
        vectors = np.random.default_rng(0).normal(size=(100, 8)).astype(np.float32)
        Exact(vectors).search(vectors[:queries], 3)
        assert seen == [threads]
        assert faiss.omp_get_max_threads() == 3
    finally:
        faiss.omp_set_num_threads(before)


@pytest.mark.parametrize(("queries", "small"), [(6, True), (11, False)])
def test_a_small_product_of_matrices_uses_one_thread_of_numpy(monkeypatch, queries, small):
    # 10 x 100 x 8 = 8,000 multiplications
    monkeypatch.setattr(index_module, "PARALLEL_FROM", 8_000)
    seen, matmul = [], np.matmul

    def threads():
        return max(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")

    def watched(*args, **options):
        seen.append(threads())
        return matmul(*args, **options)

    monkeypatch.setattr(np, "matmul", watched)
    vectors = np.random.default_rng(0).normal(size=(100, 8)).astype(np.float32)
    with threadpool_limits(limits=2, user_api="blas"):
        Exact(vectors).search(vectors[:queries], 3)
        assert set(seen) == {1 if small else 2}
        assert threads() == 2
