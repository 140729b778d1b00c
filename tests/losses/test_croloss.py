import math
from itertools import pairwise

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from oracles import losses as oracle
from oracles.matchings import links, scored, unit, values
from thresher.errors import InputError
from thresher.losses import CROLoss, Softmax, croloss
from thresher.types import Matching

KERNELS = ("exp", "softplus", "hinge", "sigmoid")
DIAGONAL = [(i, i + 1) for i in range(4)]
SEVERAL = [(3, 0), (0, 1), (0, 2), (2, 5)]
DROP = [(0, 3), (2, 2), (1, 1)]
EVERY_KERNEL = pytest.mark.parametrize("kernel", KERNELS)


def by_score(loss, scores, pos=((0, 0),), drop=(), log_q=None):
    """The loss, and its gradient by the scores of the first row."""
    m = scored(scores)(pos, drop, log_q)
    m.left.requires_grad_()  # the right side is the identity
    num = loss.ratios(m)[""].num
    num.backward()
    return num.item(), m.left.grad[0].tolist()


def single(loss, scores):
    """The same in single precision, with the first column as the positive."""
    q, c = torch.tensor([[1.0]]), torch.tensor(scores)[:, None].requires_grad_()
    num = loss.ratios(Matching(q, c, links([(0, 0)])))[""].num
    num.backward()
    return num.item(), c.grad.flatten().tolist()


def learnt(loss, m):
    """The loss, and its gradients by the vectors."""
    left, right = (x.detach().requires_grad_() for x in (m.left, m.right))
    num = loss.ratios(Matching(left, right, m.links))[""].num
    num.backward()
    return num.detach(), left.grad, right.grad


def close(got, want, **tolerances):
    for a, b in zip(got, want, strict=True):
        torch.testing.assert_close(a, b, **tolerances)


