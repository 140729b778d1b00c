import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oracles import losses as oracle
from oracles.matchings import links, scored, unit, values
from oracles.memory import Largest
from thresher.errors import InputError
from thresher.losses import HardestPairs
from thresher.losses.alc import hardest_candidates
from thresher.types import Matching

FORMS = ("binary", "softmax")
CONTEXTS = ("attention", "pooled", "query_batch")
POS = [(0, 1), (0, 2), (2, 5), (3, 0)]
DROP = [(0, 3), (2, 2), (1, 1)]


def head(dim, **options):
    return HardestPairs(dim, **options).double()


def set_all(loss, value):
    with torch.no_grad():
        for parameter in loss.parameters():
            parameter.fill_(value)
    return loss


def test_a_head_of_zeros_knows_nothing():
    # u = v = 0: binary 1/2 (log 2 + log 2) = log 2; softmax over 1 + 3 candidates log 4.
    m = Matching(unit(4, 5, seed=0), unit(6, 5, seed=1), links([(i, i) for i in range(4)]))
    got = values(set_all(head(5, hardest=3, b1=1.0, b2=1.0), 0).ratios(m))
    assert got == pytest.approx({"query_label": math.log(2), "query_batch": math.log(4)})


def test_binary_form_by_hand():
    # d = r = 1, W = (1, 1, 1, 1), b = 0, w = 1, c = 0: u = gelu(a + b + |a - b| + ab).
    # q = 1 with positive 1: gelu(1 + 1 + 0 + 1) = gelu(3) = 2.995950 -> softplus(-u) = 0.048780
    #   negative 0.5: gelu(1 + .5 + .5 + .5) = gelu(2.5) = 2.484476 -> softplus(u) = 2.564552
    #   negative -1 is not among the hardest 1.          (0.048780 + 2.564552) / 2 = 1.306666
    loss = head(1, hardest=1, b1=1.0, b2=0.0)
    with torch.no_grad():
        loss.pair.weight.fill_(1)
        loss.pair.bias.zero_()
        loss.label.weight.fill_(1)
        loss.label.bias.zero_()
    one = torch.ones(1, 1, dtype=torch.float64)
    m = Matching(one, torch.tensor([[1.0], [-1.0], [0.5]]).double(), links([(0, 0)]))
    assert values(loss.ratios(m)) == pytest.approx({"query_label": 1.306666}, abs=1e-6)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("context", CONTEXTS)
@given(seed=st.integers(0, 10_000), hardest=st.integers(1, 8), hidden=st.integers(1, 4))
@settings(max_examples=10, deadline=None)
def test_it_equals_the_loop_over_pairs(form, context, seed, hardest, hidden):
    q, c = unit(4, 3, seed=seed), unit(6, 3, seed=seed + 1)
    draw = torch.Generator().manual_seed(seed)
    loss = head(
        3,
        hidden=hidden,
        hardest=hardest,
        form=form,
        context=context,
        b1=0.5,
        b2=2.0,
        generator=draw,
    )
    weights = {name: x.tolist() for name, x in loss.state_dict().items()}
    parts = loss.ratios(Matching(q, c, links(POS, DROP)))
    ql, qb = oracle.alc(
        q.tolist(), c.tolist(), POS, DROP, weights, hardest=hardest, form=form, context=context
    )
    assert parts["query_label"].num.item() == pytest.approx(0.5 * ql)
    assert parts["query_batch"].num.item() == pytest.approx(2 * qb)
    assert [float(ratio.den) for ratio in parts.values()] == [4, 4]


def test_the_hardest_negatives_are_the_highest_scores_of_the_row_and_no_positive_or_dropped():
    m = scored([[0.9, 0.1, -0.3, 0.8, 0.7], [-0.9, -0.1, -0.2, -0.8, -0.7]])(
        [(0, 2), (1, 1), (1, 2)], [(0, 0)]
    )
    seen = hardest_candidates(m, 2)
    assert seen.rows.tolist() == [0, 1, 1]
    assert seen.columns.tolist() == [[2, 3, 4], [1, 4, 3], [2, 4, 3]]
    assert seen.real.all()


