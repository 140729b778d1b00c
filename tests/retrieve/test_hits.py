"""Hits can be cut by query and by rank, and freed of ignored items."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oracles.ranking import best_of, once_of
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


def test_lists_are_merged_into_one_with_every_item_once():
    # Query 0: 4 at .9 and .2, 2 at .8 and .5, 0 at -.1: each once, at its best.
    rows = np.array([[4, 0], [2, 4], [5, 6], [6, 7]])
    scores = np.array([[0.9, -0.1], [0.8, 0.2], [0.3, 0.3], [0.3, 0.3]], np.float32)
    found = Hits(rows, scores).merged(2)
    assert found.rows.tolist() == [[4, 2], [5, 6]]  # of equal scores the first list's come first
    assert found.scores.tolist() == np.array([[0.9, 0.8], [0.3, 0.3]], np.float32).tolist()
    assert found.scores.dtype == np.float32
    assert Hits(rows, scores).merged(1).rows.tolist() == rows.tolist()


def test_where_lists_hold_the_same_places_are_left_empty():
    hits = Hits(np.array([[1, 0], [0, 1]]), np.array([[0.5, 0.1], [0.4, -0.2]], np.float32))
    assert hits.merged(2).rows.tolist() == [[1, 0]]
    twice = Hits(np.array([[3], [3]]), np.array([[0.1], [0.7]], np.float32)).merged(2)
    assert (twice.rows.tolist(), twice.scores.tolist()) == ([[3]], [[np.float32(0.7)]])
    padded = Hits(HITS.rows[[1, 1]], HITS.scores[[1, 1]]).merged(2)
    assert padded.rows.tolist() == [[1, -1, -1]]
    assert padded.scores.tolist() == [[np.float32(-0.1), -np.inf, -np.inf]]
    nobody = Hits(np.empty((0, 3), np.int64), np.empty((0, 3), np.float32)).merged(4)
    assert nobody.rows.shape == nobody.scores.shape == (0, 3)


@settings(deadline=None)
@given(st.data())
def test_a_merged_list_is_what_a_person_would_make_of_them(data):
    lists, k, users = (data.draw(st.integers(low, 4)) for low in (1, 1, 0))
    rows = np.full((users * lists, k), -1)
    scores = np.full((users * lists, k), -np.inf, np.float32)
    for one in range(users * lists):
        items = data.draw(st.lists(st.integers(0, 5), max_size=k, unique=True))
        values = data.draw(st.lists(st.integers(-2, 2), min_size=len(items), max_size=len(items)))
        rows[one, : len(items)] = items
        scores[one, : len(items)] = sorted(values, reverse=True)
    found = Hits(rows, scores).merged(lists)
    for user in range(users):
        own = slice(user * lists, (user + 1) * lists)
        expected = once_of(rows[own].tolist(), scores[own].tolist(), k)
        assert list(zip(found.rows[user], found.scores[user], strict=True)) == expected


def test_hits_of_parts_are_joined_in_turn():
    joined = Hits.joined(HITS[rows] for rows in (slice(0, 1), slice(0, 0), slice(1, 2)))
    assert joined.rows.tolist() == HITS.rows.tolist()
    assert joined.scores.tolist() == HITS.scores.tolist()


def test_others_follow_behind_without_those_that_are_there():
    own = Hits(
        np.array([[4, 2, -1], [0, 1, 3]]), np.array([[0.9, 0.1, -np.inf], [0.8, 0.3, 0.2]], "f4")
    )
    others = Hits(
        np.array([[9, 2, 7], [9, 5, -1]]), np.array([[1, 0.1, 0.0], [1, 0.1, -np.inf]], "f4")
    )
    found = own.followed(others, 1)
    assert found.rows.tolist() == [[4, 2, 7, -1, -1], [0, 1, 3, 5, -1]]
    np.testing.assert_allclose(found.scores[0, :3], [0.9, 0.1, 0.0], rtol=1e-6)
    assert np.isneginf(found.scores[found.rows < 0]).all()
    assert own.followed(others, 3) is own