def some_log_q(columns, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return -3 * torch.rand(columns, dtype=torch.float64, generator=draw)


@pytest.mark.parametrize(
    ("alpha", "value", "gradient"),
    [
        # z = ln 2, ln 3: x = 1 + 2 + 3 = 6; by z_j: x^-alpha e^z_j; by the positive minus their sum
        (0.0, 5, [-5, 2, 3]),  # 6 - 1
        (0.5, 2.898979, [-2.041241, 0.816497, 1.224745]),  # 2 (2.449490 - 1); 2, 3 / 2.449490
        (1.0, 1.791759, [-5 / 6, 2 / 6, 3 / 6]),  # ln 6
        (2.0, 5 / 6, [-5 / 36, 2 / 36, 3 / 36]),  # (1/6 - 1) / -1
    ],
)
def test_exp_by_hand(alpha, value, gradient):
    loss = CROLoss(kernel="exp", alpha=alpha, temperature=1.0)
    got = by_score(loss, [[-0.4, -0.4 + math.log(2), -0.4 + math.log(3)]])
    assert got[0] == pytest.approx(value, abs=1e-6)
    assert got[1] == pytest.approx(gradient, abs=1e-6)


@pytest.mark.parametrize(
    ("alpha", "value", "gradient"),
    [
        # z = 0, ln 3: x = 1 + ln 2 + ln 4 = 1 + .693147 + 1.386294 = 3.079442;
        # slopes 1/2 and 3/4, together 1.25, times x^-alpha
        (0.0, 2.079442, [-1.25, 0.5, 0.75]),
        # ln 3.079442; .5, .75 / 3.079442
        (1.0, 1.124748, [-0.405918, 0.162367, 0.243551]),
        # 1 - 1 / 3.079442 = 1 - .324734; times .324734^2 = .105452
        (2.0, 0.675266, [-0.131815, 0.052726, 0.079089]),
    ],
)
def test_softplus_by_hand(alpha, value, gradient):
    # T = 1/2 doubles the scores.
    loss = CROLoss(kernel="softplus", alpha=alpha, temperature=0.5)
    got = by_score(loss, [[0.3, 0.3, 0.3 + math.log(3) / 2]])
    assert got[0] == pytest.approx(value, abs=1e-6)
    assert got[1] == pytest.approx([2 * x for x in gradient], abs=1e-5)


@pytest.mark.parametrize(
    ("alpha", "value", "each"),
    [
        # z = .25, -.75, 1: x = 1 + .75 + 0 + 1.5 = 3.25; slopes 1, 0, 1
        (0.0, 2.25, 1),
        (1.0, 1.178655, 1 / 3.25),  # ln 3.25
        (2.0, 9 / 13, 16 / 169),  # 1 - 4/13; (4/13)^2
    ],
)
def test_hinge_by_hand(alpha, value, each):
    loss = CROLoss(kernel="hinge", alpha=alpha, temperature=1.0)
    got = by_score(loss, [[0.5, 0.75, -0.25, 1.5]])
    assert got[0] == pytest.approx(value, abs=1e-6)
    assert got[1] == pytest.approx([-2 * each, each, 0, each])


@pytest.mark.parametrize(
    ("alpha", "value", "weight"),
    [
        # z = 0, ln 3: x = 1 + 1/2 + 3/4 = 9/4; slopes 1/4 and 3/4 * 1/4 = 3/16
        (0.0, 1.25, 1),
        (0.5, 1, 2 / 3),  # 2 (3/2 - 1); (9/4)^-1/2
        (1.0, 0.810930, 4 / 9),  # ln 2.25
        (2.0, 5 / 9, 16 / 81),  # 1 - 4/9
    ],
)
def test_sigmoid_by_hand(alpha, value, weight):
    loss = CROLoss(kernel="sigmoid", alpha=alpha, temperature=1.0)
    got = by_score(loss, [[0.0, 0.0, math.log(3)]])
    assert got[0] == pytest.approx(value, abs=1e-6)
    assert got[1] == pytest.approx([-weight * 7 / 16, weight / 4, weight * 3 / 16])


@pytest.mark.parametrize(
    ("kernel", "alpha", "value", "gradient"),
    [
        # z = 0, ln 3: x1 = 9/4 by sigmoid; exp: x = 1 + 1 + 3 = 5, slopes 1 and 3
        ("exp", 0.0, 5, [-4, 1, 3]),
        ("exp", 0.5, 10 / 3, [-8 / 3, 2 / 3, 2]),  # times (9/4)^-1/2 = 2/3
        ("exp", 1.0, 20 / 9, [-16 / 9, 4 / 9, 4 / 3]),
        ("exp", 2.0, 80 / 81, [-64 / 81, 16 / 81, 16 / 27]),
        # hinge: x = 1 + 1/2 + (1.098612 + 1/2) = 3.098612, slopes 1 and 1; times 4/9
        ("hinge", 1.0, 1.377161, [-8 / 9, 4 / 9, 4 / 9]),
    ],
)
def test_lambda_by_hand(kernel, alpha, value, gradient):
    loss = CROLoss(kernel=kernel, alpha=alpha, temperature=1.0, rank_kernel="sigmoid")
    got = by_score(loss, [[0.0, 0.0, math.log(3)]])
    assert got[0] == pytest.approx(value, abs=1e-6)
    assert got[1] == pytest.approx(gradient)


def test_log_q_by_hand():
    # q = 1/2 of the positive, 1/4 and 1/8: w = 2 and 4. Hinge of z = .25 and -.25: .75 and .25;
    # x = 1 + 2 * .75 + 4 * .25 = 3.5. By z: 2 / 3.5 and 4 / 3.5.
    log_q = torch.tensor([0.5, 0.25, 0.125], dtype=torch.float64).log()
    loss = CROLoss(kernel="hinge", alpha=1.0, temperature=1.0)
    value, gradient = by_score(loss, [[0.5, 0.75, 0.25]], log_q=log_q)
    assert value == pytest.approx(math.log(3.5))
    assert gradient == pytest.approx([-12 / 7, 4 / 7, 8 / 7])


def test_positives_of_a_row_share_its_negatives_and_none_counts_for_another():
    # Hinge of .6 - .5 and .6 - .8: .6 and .3. The dropped .9 counts for nothing.
    loss = CROLoss(kernel="hinge", alpha=0.0, temperature=1.0)
    value, gradient = by_score(loss, [[0.5, 0.8, 0.6, 0.9]], [(0, 0), (0, 1)], [(0, 3)])
    assert value == pytest.approx(0.6 + 0.3)
    assert gradient == pytest.approx([-1, -1, 2, 0])


def test_a_row_without_negatives_is_first():
    for kernel in KERNELS:
        for alpha in (0.0, 0.5, 1.0, 2.0):
            loss = CROLoss(kernel=kernel, alpha=alpha)
            assert by_score(loss, [[0.2, 0.9]], drop=[(0, 1)]) == (0, [0, 0])
        # x = x1 = 1, and 1^-alpha * 1 is 1
        loss = CROLoss(kernel=kernel, alpha=1.4, rank_kernel="sigmoid")
        assert by_score(loss, [[0.2, 0.9]], drop=[(0, 1)]) == (1, [0, 0])


@EVERY_KERNEL
@given(
    seed=st.integers(0, 10_000),
    alpha=st.sampled_from([0.0, 0.6, 1.0, 1.4, 2.0]) | st.floats(0, 4),
    rank_kernel=st.none() | st.sampled_from(KERNELS),
    temperature=st.sampled_from([0.1, 0.5, 2.0]),
    weighted=st.booleans(),
    pos=st.sampled_from([DIAGONAL, SEVERAL, [(0, 3), (0, 3), (1, 2)]]),
)
@settings(max_examples=25, deadline=None)
def test_it_equals_the_loop_over_pairs(
    kernel, seed, alpha, rank_kernel, temperature, weighted, pos
):
    q, c = unit(4, 3, seed=seed), unit(6, 3, seed=seed + 1)
    log_q = some_log_q(6, seed) if weighted else None
    drop = [edge for edge in DROP if edge not in pos]
    loss = CROLoss(kernel=kernel, alpha=alpha, temperature=temperature, rank_kernel=rank_kernel)
    got = loss.ratios(Matching(q, c, links(pos, drop, log_q)))[""]
    scores = (q @ c.T).tolist()
    want = oracle.croloss(
        scores,
        pos,
        drop,
        kernel,
        alpha,
        temperature,
        rank_kernel,
        log_q.tolist() if weighted else (),
    )
    assert tuple(map(float, got)) == pytest.approx(want)


def written(q, c, pos, drop, loss, log_q):
    """The equation as autograd sees it."""
    psi = {
        "exp": torch.exp,
        "softplus": F.softplus,
        "hinge": lambda z: (z + 0.5).clamp(min=0),
        "sigmoid": torch.sigmoid,
    }
    scores, total = q @ c.T / loss.temperature, q.new_zeros(())
    for i, p in pos:
        free = oracle.negatives(i, len(c), pos, drop)
        w = 1 if log_q is None else (log_q[p] - log_q[free]).exp()
        x = 1 + (w * psi[loss.kernel](scores[i, free] - scores[i, p])).sum()
        if loss.rank_kernel:
            x1 = 1 + (w * psi[loss.rank_kernel](scores[i, free] - scores[i, p])).sum().detach()
            total = total + x1**-loss.alpha * x
        elif loss.alpha == 1:
            total = total + x.log()
        else:
            total = total + (x ** (1 - loss.alpha) - 1) / (1 - loss.alpha)
    return total


@EVERY_KERNEL
@given(
    seed=st.integers(0, 10_000),
    alpha=st.sampled_from([0.0, 0.6, 1.0, 1.4, 2.0]),
    rank_kernel=st.none() | st.sampled_from(KERNELS),
    weighted=st.booleans(),
    pos=st.sampled_from([DIAGONAL, SEVERAL]),
)
@settings(max_examples=20, deadline=None)
def test_gradients_are_those_of_the_written_equation(
    kernel, seed, alpha, rank_kernel, weighted, pos
):
    q, c = unit(4, 8, seed=seed).requires_grad_(), unit(6, 8, seed=seed + 1).requires_grad_()
    log_q = some_log_q(6, seed) if weighted else None
    drop = [edge for edge in DROP if edge not in pos]
    loss = CROLoss(kernel=kernel, alpha=alpha, temperature=0.2, rank_kernel=rank_kernel)
    want = written(q, c, pos, drop, loss, log_q)
    want.backward()
    m = Matching(q, c, links(pos, drop, log_q))
    close(learnt(loss, m), (want.detach(), q.grad, c.grad))


# exp with the Lambda method goes on linearly there: below.
COLD = [*((kernel, None) for kernel in KERNELS), *((kernel, "sigmoid") for kernel in KERNELS[1:])]


@pytest.mark.parametrize("alpha", [1.0, 1.4, 2.0])
@pytest.mark.parametrize(("kernel", "rank_kernel"), COLD)
def test_single_precision_at_a_temperature_of_a_fiftieth(kernel, rank_kernel, alpha):
    q, c = unit(6, 16, seed=0).requires_grad_(), unit(9, 16, seed=1).requires_grad_()
    pos = [(i, i) for i in range(6)]
    loss = CROLoss(kernel=kernel, alpha=alpha, temperature=0.02, rank_kernel=rank_kernel)
    want = written(q, c, pos, [], loss, None)
    want.backward()
    got = learnt(loss, Matching(q.detach().float(), c.detach().float(), links(pos)))
    assert got[0].dtype == got[1].dtype == torch.float32
    largest = float(q.grad.abs().max())
    want = [x.float() for x in (want.detach(), q.grad, c.grad)]
    close(got, want, rtol=1e-3, atol=1e-5 * largest)


@given(
    seed=st.integers(0, 10_000),
    temperature=st.sampled_from([0.001, 0.02, 0.1, 1.0]),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    weighted=st.booleans(),
    pos=st.sampled_from([DIAGONAL, SEVERAL]),
)
@settings(max_examples=60, deadline=None)
def test_exp_with_alpha_1_is_softmax(seed, temperature, dtype, weighted, pos):
    q, c = unit(4, 8, seed=seed, dtype=dtype), unit(6, 8, seed=seed + 1, dtype=dtype)
    drop = [edge for edge in DROP if edge not in pos]
    m = Matching(q, c, links(pos, drop, some_log_q(6, seed).to(dtype) if weighted else None))
    loss = CROLoss(kernel="exp", alpha=1.0, temperature=temperature)
    # A rounding of z = s / T moves e^z by as much.
    rounding = 20 * torch.finfo(dtype).eps / temperature
    close(
        learnt(loss, m),
        learnt(Softmax(temperature=temperature), m),
        rtol=rounding,
        atol=rounding / temperature,
    )


@EVERY_KERNEL
@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.0, 2.0])
@pytest.mark.parametrize("temperature", [0.02, 0.5])
def test_lambda_with_the_same_kernel_twice_has_the_gradient_of_the_plain_loss(
    kernel, alpha, temperature
):
    # d W(x) = x^-alpha dx. At the low temperature exp goes on linearly, in both alike.
    m = Matching(unit(4, 8, seed=0), unit(6, 8, seed=1), links(SEVERAL, DROP, some_log_q(6)))
    options = {"kernel": kernel, "alpha": alpha, "temperature": temperature}
    plain, twice = CROLoss(**options), CROLoss(**options, rank_kernel=kernel)
    close(learnt(twice, m)[1:], learnt(plain, m)[1:])


