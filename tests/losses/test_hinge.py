import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oracles import losses as oracle
from oracles.matchings import links, scored, unit, values
from thresher.errors import InputError
from thresher.losses import HardestHinge
from thresher.types import Matching

POS = [(3, 0), (0, 1), (0, 2), (2, 5)]
DROP = [(0, 3), (2, 2), (1, 1)]


def by_score(loss, scores, pos, drop=()):
    """The loss, and its gradient by the scores."""
    m = scored(scores)(pos, drop)
    m.left.requires_grad_()  # the right side is the identity
    num = loss.ratios(m)[""].num
    num.backward()
    return num.item(), m.left.grad.tolist()


def test_two_of_three_negatives_by_hand():
    # Positive .5; the hardest 2 negatives .6 and .4 violate .3 by .4 and .2.
    # Weights e^6 : e^4 = .880797 : .119203; .880797 * .4 + .119203 * .2 = .376159
    # By a negative w (1 + (h - L) / T): .880797 * 1.238406 = 1.090784,
    #   .119203 * -.761594 = -.090784; by the positive -1
    value, gradient = by_score(HardestHinge(hardest=2), [[0.5, 0.6, -0.9, 0.4]], [(0, 0)])
    assert value == pytest.approx(0.376159, abs=1e-6)
    assert gradient[0] == pytest.approx([-1, 1.090784, 0, -0.090784], abs=1e-6)


def test_a_negative_that_keeps_the_margin_takes_no_weight():
    # .6 violates by .4; .1 lies .4 below the positive, which is more than .3.
    value, gradient = by_score(HardestHinge(), [[0.5, 0.6, 0.1]], [(0, 0)])
    assert value == pytest.approx(0.4)
    assert gradient[0] == pytest.approx([-1, 1, 0])


def test_when_all_keep_the_margin_it_costs_nothing():
    value, gradient = by_score(HardestHinge(), [[0.5, 0.1, -0.6]], [(0, 0)])
    assert (value, gradient[0]) == (0, [0, 0, 0])


def test_the_dynamic_margin_by_hand():
    # Positive .5. Negative .45: |.05| -> .1, violated by .05. Negative .7: |-.2| = .2, by .4.
    # Negative .2: .3 below, needs .3, is not a violation.
    # Weights e^7 : e^4.5 = .924142 : .075858; .924142 * .4 + .075858 * .05 = .373450
    loss = HardestHinge(smallest_margin=0.1)
    value, _ = by_score(loss, [[0.5, 0.45, 0.7, 0.2]], [(0, 0)])
    assert value == pytest.approx(0.373450, abs=1e-6)


def test_the_dynamic_margin_has_no_gradient():
    # |-.2| lies between .1 and .3: through it the gradient would be 2 and -2.
    loss = HardestHinge(hardest=1, smallest_margin=0.1)
    value, gradient = by_score(loss, [[0.5, 0.7]], [(0, 0)])
    assert value == pytest.approx(0.4)
    assert gradient[0] == pytest.approx([-1, 1])


def test_positives_of_a_row_share_its_negatives_and_are_none_of_each_other():
    # Against .6: .5 misses the margin by .4, .8 by .1; their gradients add up on the negative.
    value, gradient = by_score(HardestHinge(), [[0.5, 0.8, 0.6]], [(0, 0), (0, 1)])
    assert value == pytest.approx(0.5)
    assert gradient[0] == pytest.approx([-1, -1, 2])


def test_a_row_with_fewer_negatives_than_k_uses_those_it_has():
    few, gradient = by_score(HardestHinge(hardest=5), [[0.5, 0.9, 0.6]], [(0, 0)], [(0, 1)])
    assert few == pytest.approx(0.4)
    assert gradient[0] == pytest.approx([-1, 0, 1])
    none, gradient = by_score(HardestHinge(), [[0.5, 0.9]], [(0, 0)], [(0, 1)])
    assert (none, gradient[0]) == (0, [0, 0])


def test_scores_far_apart_do_not_overflow():
    value, gradient = by_score(HardestHinge(temperature=1e-4), [[-9.0, 900.0, -9.0]], [(0, 0)])
    assert value == pytest.approx(909.3)
    assert gradient[0] == pytest.approx([-1, 1, 0])


@given(
    seed=st.integers(0, 10_000),
    hardest=st.integers(1, 8),
    margin=st.floats(0.05, 1.5),
    share=st.none() | st.floats(0.1, 1.0),
    temperature=st.sampled_from([0.05, 0.1, 1.0]),
)
@settings(max_examples=60, deadline=None)
def test_it_equals_the_loop_over_pairs(seed, hardest, margin, share, temperature):
    q, c = unit(4, 3, seed=seed), unit(6, 3, seed=seed + 1)
    smallest = None if share is None else share * margin
    loss = HardestHinge(
        hardest=hardest, margin=margin, smallest_margin=smallest, temperature=temperature
    )
    got = loss.ratios(Matching(q, c, links(POS, DROP)))[""]
    scores = (q @ c.T).tolist()
    want = oracle.hinge(scores, POS, DROP, hardest, margin, temperature, smallest)
    assert tuple(map(float, got)) == pytest.approx(want)


def test_a_wider_margin_costs_more():
    m = Matching(unit(5, 4, seed=0), unit(7, 4, seed=1), links([(i, i) for i in range(5)]))
    costs = [values(HardestHinge(margin=margin).ratios(m))[""] for margin in (0.1, 0.3, 0.9)]
    assert costs == sorted(costs)
    assert costs[0] < costs[-1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hardest": 0}, "0 negatives; give 1 or more"),
        ({"margin": 0.0}, "margin of hinge is 0.0; give a number above 0"),
        ({"margin": math.nan}, "margin of hinge is nan"),
        ({"margin": math.inf}, "margin of hinge is inf"),
        ({"smallest_margin": 0.4}, "0.4; give a number above 0 and not above the margin of 0.3"),
        ({"smallest_margin": 0.0}, "smallest_margin of hinge is 0.0"),
        ({"temperature": 0.0}, "temperature of hinge is 0.0; give a number above 0"),
        ({"temperature": math.nan}, "temperature of hinge is nan"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        HardestHinge(**options)


def test_the_weights_tell_the_hardest_apart_only_as_far_as_the_temperature_lets_them():
    # Very warm: the mean of the hinges .4 and .2. Very cold: that of the hardest.
    scores = [[0.5, 0.6, 0.4]]
    warm, _ = by_score(HardestHinge(temperature=1e6), scores, [(0, 0)])
    cold, _ = by_score(HardestHinge(temperature=1e-3), scores, [(0, 0)])
    assert (warm, cold) == pytest.approx((0.3, 0.4))


def test_single_precision_stays_single():
    q, c = (unit(3, 4, seed=s, dtype=torch.float32).requires_grad_() for s in (0, 1))
    HardestHinge(margin=2.5).ratios(Matching(q, c, links([(0, 0)])))[""].num.backward()
    assert q.grad.dtype == c.grad.dtype == torch.float32
