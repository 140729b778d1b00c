from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from thresher.towers.bags import Bags, weighted_sums

ROWS = [[(3, 1.0), (7, 2.0)], [], [(3, -0.5)], [(0, 1.0), (7, 0.0), (9, 4.0)]]


def bags(rows=ROWS):
    return Bags(
        torch.tensor([t for row in rows for t, _ in row], dtype=torch.int32),
        torch.tensor([w for row in rows for _, w in row], dtype=torch.float32),
        torch.tensor(np.cumsum([0] + [len(row) for row in rows])),
    )


def rows_of(b):
    ends = b.offsets.tolist()
    flat = list(zip(b.tokens.tolist(), b.weights.tolist(), strict=True))
    return [flat[first:last] for first, last in pairwise(ends)]


def random_bags(seed, table):
    found = sparse.random(6, table, 0.3, "csr", random_state=seed, dtype=np.float32)
    found.data -= 0.5
    return Bags.from_csr(found)


@given(st.lists(st.integers(0, 3), max_size=8))
def test_rows_are_taken_in_order(chosen):
    assert rows_of(bags().take(torch.tensor(chosen, dtype=torch.int64))) == [
        ROWS[i] for i in chosen
    ]


@given(st.integers(-5, 5), st.integers(-5, 5), st.integers(1, 3))
def test_a_slice_is_a_lists_slice(first, last, step):
    assert rows_of(bags()[first:last:step]) == ROWS[first:last:step]


def test_the_sums_of_a_worked_example():
    table = torch.arange(20.0).reshape(10, 2) - 7
    # Rows 3, 7, 0, 9 of the table: (-1, 0), (7, 8), (-7, -6), (11, 12).
    # 1 * (-1, 0) + 2 * (7, 8); nothing; -0.5 * (-1, 0); (-7, -6) + 0 + 4 * (11, 12).
    expected = torch.tensor([[13.0, 16.0], [0.0, 0.0], [0.5, 0.0], [37.0, 42.0]])
    torch.testing.assert_close(weighted_sums(table, bags()), expected)


@given(st.integers(0, 1000))
def test_the_gradient_is_that_of_embedding_bag(seed):
    draw = torch.Generator().manual_seed(seed)
    ours = torch.randn(12, 3, generator=draw, requires_grad=True)
    theirs = ours.detach().clone().requires_grad_()
    b = random_bags(seed, 12)
    weight = torch.randn(6, 3, generator=draw)
    (weighted_sums(ours, b) * weight).sum().backward()
    sums = F.embedding_bag(
        b.tokens.long(), theirs, b.offsets[:-1], mode="sum", per_sample_weights=b.weights
    )
    (sums * weight).sum().backward()
    torch.testing.assert_close(ours.grad.to_dense(), theirs.grad)


def test_the_gradient_holds_the_tokens_in_use_and_no_other():
    table = torch.ones(10, 2, requires_grad=True)
    weighted_sums(table, bags()).sum().backward()
    assert table.grad.is_sparse
    assert table.grad.coalesce().indices().tolist() == [[0, 3, 7, 9]]


def test_gradients_of_several_calls_add_up():
    """Queries and items go through one table, and cached gradients through it chunk by chunk."""
    whole, parts = (torch.ones(10, 2, requires_grad=True) for _ in range(2))
    weighted_sums(whole, bags()).square().sum().backward()
    for i in range(4):
        weighted_sums(parts, bags()[i : i + 1]).square().sum().backward()
    torch.testing.assert_close(parts.grad.to_dense(), whole.grad.to_dense())


