"""What every index must do, checked against a plain loop over all pairs."""

import json

import faiss
import numpy as np
import pytest

from thresher.errors import InputError
from thresher.retrieve import Exact, FaissIVF, Index, build, load

KINDS = ["exact", "flat", "ivf"]
ITEMS, DIMENSIONS = 400, 12


@pytest.fixture
def generator():
    return np.random.default_rng(7)


@pytest.fixture
def items(generator):
    """Scores on both sides of zero, and every tenth item a copy of the one before."""
    vectors = generator.normal(size=(ITEMS, DIMENSIONS)).astype(np.float32)
    vectors[1::10] = vectors[::10]
    return vectors


@pytest.fixture
def queries(generator):
    return generator.normal(size=(30, DIMENSIONS)).astype(np.float32)


def nearest(items, query, k, allow=None):
    """(row, score) of the k best: one pair at a time, sorted by score, then by row."""
    rows = range(len(items)) if allow is None else np.flatnonzero(allow).tolist()
    score = {
        r: np.float32(sum(float(a) * float(b) for a, b in zip(query, items[r], strict=True)))
        for r in rows
    }
    return sorted(score.items(), key=lambda pair: (-pair[1], pair[0]))[:k]


def same(a, b):
    return np.array_equal(a.rows, b.rows) and np.array_equal(a.scores, b.scores)


