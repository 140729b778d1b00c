"""An order of the pairs in which neighbours have similar items."""

import numpy as np
import pytest

from thresher.negatives.clusters import clustered_order


def unit(x):
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def vectors():
    """200 pairs around 10 far-apart directions, in random order."""
    draw = np.random.default_rng(0)
    group = draw.permutation(np.repeat(np.arange(10), 20))
    return group, unit(np.eye(10, 12)[group] + 0.01 * draw.normal(size=(200, 12)))


@pytest.mark.parametrize("size", [1, 5, 20, 1000])
def test_every_pair_stands_in_the_order_once(vectors, size):
    order = clustered_order(vectors[1], size=size, generator=np.random.default_rng(1))
    assert order.dtype == np.int64
    assert sorted(order.tolist()) == list(range(200))


def test_neighbours_are_alike(vectors):
    group, x = vectors
    order = clustered_order(x, size=5, generator=np.random.default_rng(1))
    alike = np.mean(group[order][1:] == group[order][:-1])
    # 40 centres for 10 groups: neighbours differ only where one of the 40 clusters ends
    assert alike > 0.75
    shuffled = np.random.default_rng(2).permutation(200)
    assert np.mean(group[shuffled][1:] == group[shuffled][:-1]) < 0.25


def test_a_size_above_the_pairs_is_one_group_in_random_order(vectors):
    order = clustered_order(vectors[1], size=1000, generator=np.random.default_rng(1))
    assert not np.array_equal(order, np.arange(200))


def test_the_generator_decides(vectors):
    orders = [
        clustered_order(vectors[1], size=5, generator=np.random.default_rng(seed))
        for seed in (1, 1, 2)
    ]
    assert np.array_equal(orders[0], orders[1])
    assert not np.array_equal(orders[0], orders[2])


def test_more_pairs_than_a_block():
    x = unit(np.random.default_rng(0).normal(size=(5000, 4)))
    order = clustered_order(x, size=64, generator=np.random.default_rng(1))
    assert sorted(order.tolist()) == list(range(5000))


def test_one_pair():
    order = clustered_order(unit(np.ones((1, 3))), size=64, generator=np.random.default_rng(1))
    assert order.tolist() == [0]
