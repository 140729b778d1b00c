import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from oracles import losses as oracle
from oracles.matchings import links, scored, unit, values
from thresher.errors import InputError
from thresher.losses import BPR, CROLoss
from thresher.types import Matching

POS = [(3, 0), (0, 1), (0, 2), (2, 5)]
DROP = [(0, 3), (2, 2), (1, 1)]


def test_two_negatives_by_hand():
    # T = 1/2: z = 0 and ln 3: ln 2 + ln 4 = ln 8; slopes 1/2 and 3/4, over T
    m = scored([[0.3, 0.3, 0.3 + math.log(3) / 2]])([(0, 0)])
    m.left.requires_grad_()  # the right side is the identity
    num, den = BPR(temperature=0.5).ratios(m)[""]
    num.backward()
    assert (num.item(), den.item()) == pytest.approx((math.log(8), 1))
    assert m.left.grad[0].tolist() == pytest.approx([-2.5, 1, 1.5])


def test_log_q_by_hand():
    # w = (1/2) / (1/4) = 2 and (1/2) / 1 = 1/2: 2 ln 2 + 1/2 ln 4 = 3 ln 2
    log_q = torch.tensor([0.5, 0.25, 1.0], dtype=torch.float64).log()
    m = scored([[0.3, 0.3, 0.3 + math.log(3)]])([(0, 0)], log_q=log_q)
    assert values(BPR(temperature=1.0).ratios(m))[""] == pytest.approx(math.log(8))


@given(seed=st.integers(0, 10_000), temperature=st.sampled_from([0.02, 0.1, 1.0]))
@settings(max_examples=30, deadline=None)
def test_it_equals_the_loop_over_pairs(seed, temperature):
    q, c = unit(4, 3, seed=seed), unit(6, 3, seed=seed + 1)
    got = BPR(temperature=temperature).ratios(Matching(q, c, links(POS, DROP)))[""]
    want = oracle.bpr((q @ c.T).tolist(), POS, DROP, temperature)
    assert tuple(map(float, got)) == pytest.approx(want)


@given(seed=st.integers(0, 10_000), temperature=st.sampled_from([0.02, 0.1, 1.0]))
@settings(max_examples=30, deadline=None)
def test_softplus_with_alpha_0_is_bpr(seed, temperature):
    # In value and gradient, against the equation as autograd sees it.
    q, c = unit(4, 3, seed=seed).requires_grad_(), unit(6, 3, seed=seed + 1).requires_grad_()
    scores, total = q @ c.T / temperature, q.new_zeros(())
    for i, p in POS:
        free = oracle.negatives(i, 6, POS, DROP)
        total = total - F.logsigmoid(scores[i, p] - scores[i, free]).sum()
    want = total, *torch.autograd.grad(total, (q, c))
    m = Matching(q, c, links(POS, DROP))
    special = CROLoss(kernel="softplus", alpha=0.0, temperature=temperature)
    for loss in (BPR(temperature=temperature), special):
        num = loss.ratios(m)[""].num
        got = num, *torch.autograd.grad(num, (q, c))
        for a, b in zip(got, want, strict=True):
            torch.testing.assert_close(a, b)


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan, math.inf])
def test_a_temperature_out_of_range_is_refused(temperature):
    with pytest.raises(InputError, match=f"temperature of bpr is {temperature}; give a number"):
        BPR(temperature=temperature)
