import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from oracles import losses as oracle
from oracles.matchings import links, scored, unit, values
from thresher.errors import InputError
from thresher.losses import Softmax
from thresher.types import Matching


def test_one_positive_against_two_negatives_by_hand():
    # T = 1/2 doubles the scores: 1, -0.5, 0 -> 2, -1, 0.
    # -log(e^2 / (e^2 + e^-1 + e^0)) = log(1 + e^-3 + e^-2) = log(1 + .049787 + .135335) = .169846
    m = scored([[1.0, -0.5, 0.0]])([(0, 0)])
    assert values(Softmax(temperature=0.5).ratios(m))[""] == pytest.approx(0.169846, abs=1e-6)


def test_every_positive_of_a_row_has_a_softmax_of_its_own():
    # scores 0, log 2, log 3 at T = 1; columns 0 and 1 true: -log(1/(1+3)) - log(2/(2+3))
    m = scored([[0.0, math.log(2), math.log(3)]])([(0, 0), (0, 1)])
    ratio = Softmax(temperature=1.0).ratios(m)[""]
    assert float(ratio.num) == pytest.approx(math.log(4) + math.log(2.5))
    assert float(ratio.den) == 2


def test_it_is_cross_entropy_when_each_row_has_its_own_column():
    q, c = unit(5, 8, seed=0), unit(7, 8, seed=1)
    got = values(
        Softmax(temperature=0.07).ratios(Matching(q, c, links([(i, i + 1) for i in range(5)])))
    )
    want = F.cross_entropy(q @ c.T / 0.07, torch.arange(1, 6))
    assert got[""] == pytest.approx(float(want))


def test_log_q_by_hand():
    # All scores 0. Weights 1/q: positive 1/0.5 = 2, negatives 1/0.25 = 4 and 1/0.125 = 8.
    log_q = torch.tensor([0.5, 0.25, 0.125], dtype=torch.float64).log()
    m = scored([[0.0, 0.0, 0.0]])([(0, 0)], log_q=log_q)
    assert values(Softmax().ratios(m))[""] == pytest.approx(math.log(14 / 2))


def test_a_negative_repeated_k_times_with_log_q_of_log_k_counts_once():
    q, c = unit(1, 8, seed=0), unit(5, 8, seed=1)
    times = torch.tensor([1, 3, 1, 2, 4])
    log_q = times.double().log().repeat_interleave(times)
    loss = Softmax(temperature=0.1)

    def repeated(log_q):
        m = Matching(q, c.repeat_interleave(times, 0), links([(0, 0)], log_q=log_q))
        return values(loss.ratios(m))[""]

    once = values(loss.ratios(Matching(q, c, links([(0, 0)]))))[""]
    assert repeated(log_q) == pytest.approx(once)
    # The identity tells the signs apart.
    assert repeated(-log_q) != pytest.approx(once, rel=1e-3)
    assert repeated(None) != pytest.approx(once, rel=1e-3)


@given(seed=st.integers(0, 10_000), weighted=st.booleans())
@settings(max_examples=30, deadline=None)
def test_it_equals_the_loop_over_pairs(seed, weighted):
    q, c = unit(4, 3, seed=seed), unit(6, 3, seed=seed + 1)
    pos, drop = [(0, 1), (0, 2), (2, 5), (3, 0)], [(0, 3), (2, 2), (1, 1)]
    log_q = -torch.rand(6, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    log_q = log_q if weighted else None
    num, den = Softmax(temperature=0.2).ratios(Matching(q, c, links(pos, drop, log_q)))[""]
    want = oracle.softmax((q @ c.T).tolist(), pos, drop, 0.2, log_q.tolist() if weighted else None)
    assert (float(num), float(den)) == pytest.approx(want)


def test_an_easy_positive_costs_little_and_not_nothing_in_single_precision():
    # Scores 1 and -1 at T = .05: log(1 + e^-40) = 4.248e-18, far below what 1 + x resolves.
    q, c = torch.tensor([[1.0]]), torch.tensor([[1.0], [-1.0]])
    got = values(Softmax().ratios(Matching(q, c, links([(0, 0)]))))[""]
    assert got == pytest.approx(4.248354e-18, rel=1e-5, abs=0)


def test_a_positive_far_behind_costs_its_distance():
    # Scores -1 and 1 at T = .01: 200 behind, and e^200 is infinite in single precision.
    q, c = torch.tensor([[1.0]]), torch.tensor([[-1.0], [1.0]]).requires_grad_()
    parts = Softmax(temperature=0.01).ratios(Matching(q, c, links([(0, 0)])))
    assert values(parts)[""] == pytest.approx(200)
    parts[""].num.backward()
    assert c.grad.flatten().tolist() == pytest.approx([-100, 100])


def test_a_pair_that_stands_twice_counts_twice():
    def run(*pos):
        m = Matching(unit(1, 4, seed=0).requires_grad_(), unit(3, 4, seed=1), links(pos))
        num, den = Softmax().ratios(m)[""]
        num.backward()
        return num.detach(), den, m.left.grad

    for twice, once in zip(run((0, 1), (0, 1)), run((0, 1)), strict=True):
        torch.testing.assert_close(twice, 2 * once)


def test_a_dropped_pair_far_above_the_others_does_not_drown_them():
    # At T = .01 the dropped score is 300 above the others: e^-300 is 0 in single precision.
    q, c = torch.tensor([[1.0]]), torch.tensor([[-1.0], [-1.0], [2.0]])
    m = Matching(q, c.requires_grad_(), links([(0, 0)], [(0, 2)]))
    parts = Softmax(temperature=0.01).ratios(m)
    assert values(parts)[""] == pytest.approx(math.log(2))
    parts[""].num.backward()
    # 1/2 goes from the positive to the negative, times q / T = 100.
    assert c.grad.flatten().tolist() == pytest.approx([-50, 50, 0])


@given(seed=st.integers(0, 10_000), temperature=st.sampled_from([0.02, 0.05, 1.0]))
@settings(max_examples=20, deadline=None)
def test_gradients_in_single_precision_are_those_of_the_written_equation(seed, temperature):
    q, c = unit(6, 16, seed=seed).requires_grad_(), unit(9, 16, seed=seed + 1).requires_grad_()
    pos, drop = [(3, 0), (0, 1), (0, 2), (2, 5), (2, 7)], [(0, 3), (2, 2), (1, 1)]
    z = q @ c.T / temperature
    total = q.new_zeros(())
    for i, p in pos:
        free = [p, *oracle.negatives(i, 9, pos, drop)]
        total = total + torch.logsumexp(z[i, free], 0) - z[i, p]
    total.backward()
    a, b = (x.detach().float().requires_grad_() for x in (q, c))
    num = Softmax(temperature=temperature).ratios(Matching(a, b, links(pos, drop)))[""].num
    num.backward()
    assert num.item() == pytest.approx(total.item(), rel=1e-4, abs=1e-5)
    for got, want in ((a.grad, q.grad), (b.grad, c.grad)):
        torch.testing.assert_close(got.double(), want, rtol=1e-3, atol=1e-4 / temperature)


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan])
def test_a_temperature_that_is_not_above_zero_is_refused(temperature):
    with pytest.raises(InputError, match="above 0"):
        Softmax(temperature=temperature)