@EVERY_KERNEL
@given(seed=st.integers(0, 10_000), step=st.sampled_from([1e-3, 1e-6, 1e-9, 1e-15]))
@settings(max_examples=20, deadline=None)
def test_alpha_goes_to_1_and_to_0_without_a_jump(kernel, seed, step):
    m = Matching(unit(4, 3, seed=seed), unit(6, 3, seed=seed + 1), links(SEVERAL, DROP))

    def at(alpha):
        return learnt(CROLoss(kernel=kernel, alpha=alpha, temperature=0.5), m)

    # ln x <= 4 + ln 6 < 6: x^step moves by less than 8 step, W by half of (ln x)^2 step, a few of
    # which add up. Gradients of positives and negatives cancel here and there.
    for edge, nearby in ((1.0, (1 - step, 1 + step)), (0.0, (step,))):
        want = at(edge)
        for alpha in nearby:
            for a, b in zip(at(alpha), want, strict=True):
                assert (a - b).abs().max() <= (20 * step + 1e-13) * b.abs().max()


@EVERY_KERNEL
def test_alpha_near_1_does_not_lose_its_digits_in_single_precision(kernel):
    # x^1e-6 - 1 has no digit left in single precision.
    scores = [0.0, 0.2, -0.3, 0.5]
    for alpha in (1 - 1e-6, 1 + 1e-6):
        near, at_1 = (single(CROLoss(kernel=kernel, alpha=a), scores) for a in (alpha, 1.0))
        assert near[0] == pytest.approx(at_1[0], rel=3e-5)
        assert near[1] == pytest.approx(at_1[1], rel=3e-5)


