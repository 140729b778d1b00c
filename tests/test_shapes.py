"""The check of shapes that the tests run under."""

import numpy as np
import pytest
from jaxtyping import TypeCheckError

from oracles import shapes
from thresher.data.split import normalised
from thresher.retrieve import Hits


@pytest.mark.parametrize("test", ["one", "another"])
def test_the_first_calls_of_each_test_are_checked(test):
    with pytest.raises(TypeCheckError):
        Hits(np.zeros(3, np.int64), np.zeros((1, 2), np.float32))
    with pytest.raises(TypeCheckError):
        normalised(7)
    for _ in range(shapes.CALLS):
        assert normalised("A  b") == "a b"
    with pytest.raises((TypeError, AttributeError)) as caught:
        normalised(7)
    assert not isinstance(caught.value, TypeCheckError)
