"""What to do when audits speak against the promise: keep, tighten, or stop accepting."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float64

from thresher.decide.binomial import check_levels
from thresher.decide.monitor import EPOCH, Audits, Live

_KEPT = (0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True)
class Action:
    """What the audits call for.

    Args:
        kind: "keep", "tighten" or "stop".
        threshold: to accept from now on; None to accept nothing.
        reason: one sentence.
        live: the precision since the threshold has been in force.
        recent: the same of the latest audits.
    """

    kind: Literal["keep", "tighten", "stop"]
    threshold: float | None
    reason: str
    live: Live
    recent: Live


def guard(
    scores: Sequence[float] | np.ndarray,
    correct: Sequence[bool] | np.ndarray,
    audit_probability: Sequence[float] | np.ndarray,
    *,
    target: float,
    threshold: float,
    confidence_level: float = 0.95,
    stricter: Sequence[float] | np.ndarray = (),
    least: float | None = None,
) -> Action:
    """Say whether a threshold may stay in force, to be asked after every audit.

    Equation:  act once sum_j K_j / (j (j + 1)) + 1 / (J + 1) >= 1 / level, level = 1 -
               confidence_level (`Audits.log_evidence`)
    Source:    see `Audits`; for thresholds tested in a fixed order, Bauer 1991, Stat. Med. 10(6).

    It acts on proof that the promise is broken: where the precision is at least the target at all
    times, it ever acts with a probability of at most the level, however often it is asked and
    however long the threshold is in force. It does not wait for proof that the promise is kept: at
    a precision of 0.96 that takes some 3,000 audits for a target of 0.95, and is what the
    certificate was for.

    Then the audits since the sequence with the strongest evidence started are looked at above
    stricter thresholds, strictest first, up to the first that they do not support: each has to have
    a capital of j (j + 1) / level that bets on fewer errors than the target allows. So a slow
    decline, proved by many audits, tightens; a fall that few audits prove stops.

    Args:
        scores: confidence of each audited answer, all accepted since the threshold is in force,
            oldest first.
        correct: whether each was right.
        audit_probability: with which each was drawn.
        target: precision promised, a fraction.
        threshold: in force.
        confidence_level: of the promise, a fraction.
        stricter: thresholds to choose from, fixed before these audits: see `stricter_thresholds`.
        least: the smallest audit probability of the design; the smallest given when left out.

    Raises:
        InputError: for levels outside (0, 1), or columns that do not fit together.
    """
    check_levels(target, confidence_level)
    probability = np.asarray(audit_probability, np.float64)
    lowest = float(probability.min(initial=1.0)) if least is None else least
    audits = Audits(least=lowest)
    audits.add(correct, probability)
    live, recent = audits.live(confidence_level), audits.recent(confidence_level)
    level = 1 - confidence_level
    if audits.log_evidence(target) < -np.log(level):
        return Action("keep", threshold, _kept(live, target), live, recent)
    epoch = int(np.argmax(audits.evidence(target)))
    count, wrong = audits.since(epoch)
    told = (
        f"{wrong} of the last {count} audited answers were wrong ({wrong / count:.1%}), which "
        f"proves a precision below {target:.12g} at confidence level {confidence_level:g}"
    )
    rows = slice(epoch * EPOCH, None)
    own = np.asarray(scores, np.float64)[rows], np.asarray(correct)[rows], probability[rows]
    bar = np.log((epoch + 1) * (epoch + 2) / level)
    chosen = None
    for one in sorted((float(t) for t in stricter if t > threshold), reverse=True):
        if not _supported(*own, at=one, target=target, bar=bar, least=lowest):
            break
        chosen = one
    if chosen is None:
        reason = f"{told}, and no stricter threshold is supported: nothing is accepted any more"
        return Action("stop", None, reason, live, recent)
    reason = f"{told}; from {chosen:.6g} up they support it, so the threshold rises to that"
    return Action("tighten", chosen, reason, live, recent)


def stricter_thresholds(
    confidence: Sequence[float] | np.ndarray, threshold: float
) -> Float64[np.ndarray, " T"]:
    """Thresholds for `guard` to fall back on, from the answers that the certificate rests on.

    Args:
        confidence: of the labelled answers; those from the threshold up count.
        threshold: in force.

    Returns:
        Those that keep 50, 60, 70, 80 and 90 % of the accepted, strictest first.
    """
    values = np.asarray(confidence, np.float64)
    accepted = values[values >= threshold]
    if not len(accepted):
        return np.empty(0)
    found = np.unique(np.quantile(accepted, [1 - share for share in _KEPT], method="higher"))[::-1]
    return np.asarray(found[found > threshold])


def _supported(
    scores: np.ndarray,
    correct: np.ndarray,
    probability: np.ndarray,
    *,
    at: float,
    target: float,
    bar: float,
    least: float,
) -> bool:
    """Whether the audits from a score up prove a precision above the target."""
    above = scores >= at
    audits = Audits(least=least)
    audits.add(correct[above], probability[above])
    return bool(audits.log_support(target) >= bar)


def _kept(live: Live, target: float) -> str:
    if not live.audits:
        return "no accepted answer was audited yet"
    return (
        f"{live.audits} audits do not contradict a precision of {target:.12g}: it is "
        f"{live.lower:.3f} to {live.upper:.3f}, estimated {live.estimate:.3f}"
    )