@EVERY_KERNEL
@given(seed=st.integers(0, 10_000), alpha=st.floats(0, 2), more=st.floats(0.1, 2))
@settings(max_examples=20, deadline=None)
def test_a_larger_alpha_gives_more_of_the_gradient_to_the_smaller_rank(kernel, seed, alpha, more):
    q, c = unit(2, 4, seed=seed), unit(8, 4, seed=seed + 1)
    pos = [(0, 0), (1, 1)]
    x = [oracle.smooth_rank((q @ c.T).tolist(), i, p, pos, [], kernel, 1.0) for i, p in pos]

    def pulls(alpha):
        loss = CROLoss(kernel=kernel, alpha=alpha, temperature=1.0)
        return learnt(loss, Matching(q, c, links(pos)))[1].norm(dim=1)

    # Where a hinge is closed for all negatives there is no gradient to compare.
    assume(min(pulls(0.0)) > 0 and x[0] != x[1])
    before, after = (p[0] / p[1] for p in (pulls(alpha), pulls(alpha + more)))
    assert float(after / before) == pytest.approx((x[1] / x[0]) ** more)
    assert (after > before) == (x[0] < x[1])


@EVERY_KERNEL
@pytest.mark.parametrize("rank_kernel", [None, "sigmoid"])
def test_a_negative_repeated_k_times_with_log_q_of_log_k_counts_once(kernel, rank_kernel):
    q, c = unit(1, 8, seed=0), unit(5, 8, seed=1)
    times = torch.tensor([1, 3, 1, 2, 4])
    log_q = times.double().log().repeat_interleave(times)
    loss = CROLoss(kernel=kernel, alpha=1.4, temperature=0.5, rank_kernel=rank_kernel)

    def repeated(log_q):
        m = Matching(q, c.repeat_interleave(times, 0), links([(0, 0)], log_q=log_q))
        return values(loss.ratios(m))[""]

    once = values(loss.ratios(Matching(q, c, links([(0, 0)]))))[""]
    assert repeated(log_q) == pytest.approx(once)
    assert repeated(log_q - 100) == pytest.approx(once)  # only their ratios count
    assert repeated(-log_q) != pytest.approx(once, rel=1e-3)
    assert repeated(None) != pytest.approx(once, rel=1e-3)


