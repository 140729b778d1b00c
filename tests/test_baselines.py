"""Baselines: by hand, and against slow loops."""

from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thresher import baselines
from thresher.baselines import item_knn, popular, tfidf
from thresher.data.sequences import Sequences, bounds

ITEMS = 7


def sequences(lists):
    items = np.array([item for own in lists for item in own], dtype=np.int64)
    return Sequences(bounds(np.array([len(own) for own in lists], dtype=np.int64)), items)


def ignoring(lists, items=ITEMS):
    return sequences(lists).relation(items)


def test_the_popular_list_leaves_out_what_a_query_ignores():
    counts = np.array([3, 9, 0, 3])
    found = popular(counts, 3, ignoring([[], [1], [0, 1, 3]], items=4))
    # equal counts go by row; where all else is ignored the list is shorter
    assert found.rows.tolist() == [[1, 0, 3], [0, 3, 2], [2, -1, -1]]
    assert found.scores[0].tolist() == [9, 3, 3]


def test_the_popular_list_of_a_smaller_catalogue():
    allow = np.array([True, False, True, False])
    found = popular(np.array([3, 9, 0, 3]), 3, ignoring([[], [0]], items=4), allow)
    assert found.rows.tolist() == [[0, 2, -1], [2, -1, -1]]
    assert found.scores[0].tolist() == [3, 0, -np.inf]


def test_texts_that_share_rare_words_are_close():
    items = ["red mug large", "blue mug large", "red kettle large"]
    found = tfidf(items, ["a red kettle", "blue", "", "kettle"], 2, ignoring([[], [], [], [2]], 3))
    assert found.rows[0].tolist() == [2, 0]
    assert found.rows[1, 0] == 1
    assert found.rows[2].tolist() == [-1, -1]  # no word, no proposal
    assert 2 not in found.rows[3]
    assert found.scores[0, 0] > found.scores[0, 1] > 0
    only = tfidf(items, ["red kettle"], 1, ignoring([[]], 3), np.array([True, True, False]))
    assert only.rows.tolist() == [[0]]


def test_neighbours_by_hand():
    # users of item 0: a, b; of 1: a, b, c; of 2: c
    learned = sequences([[0, 1], [1, 0, 0], [1, 2]])
    found = item_knn(learned, sequences([[0], [2], []]), 3, 2, ignoring([[]] * 3, 3))
    # s(0, 1) = 2 / sqrt(2 x 3); s(0, 2) = 0; s(2, 1) = 1 / sqrt(1 x 3)
    assert found.rows.tolist() == [[1, -1], [1, -1], [-1, -1]]
    assert found.scores[:2, 0] == pytest.approx([2 / sqrt(6), 1 / sqrt(3)], rel=1e-6)


def cosine(learned, i, j):
    users = [{u for u, own in enumerate(learned) if item in own} for item in (i, j)]
    both = len(users[0] & users[1])
    return both / sqrt(len(users[0]) * len(users[1])) if both else 0.0


histories = st.lists(st.lists(st.integers(0, ITEMS - 1), max_size=6), min_size=1, max_size=8)


@given(histories, histories, st.integers(1, ITEMS), st.data())
def test_item_knn_against_a_slow_loop(learned, asked, k, data):
    one = st.lists(st.integers(0, ITEMS - 1), max_size=3)
    ignored = [data.draw(one) for _ in asked]
    allow = np.array(data.draw(st.lists(st.booleans(), min_size=ITEMS, max_size=ITEMS)))
    found = item_knn(sequences(learned), sequences(asked), ITEMS, k, ignoring(ignored), allow)
    for rows, scores, had, gone in zip(found.rows, found.scores, asked, ignored, strict=True):
        expected = {
            j: sum(cosine(learned, i, j) for i in set(had) if i != j)
            for j in range(ITEMS)
            if allow[j] and j not in gone
        }
        best = sorted(-value for value in expected.values() if value > 0)[:k]
        assert -scores[rows >= 0] == pytest.approx(best, rel=1e-5)
        assert [expected[j] for j in rows[rows >= 0]] == pytest.approx([-b for b in best], rel=1e-5)
        assert np.isneginf(scores[rows < 0]).all()


def test_only_the_last_events_and_the_nearest_items_count(monkeypatch):
    monkeypatch.setattr(baselines, "LATEST", 2)
    monkeypatch.setattr(baselines, "NEIGHBOURS", 1)
    monkeypatch.setattr(baselines, "_BLOCK", 2)
    # item 0 is too old in the first user; 1 stands beside 2 twice and beside 3 once
    learned = sequences([[0, 1, 2], [1, 2], [1, 3]])
    found = item_knn(learned, sequences([[1], [0], [1, 0, 0]]), 4, 3, ignoring([[]] * 3, 4))
    assert found.rows[0].tolist() == [2, -1, -1]
    assert (found.rows[1:] == -1).all()
