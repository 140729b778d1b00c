"""That the tests check the shapes that functions state."""

import numpy as np
import pytest
from jaxtyping import TypeCheckError

from thresher.decide.repeats import design_effect


def test_an_array_of_another_length_is_refused():
    with pytest.raises(TypeCheckError, match="groups"):
        design_effect(np.array([True, False, True]), np.arange(2))
