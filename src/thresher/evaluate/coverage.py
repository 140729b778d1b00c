"""How much can be accepted automatically, and at what precision.

A threshold accepts every query whose confidence reaches it. Queries of equal confidence are
accepted or reviewed together: no threshold can tell them apart, so they count as one block. A query
for which nothing was proposed has the confidence -inf, and no threshold accepts it.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64

from thresher.errors import InputError

FLOOR = 50
"""Accepted queries below which a precision is no evidence: a handful of lucky ones would do."""


@final
@dataclass(frozen=True, eq=False)
class PrecisionCoverageCurve:
    """Every choice a threshold has: one point for each distinct confidence, highest first.

    Cov(t) = (queries with confidence >= t) / Q and Prec(t) = (right ones among them) / (them).

    Args:
        thresholds: the distinct finite confidences, falling.
        accepted: queries accepted at each.
        right: those of them whose top item is true.
        queries: number of all queries, Q, also those without a proposal.
    """

    thresholds: Float64[np.ndarray, " T"]
    accepted: Int64[np.ndarray, " T"]
    right: Int64[np.ndarray, " T"]
    queries: int

    @property
    def coverage(self) -> Float64[np.ndarray, " T"]:
        """Share of all queries accepted at each threshold."""
        return self.accepted / max(self.queries, 1)

    @property
    def precision(self) -> Float64[np.ndarray, " T"]:
        """Share of the accepted that are right at each threshold."""
        return self.right / self.accepted

    def coverage_at(self, precision: float, *, floor: int = FLOOR) -> float:
        """The largest share of queries that a threshold can accept at this precision or above.

        C@1(pi) = max {Cov(t) : Prec(t) >= pi, at least `floor` accepted}; 0 when there is no such
        t. The threshold is chosen on the very queries it is judged on (an oracle), so this bounds
        what a certified threshold can reach and promises nothing.
        Source: coverage at a precision, El-Yaniv and Wiener 2010 (JMLR 11); the floor is ours.

        Args:
            precision: wanted share of right answers, a fraction.
            floor: least number of accepted queries that counts as evidence.

        Returns:
            A fraction; NaN for fewer queries than the floor, of which nothing can be said.

        Raises:
            InputError: the precision is not a fraction above 0.
        """
        if not 0 < precision <= 1:
            raise InputError(
                f"coverage was asked for at precision {precision}; give a fraction above 0 and at "
                "most 1, such as 0.95"
            )
        if self.queries < floor:
            return float("nan")
        good = self.accepted[(self.precision >= precision) & (self.accepted >= floor)]
        return int(good.max(initial=0)) / max(self.queries, 1)

    def aurc(self) -> float:
        """The mean error rate over all coverages: 0 is perfect, lower is better.

        AURC = sum over blocks b of (Cov_b - Cov_{b-1}) (1 - Prec_b): the area under the error rate
        against coverage, a whole block of equal confidence at the rate of accepting it whole.
        Queries without a proposal are wrong, and come last. Without ties this is the mean over n of
        the error rate among the n most confident.
        Source: Geifman, Uziel, El-Yaniv 2019 (arXiv:1805.08206); the tie rule is ours.
        """
        if not self.queries:
            return float("nan")
        share = np.diff(np.append(self.coverage, 1.0), prepend=0.0)
        right = self.right[-1] if len(self.right) else 0
        return float((share * (1 - np.append(self.precision, right / self.queries))).sum())


def precision_coverage_curve(
    confidence: Float[np.ndarray, " Q"], correct: Bool[np.ndarray, " Q"]
) -> PrecisionCoverageCurve:
    """Precision and coverage at every threshold.

    Args:
        confidence: how sure the match of each query is, higher is surer; -inf where nothing was
            proposed.
        correct: whether its top item is true; False for a query that has no true item.

    Memory: O(Q).

    Raises:
        InputError: a confidence is NaN, or the lengths differ.

    Example:
        >>> curve = precision_coverage_curve(np.array([.9, .5, .5]), np.array([True, True, False]))
        >>> curve.coverage.round(2).tolist(), curve.precision.round(2).tolist()
        ([0.33, 1.0], [1.0, 0.67])
    """
    check_confidence(confidence, len(correct))
    order = np.argsort(-confidence, kind="stable")
    ordered = confidence[order].astype(np.float64)
    last = last_of_block(ordered)
    last = last[ordered[last] > -np.inf]
    right = np.cumsum(correct[order], dtype=np.int64)[last]
    return PrecisionCoverageCurve(ordered[last], last + 1, right, len(correct))


def last_of_block(ordered: Float64[np.ndarray, " Q"]) -> Int64[np.ndarray, " T"]:
    """Place of the last of each run of equal values."""
    if not len(ordered):
        return np.empty(0, dtype=np.int64)
    return np.append(np.flatnonzero(ordered[1:] != ordered[:-1]), len(ordered) - 1).astype(np.int64)


def check_confidence(confidence: Float[np.ndarray, " Q"], queries: int) -> None:
    """Refuse confidences that cannot be compared with a threshold.

    Raises:
        InputError: a confidence is NaN, or there is not one for each query.
    """
    if len(confidence) != queries:
        raise InputError(
            f"there are {len(confidence)} confidences for {queries} queries; give one for each"
        )
    missing = np.flatnonzero(np.isnan(confidence))
    if len(missing):
        raise InputError(
            f"{len(missing)} of {queries} confidences are NaN (first at query {missing[0]}); "
            "give a number for every query, -inf where nothing was proposed"
        )
