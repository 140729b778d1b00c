import math

import numpy as np
import pytest
import torch

from thresher.towers.windows import CausalAttention, Mean, Recurrent

DIM, LONGEST = 4, 6


def events(n=3, columns=5, seed=0):
    return torch.randn(n, columns, DIM, generator=torch.Generator().manual_seed(seed))


def encoder(kind, layers=1, dropout=0.0, seed=0):
    made = {
        "mean": Mean,
        "gru": lambda: Recurrent(DIM, layers=layers, dropout=dropout),
        "attention": lambda: CausalAttention(
            DIM, layers=layers, heads=2, max_history=LONGEST, dropout=dropout
        ),
    }[kind]()
    generator = torch.Generator().manual_seed(seed)
    made.start(generator)
    # Some parts start at 0; away from that nothing is hidden.
    with torch.no_grad():
        for parameter in made.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator)
    return made.eval()


KINDS = ["mean", "gru", "attention"]


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_what_fills_a_row_up_does_nothing(kind, layers):
    x, lengths = events(), torch.tensor([5, 1, 3])
    made = encoder(kind, layers)
    other = x.clone()
    other[1, 1:], other[2, 3:] = 50, -7
    torch.testing.assert_close(made(other, lengths), made(x, lengths))
    for row, length in enumerate(lengths.tolist()):
        alone = made(x[row : row + 1, :length], lengths[row : row + 1])
        torch.testing.assert_close(alone[0], made(x, lengths)[row])


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("kind", ["gru", "attention"])
def test_an_event_knows_only_those_up_to_it(kind, layers):
    x = events(1)
    made = encoder(kind, layers)
    before = made.states(x, torch.tensor([5]))
    changed = x.clone()
    changed[0, 3, 0] += 1  # of all numbers alike a norm would see nothing
    after = made.states(changed, torch.tensor([5]))
    torch.testing.assert_close(after[0, :3], before[0, :3])
    assert ((after - before)[0, 3:].abs().sum(1) > 1e-4).all()


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_the_state_after_an_event_is_the_user_who_had_no_more(kind, layers):
    x = events()
    made = encoder(kind, layers)
    states = made.states(x, torch.tensor([5, 5, 5]))
    for last in range(5):
        alone = made(x[:, : last + 1], torch.full((3,), last + 1))
        torch.testing.assert_close(states[:, last], alone)


def test_a_mean_by_hand():
    x = torch.tensor([[[1.0, 2.0], [3.0, -4.0], [9.0, 9.0]]])
    # (1 + 3) / 2, (2 - 4) / 2; the third stands behind the end.
    assert Mean()(x, torch.tensor([2])).tolist() == [[2, -1]]
    assert Mean().states(x, torch.tensor([2]))[0, :2].tolist() == [[1, 2], [2, -1]]


def test_attention_against_a_loop_over_its_equation():
    made, x, length = encoder("attention"), events(1, 4), 3
    w = {name: p.detach().double().numpy() for name, p in made.named_parameters()}

    def affine(name, v):
        return w[f"layers.0.{name}.weight"] @ v + w[f"layers.0.{name}.bias"]

    def norm(number, v):
        standard = (v - v.mean()) / math.sqrt(v.var() + 1e-5)
        return standard * w[f"layers.0.norms.{number}.weight"] + w[f"layers.0.norms.{number}.bias"]

    e = x[0].double().numpy()
    ask = affine("asks", norm(0, e[length - 1]))
    both = [affine("seen", norm(0, v)) for v in e[:length]]
    found = np.zeros(DIM)
    for head, part in enumerate((slice(0, 2), slice(2, 4))):  # two heads of two numbers
        by_age = w["layers.0.ages"][length - 1 - np.arange(length), head]
        scores = [ask[part] @ v[:DIM][part] / math.sqrt(2) for v in both] + by_age
        shares = np.exp(scores) / np.exp(scores).sum()
        found[part] = sum(a * v[DIM:][part] for a, v in zip(shares, both, strict=True))
    y = e[length - 1] + affine("attended", found)
    y = y + affine("out", np.maximum(affine("hidden", norm(1, y)), 0))
    np.testing.assert_allclose(made(x, torch.tensor([length]))[0].detach().numpy(), y, atol=1e-5)


def test_a_recurrent_unit_against_a_loop_over_its_equation():
    made, x = encoder("gru"), events(1, 3)
    w = {name: p.detach().double().numpy() for name, p in made.named_parameters()}
    h = np.zeros(DIM)
    for e in x[0].double().numpy():
        given = w["unit.weight_ih_l0"] @ e + w["unit.bias_ih_l0"]
        own = w["unit.weight_hh_l0"] @ h + w["unit.bias_hh_l0"]
        r, z = (1 / (1 + np.exp(-(given + own)[i * DIM : (i + 1) * DIM])) for i in range(2))
        n = np.tanh(given[2 * DIM :] + r * own[2 * DIM :])
        h = (1 - z) * n + z * h
    np.testing.assert_allclose(made(x, torch.tensor([3]))[0].detach().numpy(), h, atol=1e-5)


def test_untrained_attention_is_the_last_event():
    made = CausalAttention(DIM, layers=2, heads=1, max_history=LONGEST, dropout=0.0)
    made.start(torch.Generator().manual_seed(0))
    x = events()
    last = x[[0, 1, 2], [4, 1, 0]]
    torch.testing.assert_close(made(x, torch.tensor([5, 2, 1])), last)


@pytest.mark.parametrize("kind", ["gru", "attention"])
def test_dropout_is_for_training_and_the_seed_decides_the_start(kind):
    made, x, lengths = encoder(kind, dropout=0.5), events(), torch.tensor([5, 1, 3])
    assert torch.equal(made(x, lengths), made(x, lengths))
    assert torch.equal(encoder(kind)(x, lengths), made(x, lengths))
    assert not torch.equal(encoder(kind, seed=1)(x, lengths), made(x, lengths))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made.train()
        assert not torch.equal(made(x, lengths), made(x, lengths))
