import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from thresher.data.sequences import Examples, Sequences
from thresher.errors import InputError
from thresher.towers.histories import Histories
from thresher.types import Table

# Users with the events [7, 4, 9], none, and [5, 7].
SEQUENCES = Sequences(np.array([0, 3, 3, 5]), np.array([7, 4, 9, 5, 7]))


def rows(h):
    return [h.items[a:b].tolist() for a, b in zip(h.first.tolist(), h.last.tolist(), strict=True)]


def test_the_last_events_of_each_user():
    assert rows(Histories.of(SEQUENCES, 9)) == [[7, 4, 9], [], [5, 7]]
    assert rows(Histories.of(SEQUENCES, 2)) == [[4, 9], [], [5, 7]]


def test_the_events_before_each_target():
    examples = Examples(SEQUENCES, np.array([0, 2, 0]), np.array([2, 4, 1]), np.ones(3, np.float32))
    assert rows(Histories.before(examples, 9)) == [[7, 4], [5], [7]]
    assert rows(Histories.before(examples, 1)) == [[4], [5], [7]]


@given(st.lists(st.integers(0, 2), max_size=6), st.integers(-4, 4), st.integers(-4, 4))
def test_rows_are_taken_and_cut_like_those_of_a_list(chosen, first, last):
    h = Histories.of(SEQUENCES, 9)
    taken = h.take(torch.tensor(chosen, dtype=torch.int64))
    expected = [[[7, 4, 9], [], [5, 7]][i] for i in chosen]
    assert rows(taken) == expected
    assert rows(taken[first:last]) == expected[first:last]
    assert len(taken) == len(expected)
    assert taken.lengths().tolist() == [len(row) for row in expected]


def test_side_by_side():
    h = Histories.of(SEQUENCES, 9)
    assert h.table(9, padding=-1).tolist() == [[7, 4, 9], [-1, -1, -1], [5, 7, -1]]
    assert h.table(2, padding=0).tolist() == [[4, 9], [0, 0], [5, 7]]
    # Without an event there is still a column.
    assert h[1:2].table(9, padding=-1).tolist() == [[-1]]
    assert h[:0].table(9, padding=-1).shape == (0, 1)


def test_it_is_a_table():
    assert isinstance(Histories.of(SEQUENCES, 9), Table)


def test_windows_without_room_are_refused():
    with pytest.raises(InputError, match="at most 0 events"):
        Histories.of(SEQUENCES, 0)
