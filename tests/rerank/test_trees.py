"""Boosted trees in flat arrays."""

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier

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
