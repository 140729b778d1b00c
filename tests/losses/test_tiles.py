import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oracles.matchings import links, total, unit
from oracles.memory import Largest
from thresher.losses import LOSSES, Softmax, pairs, tcm, tiles
from thresher.types import Matching

POS = [(4, 1), (0, 1), (8, 13), (0, 2), (2, 5), (7, 7), (4, 0)]
DROP = [(8, 8), (0, 3), (2, 2), (1, 1)]
# Margins and weights with which no part of a loss is empty.
OPTIONS = {
    "hinge": {"hardest": 3, "margin": 1.0},
    "prototype": {"margin": 0.5},
    "tcm": {"margin_neg": 0.0},
    "alc": {"dim": 5, "hardest": 3},
}


def make(name):
    loss = LOSSES[name](**OPTIONS.get(name, {}))
    return loss.double() if isinstance(loss, torch.nn.Module) else loss


def matching(*, frozen=(), shared=False):
    left, right = unit(9, 5, seed=0), unit(14, 5, seed=1)
    for name, x in (("left", left), ("right", right)):
        x.requires_grad_(name not in frozen)
    return Matching(left, right, links(POS, DROP), shared)


@pytest.fixture(params=[1, 14, 40, 14 * 9, 2**24])
def tile_size(request, monkeypatch):
    """From less than a row to more than all."""
    monkeypatch.setattr(tiles, "NUMBERS", request.param)
    monkeypatch.setattr(pairs, "NUMBERS", request.param)
    return request.param


def test_tiles_hold_each_row_once_with_its_pairs(tile_size):
    m = matching()
    scores, pos, drop = [], [], []
    for tile in tiles.tiles(m):
        assert len(tile.scores) == tile.rows.stop - tile.rows.start == len(m.left[tile.rows])
        assert tile.scores.numel() <= max(tile_size, 14)
        scores.append(tile.scores.clone())
        for found, (rows, columns) in ((pos, tile.pos), (drop, tile.ignored)):
            found += zip((rows + tile.rows.start).tolist(), columns.tolist(), strict=True)
    torch.testing.assert_close(torch.cat(scores), (m.left @ m.right.T).detach())
    assert sorted(pos) == sorted(POS)
    assert sorted(drop) == sorted(DROP)


def test_the_negatives_of_a_tile_are_all_others():
    m = matching()
    (tile,) = tiles.tiles(m)
    assert torch.equal(tile.negatives() > -torch.inf, m.negatives())


@pytest.mark.parametrize("name", LOSSES)
def test_tiles_of_any_size_give_the_same_sums_and_gradients(name, tile_size):
    def run():
        m, loss = matching(), make(name)
        parts = loss.ratios(m)
        total(parts).backward()
        weights = loss.parameters() if isinstance(loss, torch.nn.Module) else ()
        return [x.detach() for r in parts.values() for x in r], [
            x.grad for x in (m.left, m.right, *weights)
        ]

    got = run()
    with pytest.MonkeyPatch.context() as large:
        large.setattr(tiles, "NUMBERS", 2**24)
        large.setattr(pairs, "NUMBERS", 2**24)
        want = run()
    for a, b in zip((*got[0], *got[1]), (*want[0], *want[1]), strict=True):
        assert b.abs().sum() > 0
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("sparse", [0, 10**6])
def test_losses_that_share_their_scores_have_the_gradients_of_each_alone(sparse, monkeypatch):
    monkeypatch.setattr(tcm, "SPARSE", sparse)
    together, alone = matching(shared=True), matching()
    for name in LOSSES:
        parts, wanted = (make(name).ratios(m) for m in (together, alone))
        for part, (num, den) in wanted.items():
            torch.testing.assert_close(parts[part].num, num)
            assert parts[part].den == den
    for m in (together, alone):
        sum(n * total(make(name).ratios(m)) for n, name in enumerate(LOSSES, 1)).backward()
    torch.testing.assert_close(together.left.grad, alone.left.grad)
    torch.testing.assert_close(together.right.grad, alone.right.grad)


@pytest.mark.parametrize("name", LOSSES)
def test_memory_is_bounded_by_the_tile(name, monkeypatch):
    monkeypatch.setattr(tiles, "NUMBERS", 4 * 512)
    rows, columns, dim = 64, 512, 4
    q = unit(rows, dim, seed=0, dtype=torch.float32).requires_grad_()
    c = unit(columns, dim, seed=1, dtype=torch.float32).requires_grad_()
    options = OPTIONS.get(name, {}) | ({"dim": dim, "hardest": 1} if name == "alc" else {})
    loss = LOSSES[name](**options)
    with Largest() as largest:
        total(loss.ratios(Matching(q, c, links([(i, i) for i in range(rows)])))).backward()
    # Q x C would be 32,768.
    assert largest.numbers == 4 * 512


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("frozen", ["left", "right"])
def test_a_frozen_side_gets_no_gradient_and_the_other_its_own(name, frozen):
    both, one = matching(), matching(frozen=[frozen])
    for m in (both, one):
        total(make(name).ratios(m)).backward()
    other = "right" if frozen == "left" else "left"
    assert getattr(one, frozen).grad is None
    torch.testing.assert_close(getattr(one, other).grad, getattr(both, other).grad)


@given(factor=st.floats(-3, 3))
@settings(max_examples=10, deadline=None)
def test_gradients_are_scaled_by_what_comes_after(factor):
    once, scaled = matching(), matching()
    Softmax().ratios(once)[""].num.backward()
    (factor * Softmax().ratios(scaled)[""].num).backward()
    torch.testing.assert_close(scaled.left.grad, factor * once.left.grad)
    torch.testing.assert_close(scaled.right.grad, factor * once.right.grad)


def test_backward_twice_adds_the_gradient_twice():
    once, twice = matching(), matching()
    Softmax().ratios(once)[""].num.backward()
    num = Softmax().ratios(twice)[""].num
    num.backward(retain_graph=True)
    num.backward()
    torch.testing.assert_close(twice.right.grad, 2 * once.right.grad)


def test_a_second_derivative_is_refused_rather_than_wrong():
    m = matching()
    (first,) = torch.autograd.grad(Softmax().ratios(m)[""].num, m.left, create_graph=True)
    with pytest.raises(RuntimeError, match="does not require grad"):
        first.sum().backward()
