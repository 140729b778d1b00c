"""Coverage at a precision, with equal confidences accepted together."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracles import coverage as oracle
from thresher.errors import InputError
from thresher.evaluate.coverage import check_confidence, precision_coverage_curve

# Sorted: .9 right | .4 right, wrong | -.2 right, right | -inf: nothing proposed. Precisions at the
# three thresholds: 1/1, 2/3, 4/5.
CONFIDENCE = np.array([-0.2, 0.4, 0.9, -np.inf, 0.4, -0.2])
RIGHT = np.array([True, True, True, False, False, True])


def test_the_curve_by_hand():
    curve = precision_coverage_curve(CONFIDENCE, RIGHT)
    assert curve.thresholds.tolist() == [0.9, 0.4, -0.2]
    assert curve.accepted.tolist() == [1, 3, 5]
    assert curve.precision == pytest.approx([1, 2 / 3, 4 / 5])
    assert curve.coverage[-1] == pytest.approx(5 / 6)  # nothing was proposed for the last


@pytest.mark.parametrize(
    ("precision", "floor", "coverage"),
    [(0.8, 1, 5 / 6), (0.81, 1, 1 / 6), (0.81, 2, 0.0), (2 / 3, 1, 5 / 6), (1.0, 1, 1 / 6)],
)
def test_coverage_by_hand(precision, floor, coverage):
    curve = precision_coverage_curve(CONFIDENCE, RIGHT)
    assert curve.coverage_at(precision, floor=floor) == pytest.approx(coverage)


def test_a_query_without_a_proposal_is_never_accepted():
    # 97 right of 100, and the other three were not answered: all 97, and no more, are accepted
    confidence = np.array([0.5] * 97 + [-np.inf] * 3)
    curve = precision_coverage_curve(confidence, np.arange(100) < 97)
    assert curve.coverage_at(0.9) == curve.coverage_at(1.0) == 0.97
    # they are wrong all the same, when everything is to be answered
    assert curve.aurc() == pytest.approx(0.03 * 0.03)


def test_of_fewer_queries_than_the_floor_nothing_is_said():
    assert np.isnan(precision_coverage_curve(np.ones(49), np.ones(49, bool)).coverage_at(0.9))
    assert precision_coverage_curve(np.ones(50), np.ones(50, bool)).coverage_at(0.9) == 1.0
    assert precision_coverage_curve(np.ones(50), np.zeros(50, bool)).coverage_at(0.9) == 0.0


def test_aurc_by_hand():
    # Error rates 0, 1/3, 1/5, 1/3 over blocks of 1, 2, 2, 1 of 6 queries:
    # (0 + 2/3 + 2/5 + 1/3) / 6 = 1.4 / 6
    assert precision_coverage_curve(CONFIDENCE, RIGHT).aurc() == pytest.approx(1.4 / 6)


def test_by_default_fifty_must_be_accepted():
    confidence = np.arange(100, dtype=float)
    right = confidence >= 51  # the 49 surest are right, and no more
    assert precision_coverage_curve(confidence, right).coverage_at(0.99) == 0
    right = confidence >= 50
    assert precision_coverage_curve(confidence, right).coverage_at(0.99) == 0.5


@given(
    pairs=st.lists(
        st.tuples(st.sampled_from([-np.inf, -2.0, -0.5, 0.0, 0.5, 2.0, 3.0]), st.booleans()),
        min_size=1,
        max_size=25,
    ),
    precision=st.sampled_from([0.3, 0.5, 2 / 3, 0.75, 0.9, 1.0]),
    floor=st.integers(1, 5),
)
def test_against_slow_loops(pairs, precision, floor):
    confidence = [p[0] for p in pairs]
    right = [p[1] and p[0] > -np.inf for p in pairs]  # what was not proposed is not right
    curve = precision_coverage_curve(np.array(confidence), np.array(right))
    expected = oracle.coverage_at(confidence, right, precision, floor)
    got = curve.coverage_at(precision, floor=floor)
    assert got == pytest.approx(expected, nan_ok=True)
    assert curve.aurc() == pytest.approx(oracle.aurc(confidence, right))


@given(st.randoms(use_true_random=False), st.lists(st.booleans(), min_size=2, max_size=30))
def test_the_order_of_queries_is_irrelevant(random, right):
    confidence = [random.choice([-1.0, 0.0, 1.0]) for _ in right]
    order = random.sample(range(len(right)), len(right))
    one = precision_coverage_curve(np.array(confidence), np.array(right))
    other = precision_coverage_curve(np.array(confidence)[order], np.array(right)[order])
    assert one.right.tolist() == other.right.tolist()
    assert one.aurc() == other.aurc()


def test_float32_confidences_that_are_equal_stay_together():
    curve = precision_coverage_curve(np.array([0.1, 0.1], dtype=np.float32), np.array([True, True]))
    assert curve.accepted.tolist() == [2]


def test_no_queries():
    curve = precision_coverage_curve(np.empty(0), np.empty(0, dtype=bool))
    assert np.isnan(curve.coverage_at(0.9))
    assert np.isnan(curve.aurc())


def test_what_cannot_be_used():
    with pytest.raises(InputError, match=r"1 of 6 confidences are NaN \(first at query 2\)"):
        precision_coverage_curve(np.where(CONFIDENCE == 0.9, np.nan, CONFIDENCE), RIGHT)
    with pytest.raises(InputError, match="5 confidences for 6 queries"):
        check_confidence(CONFIDENCE[:5], 6)
    curve = precision_coverage_curve(CONFIDENCE, RIGHT)
    with pytest.raises(InputError, match="at precision 95"):
        curve.coverage_at(95.0)
