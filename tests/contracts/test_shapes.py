"""That the tests check the shapes that functions state."""

import numpy as np
import pytest
from jaxtyping import TypeCheckError

from thresher.retrieve.hits import Hits


def test_an_array_of_another_length_is_refused():
    with pytest.raises(TypeCheckError, match="scores"):
        Hits(np.zeros((2, 3), np.int64), np.zeros((2, 4), np.float32))
