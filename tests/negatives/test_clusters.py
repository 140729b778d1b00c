"""Groups of look-alikes of one size, and an order of the pairs that keeps them together."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thresher.negatives import clusters
from thresher.negatives.clusters import balanced_tree, clustered_order


def balanced_groups(x, *, size, generator):
    return balanced_tree(x, leaves=-(-len(x) // size), generator=generator)


def unit(x):
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def random_vectors(rows, width=4, seed=0):
    return unit(np.random.default_rng(seed).normal(size=(rows, width)))


@pytest.fixture
def vectors():
    """200 pairs around 10 far-apart directions, in random order."""
    draw = np.random.default_rng(0)
    group = draw.permutation(np.repeat(np.arange(10), 20))
    return group, unit(np.eye(10, 12)[group] + 0.01 * draw.normal(size=(200, 12)))


def ngame(x, rows, size, draw):
    """The tree as the paper grows it: one node at a time, all its rows, until nothing improves."""
    if len(rows) <= size:
        return [rows]
    centres, before, gain = x[draw.choice(rows, 2, replace=False)], -np.inf, np.inf
    while gain > 1e-4:
        near = x[rows] @ centres.T
        left, right = np.array_split(np.argsort(near[:, 1] - near[:, 0]), 2)
        now = (near[left, 0].sum() + near[right, 1].sum()) / len(rows)
        before, gain = now, now - before
        centres = unit(np.stack([x[rows[left]].mean(0), x[rows[right]].mean(0)]))
    return ngame(x, rows[left], size, draw) + ngame(x, rows[right], size, draw)


def closeness(x, groups):
    """Mean cosine of the rows to the centre of their group: (sum of x . c) = |sum of x|."""
    return sum(np.linalg.norm(x[rows].sum(axis=0)) for rows in groups) / len(x)


def members(groups):
    return [np.flatnonzero(groups == number) for number in range(groups.max() + 1)]


@given(rows=st.integers(1, 90), share=st.floats(0, 1), seed=st.integers(0, 5), same=st.booleans())
def test_the_leaves_are_all_there_and_differ_by_one_row_at_most(rows, share, seed, same):
    leaves = max(1, round(share * rows))
    x = np.ones((rows, 4), np.float32) / 2 if same else random_vectors(rows, seed=seed)
    groups = balanced_tree(x, leaves=leaves, generator=np.random.default_rng(seed))
    assert groups.dtype == np.int64
    counts = np.bincount(groups)
    assert len(groups) == rows
    assert len(counts) == leaves
    assert counts.max() - counts.min() <= 1


@given(rows=st.integers(0, 90), size=st.integers(1, 100))
def test_groups_hold_a_size_at_most(rows, size):
    groups = balanced_groups(random_vectors(rows), size=size, generator=np.random.default_rng(0))
    counts = np.bincount(groups)
    assert len(counts) == int(np.ceil(rows / size))
    assert rows == 0 or size - size / len(counts) - 1 < counts.min() <= counts.max() <= size


def test_more_rows_than_are_copied_at_a_time(monkeypatch):
    x = random_vectors(1000, width=6)
    whole = members(balanced_groups(x, size=10, generator=np.random.default_rng(0)))
    monkeypatch.setattr(clusters, "_ROWS", 64)
    groups = members(balanced_groups(x, size=10, generator=np.random.default_rng(0)))
    assert {len(rows) for rows in groups} == {10}
    # Centres from 64 drawn rows of up to 1,000 are nearly as good as centres from all.
    assert closeness(x, groups) > 0.95 * closeness(x, whole)


@pytest.mark.parametrize("alike", [True, False])
def test_groups_are_as_tight_as_those_of_the_paper(alike):
    draw, rows = np.random.default_rng(3), 2048
    x = unit(draw.normal(size=(rows, 32)))
    if alike:  # 100 directions of uneven popularity
        popular = draw.choice(100, rows, p=draw.dirichlet(np.ones(100)))
        x = unit(x[popular] + 0.1 * draw.normal(size=(rows, 32)))
    ours, theirs = [], []
    for seed in range(3):
        groups = balanced_groups(x, size=32, generator=np.random.default_rng(seed))
        ours.append(closeness(x, members(groups)))
        theirs.append(closeness(x, ngame(x, np.arange(rows), 32, np.random.default_rng(seed))))
    assert np.mean(ours) > 0.98 * np.mean(theirs)
    shuffled = draw.permutation(np.repeat(np.arange(rows // 32), 32))
    assert np.mean(ours) > 1.5 * closeness(x, members(shuffled))


def test_a_separable_set_is_parted_into_its_clusters(vectors):
    # 8 of the 10 directions: a power of two, so that no cluster lies across a cut
    group, x = vectors
    some = group < 8
    found = balanced_tree(x[some], leaves=8, generator=np.random.default_rng(0))
    assert len({*zip(found.tolist(), group[some].tolist(), strict=True)}) == 8


def test_the_generator_and_the_vectors_decide():
    x = random_vectors(300)
    first, again, other = (
        balanced_groups(x, size=7, generator=np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_the_vectors_are_not_copied():
    x = random_vectors(40_000, width=64)
    tracemalloc.start()
    balanced_groups(x, size=64, generator=np.random.default_rng(0))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # 10 MB of vectors; 8,192 of them are 2 MB, and there are 40,000 numbers of rows
    assert peak < 0.75 * x.nbytes


@pytest.mark.parametrize("size", [1, 5, 20, 1000])
def test_every_pair_stands_in_the_order_once(vectors, size):
    order = clustered_order(vectors[1], size=size, generator=np.random.default_rng(1))
    assert order.dtype == np.int64
    assert sorted(order.tolist()) == list(range(200))


def test_neighbours_are_alike(vectors):
    group, x = vectors
    order = clustered_order(x, size=5, generator=np.random.default_rng(1))
    alike = np.mean(group[order][1:] == group[order][:-1])
    # 40 leaves of 5 for 10 groups of 20: neighbours differ where a leaf ends, 39 of 199 times, and
    # within a leaf that lies across a cut
    assert alike > 0.7
    shuffled = np.random.default_rng(2).permutation(200)
    assert np.mean(group[shuffled][1:] == group[shuffled][:-1]) < 0.25


def test_groups_follow_one_another_whole_in_random_order():
    x = random_vectors(64)
    groups = balanced_groups(x, size=8, generator=np.random.default_rng(1))
    order = clustered_order(x, size=8, generator=np.random.default_rng(1))
    blocks = groups[order].reshape(8, 8)
    assert (blocks == blocks[:, :1]).all()
    assert sorted(blocks[:, 0].tolist()) == list(range(8))
    assert blocks[:, 0].tolist() != list(range(8))
    assert not all(rows.tolist() == sorted(rows.tolist()) for rows in order.reshape(8, 8))


@pytest.mark.parametrize("size", [1, 1000])
def test_groups_of_one_and_one_group_are_a_random_order(vectors, size):
    orders = [
        clustered_order(vectors[1], size=size, generator=np.random.default_rng(seed)).tolist()
        for seed in (1, 1, 2)
    ]
    assert orders[0] == orders[1] != orders[2]
    assert orders[0] != list(range(200))


@pytest.mark.parametrize("pairs", [0, 1])
def test_hardly_any_pairs(pairs):
    x = unit(np.ones((pairs, 3)))
    order = clustered_order(x, size=64, generator=np.random.default_rng(1))
    assert order.tolist() == [*range(pairs)]
