"""Rows in eight bits a number: by hand, how far off they are, and rounded a second time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thresher.towers.quantised import quantised, read_tables, restored, shape_of, write_tables


def test_a_row_by_hand():
    # A scale of 254 / 127 = 2; 5 is 2.5 steps, which rounds to the even 2; a row of zeros stays.
    values, scale = quantised(np.array([[254, -254, 5, 7], [0, 0, 0, 0]], np.float32))
    assert scale.tolist() == [2.0, 1.0]
    assert values.tolist() == [[127, -127, 2, 4], [0, 0, 0, 0]]
    assert restored(values, scale)[0].tolist() == [254, -254, 4, 8]


@given(st.integers(0, 2**32 - 1), st.floats(-30, 30))
def test_a_number_is_half_a_step_off_and_rounding_again_changes_nothing(seed, power):
    rows = np.random.default_rng(seed).normal(size=(9, 7)).astype(np.float32) * np.float32(2**power)
    values, scale = quantised(rows)
    once = restored(values, scale)
    most = np.abs(rows).max(axis=1, keepdims=True)
    assert (np.abs(once - rows) <= most / 127 * (0.5 + 2**-9)).all()
    again = quantised(once)
    np.testing.assert_array_equal(restored(*again), once)
    np.testing.assert_array_equal(again[0], values)


def test_more_rows_than_are_rounded_at_a_time():
    rows = np.random.default_rng(0).normal(size=(8200, 2)).astype(np.float32)
    values, scale = quantised(rows)
    last, own = quantised(rows[8190:])
    np.testing.assert_array_equal(values[8190:], last)
    np.testing.assert_array_equal(scale[8190:], own)


def test_tables_are_read_as_they_were_written(tmp_path):
    rng = np.random.default_rng(0)
    exact = rng.normal(size=(4, 3)).astype(np.float32)
    rounded = restored(*quantised(rng.normal(size=(5, 3)).astype(np.float32)))
    write_tables([exact, rounded, exact[:0]], tmp_path)
    one, two, none = read_tables(tmp_path)
    np.testing.assert_array_equal(one, exact)
    np.testing.assert_array_equal(restored(*two), rounded)
    assert two[0].dtype == np.int8
    assert [shape_of(table) for table in (one, two, none)] == [(4, 3), (5, 3), (0, 3)]
    assert shape_of((two[0], two[1][:-1])) == ()


def test_a_table_without_its_scales_is_none(tmp_path):
    write_tables([restored(*quantised(np.ones((2, 2), np.float32)))], tmp_path)
    (tmp_path / "tables" / "0.scale.npy.zst").unlink()
    with pytest.raises(KeyError, match=r"0\.scale"):
        read_tables(tmp_path)
