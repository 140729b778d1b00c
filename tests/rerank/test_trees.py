"""Boosted trees in flat arrays."""

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from thresher.errors import InputError
from thresher.rerank.trees import OPTIONS, Trees


def test_the_leaves_by_hand():
    # Two trees: one node that asks feature 1, and one that is a leaf.
    trees = Trees(
        start=np.array([0, 3, 4]),
        feature=np.array([1, -1, -1, -1]),
        threshold=np.array([0.5, 0.0, 0.0, 0.0]),
        left=np.array([1, 0, 0, 0]),
        right=np.array([2, 0, 0, 0]),
        value=np.array([9.0, -1.0, 2.0, 0.25]),
        baseline=np.array([10.0]),
    )
    rows = np.array([[[7.0, 0.5], [7.0, 0.6]]], np.float32)
    assert trees.logits(rows).tolist() == [[9.25, 12.25]]


def test_as_the_library_that_fitted_them():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 4, 5)).astype(np.float32)
    correct = (x[..., 0] * x[..., 1] + rng.normal(size=(300, 4)) * 0.3) > 0
    missing = rng.random((300, 4)) < 0.2
    weight = rng.random(300)
    here = ~missing
    peer = HistGradientBoostingClassifier(**OPTIONS)
    peer.fit(x[here], correct[here], sample_weight=np.repeat(weight, here.sum(axis=1)))
    found = Trees.fit(x, correct, missing, weight).logits(x)
    np.testing.assert_allclose(found[here], peer.decision_function(x[here]), rtol=1e-5, atol=1e-5)


def grown(rng, leaves):
    """The nodes of a random tree, children behind their parents, in random order otherwise."""
    left, right, open_leaves = [0], [0], [0]
    while len(open_leaves) < leaves:
        node = open_leaves.pop(rng.integers(len(open_leaves)))
        left[node], right[node] = len(left), len(left) + 1
        open_leaves += [len(left), len(left) + 1]
        left += [0, 0]
        right += [0, 0]
    return left, right


def walked(trees, row):
    """The equation, a node at a time."""
    total = trees.baseline[0]
    for first in trees.start[:-1]:
        node = first
        while trees.feature[node] >= 0:
            small = row[trees.feature[node]] <= trees.threshold[node]
            node = first + (trees.left[node] if small else trees.right[node])
        total += trees.value[node]
    return total


def test_random_trees_as_a_walk_from_node_to_node_also_at_thresholds():
    rng = np.random.default_rng(1)
    values = rng.normal(size=40).astype(np.float32)
    # In single precision, and in double just below and above, where rounding would err.
    bars = np.concatenate([values, values - 1e-12 * abs(values), values + 1e-12 * abs(values)])
    shapes = [grown(rng, leaves) for leaves in [1, 2, 3, 16, 31, 32, 32]]
    left, right = (np.concatenate([np.array(s[side]) for s in shapes]) for side in (0, 1))
    trees = Trees(
        start=np.cumsum([0, *(len(s[0]) for s in shapes)]),
        feature=np.where(left > 0, rng.integers(3, size=len(left)), -1),
        threshold=rng.choice(bars.astype(np.float64), len(left)),
        left=left,
        right=right,
        value=rng.normal(size=len(left)),
        baseline=np.array([0.5]),
    )
    rows = rng.choice(values, (50, 3, 3))
    expected = np.array([walked(trees, row) for row in rows.reshape(-1, 3)]).reshape(50, 3)
    np.testing.assert_array_equal(trees.logits(rows), expected.astype(np.float32))


@pytest.mark.parametrize("wrong", [{"left": [0, 0, 0]}, {"right": [3, 0, 0]}])
def test_nodes_that_lead_nowhere_are_refused(wrong):
    nodes = {"feature": [0, -1, -1], "left": [1, 0, 0], "right": [2, 0, 0], **wrong}
    arrays = {name: np.array(values) for name, values in nodes.items()}
    trees = Trees(
        start=np.array([0, 3]), threshold=np.zeros(3), value=np.ones(3), baseline=np.zeros(1),
        **arrays,
    )  # fmt: skip
    with pytest.raises(InputError, match="the trees of the re-ranker are damaged"):
        trees.logits(np.zeros((1, 1, 1), np.float32))
