"""Kinds of items: the head, the tail, and what was rare in training."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracles import evaluation as oracle
from thresher.evaluate import item_kinds, slices_by


def kinds_of(counts):
    """The items of each kind."""
    found = item_kinds(np.array(counts, dtype=np.int64))
    return {name: np.flatnonzero(members).tolist() for name, members in found.items()}


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
    assert found == oracle.kinds(counts) | {"head": sorted(oracle.head(counts))}
    for kinds in (("unseen", "rare", "frequent"), ("unseen", "head", "tail")):
        assert sorted(item for kind in kinds for item in found[kind]) == list(range(len(counts)))
    lowest = min((counts[item] for item in found["head"]), default=0)
    assert all(counts[item] <= lowest for item in found["tail"])


def test_values_of_a_column_by_their_text():
    slices = slices_by([3, None, 3, "x"], name="shop")
    assert {name: mask.tolist() for name, mask in slices.items()} == {
        "shop=": [False, True, False, False],
        "shop=3": [True, False, True, False],
        "shop=x": [False, False, False, True],
    }
