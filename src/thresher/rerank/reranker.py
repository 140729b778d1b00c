"""The re-ranker: how probable it is that a candidate is the match, given all pair features."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from thresher.data.relation import Relation
from thresher.errors import InputError
from thresher.files import read_json, write_json
from thresher.rerank import weighing
from thresher.rerank.pair_features import hide
from thresher.rerank.trees import Trees

# Strength of the pull of the weights to 0, as if on scaled features: that of about one query.
RIDGE = 1.0
STEPS = 500
FOLDS = 5
_FOLD_SEED = 2_000_003  # far from the seeds that split data
MIN_BOOSTED, TREE_FOLDS = 300, 3
"""Queries that trees take at least, and parts of them for the odds of trees without a query."""
TREES = "trees.safetensors"
_ARRAYS = ("mean", "scale", "weights")


@dataclass(frozen=True)
class Reranker:
    """Weigh the features of every candidate, propose the likeliest, and say how certain that is.

    Equation:   s_j = b + sum_f w_f (x_jf - mean_f) / scale_f           for each candidate j
                p_j = exp(s_j) / (1 + sum_i exp(s_i));  p_none = 1 / (1 + sum_i exp(s_i))
                proposal  argmax_j p_j;   confidence  max_j p_j
    Candidates compete with each other and with "none of them": the confidence falls when nothing
    fits, and when several fit equally well, which is what ambiguity is.

    Source:     conditional logit, McFadden 1974, with an outside option of utility 0; fitted by
                maximum likelihood with a ridge on the weights. The features are ours.

    Args:
        names: the features, in the order of the weights.
        mean: of each feature where it was fitted.
        scale: its standard deviation there.
        weights: of the scaled features, in log odds against "none of them".
        bias: log odds when every feature is at its mean.
        trees: whose log odds are one more feature, the last one; None without.
        absent: share of queries without an item that it was fitted for; None where not known.
    """

    names: tuple[str, ...]
    mean: Float64[np.ndarray, " F"]
    scale: Float64[np.ndarray, " F"]
    weights: Float64[np.ndarray, " F"]
    bias: float
    trees: Trees | None = None
    absent: float | None = None

    @classmethod
    def fit(
        cls,
        features: Float32[np.ndarray, "Q k F"],
        correct: Bool[np.ndarray, "Q k"],
        missing: Bool[np.ndarray, "Q k"],
        *,
        names: Sequence[str],
        absent: float = 0.0,
        boosted: bool = False,
    ) -> "Reranker":
        """Fit the weights on candidates whose truth is known.

        With `absent` above 0 every query that has its item among the candidates is seen twice: as
        it is, with weight 1 - absent, and with its true items hidden from the catalogue, with
        weight absent, so that "none of them" is learnt from as many queries as traffic has.

        Args:
            features: as `PairFeatures.read` gives them.
            correct: whether each candidate is a true item of its query.
            missing: places without a candidate.
            names: of the features.
            absent: share of the traffic whose item is not in the catalogue, a fraction below 1.
            boosted: add the log odds of boosted trees as a feature; here those of trees that were
                fitted without the query.

        Memory: a float64 copy of the features, two with `absent`.

        Raises:
            InputError: when all candidates are right or all are wrong, or `absent` is out of range.
        """
        rows, trees = _rows(features, correct, missing, names, absent=absent, boosted=boosted)
        return cls._of(rows, names, trees, absent)

    @classmethod
    def _of(
        cls, rows: "_Rows", names: Sequence[str], trees: Trees | None, absent: float
    ) -> "Reranker":
        """The weights of candidates as they are seen, log odds of trees included."""
        from scipy.optimize import minimize  # slow to import

        x, missing = rows.x.astype(np.float64), rows.missing
        mean, scale = x[~missing].mean(0), x[~missing].std(0)
        scale[scale < 1e-9] = 1.0
        x -= mean
        x /= scale
        true = np.concatenate([rows.correct, ~rows.correct.any(axis=1, keepdims=True)], axis=1)
        found = minimize(
            _loss,
            np.zeros(len(mean) + 1),
            (x, missing, true, rows.weight),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": STEPS},
        )
        return cls(tuple(names), mean, scale, found.x[:-1], float(found.x[-1]), trees, absent)

    def probabilities(
        self, features: Float32[np.ndarray, "Q k F"], missing: Bool[np.ndarray, "Q k"]
    ) -> Float64[np.ndarray, "Q k"]:
        """How probable it is that each candidate is the match; 0 where there is none.

        Raises:
            InputError: there are more or fewer features than the re-ranker was fitted on.
        """
        return self._chances(features, missing)[0]

    def _chances(
        self, features: Float32[np.ndarray, "Q k F"], missing: Bool[np.ndarray, "Q k"]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """As `weighing.chances`."""
        if features.shape[-1] != len(self.names):
            raise InputError(
                f"the re-ranker was fitted on {len(self.names)} features, got "
                f"{features.shape[-1]}; run `thresher calibrate` again"
            )
        odds = np.zeros((0, 0), np.float32)
        if self.trees is not None:
            odds = self.trees.logits(features)
        fitted = (self.mean, self.scale, self.weights)
        found: tuple[np.ndarray, np.ndarray, np.ndarray] = weighing.chances(
            np.ascontiguousarray(features, np.float32), missing, odds, fitted, self.bias
        )
        return found

    def rank(
        self, features: Float32[np.ndarray, "Q k F"], missing: Bool[np.ndarray, "Q k"]
    ) -> tuple[Int64[np.ndarray, "Q k"], Float64[np.ndarray, "Q k"]]:
        """The order of each query's candidates, likeliest first, and how probable each one is.

        Args:
            features: of the candidates.
            missing: places without a candidate; they come last, with a probability of 0.
        """
        _, order, ranked = self._chances(features, missing)
        return order, ranked

    def judge(
        self,
        features: Float32[np.ndarray, "Q k F"],
        true: Bool[np.ndarray, "Q k"],
        missing: Bool[np.ndarray, "Q k"],
        hidden: Bool[np.ndarray, " Q"],
    ) -> tuple[Float64[np.ndarray, " Q"], Bool[np.ndarray, " Q"]]:
        """The confidence in the first candidate of each query, and whether that one is right.

        Args:
            features: of the candidates.
            true: whether each is a true item of its query.
            missing: places without a candidate.
            hidden: queries that are judged as if their true items were not in the catalogue.
        """
        gone = true & hidden[:, None]
        judged = hide(features, missing, gone, self.names) if gone.any() else features
        order, chances = self.rank(judged, missing | gone)
        right = np.take_along_axis(true & ~gone, order, axis=1)
        return chances[:, 0], right[:, 0]

    def save(self, path: Path) -> None:
        """Write JSON, and a file `trees.safetensors` beside it where there are trees."""
        arrays = {name: getattr(self, name).tolist() for name in _ARRAYS}
        boosted = self.trees is not None
        rest = {"bias": self.bias, "trees": boosted, "absent": self.absent}
        write_json(path, {"names": self.names, **arrays, **rest})
        if self.trees is not None:
            save_file(self.trees.arrays(), path.parent / TREES)

    @classmethod
    def load(cls, path: Path) -> "Reranker":
        """Read what `save` wrote.

        Raises:
            InputError: when the file is missing or damaged.
        """
        values = read_json(path, what="the re-ranker", fix="run `thresher calibrate` again")
        try:
            names, bias = tuple(values["names"]), float(values["bias"])
            mean, scale, weights = (np.array(values[name], np.float64) for name in _ARRAYS)
            trees = Trees(**load_file(path.parent / TREES)) if values["trees"] else None
            absent = None if values.get("absent") is None else float(values["absent"])
            width = len(names) + (trees is not None)
            fits = all(array.shape == (width,) for array in (mean, scale, weights))
        except (ValueError, KeyError, TypeError, OSError, SafetensorError) as error:
            raise InputError(
                f"{path} cannot be read ({error}); run `thresher calibrate` again"
            ) from error
        if not fits:
            raise InputError(
                f"{path} has not one weight for each feature; run `thresher calibrate` again"
            )
        return cls(names, mean, scale, weights, bias, trees, absent)


def cross_fit(
    features: Float32[np.ndarray, "Q k F"],
    rows: Int64[np.ndarray, "Q k"],
    truth: Relation,
    *,
    selection: Bool[np.ndarray, " Q"],
    clusters: Int64[np.ndarray, " Q"],
    names: Sequence[str],
    seed: int,
    absent: float = 0.0,
    hidden: Bool[np.ndarray, " Q"] | None = None,
) -> tuple[Reranker, Float64[np.ndarray, " Q"], Bool[np.ndarray, " Q"]]:
    """Fit a re-ranker on the selection part, and judge every query by one that has not seen it.

    Args:
        features: of the candidates.
        rows: the candidates, -1 for none.
        truth: the true items.
        selection: queries that the re-ranker may be fitted on.
        clusters: a number for each text; queries with the same text are in one fold.
        names: of the features.
        seed: of the folds.
        absent: share of the traffic whose item is not in the catalogue, as `Reranker.fit` takes it.
        hidden: queries that are judged as if their true items were not in the catalogue.

    Returns:
        The re-ranker, the confidence in the first candidate of each query, and whether that is
        right; for queries of the selection part out of fold.
    """
    true, missing = truth.correct(rows), rows < 0
    hidden = np.zeros(len(rows), bool) if hidden is None else hidden
    confidence, correct = np.empty(len(rows)), np.empty(len(rows), bool)

    def fit(part: np.ndarray) -> Reranker:
        at = (features[part], true[part], missing[part])
        return Reranker.fit(*at, names=names, absent=absent)

    def judge(reranker: Reranker, part: np.ndarray) -> None:
        at = (features[part], true[part], missing[part], hidden[part])
        confidence[part], correct[part] = reranker.judge(*at)

    fitted = fit(selection)
    judge(fitted, ~selection)
    distinct, at = np.unique(clusters, return_inverse=True)
    drawn = np.random.default_rng((seed, _FOLD_SEED)).integers(FOLDS, size=len(distinct))
    fold = drawn[at.reshape(-1)]
    for number in np.unique(fold[selection]):
        judge(fit(selection & (fold != number)), selection & (fold == number))
    return fitted, confidence, correct


def fit_and_judge(
    features: Float32[np.ndarray, "Q k F"],
    correct: Bool[np.ndarray, "Q k"],
    missing: Bool[np.ndarray, "Q k"],
    *,
    names: Sequence[str],
    absent: float,
    hidden: Bool[np.ndarray, " Q"],
) -> tuple[Reranker, Float64[np.ndarray, " Q"], Bool[np.ndarray, " Q"]]:
    """Fit a re-ranker with trees on all queries, and judge each by a fit without it.

    Its log odds are those of trees, and its confidence is that of weights, fitted without it; the
    folds of the two differ.

    Args:
        features: as `Reranker.fit` takes them, and so the next four.
        correct: whether each candidate is a true item of its query.
        missing: places without a candidate.
        names: of the features.
        absent: share of the traffic whose item is not in the catalogue.
        hidden: queries that are judged as if their true items were not in the catalogue; with
            `absent` above 0.

    Returns:
        The re-ranker of all, the confidence in the first candidate of each query, and whether that
        is right.
    """
    rows, trees = _rows(features, correct, missing, names, absent=absent, boosted=True)
    many = len(features)
    judged, again = np.arange(many), np.arange(many, len(rows.query))
    again = again[hidden[rows.query[many:]]]
    judged[rows.query[again]] = again
    as_seen = (*names, TREES) if trees else names
    fold = np.random.default_rng(_FOLD_SEED).integers(FOLDS, size=many)
    confidence, right = np.empty(many), np.empty(many, bool)
    for number in np.unique(fold):
        without = Reranker._of(rows.take(fold[rows.query] != number), as_seen, None, absent)
        own = rows.take(judged[fold == number])
        order, chances = without.rank(own.x, own.missing)
        confidence[fold == number] = chances[:, 0]
        right[fold == number] = np.take_along_axis(own.correct, order, axis=1)[:, 0]
    return Reranker._of(rows, names, trees, absent), confidence, right


class _Rows(NamedTuple):
    """Queries as a re-ranker is fitted on them, those with their items hidden at the end."""

    x: Float32[np.ndarray, "R k F"]
    correct: Bool[np.ndarray, "R k"]
    missing: Bool[np.ndarray, "R k"]
    weight: Float64[np.ndarray, " R"]
    query: Int64[np.ndarray, " R"]

    def take(self, rows: np.ndarray) -> "_Rows":
        return _Rows(*(values[rows] for values in self))


def _rows(
    features: Float32[np.ndarray, "Q k F"],
    correct: Bool[np.ndarray, "Q k"],
    missing: Bool[np.ndarray, "Q k"],
    names: Sequence[str],
    *,
    absent: float,
    boosted: bool,
) -> tuple[_Rows, Trees | None]:
    """The rows that `Reranker.fit` describes, with the log odds of trees where there are some."""
    if not 0 <= absent < 1:
        raise InputError(f"absent is {absent:g}; it must be 0 or more and below 1, as 0.1")
    _check_both(correct[~missing])
    weight, query = np.ones(len(features)), np.arange(len(features))
    if absent:
        has = correct.any(axis=1)
        weight = np.concatenate([np.where(has, 1 - absent, 1.0), np.full(has.sum(), absent)])
        query = np.concatenate([query, query[has]])
        gone = hide(features[has], missing[has], correct[has], names)
        features = np.concatenate([features, gone])
        missing = np.concatenate([missing, missing[has] | correct[has]])
        correct = np.concatenate([correct, np.zeros_like(correct[has])])
    trees = None
    if boosted and len(np.unique(query)) >= MIN_BOOSTED:
        trees, features = _boosted(features, correct, missing, weight, query)
    return _Rows(features, correct, missing, weight, query), trees


def _check_both(correct: Bool[np.ndarray, " C"]) -> None:
    if correct.all() or not correct.any():
        raise InputError(
            f"the re-ranker needs right and wrong candidates to learn from, got "
            f"{int(correct.sum())} right ones of {len(correct)}; use scorer = 'margin'"
        )


def _boosted(
    features: Float32[np.ndarray, "R k F"],
    correct: Bool[np.ndarray, "R k"],
    missing: Bool[np.ndarray, "R k"],
    weight: Float64[np.ndarray, " R"],
    query: Int64[np.ndarray, " R"],
) -> tuple[Trees, Float32[np.ndarray, "R k F1"]]:
    """Trees of all rows, and the features with the log odds of trees without the row's query."""
    fold = np.random.default_rng(_FOLD_SEED).integers(TREE_FOLDS, size=query.max() + 1)
    odds = np.empty(missing.shape, np.float32)
    for number in range(TREE_FOLDS):
        own = fold[query] == number
        rest = (x[~own] for x in (features, correct, missing, weight))
        odds[own] = Trees.fit(*rest).logits(features[own])
    trees = Trees.fit(features, correct, missing, weight)
    return trees, np.concatenate([features, odds[..., None]], axis=2)