@EVERY_KERNEL
@pytest.mark.parametrize("numbers", [1, 6, 13])
@pytest.mark.parametrize("pos", [DIAGONAL, SEVERAL])
def test_it_does_not_matter_how_many_positives_are_worked_on_at_a_time(
    kernel, numbers, pos, monkeypatch
):
    drop = [edge for edge in DROP if edge not in pos]
    m = Matching(unit(4, 3, seed=0), unit(6, 3, seed=1), links(pos, drop, some_log_q(6)))
    loss = CROLoss(kernel=kernel, alpha=0.6, rank_kernel="sigmoid")
    want = learnt(loss, m)
    monkeypatch.setattr(croloss, "NUMBERS", numbers)
    close(learnt(loss, m), want)


def test_an_easy_positive_costs_little_and_not_nothing_in_single_precision():
    # z = -20: ln (1 + ln (1 + e^-20)) = e^-20 = 2.061154e-9, below what 1 + x resolves. The slope
    # is e^-20 times 1 / T = 10, at every alpha.
    for kernel in ("exp", "softplus", "sigmoid"):
        for alpha in (0.0, 1.0, 2.0):
            value, gradient = single(CROLoss(kernel=kernel, alpha=alpha), [1.0, -1.0])
            assert value == pytest.approx(2.061154e-9, rel=1e-5, abs=0)
            assert gradient == pytest.approx([-2.061154e-8, 2.061154e-8], rel=1e-5, abs=0)


