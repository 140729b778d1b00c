"""Hits can be cut by query and by rank, and freed of ignored items."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oracles.ranking import best_of
from thresher.data import Relation
from thresher.errors import InputError
from thresher.retrieve import Exact, Hits, search_without

HITS = Hits(
    np.array([[4, 2, 0], [1, -1, -1]]),
    np.array([[0.5, 0.0, -0.5], [-0.1, -np.inf, -np.inf]], dtype=np.float32),
)


def test_length_and_top():
    assert len(HITS) == 2
    assert HITS.top(2).rows.tolist() == [[4, 2], [1, -1]]
    assert HITS.top(2).scores.shape == (2, 2)


@pytest.mark.parametrize("rows", [slice(1, None), np.array([1]), np.array([False, True])])
def test_rows_of_some_queries(rows):
    assert HITS[rows].rows.tolist() == [[1, -1, -1]]
    assert HITS[rows].scores[0, 0] == np.float32(-0.1)


@pytest.mark.parametrize("k", [0, 4])
def test_top_beyond_what_was_retrieved(k):
    with pytest.raises(InputError, match="1 to 3"):
        HITS.top(k)


def test_ignored_items_make_room():
    ignored = Relation.from_pairs(np.array([0, 0, 1]), np.array([4, 3, 1]), shape=(2, 5))
    left = HITS.without(ignored, 2)
    assert left.rows.tolist() == [[2, 0], [-1, -1]]
    assert left.scores.tolist() == [[0.0, -0.5], [-np.inf, -np.inf]]
    assert left.scores.dtype == np.float32
    assert HITS.without(Relation.none((2, 5)), 3).rows.tolist() == HITS.rows.tolist()
    with pytest.raises(InputError, match="2 lines of results for 3 queries"):
        HITS.without(Relation.none((3, 5)), 2)


@settings(deadline=None)
@given(st.data())
def test_a_search_without_ignored_items_is_one_where_they_score_lowest(data):
    items, queries = data.draw(st.integers(1, 9)), data.draw(st.integers(0, 4))
    whole = st.integers(-2, 2)  # whole numbers, so that scores tie and are exact
    table = st.lists(st.lists(whole, min_size=2, max_size=2), min_size=items, max_size=items)
    vectors = np.array(data.draw(table), np.float32)
    asked = vectors[data.draw(st.permutations(range(items)))][:queries]
    queries = len(asked)
    pairs = [
        (q, i) for q in range(queries) for i in range(items) if data.draw(st.booleans(), label="?")
    ]
    k = data.draw(st.integers(1, items))
    rows = np.array(pairs, np.int64).reshape(-1, 2)
    ignored = Relation.from_pairs(rows[:, 0], rows[:, 1], shape=(queries, items))
    index = Exact(vectors)
    found = search_without(lambda depth: index.search(asked, depth), k, ignored)
    for q in range(queries):
        scores = [float(vectors[i] @ asked[q]) for i in range(items)]
        expected = best_of(scores, {i for p, i in pairs if p == q}, k)
        assert found.rows[q].tolist() == expected
        assert found.scores[q].tolist() == [scores[i] if i >= 0 else -np.inf for i in expected]


def test_a_search_goes_no_deeper_than_it_must():
    depths = []

    def search(depth):
        depths.append(depth)
        return Hits(np.tile(np.arange(depth), (2, 1)), np.zeros((2, depth), np.float32))

    pairs = np.array([0, 0, 1]), np.array([0, 2, 0])
    assert search_without(search, 3, None).rows.tolist() == [[0, 1, 2]] * 2
    assert search_without(search, 3, Relation.none((2, 9))).rows.tolist() == [[0, 1, 2]] * 2
    found = search_without(search, 3, Relation.from_pairs(*pairs, shape=(2, 9)))
    assert found.rows.tolist() == [[1, 3, 4], [1, 2, 3]]
    found = search_without(search, 3, Relation.from_pairs(*pairs, shape=(2, 4)))
    assert found.rows.tolist() == [[1, 3, -1], [1, 2, 3]]
    # As it is; as it is; the 2 that query 0 ignores deeper; never beyond the catalogue.
    assert depths == [3, 3, 5, 4]
