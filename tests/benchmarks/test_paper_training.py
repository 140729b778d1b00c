"""The paper's training, by hand and against loops over its equations."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from grids.paper_training import (
    Draws,
    Scored,
    Setup,
    Sharpness,
    Trainer,
    Vectors,
    hardest_share,
    hits,
    loss_of,
    trained,
)
from thresher.data.histories import Histories
from thresher.data.sequences import Sequences
from thresher.losses import LOSSES

NONE = torch.zeros(0, 2, dtype=torch.int64)


# Users, items and draws.


def test_a_user_is_the_mean_of_the_last_events_through_the_layer_at_unit_length():
    model = Vectors(3, 2, max_history=2, seed=0)
    with torch.no_grad():
        model.table.copy_(torch.tensor([[9.0, 9.0], [1.0, 0.0], [5.0, 8.0]]))
        model.linear.weight.copy_(torch.eye(2))
    histories = Histories.of(Sequences(np.array([0, 3, 4]), np.array([0, 1, 2, 1])))
    # (1 + 5) / 2, (0 + 8) / 2 = 3, 4, of length 5; the second user has item 1 alone
    expected = [[0.6, 0.8], [1.0, 0.0]]
    torch.testing.assert_close(model.users(histories).detach(), torch.tensor(expected))
    torch.testing.assert_close(model.items(torch.tensor([1])).detach(), torch.tensor([[1.0, 0.0]]))


def test_first_weights_are_glorots_and_differ_by_seed():
    model = Vectors(300, 32, max_history=20, seed=1)
    # sqrt(6 / (300 + 32)) = 0.1344 and sqrt(6 / 64) = 0.3062
    for weight, bound in ((model.table, 0.13443), (model.linear.weight, 0.30619)):
        assert 0.97 * bound < float(weight.detach().abs().max()) <= bound
    assert not model.linear.bias.any()
    assert not torch.equal(model.table, Vectors(300, 32, max_history=20, seed=2).table)


def examples(lengths):
    """One example for each event of each user but the first, as the library makes them."""
    items = np.arange(sum(lengths)) % 7
    starts = np.cumsum([0, *lengths[:-1]])
    places = [(u, s + p) for u, (s, n) in enumerate(zip(starts, lengths, strict=True))
              for p in range(1, n)]  # fmt: skip
    users, ends = (np.array(column) for column in zip(*places, strict=True))
    histories = Histories.windows(items, starts[users], ends)
    return SimpleNamespace(
        queries=SimpleNamespace(histories=histories),
        groups=users,
        truth=SimpleNamespace(indices=items[ends]),
    ), items


def test_users_are_drawn_alike_then_their_targets_from_the_fourth_position_on():
    part, items = examples([5, 3, 12, 6])
    draw = Draws(part, 4)
    histories, targets = draw(6000, np.random.default_rng(0))
    assert int(histories.lengths().min()) == 4
    assert np.array_equal(targets, items[histories.last.numpy()])
    # users 0, 2 and 3 have 1, 8 and 2 such targets, and a third of the draws each
    first, counts = np.unique(histories.first.numpy(), return_counts=True)
    assert first.tolist() == [0, 8, 20]
    assert abs(counts - 2000).max() < 200
    ends, of = np.unique(histories.last.numpy()[histories.first.numpy() == 8], return_counts=True)
    assert ends.tolist() == list(range(12, 20))
    assert abs(of - 250).max() < 100


@given(
    targets=st.lists(st.integers(0, 6), min_size=1, max_size=5),
    pool=st.lists(st.integers(0, 6), min_size=1, max_size=9),
)
def test_negatives_that_are_the_own_target_are_found(targets, pool):
    pool = sorted(pool)
    found = hits(np.array(targets), np.array(pool))
    slow = [[r, 1 + c] for r, t in enumerate(targets) for c, item in enumerate(pool) if item == t]
    assert found.tolist() == slow


# Loss, learned temperature, gradient.


def test_the_loss_of_scores_is_cross_entropy_without_what_is_the_target_itself():
    scores = torch.tensor([[0.5, 0.5, 0.1], [0.2, 0.4, 0.3]])
    found = loss_of(LOSSES["softmax"](temperature=0.1), scores, torch.tensor([[0, 1]]))
    # ln(1 + e^-4) and ln(1 + e^2 + e)
    expected = (math.log1p(math.exp(-4)) + math.log(1 + math.exp(2) + math.e)) / 2
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_a_learned_temperature_starts_at_ten_and_may_follow_the_rank():
    scores = torch.tensor([[0.5, 0.5, -1000.0], [0.5, -1000.0, -1000.0]])
    torch.testing.assert_close(Sharpness(by_rank=False)(scores).detach(), 10 * scores)
    sharp = Sharpness(by_rank=True)
    torch.testing.assert_close(sharp(scores).detach(), 10 * scores)
    with torch.no_grad():
        sharp.by_rank.fill_(2.0)
    # ranks 1 + 1 / 2 and 1: 10 / 1.5^2 and 10
    torch.testing.assert_close(sharp(scores)[:, 0].detach(), torch.tensor([0.5 * 10 / 2.25, 5.0]))


def slow_share(kind, b, scores, same, share):
    """The gradient of each negative from the equations: CE's share, Lambda's slope over x1."""
    on_top = on_all = 0.0
    for i, row in enumerate(scores):
        z = {j: b * (s - row[0]) for j, s in enumerate(row) if j and (i, j) not in same}
        if kind == "softmax":
            total = 1 + sum(math.exp(value) for value in z.values())
            pull = {j: b * math.exp(value) / total for j, value in z.items()}
        else:
            slope = {j: 1 / (1 + math.exp(-value)) for j, value in z.items()}
            rank = 1 + sum(slope.values())
            pull = {j: b * value / rank for j, value in slope.items()}
        hardest = sorted(z, key=z.get, reverse=True)[: round(share * (len(row) - 1))]
        on_top += sum(pull[j] for j in hardest)
        on_all += sum(pull.values())
    return on_top / on_all


@pytest.mark.parametrize(
    ("kind", "options"), [("softmax", {}), ("croloss", {"rank_kernel": "sigmoid"})]
)
@pytest.mark.parametrize("b", [3.0, 10.0])
def test_the_share_of_the_hardest_is_that_of_the_equations(kind, options, b):
    scores = np.random.default_rng(3).uniform(-1, 1, (5, 41)).astype(np.float32)
    scores[2, 7] = scores[2, 0]
    same = torch.tensor([[2, 7]])
    loss = LOSSES[kind](temperature=1 / b, **options)
    trainer = SimpleNamespace(
        scored=lambda: Scored(torch.from_numpy(scores), same),
        value=lambda batch: loss_of(loss, batch.scores, batch.same),
    )
    expected = slow_share(kind, b, scores.astype(float).tolist(), {(2, 7)}, 0.1)
    assert hardest_share(trainer, share=0.1, batches=2) == pytest.approx(expected, rel=1e-4)


# Steps.


def test_the_best_weights_are_restored_and_training_stops_when_patience_ends():
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)

    def steps(count, rate):
        for step in range(1, count + 1):
            with torch.no_grad():
                model.weight += rate
            yield step

    trainer = SimpleNamespace(model=model, sharpness=None, steps=steps)
    looks = iter([0.1, 0.3, 0.2, 0.3, 0.9])
    setup = Setup(steps=100, validate_every=10, patience=2)
    done = trained(trainer, setup, 1.0, lambda: next(looks))
    # an equal value is no better one, so that the fifth look never comes
    assert done == {"steps": 40, "best_step": 20}
    assert float(model.weight.detach()) == 20.0


@pytest.mark.parametrize("by_rank", [None, False, True])
def test_training_learns_what_follows_what(by_rank):
    part, _ = examples([60, 60, 60])  # item i is followed by item i + 1, of 7
    sharpness = None if by_rank is None else Sharpness(by_rank=by_rank)
    loss = LOSSES["softmax"](temperature=0.1 if by_rank is None else 1.0)
    trainer = Trainer(
        Vectors(7, 8, max_history=1, seed=0), Draws(part, 1), loss, sharpness,
        batch_size=32, negatives=2, seed=0,
    )  # fmt: skip
    looked = trainer.scored()
    assert looked.scores.shape == (32, 65)
    before = float(trainer.value(looked).detach())
    for _ in trainer.steps(60, 0.02):
        pass
    assert float(trainer.value(trainer.scored()).detach()) < before / 2
    if sharpness is not None:
        assert float(sharpness.log_b.detach()) != pytest.approx(math.log(10), abs=1e-3)
