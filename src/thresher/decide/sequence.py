"""A fixed order of thresholds, chosen on one part of the labels and tested on the other."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64

from thresher.decide.binomial import p_value, power, shrunk_precision
from thresher.errors import InputError

SELECTION_SHARE = 0.25
"""Share of the labels that order the thresholds; the rest certifies.

Chosen by simulation: of 0.15, 0.2, 0.25, 0.3 and 0.4, the share with the highest mean certified
coverage over nine settings of 200 to 6,000 labels (0.278, 0.288, 0.291, 0.287, 0.275)."""
WRONG_CLUSTERS = 16
"""Wrong clusters of the expected size that count beside those seen (`Labels.effect`).

Chosen by simulation: of 0, 1, 2, 4, 8 and 16 the smallest with which every situation of
`benchmarks/promise_simulation.py` keeps the level; on PriceRunner it costs no coverage at 0.95."""
MIN_CLUSTERS = 60
"""Distinct clusters that a threshold has to accept where clusters repeat (`Labels.testable`)."""


@dataclass(frozen=True)
class Labels:
    """Labelled answers, best first, with running counts: counting above a threshold is a look-up.

    Args:
        scores: confidence of each answer, highest first.
        wrong: wrong[n] is the number of wrong answers among the first n.
        distinct: the number of distinct clusters among them.
        squares: the sum of their squared cluster sizes; n where no cluster repeats.
        cubes: the sum of their cubed cluster sizes.
        wrong_squares: the sum of the squared numbers of wrong answers in each cluster.
    """

    scores: Float64[np.ndarray, " Q"]
    wrong: Int64[np.ndarray, " Q+1"]
    distinct: Int64[np.ndarray, " Q+1"]
    squares: Int64[np.ndarray, " Q+1"]
    cubes: Int64[np.ndarray, " Q+1"]
    wrong_squares: Int64[np.ndarray, " Q+1"]

    @classmethod
    def of(
        cls,
        scores: Float[np.ndarray, " Q"],
        correct: Bool[np.ndarray, " Q"],
        clusters: Int64[np.ndarray, " Q"] | None = None,
    ) -> "Labels":
        """Sort labelled answers by confidence.

        Args:
            scores: confidence of each answer; -inf is an answer that is never accepted.
            correct: whether each answer is right.
            clusters: a number for each answer; equal numbers stand or fall together. None makes
                each answer independent.
        """
        order = np.argsort(-scores, kind="stable")
        wrong = ~correct[order]
        m = m_wrong = np.zeros(len(order), np.int64)
        if clusters is not None:
            m, m_wrong = _earlier(clusters[order], wrong)
        # A cluster that grows from m to m + 1 adds this to the sums of squares and of cubes.
        growth = (2 * m + 1, 3 * m * m + 3 * m + 1, (2 * m_wrong + 1) * wrong)
        counts = (_running(values) for values in (wrong, m == 0, *growth))
        return cls(scores[order].astype(np.float64), *counts)

    def __len__(self) -> int:
        return len(self.scores)

    def counts(
        self, thresholds: Float64[np.ndarray, " T"]
    ) -> tuple[Int64[np.ndarray, " T"], Int64[np.ndarray, " T"]]:
        """Answers accepted at each threshold, all with a score >= it, and the errors among them."""
        accepted = np.searchsorted(-self.scores, -thresholds, side="right").astype(np.int64)
        return accepted, self.wrong[accepted]

    def effect(self, thresholds: Float64[np.ndarray, " T"]) -> Float64[np.ndarray, " T"]:
        """Say how many accepted labels weigh as much as one independent label.

        Equation:  max(K, V(w), V(0)) with V(w) = (sum_c e_c^2 + w s^2) / (sum_c e_c + w s), over
                   clusters c of n_c accepted labels with e_c errors; K = sum_c n_c^2 / sum_c n_c,
                   s = sum_c n_c^3 / sum_c n_c^2, w = `WRONG_CLUSTERS`; V(0) = 0 without errors.
        Source:    K is the design effect of Kish 1965, *Survey Sampling*, at an intra-cluster
                   correlation of 1. The rest is ours: docs/adr/0012-clusters-count-by-size.md.

        K uses no label, so errors that were not drawn cannot make labels count for more; it is
        right if errors fall on clusters of any size alike. V is the variance of the number of
        errors over its mean, as seen in the wrong clusters and in w more of the size s that a wrong
        cluster has on average if errors grow with the size: V(w) guards where the clusters that
        repeat most are wrong most often and few errors were drawn, V(0) where many were.

        Returns:
            Numbers >= 1, one for each threshold; exactly 1 where no accepted cluster repeats.
        """
        n, errors = self.counts(thresholds)
        squares = np.maximum(self.squares[n], 1)
        size = np.maximum(self.cubes[n] / squares, 1)
        more = WRONG_CLUSTERS * size
        wrong = (self.wrong_squares[n] + more * size) / (errors + more)
        seen = self.wrong_squares[n] / np.maximum(errors, 1)
        return np.maximum(np.maximum(wrong, seen), squares / np.maximum(n, 1))

    def testable(self, thresholds: Float64[np.ndarray, " T"]) -> Bool[np.ndarray, " T"]:
        """Whether no accepted cluster repeats, or many are accepted: else a test is no evidence.

        Effective counts are an approximation that a handful of clusters does not bear. This depends
        on which answers are accepted and not on who is right, so thresholds may be left out by it
        without a share of the level.
        """
        accepted, _ = self.counts(thresholds)
        distinct = self.distinct[accepted]
        return (distinct == accepted) | (distinct >= MIN_CLUSTERS)

    def effective(
        self, thresholds: Float64[np.ndarray, " T"]
    ) -> tuple[Float64[np.ndarray, " T"], Float64[np.ndarray, " T"]]:
        """Accepted labels and errors in independent labels: both divided by `effect`."""
        accepted, errors = self.counts(thresholds)
        effect = self.effect(thresholds)
        return accepted / effect, errors / effect

    def evidence(self, threshold: Float64[np.ndarray, " T"]) -> dict[str, Any]:
        """The counts at one threshold, or without one, as a policy keeps them."""
        accepted, errors = self.counts(threshold)
        distinct = int(self.distinct[accepted].sum())
        return {
            "accepted": int(accepted.sum()),
            "errors": int(errors.sum()),
            "labelled": len(self),
            "effective_labels": min(float(distinct), float(self.effective(threshold)[0].sum())),
            "distinct_clusters": distinct,
        }

    def p_values(
        self, thresholds: Float64[np.ndarray, " T"], *, target: float
    ) -> Float64[np.ndarray, " T"]:
        """Test each threshold on effective counts; the exact binomial test without clusters.

        Only where it is `testable`.
        """
        accepted, errors = self.effective(thresholds)
        return p_value(errors, accepted, target=target)


def order(
    selection: Labels, *, certify_size: int, target: float, level: float
) -> tuple[Float64[np.ndarray, " T"], Float64[np.ndarray, " T"]]:
    """Order thresholds from the one predicted easiest to certify towards looser ones.

    The strictest thresholds accept too few labels to prove anything, so the sequence begins at the
    threshold whose test is predicted to pass most often, given the errors seen on the selection
    part (`shrunk_precision`) and the size of the certifying part; of equals, the one with the
    smallest p-value on the selection part. From there it takes every looser distinct score of the
    selection part: neighbouring tests share almost all their labels, so small steps cost little
    and waste no coverage.

    Args:
        selection: the labels that no test will see.
        certify_size: number of labels that the tests will see.
        target: precision to certify, a fraction in (0, 1).
        level: significance level of every test.

    Returns:
        The thresholds, first to be tested first, and the predicted power of each test by itself.
    """
    thresholds = np.unique(selection.scores[np.isfinite(selection.scores)])[::-1]
    if not len(thresholds):
        return thresholds, thresholds
    accepted, errors = selection.effective(thresholds)
    expected = np.round(accepted * (certify_size / len(selection))).astype(np.int64)
    precision = shrunk_precision(errors, accepted, target=target)
    powers = power(expected, precision, target=target, level=level)
    start = np.lexsort((selection.p_values(thresholds, target=target), -powers))[0]
    return thresholds[start:], powers[start:]


def passed(
    labels: Labels, thresholds: Float64[np.ndarray, " T"], *, target: float, level: float
) -> int:
    """Test thresholds in the given order, stop at the first failure, and count those that passed.

    Each test keeps the level, and a later one counts only if all before it passed: so the
    probability that any passed threshold has a precision <= target is at most the level. (To pass a
    false one, the first false one in the order must pass.) The labels had no say in the order.
    """
    fails = labels.p_values(thresholds, target=target) > level
    return int(np.argmax(fails)) if fails.any() else len(thresholds)


def draw_clusters(
    clusters: Int64[np.ndarray, " Q"], share: float, *, seed: int | np.random.Generator
) -> Bool[np.ndarray, " Q"]:
    """Draw whole clusters until they hold about a share of the rows.

    Args:
        clusters: a number >= 0 for each row; rows of equal numbers are drawn together.
        share: share of the rows to draw, a fraction in [0, 1].
        seed: a seed, or a generator to draw from.

    Returns:
        True for the rows drawn.
    """
    sizes = np.bincount(clusters) if len(clusters) else np.zeros(0, np.int64)
    shuffled = np.random.default_rng(seed).permutation(len(sizes))
    middle = np.cumsum(sizes[shuffled]) - sizes[shuffled] / 2
    chosen = np.zeros(len(sizes), np.bool_)
    chosen[shuffled[middle <= share * len(clusters)]] = True
    return chosen[clusters]


def selection_rows(
    scores: Float[np.ndarray, " Q"],
    correct: Bool[np.ndarray, " Q"],
    clusters: Int64[np.ndarray, " Q"] | None,
    *,
    seed: int | np.random.Generator,
) -> Bool[np.ndarray, " Q"]:
    """Draw the rows of the selection part, `SELECTION_SHARE` of them, whole clusters at a time.

    Without clusters the draw does not depend on the order of the rows.

    Raises:
        InputError: if there are too few rows or clusters to have some on both sides, or the seed
            is none.
    """
    member = clusters
    if member is None:
        member = np.empty(len(scores), np.int64)
        member[np.lexsort((correct, scores))] = np.arange(len(scores))
    groups = len(np.unique(member))
    if groups < 2:
        raise InputError(
            f"{len(scores)} labels in {groups} clusters cannot be split into a part that chooses "
            "thresholds and a part that certifies; give more labels"
        )
    try:
        rng = np.random.default_rng(seed)
    except (TypeError, ValueError) as error:
        raise InputError(f"the seed is {seed!r}; give a whole number that is 0 or more") from error
    drawn = draw_clusters(member, SELECTION_SHARE, seed=rng)
    return drawn if drawn.any() and not drawn.all() else member == rng.choice(member)


def _running(values: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(values)]).astype(np.int64)


def _earlier(
    clusters: Int64[np.ndarray, " Q"], wrong: Bool[np.ndarray, " Q"]
) -> tuple[Int64[np.ndarray, " Q"], Int64[np.ndarray, " Q"]]:
    """For each row, the rows before it in its cluster, and the wrong ones among those."""
    by = np.argsort(clusters, kind="stable")
    first = np.flatnonzero(np.diff(clusters[by], prepend=-1))
    start = np.repeat(first, np.diff(np.append(first, len(by))))
    before = _running(wrong[by])
    earlier, earlier_wrong = np.empty_like(by), np.empty_like(by)
    earlier[by] = np.arange(len(by)) - start
    earlier_wrong[by] = before[:-1] - before[start]
    return earlier, earlier_wrong
