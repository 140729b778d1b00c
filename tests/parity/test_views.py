"""A step on features and views of them: in chunks as at once, and both views reach the tower."""

import pytest
import torch

from parity.scenario import Featured, featured_objective, featured_share, parameters
from thresher.objective import Objective, Term
from thresher.train.step import cached_step, plain_step


def run(step, batch=None, **options):
    towers, goal = Featured(**options), featured_objective()
    with torch.random.fork_rng():
        torch.manual_seed(11)
        logs = step(towers, featured_share() if batch is None else batch, goal)
    return logs, [p.grad.to_dense() for p in parameters(towers, goal)]


def cached(chunk):
    return lambda *args: cached_step(*args, mini_batch_size=chunk)


def assert_same(a, b):
    (logs, gradients), (other_logs, other_gradients) = a, b
    assert logs == pytest.approx(other_logs, rel=1e-5)
    for x, y in zip(gradients, other_gradients, strict=True):
        torch.testing.assert_close(x, y, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("chunk", [1, 5, 100])
def test_the_cached_step_equals_the_plain_step(chunk):
    assert_same(run(plain_step), run(cached(chunk)))


DROPOUT = {"dropout": 0.3, "feature_dropout": 0.3}


def test_with_dropout_one_chunk_of_everything_equals_the_plain_step():
    with_dropout = run(plain_step, **DROPOUT)
    assert_same(with_dropout, run(cached(100), **DROPOUT))
    assert with_dropout[0]["total"] != pytest.approx(run(plain_step)[0]["total"], rel=1e-3)


@pytest.mark.parametrize("chunk", [1, 5])
def test_what_is_left_out_is_replayed(chunk):
    towers, seen = Featured(**DROPOUT), []

    def spy(name, rows):
        vectors = towers(name, rows)
        seen.append((name, vectors.detach().clone()))
        return vectors

    cached_step(spy, featured_share(), featured_objective(), mini_batch_size=chunk)
    first, second = seen[: len(seen) // 2], seen[len(seen) // 2 :]
    assert {name for name, _ in first} == {"query", "item", "view_a", "view_b", "alone"}
    assert [name for name, _ in first] == [name for name, _ in second]
    assert all(torch.equal(a, b) for (_, a), (_, b) in zip(first, second, strict=True))


def test_each_term_reaches_the_tower_and_one_that_is_not_read_does_not():
    batch, found = featured_share(), []
    for term in featured_objective().terms:
        towers = Featured()
        plain_step(towers, batch, Objective([Term(term.name, term.loss, term.links)]))
        found.append(towers.tower.defaults["item"].grad.clone())
    # the views have a default for what is hidden, the items as they are for what is missing alone
    assert all(gradient.abs().sum() > 0 for gradient in found)
    assert not torch.allclose(found[0], found[1])
