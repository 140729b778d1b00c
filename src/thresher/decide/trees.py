"""Boosted trees as plain arrays: fitted by scikit-learn, evaluated and stored without it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int32, Int64, Shaped
from scipy.special import expit

from thresher.errors import InputError

ROWS = 8192
"""Rows evaluated at a time: their columns stay in the processor's cache."""


@dataclass(frozen=True)
class Trees:
    """A sum of decision trees that turns features into the probability of being right.

    Equation:  P(right | x) = sigmoid(prior + sum over trees of the value of the leaf x falls in);
               x goes left at a node if x[feature] <= threshold.
    Source:    Friedman 2001, Annals of Statistics 29(5), as fitted by scikit-learn's
               GradientBoostingClassifier; the learning rate is multiplied into the values.

    The nodes of all trees stand in one list, each before its children.

    Args:
        feature: column that a node asks; -1 for a leaf.
        threshold: largest value that goes left. A comparison with scikit-learn's float64 threshold
            is the same as with the largest float32 not above it, since features are float32.
        left: node number of the left child; -1 for a leaf.
        right: node number of the right child; -1 for a leaf.
        value: log-odds added by a leaf; 0 at other nodes.
        roots: node number of the first node of each tree.
        prior: log-odds before any tree.
        columns: number of features.
    """

    feature: Int32[np.ndarray, " M"]
    threshold: Float32[np.ndarray, " M"]
    left: Int32[np.ndarray, " M"]
    right: Int32[np.ndarray, " M"]
    value: Float64[np.ndarray, " M"]
    roots: Int64[np.ndarray, " T"]
    prior: float
    columns: int

    def predict(self, features: Float[np.ndarray, "Q F"]) -> Float64[np.ndarray, " Q"]:
        """Give each row its probability of being right.

        Every node looks at all rows of a block at once, which costs a comparison and a choice a
        row and is much faster than to follow single rows, as long as the trees are shallow.

        Args:
            features: one row per answer; converted to float32.

        Returns:
            Probabilities in (0, 1).

        Memory: O(ROWS * (F + depth)).

        Raises:
            InputError: if the number of columns is another, or a feature is not finite.
        """
        if features.shape[1] != self.columns:
            raise InputError(
                f"Got {features.shape[1]} features, the trees were fitted on {self.columns}."
            )
        odds = np.empty(len(features), np.float64)
        for start in range(0, len(features), ROWS):
            block = _single(features[start : start + ROWS])
            columns = np.ascontiguousarray(block.T)
            total = np.full(len(block), self.prior)
            for root in self.roots.tolist():
                total += self._fall(root, columns)
            odds[start : start + ROWS] = total
        return np.asarray(expit(odds))

    def _fall(self, node: int, columns: np.ndarray) -> np.ndarray:
        """Value of the leaf below a node for each row; a leaf itself has one value for all."""
        feature = int(self.feature[node])
        if feature < 0:
            return np.asarray(self.value[node])
        goes_left = columns[feature] <= self.threshold[node]
        left, right = int(self.left[node]), int(self.right[node])
        return np.where(goes_left, self._fall(left, columns), self._fall(right, columns))

    def to_arrays(self) -> dict[str, np.ndarray]:
        """The trees as named arrays, for safetensors or npz."""
        return {
            "feature": self.feature,
            "threshold": self.threshold,
            "left": self.left,
            "right": self.right,
            "value": self.value,
            "roots": self.roots,
            "prior": np.asarray([self.prior], np.float64),
            "columns": np.asarray([self.columns], np.int64),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Shaped[np.ndarray, "..."]]) -> "Trees":
        """Read trees from named arrays.

        Raises:
            InputError: if an array is missing, unknown, of another type or shape, or damaged.
        """
        types = {
            "feature": np.int32,
            "threshold": np.float32,
            "left": np.int32,
            "right": np.int32,
            "value": np.float64,
            "roots": np.int64,
            "prior": np.float64,
            "columns": np.int64,
        }
        if set(arrays) != set(types):
            raise InputError(
                f"Trees are stored as the arrays {sorted(types)}, not {sorted(arrays)}: fit the "
                "confidence again."
            )
        wrong = [n for n, t in types.items() if arrays[n].dtype != t or arrays[n].ndim != 1]
        if wrong or any(len(arrays[name]) != 1 for name in ("prior", "columns")):
            raise InputError(
                f"The arrays {wrong or ['prior', 'columns']} have another type or shape than trees "
                "are stored with: fit the confidence again."
            )
        if not _sound(arrays):
            raise InputError(
                f"The arrays of {len(arrays['roots'])} trees and {len(arrays['feature'])} nodes "
                "are damaged: fit the confidence again."
            )
        several = {name: arrays[name] for name in types if name not in ("prior", "columns")}
        return cls(**several, prior=float(arrays["prior"][0]), columns=int(arrays["columns"][0]))