def test_a_row_with_fewer_negatives_than_k_uses_those_it_has():
    loss = head(5, hardest=4, b1=1.0, b2=1.0)
    q, c = unit(2, 5, seed=0), unit(3, 5, seed=1)
    few = Matching(q, c, links([(0, 0)], [(0, 2)]))
    alone = Matching(q[:1], c[:2], links([(0, 0)]))
    assert values(loss.ratios(few)) == pytest.approx(values(loss.ratios(alone)))


def test_a_row_without_negatives_keeps_its_positive_in_the_binary_form_and_is_zero_in_a_softmax():
    m = Matching(unit(1, 5, seed=0), unit(1, 5, seed=1), links([(0, 0)]))
    zeros = values(set_all(head(5, b1=1.0, b2=1.0), 0).ratios(m))
    assert zeros == pytest.approx({"query_label": math.log(2) / 2, "query_batch": 0})
    assert values(head(5, form="softmax", b1=1.0, b2=1.0).ratios(m)) == pytest.approx(
        {"query_label": 0, "query_batch": 0}
    )


@pytest.mark.parametrize("context", CONTEXTS)
@pytest.mark.parametrize("seed", range(3))
def test_the_place_of_the_positive_tells_nothing(context, seed):
    # Positive and negatives are the same vector: nothing but their place could tell them apart,
    # so whatever the weights are, the softmax is uniform.
    c = unit(1, 6, seed=seed).repeat(4, 1)
    m = Matching(unit(1, 6, seed=seed + 9), c, links([(0, 0)]))
    draw = torch.Generator().manual_seed(seed)
    loss = head(6, form="softmax", context=context, b1=1.0, b2=1.0, generator=draw)
    shown = 2 if context == "query_batch" else 4
    assert values(loss.ratios(m)) == pytest.approx(
        {"query_label": math.log(4), "query_batch": math.log(shown)}
    )


@pytest.mark.parametrize("context", ["attention", "pooled"])
def test_reordered_candidates_get_the_reordered_logits(context):
    loss = head(6, hardest=4, context=context)
    m = Matching(unit(3, 6, seed=0), unit(9, 6, seed=1), links([(i, i) for i in range(3)]))
    seen = hardest_candidates(m, 4)
    order = torch.tensor([3, 0, 4, 2, 1])
    moved = type(seen)(
        seen.left, seen.right, seen.rows, seen.columns[:, order], seen.real[:, order]
    )
    (first, _), (second, _) = (loss.batch(c, loss.pair(c), loss.pair) for c in (seen, moved))
    torch.testing.assert_close(first[:, order], second)


@pytest.mark.parametrize("context", CONTEXTS)
def test_the_context_matters(context):
    # A hard negative that another one replaces changes what the rest is judged by.
    loss = head(6, hardest=2, context=context, b1=1.0, b2=1.0)
    q, c = unit(1, 6, seed=0), unit(3, 6, seed=1)
    both, other = c.clone(), c.clone()
    other[2] = unit(1, 6, seed=7)[0]
    got = []
    for right in (both, other):
        m = Matching(q, right, links([(0, 0)]))
        seen = hardest_candidates(m, 2)
        logits, _ = loss.batch(seen, loss.pair(seen), loss.pair)
        got.append(logits[0, 1:].detach() - logits[0, 0].detach())
    assert not torch.allclose(got[0].sort().values[:1], got[1].sort().values[:1], atol=1e-6)


@pytest.mark.parametrize(
    ("options", "part", "absent"),
    [
        ({"b1": 0.0}, "query_batch", "label"),
        ({"b2": 0.0}, "query_label", "batch"),
        ({"b1": 0.0, "context": "pooled"}, "query_batch", "pair"),
    ],
)
def test_a_weight_of_zero_builds_nothing(options, part, absent):
    loss = head(4, **options)
    assert not [name for name in loss.state_dict() if name.startswith(absent)]
    m = Matching(unit(3, 4, seed=0), unit(5, 4, seed=1), links([(i, i) for i in range(3)]))
    parts = loss.ratios(m)
    assert list(parts) == [part]
    parts[part].num.backward()
    # Every parameter that was built is used.
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in loss.parameters())