def test_the_gradient_of_tokens_of_many_digits_is_that_of_embedding_bag():
    draw = torch.Generator().manual_seed(7)
    tokens = torch.randint(1 << 23, (200,), generator=draw, dtype=torch.int32)
    tokens[100:] = tokens[:100].flip(0)
    b = Bags(tokens, torch.randn(200, generator=draw), torch.arange(0, 201, 20))
    table = torch.zeros(1 << 23, 1, requires_grad=True)
    factors = torch.arange(1.0, 11)[:, None]
    (weighted_sums(table, b) * factors).sum().backward()
    grad = table.grad.coalesce()
    wanted: dict[int, float] = {}
    for at, (token, weight) in enumerate(zip(tokens.tolist(), b.weights.tolist(), strict=True)):
        wanted[token] = wanted.get(token, 0.0) + weight * (at // 20 + 1)
    assert grad.indices()[0].tolist() == sorted(wanted)
    assert grad.values()[:, 0].tolist() == pytest.approx([wanted[t] for t in sorted(wanted)])


def test_a_backward_makes_one_gradient_of_all_sums_of_a_table():
    """Each of the two sums by hand: 2 y of the rows that hold a token, times its weights."""
    table = torch.ones(10, 2, requires_grad=True)
    made = []
    table.register_hook(lambda grad: made.append(grad._nnz()))
    first, second = weighted_sums(table, bags()), weighted_sums(table, bags([[(7, 1.0)]]))
    (first.square().sum() + second.square().sum()).backward()
    assert made == [4]
    # 7: of the first row 2 * 3 * 2.0, of the other sum 2 * 1 * 1.0; 3: 2 * 3 * 1 + 2 * .5 * .5.
    expected = {0: 10.0, 3: 6.5, 7: 14.0, 9: 40.0}
    grad = table.grad.to_dense()[:, 0]
    assert {t: grad[t].item() for t in expected} == pytest.approx(expected)


def test_what_a_failed_backward_left_is_not_in_the_next_gradient():
    class Fails(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, grad):
            raise ArithmeticError

    table = torch.ones(10, 2, requires_grad=True)
    first = Fails.apply(weighted_sums(table, bags()))  # earlier, so later in backward
    second = weighted_sums(table, bags())
    with pytest.raises(ArithmeticError):
        (first.sum() + second.sum()).backward()
    weighted_sums(table, bags([[(7, 1.0)]])).sum().backward()
    assert table.grad.to_dense().sum() == 2


def test_two_graphs_of_one_table_and_one_that_is_used_twice():
    table = torch.ones(10, 2, requires_grad=True)
    one, other = weighted_sums(table, bags()).sum(), 2 * weighted_sums(table, bags()).sum()
    other.backward(retain_graph=True)
    one.backward()
    other.backward()
    whole = torch.ones(10, 2, requires_grad=True)
    (5 * weighted_sums(whole, bags()).sum()).backward()
    torch.testing.assert_close(table.grad.to_dense(), whole.grad.to_dense())


def test_tokens_of_weight_0_go():
    assert rows_of(bags().weighty()) == [ROWS[0], [], ROWS[2], [(0, 1.0), (9, 4.0)]]
    assert rows_of(bags([[(1, 0.0)], []]).weighty()) == [[], []]


def test_nothing_in_nothing_out():
    table = torch.ones(10, 2, requires_grad=True)
    none = weighted_sums(table, bags()[:0])
    assert none.shape == (0, 2)
    empty = weighted_sums(table, bags([[], []]))
    empty.sum().backward()
    assert empty.tolist() == [[0, 0], [0, 0]]
    assert table.grad.to_dense().count_nonzero() == 0


def test_rows_without_a_token():
    assert rows_of(Bags.empty(3)) == [[], [], []]
    assert rows_of(Bags.empty(3)[1:]) == [[], []]
    assert len(Bags.empty(0)) == 0


# Rows that lose a share of their tokens.


def thinned(share, seed=0, rows=ROWS):
    return rows_of(bags(rows).thinned(share, torch.Generator().manual_seed(seed)))


def length(row):
    return sum(w * w for _, w in row) ** 0.5


@given(st.integers(0, 1000), st.floats(0, 0.95))
def test_thinned_rows_keep_their_length_and_the_order_and_shares_of_what_stays(seed, share):
    for before, after in zip(ROWS, thinned(share, seed), strict=True):
        tokens = [t for t, _ in after]
        assert tokens == [t for t, _ in before if t in tokens]
        # a row that keeps nothing of weight has no length to keep
        weight = dict(before)
        if any(weight[t] for t in tokens):
            assert length(after) == pytest.approx(length(before), rel=1e-5)
            scale = length(before) / sum(weight[t] ** 2 for t in tokens) ** 0.5
            assert dict(after) == pytest.approx({t: scale * weight[t] for t in tokens}, rel=1e-5)


def test_a_thinned_row_by_hand():
    # Of (3, 4) with the length 5 the one that stays weighs 5; both stay as they are, also where
    # both would go: a row without any would be as if nothing were known.
    found = [thinned(0.5, seed, [[(1, 3.0), (2, 4.0)]])[0] for seed in range(40)]
    rounded = {tuple((token, round(weight, 4)) for token, weight in row) for row in found}
    assert rounded == {((1, 5.0),), ((2, 5.0),), ((1, 3.0), (2, 4.0))}


def test_so_many_tokens_are_dropped_each_by_itself():
    rows = [[(t, 1.0) for t in range(10)] for _ in range(2000)]
    kept = np.zeros((2000, 10))
    for number, row in enumerate(thinned(0.3, rows=rows)):
        kept[number, [t for t, _ in row]] = 1
    # 20,000 draws of probability .7: a standard error of .003; of each token .01
    assert kept.mean() == pytest.approx(0.7, abs=0.02)
    assert kept.mean(axis=0) == pytest.approx(np.full(10, 0.7), abs=0.05)
    # of ten kept by themselves the variance is 10 * .7 * .3 = 2.1
    assert kept.sum(axis=1).var() == pytest.approx(2.1, abs=0.3)


def test_the_generator_decides_and_a_share_of_0_drops_nothing():
    assert thinned(0.5, 3) == thinned(0.5, 3)
    assert len({str(thinned(0.5, seed)) for seed in range(9)}) > 1
    assert thinned(0.0) == ROWS
    assert rows_of(bags([]).thinned(0.5, torch.Generator())) == []
