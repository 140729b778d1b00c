from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from oracles.binomial import tail
from thresher.decide.binomial import (
    allowed_errors,
    labels_needed,
    lower_bound,
    p_value,
    power,
    shrunk_precision,
)
from thresher.errors import InputError


def test_59_labels_without_an_error_prove_95_at_95_and_58_do_not():
    # .95^59 = .04849..., .95^58 = .05104...
    assert p_value(0, 59, target=0.95) == pytest.approx(0.04849, abs=1e-5)
    assert p_value(0, 58, target=0.95) == pytest.approx(0.05104, abs=1e-5)
    assert (
        lower_bound(0, 59, confidence_level=0.95) > 0.95 > lower_bound(0, 58, confidence_level=0.95)
    )


@pytest.mark.parametrize(
    ("target", "confidence", "needed"),
    [
        *[(0.95, 0.9, 45), (0.98, 0.9, 114), (0.99, 0.9, 230)],
        *[(0.95, 0.95, 59), (0.98, 0.95, 149), (0.99, 0.95, 299)],
    ],
)
def test_labels_needed_without_an_error(target, confidence, needed):
    assert labels_needed(target, confidence) == needed


def test_labels_needed_with_one_error():
    # n = 3, half wrong: P(at most 1 of 3) = (1 + 3) / 8 = .5; of 4: 5/16 = .3125; of 5: 6/32
    assert labels_needed(0.5, 0.7, errors=1) == 5
    assert labels_needed(0.5, 0.68, errors=1) == 4


def test_hand_computed_tails():
    # P(Binom(3, .2) <= 1) = .8^3 + 3 * .2 * .8^2 = .512 + .384
    assert p_value(1, 3, target=0.8) == pytest.approx(0.896)
    # P(Binom(2, .5) <= 0) = 1/4; nothing accepted, or all wrong, is no evidence
    assert p_value(0, 2, target=0.5) == pytest.approx(0.25)
    assert p_value(0, 0, target=0.5) == 1
    assert p_value(4, 4, target=0.5) == 1


@given(st.integers(0, 60), st.integers(0, 60), st.integers(1, 99))
def test_p_value_is_the_exact_tail(errors, right, percent):
    target = Fraction(percent, 100)
    exact = float(tail(errors, errors + right, target))
    assert p_value(errors, errors + right, target=float(target)) == pytest.approx(exact, rel=1e-9)


def test_p_value_of_large_counts_against_scipy():
    accepted = np.asarray([1_000, 50_000, 300_000])
    errors = np.asarray([40, 2_400, 14_900])
    expected = stats.binom.cdf(errors, accepted, 0.05)
    np.testing.assert_allclose(p_value(errors, accepted, target=0.95), expected, rtol=1e-7)


@given(st.integers(0, 200), st.integers(1, 200), st.floats(0.5, 0.995), st.floats(0.8, 0.99))
def test_lower_bound_is_clopper_pearson_and_agrees_with_the_test(errors, right, target, confidence):
    accepted = errors + right
    bound = lower_bound(errors, accepted, confidence_level=confidence)
    interval = stats.binomtest(right, accepted, alternative="greater").proportion_ci(confidence)
    assert bound == pytest.approx(interval.low, abs=1e-9)
    if abs(bound - target) > 1e-9:
        passes = p_value(errors, accepted, target=target) <= 1 - confidence
        assert passes == (bound > target)


@given(st.integers(0, 400), st.floats(0.5, 0.99), st.floats(0.005, 0.3))
def test_allowed_errors_is_the_last_count_that_passes(accepted, target, level):
    passing = [e for e in range(accepted + 1) if p_value(e, accepted, target=target) <= level]
    expected = max(passing, default=-1)
    got = allowed_errors(np.asarray([accepted]), target=target, level=level)
    assert got.tolist() == [expected]


def test_power_by_hand():
    # 59 labels forgive no error: a precision of .99 passes with probability .99^59 = .5527
    got = power(np.asarray([59]), np.asarray([0.99]), target=0.95, level=0.05)
    assert got == pytest.approx([0.99**59])
    # 50 seen without error, 9 more must all be right; 50 seen with an error never pass at 59
    more = np.asarray([9])
    assert power(more, np.asarray([0.99]), target=0.95, level=0.05, seen=(50, 0)) == (
        pytest.approx([0.99**9])
    )
    assert power(more, np.asarray([0.99]), target=0.95, level=0.05, seen=(50, 1)) == [0]


@given(st.integers(0, 50), st.integers(0, 500), st.floats(0.5, 0.99))
def test_shrinking_pulls_to_the_target_and_never_across(errors, right, target):
    accepted = errors + right
    if accepted == 0:
        return
    seen = right / accepted
    shrunk = shrunk_precision(np.asarray([errors]), np.asarray([accepted]), target=target)[0]
    assert min(seen, target) - 1e-12 <= shrunk <= max(seen, target) + 1e-12


@pytest.mark.parametrize(("target", "confidence"), [(95.0, 0.95), (0.0, 0.9), (0.95, 1.0)])
def test_levels_outside_their_range_are_refused(target, confidence):
    with pytest.raises(InputError, match="strictly between 0 and 1"):
        labels_needed(target, confidence)