def test_first_weights_come_from_the_generator_and_from_no_global_seed():
    def weights(generator=None):
        loss = HardestPairs(4, generator=generator)
        return torch.cat([p.detach().flatten() for p in loss.parameters()])

    before = torch.get_rng_state()
    first = weights()
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(first, weights())
    other = weights(torch.Generator().manual_seed(1))
    assert torch.equal(other, weights(torch.Generator().manual_seed(1)))
    assert not torch.equal(first, other)
    assert first.abs().max() <= 0.5  # 1 / sqrt(4), the widest


@pytest.mark.parametrize("context", CONTEXTS)
def test_memory_is_linear_in_k_and_never_columns_times_dim(context):
    rows, columns, dim, hardest = 16, 256, 32, 3
    loss = HardestPairs(dim, hardest=hardest, context=context)
    q = unit(rows, dim, seed=0, dtype=torch.float32).requires_grad_()
    c = unit(columns, dim, seed=1, dtype=torch.float32).requires_grad_()
    m = Matching(q, c, links([(i, i) for i in range(rows)]))
    with Largest() as largest:
        sum(ratio.num for ratio in loss.ratios(m).values()).backward()
    # Q x C = 4,096; (C + Q) x D = 8,704; E x (K + 1) x 4D = 8,192; Q x C x D would be 131,072.
    assert 4_096 <= largest.numbers <= 8_704


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden": 0}, "hidden.*1 or more"),
        ({"hardest": 0}, "hardest.*1 or more"),
        ({"form": "triplet"}, "'triplet'; give one of .'binary', 'softmax'"),
        ({"context": "mean"}, "'mean'; give one of .'attention', 'pooled', 'query_batch'"),
        ({"b1": -1.0}, "one of them above 0"),
        ({"b1": 0.0, "b2": 0.0}, "one of them above 0"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        HardestPairs(4, **options)


def test_vectors_of_another_length_are_refused():
    m = Matching(unit(2, 6, seed=0), unit(3, 6, seed=1), links([(0, 0)]))
    with pytest.raises(InputError, match="4 numbers and received 6"):
        head(4).ratios(m)


LAZY = {"hidden": 6, "context": "pooled", "hardest": 2}


@pytest.mark.parametrize("options", [{}, LAZY])
def test_without_a_dim_the_first_vectors_give_the_shapes_and_the_same_weights(options):
    lazy = HardestPairs(**options, generator=torch.Generator().manual_seed(3))
    told = HardestPairs(4, **options, generator=torch.Generator().manual_seed(3)).double()
    q, c = unit(3, 4, seed=0), unit(5, 4, seed=1)
    assert lazy(q, c).item() == told(q, c).item()
    assert lazy.dim == 4
    for (name, own), (other, want) in zip(
        lazy.named_parameters(), told.named_parameters(), strict=True
    ):
        assert name == other
        assert torch.equal(own, want)
    lazy.load_state_dict(told.state_dict())
    with pytest.raises(InputError, match="made for vectors of 4 numbers and received 5"):
        lazy(unit(3, 5, seed=0), unit(3, 5, seed=1))


@pytest.mark.parametrize(("kind", "rate"), [(torch.optim.AdamW, 0.05), (torch.optim.SGD, 1.0)])
def test_an_optimiser_made_before_the_first_call_trains_the_head(kind, rate):
    loss = HardestPairs(hidden=8)
    optimiser = kind(loss.parameters(), lr=rate)
    q, c = unit(6, 4, seed=0), unit(6, 4, seed=1)
    values = []
    for _ in range(20):
        optimiser.zero_grad()
        value = loss(q, c)
        value.backward()
        optimiser.step()
        values.append(value.item())
    assert values[-1] < 0.99 * values[0]
