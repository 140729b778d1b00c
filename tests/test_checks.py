import numpy as np
import pytest

from thresher.checks import are_numbers, whole
from thresher.errors import InputError


def test_what_is_a_number():
    assert are_numbers(1, 2.5, np.float32(3), np.int64(4))
    assert are_numbers(1, np.int64(4), whole=True)
    assert not are_numbers(1, np.float32(3), whole=True)
    for value in ("1", None, [1], True, np.array([1.0])):
        assert not are_numbers(1, value)


def test_a_whole_number_of_a_range():
    found = whole("k", np.int64(3), 3, "the size")
    assert (found, type(found)) == (3, int)
    for wrong in (0, 4, 2.0, "2", None, True):
        with pytest.raises(
            InputError, match=r"^k is .*; give 1 to 3, the size, as a whole number$"
        ):
            whole("k", wrong, 3, "the size")
