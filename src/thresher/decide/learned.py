"""The learned confidence: how probable it is that a candidate is the match, given all the signs."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from thresher.decide.evidence import NAMES
from thresher.errors import InputError


@dataclass(frozen=True)
class Learned:
    """Weighs the signs of every candidate, proposes the likeliest, and says how sure that is.

    Equation:   p_j = sigm( b + sum_f w_f (x_jf - mean_f) / scale_f )  for each candidate j
                proposal  argmax_j p_j;   confidence  p_1^2 / sum_j p_j
    The confidence is the probability of the best candidate times its share among all: it falls when
    nothing fits, and when several fit equally well, which is what ambiguity is.

    Source:     logistic regression on hand-made signs; the combination is ours.

    Args:
        names: the signs, in the order of the weights.
        mean: of each sign where it was fitted.
        scale: its standard deviation there.
        weights: of the scaled signs, in log odds.
        bias: log odds when every sign is at its mean.
    """

    names: tuple[str, ...]
    mean: Float64[np.ndarray, " F"]
    scale: Float64[np.ndarray, " F"]
    weights: Float64[np.ndarray, " F"]
    bias: float

    @classmethod
    def fit(
        cls, signs: Float32[np.ndarray, "Q k F"], correct: Bool[np.ndarray, "Q k"]
    ) -> "Learned":
        """Fits the weights on candidates whose truth is known.

        Args:
            signs: as `Reader.read` gives them.
            correct: whether each candidate is a true item of its query.

        Raises:
            InputError: when all candidates are right or all are wrong.
        """
        from sklearn.linear_model import LogisticRegression

        x, y = signs.reshape(-1, signs.shape[-1]).astype(np.float64), correct.ravel()
        if y.all() or not y.any():
            raise InputError(
                f"the learned confidence needs right and wrong candidates to learn from, got "
                f"{int(y.sum())} right ones of {len(y)}; use confidence = 'margin'"
            )
        mean, scale = x.mean(0), x.std(0)
        scale[scale < 1e-9] = 1.0
        model = LogisticRegression(C=0.1, max_iter=1000).fit((x - mean) / scale, y)
        return cls(NAMES, mean, scale, model.coef_[0], float(model.intercept_[0]))

    def probabilities(self, signs: Float32[np.ndarray, "Q k F"]) -> Float64[np.ndarray, "Q k"]:
        """How probable it is that each candidate is a match, seen alone."""
        logits = (signs - self.mean) / self.scale @ self.weights + self.bias
        return 1 / (1 + np.exp(-np.clip(logits, -500, 500)))

    def rank(
        self, signs: Float32[np.ndarray, "Q k F"], missing: Bool[np.ndarray, "Q k"]
    ) -> tuple[Int64[np.ndarray, "Q k"], Float64[np.ndarray, " Q"]]:
        """The order of each query's candidates, likeliest first, and the confidence in the first.

        Args:
            signs: of the candidates.
            missing: places without a candidate; they come last. Without any, confidence is 0.
        """
        p = np.where(missing, 0.0, self.probabilities(signs))
        order = np.argsort(-p, axis=1, kind="stable")
        total = p.sum(axis=1)
        best = p.max(axis=1, initial=0.0)
        return order, np.divide(best**2, total, out=np.zeros_like(total), where=total > 0)

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