def _sound(arrays: Mapping[str, np.ndarray]) -> bool:
    """Whether the arrays describe trees: no node or column that is not there, and no cycle."""
    feature, left, right, roots = (arrays[n] for n in ("feature", "left", "right", "roots"))
    nodes = len(feature)
    if any(len(arrays[n]) != nodes for n in ("threshold", "left", "right", "value")):
        return False
    here = np.arange(nodes)
    below = [(child > here) & (child < nodes) | (feature < 0) for child in (left, right)]
    numbers = (arrays[n] for n in ("threshold", "value", "prior"))
    return bool(
        np.all(below)
        and np.all(feature < arrays["columns"])
        and np.all((roots >= 0) & (roots < nodes))
        and all(np.isfinite(number).all() for number in numbers)
    )


def fit_trees(
    features: Float[np.ndarray, "Q F"],
    correct: Bool[np.ndarray, " Q"],
    *,
    trees: int = 200,
    depth: int = 4,
    learning_rate: float = 0.05,
    subsample: float = 0.5,
    max_features: int = 8,
    seed: int = 0,
) -> Trees:
    """Learn from labelled answers how probable it is that an answer is right.

    Source:    Friedman 2002, "Stochastic gradient boosting", Comp. Stat. Data Anal. 38(4), by
               scikit-learn's GradientBoostingClassifier.

    Args:
        features: one row per answer; converted to float32.
        correct: whether each answer is right.
        trees: number of trees; 100-300 is usual.
        depth: questions from the root to a leaf; 3-4 is usual.
        learning_rate: weight of each tree, a fraction; 0.05-0.1 is usual.
        subsample: share of the rows that each tree sees, a fraction; bounds the time.
        max_features: features that each split may choose from; bounds the time.
        seed: of the samples of rows and features.

    Returns:
        The trees, without any object of scikit-learn.

    Raises:
        InputError: if all labels are equal, the lengths differ, or a feature is not finite.
    """
    from sklearn.ensemble import GradientBoostingClassifier

    if len(features) != len(correct):
        raise InputError(f"Got {len(features)} rows of features and {len(correct)} labels.")
    if correct.all() or not correct.any():
        raise InputError(
            f"All {len(correct)} labels are equal: give right and wrong answers to learn from."
        )
    columns = features.shape[1]
    model = GradientBoostingClassifier(
        n_estimators=trees,
        max_depth=depth,
        learning_rate=learning_rate,
        subsample=subsample,
        max_features=min(max_features, columns),
        random_state=seed,
    ).fit(_single(features), correct)
    share = correct.mean()
    return _arrays_of(
        [stage[0].tree_ for stage in model.estimators_],
        learning_rate=learning_rate,
        prior=float(np.log(share / (1 - share))),
        columns=columns,
    )


def _arrays_of(trees: list[Any], *, learning_rate: float, prior: float, columns: int) -> Trees:
    """Join the public arrays of scikit-learn's `tree_` objects into one list of nodes."""
    sizes = np.asarray([tree.node_count for tree in trees], np.int64)
    roots = np.cumsum(sizes) - sizes
    exact = np.concatenate([tree.threshold for tree in trees])
    left, right = (
        np.concatenate(
            [
                np.where(child(tree) < 0, -1, child(tree) + root)
                for tree, root in zip(trees, roots, strict=True)
            ]
        ).astype(np.int32)
        for child in (lambda tree: tree.children_left, lambda tree: tree.children_right)
    )
    leaf = left < 0
    threshold = exact.astype(np.float32)
    threshold = np.where(threshold > exact, np.nextafter(threshold, np.float32(-np.inf)), threshold)
    value = np.concatenate([tree.value[:, 0, 0] for tree in trees]) * learning_rate
    feature = np.concatenate([tree.feature for tree in trees])
    return Trees(
        feature=np.where(leaf, -1, feature).astype(np.int32),
        threshold=np.where(leaf, np.float32(0), threshold),
        left=left,
        right=right,
        value=np.where(leaf, value, 0.0),
        roots=roots,
        prior=prior,
        columns=columns,
    )


def _single(features: Float[np.ndarray, "Q F"]) -> Float32[np.ndarray, "Q F"]:
    with np.errstate(over="ignore"):
        block = features.astype(np.float32)
    if not np.isfinite(block).all():
        count = int((~np.isfinite(block)).sum())
        raise InputError(f"{count} features are missing or too large: give finite numbers.")
    return block
