"""Hits can be cut by query and by rank."""

import numpy as np
import pytest

from thresher.errors import InputError
from thresher.retrieve import Hits

HITS = Hits(
    np.array([[4, 2, 0], [1, -1, -1]]),
    np.array([[0.5, 0.0, -0.5], [-0.1, -np.inf, -np.inf]], dtype=np.float32),
)


def test_length_and_top():
    assert len(HITS) == 2
    assert HITS.top(2).rows.tolist() == [[4, 2], [1, -1]]
    assert HITS.top(2).scores.shape == (2, 2)


@pytest.mark.parametrize("rows", [slice(1, None), np.array([1]), np.array([False, True])])
def test_rows_of_some_queries(rows):
    assert HITS[rows].rows.tolist() == [[1, -1, -1]]
    assert HITS[rows].scores[0, 0] == np.float32(-0.1)


@pytest.mark.parametrize("k", [0, 4])
def test_top_beyond_what_was_retrieved(k):
    with pytest.raises(InputError, match="1 to 3"):
        HITS.top(k)
