import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from thresher.data.histories import Histories, histories_of
from thresher.data.sequences import Sequences
from thresher.types import Table

# Users with the events [7, 4, 9], none, and [5, 7].
SEQUENCES = Sequences(np.array([0, 3, 3, 5]), np.array([7, 4, 9, 5, 7]))


def rows(h):
    return [h.items[a:b].tolist() for a, b in zip(h.first.tolist(), h.last.tolist(), strict=True)]


def test_the_events_of_each_user():
    h = Histories.of(SEQUENCES)
    assert rows(h) == [[7, 4, 9], [], [5, 7]]
    assert h.sequences().items.tolist() == SEQUENCES.items.tolist()
    assert h.take(np.array([2, 0])).sequences().starts.tolist() == [0, 2, 5]


def test_windows_may_overlap():
    h = Histories.windows(SEQUENCES.items, np.array([0, 3, 0]), np.array([2, 4, 1]))
    assert rows(h) == [[7, 4], [5], [7]]


@given(st.lists(st.integers(0, 2), max_size=6), st.integers(-4, 4), st.integers(-4, 4))
def test_rows_are_taken_and_cut_like_those_of_a_list(chosen, first, last):
    h = Histories.of(SEQUENCES)
    taken = h.take(torch.tensor(chosen, dtype=torch.int64))
    expected = [[[7, 4, 9], [], [5, 7]][i] for i in chosen]
    assert rows(taken) == expected
    assert rows(taken[first:last]) == expected[first:last]
    assert len(taken) == len(expected)
    assert taken.lengths().tolist() == [len(row) for row in expected]


def test_side_by_side():
    h = Histories.of(SEQUENCES)
    assert h.table(9, padding=-1).tolist() == [[7, 4, 9], [-1, -1, -1], [5, 7, -1]]
    assert h.table(2, padding=0).tolist() == [[4, 9], [0, 0], [5, 7]]
    # Without an event there is still a column.
    assert h[1:2].table(9, padding=-1).tolist() == [[-1]]
    assert h[:0].table(9, padding=-1).shape == (0, 1)


def test_rows_that_begin_together_are_one():
    # Users [7, 4, 9] and [5, 7]: after one, two and three events, after one, and one with nothing.
    first, last = np.array([0, 3, 0, 0, 3]), np.array([2, 4, 3, 1, 3])
    passes, of, length = Histories.windows(SEQUENCES.items, first, last).passes(9)
    assert rows(passes) == [[7, 4, 9], [5]]
    assert (of.tolist(), length.tolist()) == ([0, 1, 0, 0, 1], [2, 1, 3, 1, 0])
    # The last two events of each: [4, 9] begins elsewhere than [7, 4] and [7].
    passes, of, length = Histories.windows(SEQUENCES.items, first, last).passes(2)
    assert rows(passes) == [[7, 4], [4, 9], [5]]
    assert (of.tolist(), length.tolist()) == ([0, 2, 1, 0, 2], [2, 1, 2, 1, 0])


def test_rows_within_a_window_lose_what_stands_before_it():
    h = Histories.windows(SEQUENCES.items, np.array([0, 0]), np.array([2, 3]))
    both = h.within(h.take(np.array([1, 1])), 2)
    assert rows(both) == [[4], [4, 9]]
    assert rows(h.within(h.take(np.array([1, 1])), 3)) == [[7, 4], [7, 4, 9]]


def test_it_is_a_table():
    assert isinstance(Histories.of(SEQUENCES), Table)


@pytest.mark.parametrize(
    "column", [["i2|i0|zz", "", "i1 | i1"], [["i2", "i0", "zz"], None, ["i1", "i1"]]]
)
def test_a_column_of_ids_is_read_in_its_order(column):
    items = pa.table({"id": ["i0", "i1", "i2"]})
    found, unknown = histories_of(pa.table({"history": column}), "history", items)
    assert rows(found) == [[2, 0], [], [1, 1]]
    assert unknown == 1
