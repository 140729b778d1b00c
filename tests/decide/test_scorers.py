import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thresher.decide.scorers import margin, raw
from thresher.errors import InputError

NONE = -np.inf


def test_hand_computed():
    scores = np.asarray([[0.5, 0.25], [-0.25, -0.75], [0.5, NONE], [NONE, NONE]], np.float32)
    assert raw(scores).tolist() == [0.5, -0.25, 0.5, NONE]
    # .5 - .25; -.25 + .75; an only candidate: .5 - (-1); no candidate
    assert margin(scores).tolist() == [0.25, 0.5, 1.5, NONE]
    assert margin(scores[:, :1]).tolist() == [1.5, 0.75, 1.5, NONE]
    assert margin(scores * 8, floor=-10.0).tolist() == [2, 4, 14, NONE]


score = st.floats(-1, 1, width=32)


@given(score, score, score)
def test_margin_is_finite_and_monotone(first, second, other):
    low, high = sorted((second, other))
    up = max(first, 1.0)
    rows = [[first, low], [first, high], [first, NONE], [up, low]]
    weak, strong, alone, raised = margin(np.asarray(rows, np.float32))
    assert np.isfinite([weak, strong, alone, raised]).all()
    assert strong <= weak <= alone
    assert raised >= weak


def test_raw_does_not_share_memory():
    scores = np.zeros((2, 2), np.float32)
    raw(scores)[0] = 1
    assert scores[0, 0] == 0


@pytest.mark.parametrize("kind", [raw, margin])
def test_no_candidates_are_refused(kind):
    with pytest.raises(InputError, match="at least one"):
        kind(np.zeros((3, 0), np.float32))


def test_an_infinite_floor_is_refused():
    with pytest.raises(InputError, match="floor"):
        margin(np.zeros((1, 2), np.float32), floor=-np.inf)
