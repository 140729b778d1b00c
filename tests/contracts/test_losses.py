"""What every loss of the registry must do. A new line in the registry is tested from here on."""

import inspect
from dataclasses import replace
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oracles.matchings import links, total, unit, values
from oracles.memory import Largest
from thresher.losses import LOSSES
from thresher.types import Loss, Matching

DIM = 4
# Margins between which random scores fall on both sides, so that no part of a loss is empty.
OPTIONS = {
    "tcm": [{"margin_pos": 0.9, "margin_neg": -0.9}],
    # Unit vectors are nowhere 2 apart: the dynamic margin is the smallest one, and so a constant.
    "hinge": [{"margin": 2.5}, {"margin": 3.0, "smallest_margin": 2.1}],
    "prototype": [{"margin": 1.5}],
    "alc": [
        {"form": form, "context": context, "hardest": 3, "b1": b1, "b2": b2}
        for form, context in product(("binary", "softmax"), ("attention", "pooled", "query_batch"))
        for b1, b2 in ((1.0, 1.0), (1.0, 0.0), (0.0, 1.0))
        if (form, b1) != ("softmax", 0.0)
        and (context, b2) not in {("pooled", 0.0), ("query_batch", 0.0)}
    ],
    # z of unit vectors is above -0.5 at T = 5, so that no hinge is closed. The Lambda method has
    # the gradient of its value at alpha 0 alone; its other gradients are tested with the loss.
    "croloss": [
        {"kernel": kernel, "alpha": alpha, "temperature": temperature, "rank_kernel": rank_kernel}
        for kernel, temperature in {
            "exp": 0.5,
            "softplus": 0.1,
            "hinge": 5.0,
            "sigmoid": 1.0,
        }.items()
        for alpha, rank_kernel in ((1.6, None), (0.0, "sigmoid"))
    ],
    "triplet": [{"margin": 2.5}],
}
CASES = [(name, options) for name in LOSSES for options in OPTIONS.get(name, [{}])]
EVERY = pytest.mark.parametrize(
    "case", CASES, ids=lambda case: "-".join([case[0], *map(str, case[1].values())])
)


def make(case, *, dim=DIM, dtype=torch.float64):
    """The loss, as a caller makes it: with `dim` where the constructor asks for it."""
    name, options = case
    constructor = LOSSES[name]
    sized = {"dim": dim} if "dim" in inspect.signature(constructor).parameters else {}
    loss = constructor(**sized, **options)
    return loss.to(dtype) if isinstance(loss, torch.nn.Module) else loss


def diagonal(n):
    return [(i, i) for i in range(n)]


@EVERY
def test_it_is_a_loss_with_named_ratios(case):
    loss = make(case)
    assert isinstance(loss, Loss)
    parts = loss.ratios(Matching(unit(3, DIM, seed=0), unit(5, DIM, seed=1), links(diagonal(3))))
    assert parts
    assert all(r.num.shape == r.den.shape == () and r.den > 0 for r in parts.values())