@pytest.mark.parametrize("kind", KINDS)
class TestEveryIndex:
    def test_is_an_index_of_its_items(self, kind, items):
        index = build(items, kind=kind)
        assert isinstance(index, Index)
        assert len(index) == ITEMS

    def test_order_scores_and_negative_scores(self, kind, items, queries):
        # 400 items are 10 lists, all of them visited: ivf is exact here but for its encoding.
        hits = build(items, kind=kind).search(queries, 9)
        assert hits.rows.shape == hits.scores.shape == (30, 9)
        for query, rows, scores in zip(queries, hits.rows, hits.scores, strict=True):
            expected = nearest(items, query, 9)
            assert rows.tolist() == [row for row, _ in expected]
            np.testing.assert_allclose(scores, [score for _, score in expected], rtol=1e-6)

    def test_the_whole_catalogue_reaches_negative_scores(self, kind, items, queries):
        hits = build(items, kind=kind).search(queries[:3], ITEMS)
        assert (np.sort(hits.rows, axis=1) == np.arange(ITEMS)).all()
        assert (hits.scores[:, -1] < 0).all()
        assert (np.diff(hits.scores, axis=1) <= 0).all()

    @pytest.mark.parametrize("copies", [5, 60, ITEMS])
    def test_equal_scores_are_ordered_by_row_also_at_the_kth_place(
        self, kind, items, copies, generator
    ):
        where = np.sort(generator.choice(ITEMS, copies, replace=False))
        items[where] = items[0] * 3
        hits = build(items, kind=kind).search(items[:1], 4)
        assert hits.rows.tolist() == [where[:4].tolist()]
        assert len(set(hits.scores[0].tolist())) == 1

    def test_a_zero_query_ties_with_everything(self, kind, items):
        hits = build(items, kind=kind).search(np.zeros((2, DIMENSIONS), np.float32), 5)
        assert hits.rows.tolist() == [[0, 1, 2, 3, 4]] * 2
        assert (hits.scores == 0).all()

    @pytest.mark.parametrize("share", [0.01, 0.02, 0.5])
    def test_filters(self, kind, items, queries, share, generator):
        allow = np.zeros(ITEMS, dtype=bool)
        allow[generator.choice(ITEMS, round(share * ITEMS), replace=False)] = True
        hits = build(items, kind=kind).search(queries, 4, allow=allow)
        for query, rows in zip(queries, hits.rows, strict=True):
            assert rows.tolist() == [row for row, _ in nearest(items, query, 4, allow)]

    def test_fewer_allowed_than_k_is_padded(self, kind, items, queries):
        allow = np.zeros(ITEMS, dtype=bool)
        allow[[5, 300]] = True
        hits = build(items, kind=kind).search(queries, 4, allow=allow)
        assert (np.sort(hits.rows[:, :2], axis=1) == [5, 300]).all()
        assert (hits.rows[:, 2:] == -1).all()
        assert np.isneginf(hits.scores[:, 2:]).all()
        assert np.isfinite(hits.scores[:, :2]).all()

    def test_nothing_allowed(self, kind, items, queries):
        hits = build(items, kind=kind).search(queries, 3, allow=np.zeros(ITEMS, dtype=bool))
        assert (hits.rows == -1).all()
        assert np.isneginf(hits.scores).all()

    def test_everything_allowed_is_no_filter(self, kind, items, queries):
        index = build(items, kind=kind)
        everything = np.ones(ITEMS, dtype=bool)
        assert same(index.search(queries, 3, allow=everything), index.search(queries, 3))

    def test_no_queries(self, kind, items, queries):
        assert build(items, kind=kind).search(queries[:0], 3).rows.shape == (0, 3)

    def test_batch_equals_single(self, kind, items, queries):
        index = build(items, kind=kind)
        batch = index.search(queries, 7)
        for i in range(len(queries)):
            assert same(index.search(queries[i : i + 1], 7), batch[i : i + 1])

    def test_building_twice_gives_the_same(self, kind, items, queries):
        first, second = (build(items, kind=kind).search(queries, 7) for _ in range(2))
        assert same(first, second)

    def test_save_then_load(self, kind, items, queries, tmp_path):
        index = build(items, kind=kind)
        index.save(tmp_path / "index")
        loaded = load(tmp_path / "index")
        assert type(loaded) is type(index)
        assert same(loaded.search(queries, 7), index.search(queries, 7))
        # The loaded vectors are memory-mapped: saving over them must not disturb them.
        before = loaded.search(queries, 7)
        build(-items, kind=kind).save(tmp_path / "index")
        assert same(loaded.search(queries, 7), before)
        assert not same(load(tmp_path / "index").search(queries, 7), before)
        assert not [path.name for path in (tmp_path / "index").iterdir() if path.name[0] == "."]

    @pytest.mark.parametrize("k", [0, -1, ITEMS + 1])
    def test_k_outside_the_catalogue(self, kind, items, queries, k):
        with pytest.raises(InputError, match=f"give 1 to {ITEMS}"):
            build(items, kind=kind).search(queries, k)

    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    def test_values_that_are_not_finite(self, kind, items, queries, bad):
        index = build(items, kind=kind)
        queries[4, 2] = bad
        with pytest.raises(InputError, match=r"1 of 30 query vectors .* row 4"):
            index.search(queries, 2)
        items[9, 0] = bad
        with pytest.raises(InputError, match=r"1 of 400 item vectors .* row 9"):
            build(items, kind=kind)

    def test_sizes_that_do_not_fit(self, kind, items, queries):
        index = build(items, kind=kind)
        with pytest.raises(InputError, match="12 dimensions"):
            index.search(queries[:, :5], 2)
        for wrong in (ITEMS - 1, ITEMS + 1):
            with pytest.raises(InputError, match=f"{wrong} items"):
                index.search(queries, 2, allow=np.ones(wrong, dtype=bool))

    def test_a_manifest_of_another_save_is_refused(self, kind, items, tmp_path):
        build(items, kind=kind).save(tmp_path)
        manifest = json.loads((tmp_path / "index.json").read_text())
        (tmp_path / "index.json").write_text(json.dumps(manifest | {"rows": 3}))
        with pytest.raises(InputError, match="different saves"):
            load(tmp_path)


def test_auto_is_exact_for_small_catalogues(items):
    assert isinstance(build(items), Exact)


