"""The re-ranker: how probable it is that a candidate is the match, given all pair features."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64
from scipy.optimize import minimize

from thresher.errors import InputError

# Strength of the pull of the weights to 0, as if on scaled features: that of about one query.
RIDGE = 1.0
STEPS = 500


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
    """

    names: tuple[str, ...]
    mean: Float64[np.ndarray, " F"]
    scale: Float64[np.ndarray, " F"]
    weights: Float64[np.ndarray, " F"]
    bias: float

    @classmethod
    def fit(
        cls,
        features: Float32[np.ndarray, "Q k F"],
        correct: Bool[np.ndarray, "Q k"],
        missing: Bool[np.ndarray, "Q k"],
        *,
        names: tuple[str, ...],
    ) -> "Reranker":
        """Fits the weights on candidates whose truth is known.

        Args:
            features: as `PairFeatures.read` gives them.
            correct: whether each candidate is a true item of its query.
            missing: places without a candidate.
            names: of the features.

        Memory: a float64 copy of the features.

        Raises:
            InputError: when all candidates are right or all are wrong.
        """
        seen = correct[~missing]
        if seen.all() or not seen.any():
            raise InputError(
                f"the re-ranker needs right and wrong candidates to learn from, got "
                f"{int(seen.sum())} right ones of {len(seen)}; use scorer = 'margin'"
            )
        x = features.astype(np.float64)
        mean, scale = x[~missing].mean(0), x[~missing].std(0)
        scale[scale < 1e-9] = 1.0
        x -= mean
        x /= scale
        true = np.concatenate([correct, ~correct.any(axis=1, keepdims=True)], axis=1)
        found = minimize(
            _loss,
            np.zeros(len(mean) + 1),
            (x, missing, true),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": STEPS},
        )
        return cls(names, mean, scale, found.x[:-1], float(found.x[-1]))

    def probabilities(
        self, features: Float32[np.ndarray, "Q k F"], missing: Bool[np.ndarray, "Q k"]
    ) -> Float64[np.ndarray, "Q k"]:
        """How probable it is that each candidate is the match; 0 where there is none."""
        logits = (features - self.mean) / self.scale @ self.weights + self.bias
        return _softmax(logits, missing)[:, :-1]

    def rank(
        self, features: Float32[np.ndarray, "Q k F"], missing: Bool[np.ndarray, "Q k"]
    ) -> tuple[Int64[np.ndarray, "Q k"], Float64[np.ndarray, "Q k"]]:
        """The order of each query's candidates, likeliest first, and how probable each one is.

        Args:
            features: of the candidates.
            missing: places without a candidate; they come last, with a probability of 0.
        """
        p = self.probabilities(features, missing)
        # A probability may be too small to differ from 0, and is still that of a candidate.
        order = np.argsort(np.where(missing, 1.0, -p), axis=1, kind="stable")
        return order, np.take_along_axis(p, order, axis=1)

    def save(self, path: Path) -> None:
        """Writes JSON, aside and then renamed."""
        values = {
            "names": list(self.names),
            **{name: getattr(self, name).tolist() for name in ("mean", "scale", "weights")},
            "bias": self.bias,
        }
        aside = path.with_suffix(".partial")
        aside.write_text(json.dumps(values, indent=1) + "\n", "utf-8")
        os.replace(aside, path)

    @classmethod
    def load(cls, path: Path) -> "Reranker":
        """Reads what `save` wrote.

        Raises:
            InputError: when the file is damaged, or was fitted on other features.
        """
        try:
            values = json.loads(path.read_text("utf-8"))
            mean, scale, weights = (np.array(values[n]) for n in ("mean", "scale", "weights"))
            names, bias = tuple(values["names"]), float(values["bias"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{path} cannot be read ({error}); run `thresher calibrate`"
            ) from error
        if any(array.shape != (len(names),) for array in (mean, scale, weights)):
            raise InputError(f"{path} has weights of other features; run `thresher calibrate`")
        return cls(names, mean, scale, weights, bias)


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
) -> tuple[float, Float64[np.ndarray, " F1"]]:
    """-sum_q ln(probability of a true choice) + RIDGE |weights, bias|^2, and its gradient."""
    p = _softmax(x @ parameters[:-1] + parameters[-1], missing)
    right = np.maximum(np.where(true, p, 0.0).sum(axis=1, keepdims=True), 1e-300)
    pull = (p - np.where(true, p, 0.0) / right)[:, :-1]
    gradient = np.append(pull.ravel() @ x.reshape(-1, x.shape[-1]), pull.sum())
    loss = -np.log(right).sum() + RIDGE * parameters @ parameters
    return float(loss), gradient + 2 * RIDGE * parameters
