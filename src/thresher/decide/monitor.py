"""Live precision: what audits prove about accepted answers, valid whenever one looks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64

from thresher.decide.binomial import check_levels
from thresher.errors import InputError

EPOCH = 200
"""Audits after which a further sequence starts.

Chosen by simulation: of 50, 100, 200 and none, the one with the shortest delay until a fall from
0.96 to 0.90 after 2,000 audits is proved, and one of the shortest after 400."""
_STEPS = 40  # halvings of an interval of error rates: to 1e-12
_LOG_ODDS = 0.02 * 1.5 ** np.arange(14)
_SHARE = 1 / (1 + np.abs(np.log(_LOG_ODDS / 0.75))) ** 1.5
_LOG_SHARE = np.log(_SHARE / _SHARE.sum())


@dataclass(frozen=True)
class Live:
    """The precision of accepted answers, as audits show it.

    Args:
        estimate: share of right answers, weighted by 1 / audit probability; NaN without audits.
        lower, upper: bounds of the precision that hold together at any time.
        audits: verdicts that they rest on.
        confidence_level: probability that the bounds hold at all times, a fraction.
    """

    estimate: float
    lower: float
    upper: float
    audits: int
    confidence_level: float


class Audits:
    """Verdicts on a random slice of accepted answers, counted so that bounds cost no pass over all.

    Equation:  K(e) = sum_k s_k prod_i [1 + b_k(e) w_i (x_i - e)],  b_k(e) = (r_k - 1) / (1 + e (r_k
               - 1)); x_i = 1 for a wrong answer, w_i = least / audit probability in (0, 1], e an
               error rate; r_k > 1 are odds ratios that bet on more errors than e, 1 / r_k on fewer;
               s_k sum to 1.
    Source:    Waudby-Smith and Ramdas 2024, "Estimating means of bounded random variables by
               betting", J. R. Stat. Soc. B 86(1), Theorem 1 and section 4 (K is their capital with
               bets that are fixed and averaged), with the weights of Waudby-Smith et al. 2024,
               "Anytime-valid off-policy inference for contextual bandits", ACM/IMS J. Data Sci.
               1(3). Ville's inequality: P(K(e) >= 1 / d at any time) <= d.

    What holds, for an answer that is audited with a known probability decided without its verdict:

    - Traffic that does not change: K at its error rate is a non-negative martingale from 1, so
      bounds are right at all times together, whatever the audit probability depends on.
    - Equal audit probabilities: each term of K is exp(c_k E - n log(1 + e (r_k - 1))), E errors in
      n, c_k = log r_k, which no drift invalidates: the log is concave in e, so it is at most the
      martingale of the changing error rates when e is their mean (Hoeffding 1963, section 4). The
      bounds then hold the mean precision of all that was audited, however it changed.
    - Any probabilities and any drift: where every precision so far was at least m, the upper bound
      is never below m but with the stated probability; the mirror image for the lower bound.

    Many audits from before a change hide it: a mean over ten good weeks stays high. So one more
    sequence starts after every `EPOCH` audits, the j-th with 1 / (j (j + 1)) of the level, which
    sum to 1. `evidence` is the average of all sequences with these weights, itself a non-negative
    supermartingale, so no level is lost to the restarts but that; `recent` reads the sequence
    that started before the last one, EPOCH to 2 EPOCH audits back.

    A verdict is an observation of a reviewer: bounds are of the precision that reviewers see. See
    `true_precision` for what their errors do.

    Args:
        least: the smallest audit probability that will be given, in (0, 1]; only audits of equal
            probability leave it without effect on the width.

    Raises:
        InputError: if `least` is no probability.

    Example:
        >>> audits = Audits(least=0.05)
        >>> audits.add([True] * 400 + [False] * 10, [0.05] * 410)
        >>> live = audits.live()
        >>> round(live.estimate, 3), round(live.lower, 3), round(live.upper, 3)
        (0.976, 0.944, 0.991)
    """

    def __init__(self, *, least: float = 1.0) -> None:
        if not 0 < least <= 1:
            raise InputError(f"the least audit probability is {least}; give one in (0, 1], as 0.05")
        self.least = least
        self._weights = np.ones(1)
        self._counts = np.zeros((1, 1, 2), np.int64)  # epoch, weight, right or wrong

    def __len__(self) -> int:
        return int(self._counts.sum())

    def add(
        self, correct: Sequence[bool] | np.ndarray, audit_probability: Sequence[float] | np.ndarray
    ) -> None:
        """Count verdicts, oldest first.

        Args:
            correct: whether each audited answer was right.
            audit_probability: with which each was drawn for an audit.

        Raises:
            InputError: for a probability below `least` or above 1, or columns of unequal length.
        """
        right, probability = _columns(correct, audit_probability)
        if len(right) and not (probability.min() >= self.least and probability.max() <= 1):
            raise InputError(
                f"an audit probability is {probability.min():g} to {probability.max():g}; give "
                f"numbers from {self.least:g}, the least of the design, to 1"
            )
        weights = np.union1d(self._weights, self.least / probability)
        epochs = (len(self) + len(right)) // EPOCH + 1
        counts = np.zeros((epochs, len(weights), 2), np.int64)
        at = np.searchsorted(weights, self._weights)
        counts[: len(self._counts), at] = self._counts
        epoch = (len(self) + np.arange(len(right))) // EPOCH
        np.add.at(
            counts,
            (epoch, np.searchsorted(weights, self.least / probability), (~right).astype(int)),
            1,
        )
        self._weights, self._counts = weights, counts

    def live(self, confidence_level: float = 0.95) -> Live:
        """The precision of all that was accepted since the first audit."""
        return self._live(0, 1 - confidence_level, confidence_level)

    def recent(self, confidence_level: float = 0.95) -> Live:
        """The precision since the sequence before the last started, of `EPOCH` audits or more."""
        started = max(0, len(self._counts) - 2)
        level = (1 - confidence_level) / ((started + 1) * (started + 2))
        return self._live(started, level, confidence_level)

    def evidence(self, target: float) -> Float64[np.ndarray, " J"]:
        """How strongly each sequence speaks against a precision of at least the target: logs.

        Equation:  log(K_j / (j (j + 1))); with J sequences started, where every precision is at
                   least the target, P(sum_j K_j / (j (j + 1)) + 1 / (J + 1) >= 1 / d ever) <= d

        The last term is the capital of the sequences to come. `log_evidence` adds them.

        Args:
            target: precision, a fraction in (0, 1).
        """
        error = np.full(len(self._counts), _error(target))
        wealth = log_capital(error, self._since(), self._weights, side=1)
        j = np.arange(1, len(self._counts) + 1)
        return np.asarray(wealth - np.log(j * (j + 1.0)))

    def log_evidence(self, target: float) -> float:
        """The log of all evidence that the precision was below the target at some time.

        It reaches log(1 / d) at any time with a probability of at most d where it never was.
        """
        each = self.evidence(target)
        return float(np.logaddexp.reduce(np.append(each, -np.log(len(each) + 1))))

    def log_support(self, target: float) -> float:
        """The log of the evidence since the first audit that the precision is above the target.

        It reaches log(1 / d) at any time with a probability of at most d where it never was.
        """
        counts = self._counts.sum(axis=0)
        return float(log_capital(_error(target), counts, self._weights, side=-1))

    def since(self, epoch: int) -> tuple[int, int]:
        """Audits since a sequence started, and the wrong ones among them."""
        own = self._counts[epoch:].sum(axis=(0, 1))
        return int(own.sum()), int(own[1])

    def _since(self) -> Int64[np.ndarray, "J G 2"]:
        return np.cumsum(self._counts[::-1], axis=0)[::-1]

    def _live(self, epoch: int, level: float, confidence_level: float) -> Live:
        check_levels(0.5, confidence_level)
        counts = self._counts[epoch:].sum(axis=0)
        each = counts.T @ self._weights
        low, high = error_bounds(counts, self._weights, level=level)
        estimate = float(each[0] / each.sum()) if each.sum() else float("nan")
        return Live(estimate, float(1 - high), float(1 - low), int(counts.sum()), confidence_level)


def live_precision(
    correct: Sequence[bool] | np.ndarray,
    audit_probability: Sequence[float] | np.ndarray,
    *,
    confidence_level: float = 0.95,
    least: float | None = None,
) -> Live:
    """Bound the precision of accepted answers by audits of some, whenever one looks; see `Audits`.

    Args:
        correct: whether each audited answer was right, oldest first.
        audit_probability: with which each was drawn, in (0, 1].
        confidence_level: probability that the bounds hold at all times, a fraction.
        least: the smallest probability of the design; the smallest given when left out.
    """
    right, probability = _columns(correct, audit_probability)
    lowest = float(probability.min(initial=1.0)) if least is None else least
    audits = Audits(least=lowest)
    audits.add(right, probability)
    return audits.live(confidence_level)


def true_precision(seen: float, error_rate: float) -> float:
    """Correct a precision that reviewers see for their errors, where rejections are judged twice.

    Equation:  seen error = e (1 - h)^2 + (1 - e) h^2, solved for the error rate e and cut to [0,
               1]; an answer counts as wrong where two people, each wrong with probability h
               independently of the answer and of each other, both reject it.

    It turns bounds of what reviewers see into bounds of the truth, for a known h. With one reviewer
    each, seen error = e (1 - 2 h) + h: at h = 0.03 a precision of 0.96 looks like 0.932, so an
    audit without a second look at rejections alarms for nothing.

    Args:
        seen: precision by verdicts, a fraction.
        error_rate: h, a fraction below 1/2, such as half of the disagreement of two reviewers.

    Example:
        >>> round(true_precision(0.9615, 0.03), 3)
        0.96
    """
    if not 0 <= error_rate < 0.5:
        raise InputError(
            f"the error rate of reviewers is {error_rate}; give one from 0 to below 0.5"
        )
    both = error_rate**2
    return float(1 - np.clip((1 - seen - both) / ((1 - error_rate) ** 2 - both), 0, 1))


def error_bounds(
    counts: Int64[np.ndarray, "*at G 2"], weights: Float64[np.ndarray, " G"], *, level: float
) -> tuple[Float64[np.ndarray, "*at"], Float64[np.ndarray, "*at"]]:
    """The error rates that no capital of `Audits` has multiplied by 2 / level, from and to.

    Args:
        counts: right and wrong answers by weight, for each of any number of moments.
        weights: least audit probability / audit probability.
        level: probability that the two bounds fail, half of it each.
    """
    bar, each = np.log(2 / level), []
    for side in (1, -1):
        low, high = np.zeros(counts.shape[:-2]), np.ones(counts.shape[:-2])
        for _ in range(_STEPS):
            middle = np.asarray((low + high) / 2)
            out = log_capital(middle, counts, weights, side=side) >= bar
            below = out if side == 1 else ~out  # the bound is above the middle
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        each.append(low if side == 1 else high)
    return np.asarray(each[0]), np.asarray(each[1])


def log_capital(
    error: Float[np.ndarray, "*at"],
    counts: Int64[np.ndarray, "*at G 2"],
    weights: Float64[np.ndarray, " G"],
    *,
    side: int,
) -> Float64[np.ndarray, "*at"]:
    """The log of K in `Audits` at an error rate; side 1 bets on more errors, -1 on fewer.

    Both sides are monotone in the error rate, which makes bisection exact.
    """
    gain = np.expm1(side * _LOG_ODDS)
    bet = gain / (1 + np.asarray(error)[..., None] * gain)  # ... K
    scaled = bet[..., None] * weights  # ... K G
    e = np.asarray(error)[..., None, None]
    grown = counts[..., None, :, 0] * np.log1p(-scaled * e)
    grown = grown + counts[..., None, :, 1] * np.log1p(scaled * (1 - e))
    return np.asarray(np.logaddexp.reduce(_LOG_SHARE + grown.sum(axis=-1), axis=-1))


def _error(target: float) -> Float64[np.ndarray, ""]:
    """The error rate that a target allows."""
    check_levels(target, 0.5)
    return np.asarray(1 - target, np.float64)


def _columns(
    correct: Sequence[bool] | np.ndarray, audit_probability: Sequence[float] | np.ndarray
) -> tuple[Bool[np.ndarray, " n"], Float64[np.ndarray, " n"]]:
    right = np.asarray(correct, np.bool_)
    probability = np.asarray(audit_probability, np.float64)
    if right.shape != probability.shape or right.ndim != 1 or np.isnan(probability).any():
        raise InputError(
            f"got {right.size} verdicts and {probability.size} audit probabilities; give one "
            "number a verdict"
        )
    return right, probability