def test_load_names_what_is_wrong(tmp_path):
    with pytest.raises(InputError, match="manifest of an index, cannot be read: it is missing"):
        load(tmp_path)
    (tmp_path / "index.json").write_text('{"kind": "tree"}')
    with pytest.raises(InputError, match="'tree'"):
        load(tmp_path)
    (tmp_path / "index.json").write_text("[]")
    with pytest.raises(InputError, match="is no manifest of an index"):
        load(tmp_path)
    (tmp_path / "index.json").write_text('{"kind": "exact"}')
    with pytest.raises(InputError, match=r"vectors\.npy"):
        load(tmp_path)
    (tmp_path / "index.json").write_text('{"kind": "ivf"}')
    with pytest.raises(InputError, match="no complete index"):
        load(tmp_path)


@pytest.fixture(scope="module")
def clustered():
    """8,000 unit vectors around 200 centres, and 100 queries near some of them."""
    generator = np.random.default_rng(3)
    centres = generator.normal(size=(200, 24))
    vectors = centres[generator.integers(0, 200, 8000)] + 0.4 * generator.normal(size=(8000, 24))
    near = vectors[generator.integers(0, 8000, 100)] + 0.1 * generator.normal(size=(100, 24))
    return tuple(
        (v / np.linalg.norm(v, axis=1, keepdims=True)).astype(np.float32) for v in (vectors, near)
    )


def recall(found, true):
    return np.mean([len(set(a) & set(b)) / len(b) for a, b in zip(found, true, strict=True)])


def test_ivf_finds_what_exact_finds_and_scores_it_the_same(clustered):
    vectors, queries = clustered
    exact, ivf = Exact(vectors).search(queries, 10), build(vectors, kind="ivf").search(queries, 10)
    assert recall(ivf.rows, exact.rows) > 0.97
    agree = ivf.rows == exact.rows
    np.testing.assert_array_equal(ivf.scores[agree], exact.scores[agree])


def test_ivf_visits_more_lists_to_find_more(clustered):
    vectors, queries = clustered
    true = Exact(vectors).search(queries, 10).rows
    few, all_lists = (
        recall(FaissIVF.build(vectors, lists=100, probes=p).search(queries, 10).rows, true)
        for p in (1, 100)
    )
    assert few < all_lists
    assert all_lists > 0.99


@pytest.mark.parametrize("share", [0.02, 0.6])
def test_ivf_keeps_its_recall_under_filters(clustered, share, monkeypatch):
    """Above the cut, FAISS's own selector filters; below it, the kept rows are searched exactly."""
    monkeypatch.setattr("thresher.retrieve.ann._SUBSET_ROWS", 100)
    vectors, queries = clustered
    allow = np.random.default_rng(5).random(len(vectors)) < share
    true = Exact(vectors).search(queries, 10, allow=allow)
    hits = build(vectors, kind="ivf").search(queries, 10, allow=allow)
    assert allow[hits.rows].all()
    assert recall(hits.rows, true.rows) > (0.97 if share > 0.1 else 0.9999)


def test_ivf_never_returns_fewer_than_it_could(clustered):
    """One visited list holds about 80 rows; k = 300 is still filled."""
    vectors, queries = clustered
    hits = FaissIVF.build(vectors, lists=100, probes=1).search(queries, 300)
    assert (hits.rows >= 0).all()


def test_ivf_needs_39_items_a_list(clustered):
    with pytest.raises(InputError, match="1 to 205"):
        FaissIVF.build(clustered[0], lists=206)


def test_exact_agrees_with_faiss_on_a_larger_catalogue(clustered):
    vectors, queries = clustered
    scores, rows = faiss.knn(queries, vectors, 50, metric=faiss.METRIC_INNER_PRODUCT)
    hits = Exact(vectors).search(queries, 50)
    np.testing.assert_allclose(hits.scores, scores, atol=1e-6)
    assert (hits.rows == rows).mean() > 0.999
