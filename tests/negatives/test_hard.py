"""The nearest items that are not true."""

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thresher.data import Relation
from thresher.errors import InputError
from thresher.negatives import hard as module
from thresher.negatives.hard import hard_negatives
from thresher.retrieve import build


class Rows(NamedTuple):
    rows: np.ndarray


def random_relation(draw, queries, items, share):
    return Relation.from_pairs(
        *np.nonzero(draw.random((queries, items)) < share), shape=(queries, items)
    )


def test_true_and_ignored_items_leave_and_the_others_move_up():
    found = np.array([[4, 0, 1, -1], [3, 2, 4, 0]])
    relation = Relation.from_pairs(np.array([0, 1, 1]), np.array([4, 2, 0]), shape=(2, 5))
    ignored = Relation.from_pairs(np.array([0, 1]), np.array([3, 3]), shape=(2, 5))
    asked = []

    def search(vectors, k):
        asked.append((vectors.shape, k))
        return Rows(found)

    vectors = np.zeros((2, 3), np.float32)
    hard = hard_negatives(vectors, search, relation, depth=4)
    # query 0: 4 is true; query 1: 2 and 0 are
    assert hard.tolist() == [[0, 1, -1, -1], [3, 4, -1, -1]]
    hard = hard_negatives(vectors, search, relation, depth=4, ignored=ignored)
    # and now query 1 loses 3 too
    assert hard.tolist() == [[0, 1, -1, -1], [4, -1, -1, -1]]
    assert hard.dtype == np.int64
    assert asked == [((2, 3), 4)] * 2


@given(seed=st.integers(0, 100), depth=st.integers(1, 20), some=st.booleans())
def test_it_is_the_ranking_of_all_items_without_those_that_are_known(seed, depth, some):
    draw = np.random.default_rng(seed)
    queries, items = (draw.normal(size=(n, 4)).astype(np.float32) for n in (9, 12))
    relation = random_relation(draw, 9, 12, 0.3)
    ignored = random_relation(draw, 9, 12, 0.2) if some else None
    index = build(items, kind="exact")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_QUERIES", 4)
        hard = hard_negatives(queries, index.search, relation, depth=depth, ignored=ignored)
    assert hard.shape == (9, min(depth, 12))
    for q, row in enumerate(hard.tolist()):
        known = {*relation.items_of(q)} | ({*ignored.items_of(q)} if some else set())
        ranking = sorted(range(12), key=lambda i: -float(queries[q] @ items[i]))[:depth]
        left = [i for i in ranking if i not in known]
        assert row == left + [-1] * (len(row) - len(left))


def test_vectors_and_depths_that_do_not_fit():
    relation = Relation.from_pairs(np.array([0]), np.array([0]), shape=(2, 3))
    vectors = np.zeros((2, 3), np.float32)
    search = build(np.eye(3, dtype=np.float32), kind="exact").search
    with pytest.raises(InputError, match=r"1 query vectors do not fit the 2 queries"):
        hard_negatives(vectors[:1], search, relation, depth=2)
    with pytest.raises(InputError, match=r"2 query vectors do not fit the 2 queries .* ignored"):
        hard_negatives(vectors, search, relation, depth=2, ignored=relation.take(np.array([0])))
    with pytest.raises(InputError, match=r"searched among 0 items"):
        hard_negatives(vectors, search, relation, depth=0)


def test_no_queries():
    relation = Relation.from_pairs(np.array([], np.int64), np.array([], np.int64), shape=(0, 3))
    search = build(np.eye(3, dtype=np.float32), kind="exact").search
    assert hard_negatives(np.zeros((0, 3), np.float32), search, relation, depth=2).shape == (0, 2)
