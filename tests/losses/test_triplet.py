import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oracles import losses as oracle
from oracles.matchings import links, scored, unit, values
from thresher.errors import InputError
from thresher.losses import CROLoss, Triplet
from thresher.types import Matching

POS = [(3, 0), (0, 1), (0, 2), (2, 5)]
DROP = [(0, 3), (2, 2), (1, 1)]


def test_three_negatives_by_hand():
    # Margin .3 around .5: .6 is .4 too high, .3 is .1, .1 lies far enough below: .5 together.
    m = scored([[0.5, 0.6, 0.3, 0.1]])([(0, 0)])
    m.left.requires_grad_()  # the right side is the identity
    num, den = Triplet(margin=0.3).ratios(m)[""]
    num.backward()
    assert (num.item(), den.item()) == pytest.approx((0.5, 1))
    assert m.left.grad[0].tolist() == pytest.approx([-2, 1, 1, 0])


def test_log_q_by_hand():
    # w = (1/2) / (1/4) = 2 and (1/2) / 1 = 1/2: 2 * .4 + .5 * .1
    log_q = torch.tensor([0.5, 0.25, 1.0], dtype=torch.float64).log()
    m = scored([[0.5, 0.6, 0.3]])([(0, 0)], log_q=log_q)
    assert values(Triplet(margin=0.3).ratios(m))[""] == pytest.approx(0.85)


@given(seed=st.integers(0, 10_000), margin=st.floats(0.01, 2.0))
@settings(max_examples=30, deadline=None)
def test_it_equals_the_loop_over_pairs(seed, margin):
    q, c = unit(4, 3, seed=seed), unit(6, 3, seed=seed + 1)
    got = Triplet(margin=margin).ratios(Matching(q, c, links(POS, DROP)))[""]
    want = oracle.triplet((q @ c.T).tolist(), POS, DROP, margin)
    assert tuple(map(float, got)) == pytest.approx(want)


@given(seed=st.integers(0, 10_000), temperature=st.sampled_from([0.02, 0.1, 1.0]))
@settings(max_examples=30, deadline=None)
def test_hinge_with_alpha_0_is_the_triplet_loss_over_its_temperature(seed, temperature):
    # max(z + 1/2, 0) = max(s_n - s_p + T/2, 0) / T, in value and gradient. The left side is the
    # equation as autograd sees it.
    q, c = unit(4, 3, seed=seed).requires_grad_(), unit(6, 3, seed=seed + 1).requires_grad_()
    scores, total = q @ c.T, q.new_zeros(())
    for i, p in POS:
        free = oracle.negatives(i, 6, POS, DROP)
        total = total + (scores[i, free] - scores[i, p] + temperature / 2).clamp(min=0).sum()
    want = total, *torch.autograd.grad(total, (q, c))
    m = Matching(q, c, links(POS, DROP))
    ranks = CROLoss(kernel="hinge", alpha=0.0, temperature=temperature).ratios(m)[""].num
    own = Triplet(margin=temperature / 2).ratios(m)[""].num
    got = own, *torch.autograd.grad(own, (q, c))
    special = ranks, *torch.autograd.grad(ranks, (q, c))
    for a, b, expected in zip(got, special, want, strict=True):
        torch.testing.assert_close(a, expected)
        torch.testing.assert_close(b * temperature, expected)


@pytest.mark.parametrize("margin", [0.0, -0.1, math.nan, math.inf])
def test_a_margin_out_of_range_is_refused(margin):
    with pytest.raises(InputError, match=f"margin of triplet is {margin}; give a number above 0"):
        Triplet(margin=margin)