def _softmax(
    logits: Float64[np.ndarray, "Q k"], missing: Bool[np.ndarray, "Q k"]
) -> Float64[np.ndarray, "Q k1"]:
    """Probabilities of the candidates, and of "none of them" in the last column."""
    logits = np.pad(np.where(missing, -np.inf, logits), ((0, 0), (0, 1)))
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    return p / p.sum(axis=1, keepdims=True)


def _loss(
    parameters: Float64[np.ndarray, " F1"],
    x: Float64[np.ndarray, "Q k F"],
    missing: Bool[np.ndarray, "Q k"],
    true: Bool[np.ndarray, "Q k1"],
    weight: Float64[np.ndarray, " Q"],
) -> tuple[float, Float64[np.ndarray, " F1"]]:
    """-sum_q weight_q ln P(a true choice) + RIDGE |weights, bias|^2, and its gradient."""
    p = _softmax(x @ parameters[:-1] + parameters[-1], missing)
    right = np.maximum(np.where(true, p, 0.0).sum(axis=1, keepdims=True), 1e-300)
    pull = (weight[:, None] * (p - np.where(true, p, 0.0) / right))[:, :-1]
    gradient = np.append(pull.ravel() @ x.reshape(-1, x.shape[-1]), pull.sum())
    loss = -(weight @ np.log(right[:, 0])) + RIDGE * parameters @ parameters
    return float(loss), gradient + 2 * RIDGE * parameters