@EVERY
@given(seed=st.integers(0, 999), n=st.integers(2, 7))
@settings(max_examples=8, deadline=None)
def test_the_order_of_candidates_does_not_matter(case, seed, n):
    loss = make(case)
    q, c = unit(n, DIM, seed=seed), unit(n + 3, DIM, seed=seed + 1)
    pos, drop = [*diagonal(n), (0, n)], [(n - 1, n + 1)]
    log_q = -torch.rand(n + 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    order = torch.randperm(n + 3, generator=torch.Generator().manual_seed(seed))
    place = order.argsort().tolist()
    moved = links([(i, place[j]) for i, j in pos], [(i, place[j]) for i, j in drop], log_q[order])
    before = values(loss.ratios(Matching(q, c, links(pos, drop, log_q))))
    assert values(loss.ratios(Matching(q, c[order], moved))) == pytest.approx(before)


@EVERY
def test_left_rows_are_independent(case):
    # What lets rows be scored in blocks and shared among processes: the sums add up.
    loss = make(case)
    q, c = unit(5, DIM, seed=2), unit(7, DIM, seed=3)
    whole = loss.ratios(Matching(q, c, links(diagonal(5), [(0, 6), (4, 0)])))
    first = loss.ratios(Matching(q[:2], c, links([(0, 0), (1, 1)], [(0, 6)])))
    second = loss.ratios(Matching(q[2:], c, links([(0, 2), (1, 3), (2, 4)], [(2, 0)])))
    for part, ratio in whole.items():
        for got, a, b in zip(ratio, first[part], second[part], strict=True):
            torch.testing.assert_close(got, a + b)


@EVERY
def test_dropped_pairs_get_no_gradient_and_negatives_and_positives_do(case):
    loss = make(case)
    q, c = unit(1, DIM, seed=0), unit(4, DIM, seed=1).requires_grad_()
    total(loss.ratios(Matching(q, c, links([(0, 0)], [(0, 2)])))).backward()
    size = c.grad.abs().sum(1)
    assert size[2] == 0
    assert size[0] > 0
    assert size[1] > 0
    assert size[3] > 0


@EVERY
@pytest.mark.parametrize("weighted", [False, True])
def test_gradients_match_finite_differences(case, weighted):
    loss = make(case)
    q, c = unit(3, DIM, seed=0).requires_grad_(), unit(5, DIM, seed=1).requires_grad_()
    log_q = torch.linspace(-2, 0, 5, dtype=torch.float64) if weighted else None
    truth = links([*diagonal(3), (0, 3)], [(1, 4)], log_q)
    weights = list(loss.parameters()) if isinstance(loss, torch.nn.Module) else []
    assert torch.autograd.gradcheck(
        lambda a, b, *_: total(loss.ratios(Matching(a, b, truth))),
        (q, c, *weights),
        fast_mode=bool(weights),
    )


@EVERY
@pytest.mark.parametrize(
    "truth",
    [
        links(diagonal(4)),
        links([]),
        links([], [(i, j) for i in range(4) for j in range(4)]),
        links([(0, 0)], [(0, j) for j in range(1, 4)]),
        links([(i, j) for i in range(4) for j in range(4)]),
    ],
    ids=["perfect", "no positives", "all dropped", "a row without negatives", "no negatives"],
)
def test_extreme_batches_are_finite_and_keep_their_gradient(case, truth):
    loss = make(case)
    q = torch.eye(4, dtype=torch.float64).requires_grad_()
    c = torch.eye(4, dtype=torch.float64).requires_grad_()
    # Scores of 2,500: far outside what a softmax of plain exponentials survives.
    parts = loss.ratios(Matching(50 * q, 50 * c, truth))
    assert all(torch.isfinite(x) for ratio in parts.values() for x in ratio)
    # Connected even when empty: every process must take part in the gather's backward.
    assert all(ratio.num.requires_grad for ratio in parts.values())
    total(parts).backward()
    assert torch.isfinite(q.grad).all()
    assert torch.isfinite(c.grad).all()


@EVERY
def test_a_batch_without_rows_or_links_is_zero_over_zero(case):
    loss = make(case)
    for rows, columns in ((0, 3), (2, 0), (0, 0)):
        parts = loss.ratios(
            Matching(unit(rows, DIM, seed=0), unit(columns, DIM, seed=1), links([]))
        )
        assert all(r.num.item() == r.den.item() == 0 for r in parts.values())


@EVERY
def test_float32_is_near_float64(case):
    truth = links([*diagonal(6), (0, 7)], [(2, 8)])
    q, c = unit(6, 16, seed=0), unit(9, 16, seed=1)
    exact = make(case, dim=16).ratios(Matching(q, c, truth))
    rough = make(case, dim=16, dtype=torch.float32).ratios(Matching(q.float(), c.float(), truth))
    assert all(x.dtype == torch.float32 for ratio in rough.values() for x in ratio)
    assert values(rough) == pytest.approx(values(exact), rel=1e-4, abs=1e-5)


@EVERY
def test_memory_is_bounded_by_the_scores(case):
    # 3 positives a row: E x C = 12,288 and Q x C x D = 131,072 are both out of bounds.
    rows, columns, dim = 16, 256, 32
    loss = make(case, dim=dim, dtype=torch.float32)
    q = unit(rows, dim, seed=0, dtype=torch.float32).requires_grad_()
    c = unit(columns, dim, seed=1, dtype=torch.float32).requires_grad_()
    m = Matching(q, c, links([(i, i + 20 * k) for i in range(rows) for k in range(3)]))
    with Largest() as largest:
        total(loss.ratios(m)).backward()
    # Q x C = 4,096; C x D = 8,192, and Q x D more where a mean is a column; E x (K + 1) x D = 6,144
    assert 4_096 <= largest.numbers <= (columns + 3 * rows) * dim


def test_the_measure_of_memory_sees_a_cube():
    q, c = torch.ones(16, 32), torch.ones(256, 32)
    with Largest() as largest:
        (q[:, None] * c).sum()
    assert largest.numbers == 16 * 256 * 32


@EVERY
def test_the_links_are_not_changed(case):
    loss = make(case)
    truth = links(diagonal(3), [(0, 4)])
    copy = replace(truth, pos=truth.pos.clone(), ignored=truth.ignored.clone())
    loss.ratios(Matching(unit(3, DIM, seed=0), unit(5, DIM, seed=1), truth))
    assert torch.equal(copy.pos, truth.pos)
    assert torch.equal(copy.ignored, truth.ignored)


def several():
    """Queries, items and a truth with several positives a row, one without any, some ignored."""
    pos, out = [(0, 0), (0, 4), (1, 1), (3, 0), (3, 5)], [(0, 2), (1, 5), (2, 2)]
    mask = torch.zeros(2, 4, 6, dtype=torch.bool)
    for each, pairs in zip(mask, (pos, out), strict=True):
        each[tuple(zip(*pairs, strict=True))] = True
    return unit(4, DIM, seed=4), unit(6, DIM, seed=5), pos, out, mask


@EVERY
@pytest.mark.parametrize("weighted", [False, True])
def test_plain_tensors_give_the_ratios_divided_and_added(case, weighted):
    loss = make(case)
    q, c, pos, out, mask = several()
    log_q = torch.linspace(-2, 0, 6, dtype=torch.float64) if weighted else None
    want = sum(values(loss.ratios(Matching(q, c, links(pos, out, log_q)))).values())
    got = loss(q, c, positives=mask[0], ignored=mask[1], log_q=log_q)
    assert got.shape == ()
    assert got.item() == pytest.approx(want)


@EVERY
def test_a_mask_pairs_and_labels_say_the_same(case):
    loss = make(case)
    q, c = unit(4, DIM, seed=4), unit(6, DIM, seed=5)
    labels, ref_labels = torch.tensor([7, 8, 9, 7]), torch.tensor([7, 8, 7, 6, 6, 8])
    mask = torch.tensor([[a == b for b in ref_labels] for a in labels])
    pairs = mask.nonzero().flip(0)
    twice = torch.cat([pairs, pairs[:2]]).int()
    want = loss(q, c, positives=mask).item()
    assert loss(q, c, positives=twice).item() == pytest.approx(want)
    assert loss(q, c, labels=labels, ref_labels=ref_labels).item() == pytest.approx(want)


@EVERY
def test_without_a_truth_the_positive_of_a_row_is_the_item_of_that_row(case):
    loss = make(case)
    q, c = unit(3, DIM, seed=0), unit(5, DIM, seed=1)
    want = sum(values(loss.ratios(Matching(q, c, links(diagonal(3))))).values())
    assert loss(q, c).item() == pytest.approx(want)


@EVERY
def test_the_order_of_plain_queries_and_items_does_not_matter(case):
    loss = make(case)
    q, c, _, _, (positives, ignored) = several()
    rows, columns = torch.tensor([2, 0, 3, 1]), torch.tensor([5, 1, 0, 4, 2, 3])
    want = loss(q, c, positives=positives, ignored=ignored).item()
    moved = [mask[rows][:, columns] for mask in (positives, ignored)]
    got = loss(q[rows], c[columns], positives=moved[0], ignored=moved[1])
    assert got.item() == pytest.approx(want)


@EVERY
def test_gradients_of_plain_tensors_match_finite_differences(case):
    # Along one direction of each input: every entry is checked above, of the same equation.
    loss = make(case)
    q, c, _, _, (positives, ignored) = several()
    inputs = (q.requires_grad_(), c.requires_grad_())
    assert torch.autograd.gradcheck(
        lambda a, b: loss(a, b, positives=positives, ignored=ignored), inputs, fast_mode=True
    )


@EVERY
def test_ignored_plain_pairs_have_no_gradient_and_win_over_positives(case):
    loss = make(case)
    q, c = unit(1, DIM, seed=0), unit(5, DIM, seed=1).requires_grad_()
    loss(
        q, c, positives=torch.tensor([[0, 0], [0, 3]]), ignored=torch.tensor([[0, 2], [0, 3]])
    ).backward()
    assert (c.grad.abs().sum(1) > 0).tolist() == [True, True, False, False, True]


@EVERY
@pytest.mark.parametrize(("rows", "columns"), [(0, 3), (2, 0), (0, 0), (2, 3)])
def test_a_plain_batch_without_pairs_is_zero_with_zero_gradient(case, rows, columns):
    loss = make(case)
    q, c = unit(rows, DIM, seed=0).requires_grad_(), unit(columns, DIM, seed=1).requires_grad_()
    everything = torch.ones(rows, columns, dtype=torch.bool)
    got = loss(q, c, positives=~everything, ignored=everything)
    got.backward()
    assert got.item() == 0
    assert q.grad.abs().sum() == c.grad.abs().sum() == 0


@EVERY
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_plain_tensors_of_few_bits_are_near_float64(case, dtype):
    q, c = (unit(n, 16, seed=n).to(dtype).requires_grad_() for n in (6, 9))
    want = make(case, dim=16)(q.double(), c.double()).item()
    loss = make(case, dim=16, dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = loss(q, c)
    got.backward()
    assert got.dtype == torch.float32
    assert got.item() == pytest.approx(want, rel=1e-4, abs=1e-5)
    assert q.grad.dtype == dtype
