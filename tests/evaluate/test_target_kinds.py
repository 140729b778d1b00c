"""Kinds of targets: the head, the tail, and what was rare in training."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracles import next_items as oracle
from thresher.evaluate.target_kinds import target_kinds


def kinds_of(counts):
    """The items of each kind, when every item is a target once."""
    found = target_kinds(np.array(counts, dtype=np.int64), np.arange(len(counts)))
    return {name: np.flatnonzero(kept).tolist() for name, kept in found.items()}


@pytest.mark.parametrize(
    ("counts", "head"),
    [
        ([1] * 10, [0]),  # one of ten; equal counts go by row
        ([1] * 9 + [2], [9]),
        ([1] * 10 + [2], [0, 10]),  # 1.1 of eleven are two
        ([0] * 10 + [3], [10]),  # the second place would go to an item never seen
        ([0, 0], []),
        ([], []),
    ],
)
def test_head_by_hand(counts, head):
    assert kinds_of(counts)["head"] == head


@given(st.lists(st.integers(0, 12), max_size=40))
def test_each_item_is_of_one_kind_by_count_and_of_one_by_popularity(counts):
    found = kinds_of(counts)
    assert found["head"] == sorted(oracle.head(counts))
    for kinds in (("unseen", "rare", "frequent"), ("unseen", "head", "tail")):
        assert sorted(item for kind in kinds for item in found[kind]) == list(range(len(counts)))
    lowest = min((counts[item] for item in found["head"]), default=0)
    assert all(counts[item] <= lowest for item in found["tail"])


def test_a_target_that_comes_again_is_of_its_kind_again():
    kinds = target_kinds(np.array([9, 1, 0]), np.array([1, 0, 1, 2]))
    assert kinds["tail"].tolist() == [True, False, True, False]
    assert kinds["head"].tolist() == [False, True, False, False]
