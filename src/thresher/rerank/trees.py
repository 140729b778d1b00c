"""Boosted trees over pair features: what no sum of weighted features can say."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from thresher.errors import InputError
from thresher.rerank import weighing

OPTIONS: Mapping[str, Any] = {
    "max_iter": 150,
    "max_bins": 63,
    "learning_rate": 0.06,
    "max_leaf_nodes": 16,
    "min_samples_leaf": 40,
    "l2_regularization": 5.0,
    "early_stopping": False,
    "random_state": 0,
}


@dataclass(frozen=True)
class Trees:
    """Gradient-boosted trees, each a run of nodes in flat arrays.

    Equation:   logit(x) = baseline + sum over trees of the value of the leaf that x falls into
    Source:     Friedman 2001, Annals of Statistics 29(5); fitted by scikit-learn's
                `HistGradientBoostingClassifier`, kept as arrays, so that nothing is pickled.

    Args:
        start: where the nodes of each tree begin.
        feature: that a node looks at; -1 for a leaf.
        threshold: values up to it go left.
        left: the node to go on at, within its tree.
        right: the same for larger values.
        value: of a leaf, in log odds.
        baseline: log odds before any tree.
    """

    start: Int64[np.ndarray, " T1"]
    feature: Int64[np.ndarray, " N"]
    threshold: Float64[np.ndarray, " N"]
    left: Int64[np.ndarray, " N"]
    right: Int64[np.ndarray, " N"]
    value: Float64[np.ndarray, " N"]
    baseline: Float64[np.ndarray, " 1"]

    @classmethod
    def fit(
        cls,
        features: Float32[np.ndarray, "Q k F"],
        correct: Bool[np.ndarray, "Q k"],
        missing: Bool[np.ndarray, "Q k"],
        weight: Float64[np.ndarray, " Q"],
    ) -> "Trees":
        """Fit on every candidate by itself: is it the match?

        Args:
            features: of the candidates.
            correct: whether each is a true item of its query.
            missing: places without a candidate.
            weight: of each query.
        """
        from sklearn.ensemble import HistGradientBoostingClassifier  # slow to import

        here = ~missing
        model = HistGradientBoostingClassifier(**OPTIONS)
        # Where all weigh 1 the trees are the same without weights, in less than half the time.
        each = None if (weight == 1).all() else weight[np.nonzero(here)[0]]
        model.fit(features[here], correct[here], sample_weight=each)
        nodes = [stage[0].nodes for stage in model._predictors]
        together = np.concatenate(nodes)
        leaf = together["is_leaf"].astype(bool)
        return cls(
            np.concatenate([[0], np.cumsum([len(n) for n in nodes])]).astype(np.int64),
            np.where(leaf, -1, together["feature_idx"]).astype(np.int64),
            together["num_threshold"].astype(np.float64),
            together["left"].astype(np.int64),
            together["right"].astype(np.int64),
            together["value"].astype(np.float64),
            np.array(model._baseline_prediction, np.float64).reshape(1),
        )

    def logits(self, features: Float32[np.ndarray, "Q k F"]) -> Float32[np.ndarray, "Q k"]:
        """The log odds of each candidate, right or wrong by itself."""
        rows = np.ascontiguousarray(features.reshape(-1, features.shape[-1]), np.float32)
        out = np.full(len(rows), self.baseline[0])
        weighing.add_trees(rows, self._splits, out)
        return out.reshape(features.shape[:-1]).astype(np.float32)

    @cached_property
    def _splits(self) -> tuple[np.ndarray, ...]:
        """The arrays of `weighing.add_trees`; InputError for what are no trees of their size."""
        size = np.diff(self.start)
        place = np.arange(len(self.feature)) - np.repeat(self.start[:-1], size)
        splits = self.feature >= 0
        last = np.repeat(size, size)[splits]
        after = all(
            ((side[splits] > place[splits]) & (side[splits] < last)).all()
            for side in (self.left, self.right)
        )
        if not after or (size > 2 * weighing.LEAVES - 1).any():
            raise InputError("the trees of the re-ranker are damaged; calibrate again")
        mask = np.full(len(self.feature), np.iinfo(np.uint32).max, np.uint32)
        leaf = np.zeros((len(self.start) - 1, weighing.LEAVES), np.int64)
        weighing.leaf_masks(self.start, self.feature, self.left, self.right, mask, leaf)
        start = np.concatenate([[0], np.cumsum(splits)])[self.start]
        # A value in single precision is above a threshold where it is above the highest one in
        # single precision that the threshold reaches.
        bar = self.threshold.astype(np.float32)
        bar = np.where(bar > self.threshold, np.nextafter(bar, np.float32(-np.inf)), bar)
        return (start, self.feature[splits], bar[splits], mask[splits], self.value[leaf])

    def arrays(self) -> dict[str, np.ndarray]:
        """What there is to save; the arguments of the class."""
        return {f.name: getattr(self, f.name) for f in fields(self)}