def test_where_exp_is_too_large_it_goes_on_linearly_in_ln_x():
    # Scores -1 and 1 at T = 1/50: z = 100, ln x = 100. A positive weighs e^30 = 1.0686475e13.
    e30 = 1.0686475e13
    # alpha 0: (e^30 - 1) + e^30 (100 - 30) = 71 e^30; by the score e^30 / T
    value, gradient = single(CROLoss(kernel="exp", alpha=0.0, temperature=0.02), [-1.0, 1.0])
    assert value == pytest.approx(71 * e30, rel=1e-5)
    assert gradient == pytest.approx([-50 * e30, 50 * e30], rel=1e-5)
    # alpha 1/2: x^1/2 = e^50; (e^30 - 1) / .5 + e^30 (100 - 60) = 42 e^30
    value, gradient = single(CROLoss(kernel="exp", alpha=0.5, temperature=0.02), [-1.0, 1.0])
    assert value == pytest.approx(42 * e30, rel=1e-5)
    assert gradient == pytest.approx([-50 * e30, 50 * e30], rel=1e-5)
    # Lambda, x1 = 2: ln (x1^-1 x) = 100 - .693147; e^30 (1 + 99.306853 - 30) = 70.306853 e^30
    loss = CROLoss(kernel="exp", alpha=1.0, temperature=0.02, rank_kernel="sigmoid")
    value, gradient = single(loss, [-1.0, 1.0])
    assert value == pytest.approx(70.306853 * e30, rel=1e-5)
    assert gradient == pytest.approx([-50 * e30, 50 * e30], rel=1e-5)


@pytest.mark.parametrize("rank_kernel", [None, "sigmoid"])
def test_it_goes_on_without_a_jump_and_never_falls(rank_kernel):
    loss = CROLoss(kernel="exp", alpha=0.6, temperature=0.01, rank_kernel=rank_kernel)
    # ln x from 0 to 100: one number a step of .5; the weight e^30 is reached on the way.
    seen = [by_score(loss, [[0.0, step / 200]]) for step in range(201)]
    steep = [gradient[1] for _, gradient in seen]
    assert all(a <= b * (1 + 1e-9) for a, b in pairwise(steep))
    assert steep[-1] == pytest.approx(100 * math.exp(30))
    for (a, low), (b, high) in pairwise(seen):
        # A convex function lies between its tangents.
        assert a + low[1] / 200 <= b * (1 + 1e-9) <= (a + high[1] / 200) * (1 + 1e-8)


@EVERY_KERNEL
@pytest.mark.parametrize("rank_kernel", [None, *KERNELS])
@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0, 1.4, 4.0])
def test_single_precision_is_finite_however_far_apart_the_scores(kernel, rank_kernel, alpha):
    loss = CROLoss(kernel=kernel, alpha=alpha, temperature=0.02, rank_kernel=rank_kernel)
    for scores in ([-1.0, 1.0, 0.9], [1.0, -1.0, -0.9], [-2500.0, 2500.0, 0.0]):
        value, gradient = single(loss, scores)
        assert math.isfinite(value)
        assert all(math.isfinite(x) for x in gradient)
        assert all(math.isfinite(torch.tensor(x).square().item()) for x in gradient)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernel": "relu"}, "kernel of croloss is 'relu'; give one of exp, softplus, hinge, sig"),
        ({"rank_kernel": "relu"}, "rank_kernel of croloss is 'relu'; give one of exp"),
        ({"alpha": -0.1}, "alpha of croloss is -0.1; give a number of 0 or more"),
        ({"alpha": math.nan}, "alpha of croloss is nan"),
        ({"alpha": math.inf}, "alpha of croloss is inf"),
        ({"temperature": 0.0}, "temperature of croloss is 0.0; give a number above 0"),
        ({"temperature": -1.0}, "temperature of croloss is -1.0"),
        ({"temperature": math.nan}, "temperature of croloss is nan"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        CROLoss(**options)
