"""Sequences: the lists they stand for, row by row."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thresher.data.sequences import Sequences, bounds, ranges

LISTS = st.lists(st.lists(st.integers(0, 5), max_size=4), max_size=6)


def packed(lists):
    return Sequences(
        bounds(np.array([len(one) for one in lists], dtype=np.int64)),
        np.array([item for one in lists for item in one], dtype=np.int64),
    )


def unpacked(sequences):
    pairs = zip(sequences.starts[:-1], sequences.starts[1:], strict=True)
    return [sequences.items[start:end].tolist() for start, end in pairs]


def test_bounds_and_ranges_by_hand():
    assert bounds(np.array([2, 0, 3])).tolist() == [0, 2, 2, 5]
    assert ranges(np.array([7, 4, 0]), np.array([2, 0, 3])).tolist() == [7, 8, 0, 1, 2]
    assert ranges(np.array([], np.int64), np.array([], np.int64)).tolist() == []


@given(lists=LISTS, data=st.data())
def test_taken_rows_are_the_lists(lists, data):
    rows = data.draw(st.lists(st.sampled_from(range(len(lists))))) if lists else []
    taken = packed(lists).take(np.array(rows, dtype=np.int64))
    assert unpacked(taken) == [lists[row] for row in rows]
    assert taken.counts().tolist() == [len(lists[row]) for row in rows]
    assert len(taken) == len(rows)


@given(lists=LISTS)
def test_the_relation_holds_each_item_of_a_user_once(lists):
    relation = packed(lists).relation(6)
    assert relation.shape == (len(lists), 6)
    assert [relation.items_of(row).tolist() for row in range(len(lists))] == [
        sorted(set(one)) for one in lists
    ]


def test_a_row_that_is_not_there_is_an_error():
    with pytest.raises(IndexError):
        packed([[1]]).take(np.array([1]))
