"""The learned confidence: how probable it is that a candidate is the match, given all the signs."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64
from scipy.optimize import minimize

from thresher.decide.evidence import NAMES
from thresher.errors import InputError

# Strength of the pull of the weights to 0, as if on scaled signs: that of about one query.
RIDGE = 1.0
STEPS = 500


@dataclass(frozen=True)
class Learned:
    """Weighs the signs of every candidate, proposes the likeliest, and says how sure that is.

    Equation:   s_j = b + sum_f w_f (x_jf - mean_f) / scale_f           for each candidate j
                p_j = exp(s_j) / (1 + sum_i exp(s_i));  p_none = 1 / (1 + sum_i exp(s_i))
                proposal  argmax_j p_j;   confidence  max_j p_j
    Candidates compete with each other and with "none of them": the confidence falls when nothing
    fits, and when several fit equally well, which is what ambiguity is.

    Source:     conditional logit, McFadden 1974, with an outside option of utility 0; fitted by
                maximum likelihood with a ridge on the weights. The signs are ours.

    Args:
        names: the signs, in the order of the weights.
        mean: of each sign where it was fitted.
        scale: its standard deviation there.
        weights: of the scaled signs, in log odds against "none of them".
        bias: log odds when every sign is at its mean.
    """

    names: tuple[str, ...]
    mean: Float64[np.ndarray, " F"]
    scale: Float64[np.ndarray, " F"]
    weights: Float64[np.ndarray, " F"]
    bias: float

    @classmethod
    def fit(
        cls,
        signs: Float32[np.ndarray, "Q k F"],
        correct: Bool[np.ndarray, "Q k"],
        missing: Bool[np.ndarray, "Q k"],
    ) -> "Learned":
        """Fits the weights on candidates whose truth is known.

        Args:
            signs: as `Reader.read` gives them.
            correct: whether each candidate is a true item of its query.
            missing: places without a candidate.

        Memory: a float64 copy of the signs.

        Raises:
            InputError: when all candidates are right or all are wrong.
        """
        seen = correct[~missing]
        if seen.all() or not seen.any():
            raise InputError(
                f"the learned confidence needs right and wrong candidates to learn from, got "
                f"{int(seen.sum())} right ones of {len(seen)}; use confidence = 'margin'"
            )
        x = signs.astype(np.float64)
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
        return cls(NAMES, mean, scale, found.x[:-1], float(found.x[-1]))

    def probabilities(
        self, signs: Float32[np.ndarray, "Q k F"], missing: Bool[np.ndarray, "Q k"]
    ) -> Float64[np.ndarray, "Q k"]:
        """How probable it is that each candidate is the match; 0 where there is none."""
        logits = (signs - self.mean) / self.scale @ self.weights + self.bias
        return _softmax(logits, missing)[:, :-1]

    def rank(
        self, signs: Float32[np.ndarray, "Q k F"], missing: Bool[np.ndarray, "Q k"]
    ) -> tuple[Int64[np.ndarray, "Q k"], Float64[np.ndarray, " Q"]]:
        """The order of each query's candidates, likeliest first, and the confidence in the first.

        Args:
            signs: of the candidates.
            missing: places without a candidate; they come last. Without any, confidence is 0.
        """
        p = self.probabilities(signs, missing)
        # A probability may be too small to differ from 0, and is still that of a candidate.
        order = np.argsort(np.where(missing, 1.0, -p), axis=1, kind="stable")
        return order, p.max(axis=1, initial=0.0)

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
    def load(cls, path: Path) -> "Learned":
        """Reads what `save` wrote.

        Raises:
            InputError: when the file is damaged, or was fitted on other signs.
        """
        try:
            values = json.loads(path.read_text("utf-8"))
            mean, scale, weights = (np.array(values[n]) for n in ("mean", "scale", "weights"))
            names, bias = tuple(values["names"]), float(values["bias"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{path} cannot be read ({error}); run `thresher calibrate`"
            ) from error
        if names != NAMES or any(len(a) != len(NAMES) for a in (mean, scale, weights)):
            raise InputError(
                f"{path} weighs other signs than this version reads; run `thresher calibrate`"
            )
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
