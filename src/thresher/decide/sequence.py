"""A fixed order of thresholds, learned on one part of the labels and tested on the other."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64, Shaped

from thresher.decide.binomial import p_value, power, shrunk_precision
from thresher.errors import InputError

FIT_SHARE = 0.25
"""Share of the labels that order the thresholds; the rest certifies.

Chosen by simulation: of .15, .20, .25, .30 and .40, the share with the highest mean certified
coverage over nine settings of 200 to 6,000 labels (.278, .288, .291, .287, .275)."""


@dataclass(frozen=True)
class Labels:
    """Labelled answers in an order that makes counting above any threshold a look-up.

    Args:
        scores: confidence of each answer, highest first.
        wrong: wrong[n] is the number of wrong answers among the first n.
        design_effect: labels that say as much as one independent label, >= 1 (`repeats`).
    """

    scores: Float64[np.ndarray, " Q"]
    wrong: Int64[np.ndarray, " Q+1"]
    design_effect: float = 1.0

    @classmethod
    def of(
        cls,
        scores: Float[np.ndarray, " Q"],
        correct: Bool[np.ndarray, " Q"],
        *,
        design_effect: float = 1.0,
    ) -> "Labels":
        """Sort labelled answers by confidence.

        Args:
            scores: confidence of each answer; -inf is an answer that is never accepted.
            correct: whether each answer is right.
            design_effect: how many labels say as much as one independent label.

        Raises:
            InputError: if the lengths differ, a score is not a number, or `correct` is not boolean.
        """
        if scores.shape != correct.shape or scores.ndim != 1:
            raise InputError(
                f"Got {scores.shape} scores and {correct.shape} labels: give one label per score."
            )
        if correct.dtype != np.bool_:
            raise InputError(
                f"The labels have type {correct.dtype}; give booleans, true where the answer is "
                "right."
            )
        if np.isnan(scores).any():
            raise InputError(
                f"{int(np.isnan(scores).sum())} of {len(scores)} scores are not numbers; give "
                "-inf where there is no answer."
            )
        order = np.argsort(-scores, kind="stable")
        wrong = np.concatenate([[0], np.cumsum(~correct[order])]).astype(np.int64)
        return cls(scores[order].astype(np.float64), wrong, design_effect)

    def __len__(self) -> int:
        return len(self.scores)

    def counts(
        self, thresholds: Float64[np.ndarray, " T"]
    ) -> tuple[Int64[np.ndarray, " T"], Int64[np.ndarray, " T"]]:
        """Answers accepted at each threshold, all with a score >= it, and the errors among them."""
        accepted = np.searchsorted(-self.scores, -thresholds, side="right").astype(np.int64)
        return accepted, self.wrong[accepted]

    def p_values(
        self, thresholds: Float64[np.ndarray, " T"], *, target: float
    ) -> Float64[np.ndarray, " T"]:
        """The exact test at each threshold, on the counts of independent labels."""
        accepted, errors = self.counts(thresholds)
        return p_value(errors / self.design_effect, accepted / self.design_effect, target=target)

    def candidates(self) -> Float64[np.ndarray, " T"]:
        """Every distinct finite score, strictest first."""
        return np.unique(self.scores[np.isfinite(self.scores)])[::-1]


def order(
    fit: Labels, *, certify_size: int, target: float, level: float
) -> tuple[Float64[np.ndarray, " T"], Float64[np.ndarray, " T"]]:
    """Order thresholds from the one predicted easiest to certify towards looser ones.

    The strictest thresholds accept too few labels to prove anything, so the sequence begins at the
    threshold whose test is predicted to pass most often, given the errors seen on the fit part
    (`shrunk_precision`) and the size of the certify part; of equals, the one with the smallest
    p-value on the fit part. From there it takes every looser distinct score of the fit part:
    neighbouring tests share almost all their labels, so small steps cost little and waste no
    coverage.

    Args:
        fit: the labels that no test will see.
        certify_size: number of labels that the tests will see.
        target: precision to certify, a fraction in (0, 1).
        level: significance level of every test.

    Returns:
        The thresholds, first to be tested first, and the predicted power of each test by itself.
    """
    thresholds = fit.candidates()
    if not len(thresholds):
        return thresholds, thresholds
    accepted, errors = fit.counts(thresholds)
    size = certify_size / len(fit) / fit.design_effect
    expected = np.round(accepted * size).astype(np.int64)
    precision = shrunk_precision(errors, accepted, target=target)
    powers = power(expected, precision, target=target, level=level)
    start = np.lexsort((fit.p_values(thresholds, target=target), -powers))[0]
    return thresholds[start:], powers[start:]


def passed(
    labels: Labels, thresholds: Float64[np.ndarray, " T"], *, target: float, level: float
) -> int:
    """Test thresholds in the given order and stop at the first failure.

    Each test is exact at the level, and a later one counts only if all before it passed: so the
    probability that any passed threshold has a precision <= target is at most the level. (To pass a
    false one, the first false one in the order must pass.)

    Args:
        labels: the certify part, which had no say in the thresholds or their order.
        thresholds: in the order of testing.
        target: precision to certify, a fraction in (0, 1).
        level: significance level of every test.

    Returns:
        How many thresholds passed; the last of them is the loosest.
    """
    fails = labels.p_values(thresholds, target=target) > level
    return int(np.argmax(fails)) if fails.any() else len(thresholds)


def fit_rows(
    scores: Float[np.ndarray, " Q"],
    correct: Bool[np.ndarray, " Q"],
    *,
    groups: Shaped[np.ndarray, " Q"] | None,
    seed: int | np.random.Generator,
) -> Bool[np.ndarray, " Q"]:
    """Draw the rows of the fit part, `FIT_SHARE` of them; equal groups stay on the same side.

    The draw does not depend on the order of the rows: they are sorted before they are shuffled.

    Args:
        scores: confidence of each answer.
        correct: whether each answer is right.
        groups: a value per row, such as the normalised title; None makes every row its own group.
        seed: a seed, or a generator to draw from.

    Raises:
        InputError: if there are too few rows or groups to have some on both sides.
    """
    rng = np.random.default_rng(seed)
    if groups is None:
        member = np.empty(len(scores), np.int64)
        member[np.lexsort((correct, scores))] = np.arange(len(scores))
    elif len(groups) != len(scores):
        raise InputError(f"Got {len(groups)} groups for {len(scores)} scores: give one per score.")
    else:
        member = np.unique(groups, return_inverse=True)[1].reshape(-1)
    sizes = np.bincount(member) if len(member) else np.zeros(0, np.int64)
    if len(sizes) < 2:
        raise InputError(
            f"{len(scores)} labels in {len(sizes)} groups cannot be split into a fit part and a "
            "certify part: give more labels, or a fit part of your own."
        )
    shuffled = rng.permutation(len(sizes))
    before = np.cumsum(sizes[shuffled]) - sizes[shuffled] / 2
    chosen = np.zeros(len(sizes), np.bool_)
    chosen[shuffled[before <= FIT_SHARE * len(scores)]] = True
    if not chosen.any():
        chosen[shuffled[0]] = True
    return chosen[member]
