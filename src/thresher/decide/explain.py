"""Why nothing was certified: what is reachable, and how many labels would settle it."""

from typing import Any

import numpy as np
from jaxtyping import Float64
from scipy import special

from thresher.decide.binomial import p_value, power
from thresher.decide.policy import NoThreshold
from thresher.decide.sequence import Labels, order, passed

REACHABLE = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.925, 0.95, 0.96, 0.97, 0.98, 0.985, 0.99, 0.995)
"""Lower targets to try when the one asked for is out of reach."""
POWER = 0.8
"""How probable it must be that a test passes, when labels are planned."""
INTERVAL = 0.8
"""Probability of the interval of the precision that the number of missing labels is given for."""
MOST_LABELS = 10_000_000
"""More labels than this settle nothing in practice."""


def explain(
    selection: Labels,
    rest: Labels,
    *,
    target: float,
    level: float,
    growth: float,
    stamp: dict[str, Any],
) -> NoThreshold:
    """Say what is reachable, and how many labels would settle it, after a failure.

    Args:
        selection: the part that chose the thresholds.
        rest: the certifying part.
        target: the precision that was not certified.
        level: probability that a statement is wrong.
        growth: labels to collect for one more in the certifying part.
        stamp: what the answer says about the labels: absent, label_uses, fitted_on.
    """
    thresholds, _ = order(selection, certify_size=len(rest), target=target, level=level)
    best = _reachable(selection, rest, target=target, level=level)
    return NoThreshold(
        target_precision=target,
        confidence_level=1 - level,
        labelled=len(rest),
        **rest.evidence(thresholds[:1]),
        reachable_precision=best[0] if best else None,
        reachable_coverage=best[1] if best else None,
        more_labels=_more_labels(
            selection, rest, thresholds, target=target, level=level, growth=growth
        ),
        **stamp,
    )


def _reachable(
    selection: Labels, rest: Labels, *, target: float, level: float
) -> tuple[float, float] | None:
    """The highest lower target that passes, and its coverage.

    One fixed sequence of pairs, a target and a threshold of the selection part, from the lowest
    target up to the first failure: however many targets are tried, one false claim has a
    probability <= level. The threshold is the loosest that the selection part certifies by itself
    at a tenth of the level, so that the larger certifying part fails it rarely; else the most
    promising.
    """
    best = None
    for lower in (x for x in REACHABLE if x < target):
        thresholds, _ = order(selection, certify_size=len(rest), target=lower, level=level)
        clear = np.flatnonzero(selection.p_values(thresholds, target=lower) <= level / 10)
        chosen = thresholds[clear[-1:]] if len(clear) else thresholds[:1]
        if not len(chosen) or not passed(rest, chosen, target=lower, level=level):
            break
        best = lower, float(rest.accepted(chosen)[0]) / len(rest)
    return best


def _more_labels(
    selection: Labels,
    rest: Labels,
    thresholds: Float64[np.ndarray, " T"],
    *,
    target: float,
    level: float,
    growth: float,
) -> tuple[int, int | None] | None:
    """Labels to add until a failed test is expected to pass: from, to; None where hopeless.

    At the failed threshold with the clearest evidence in both parts together, the present counts
    (n, e) grow by m accepted labels, wrong at a rate q: min { m : P(e + Binom(m, q) <= errors
    allowed in n + m) >= POWER }, divided by the coverage; for q at either end of the
    Clopper-Pearson interval of both parts' labels.
    """
    (n, e), (more_n, more_e) = rest.effective(thresholds), selection.effective(thresholds)
    if not len(thresholds):
        return None
    evidence = p_value(e + more_e, n + more_n, target=target)
    failed = rest.p_values(thresholds, target=target) > level
    best = int(np.argmin(np.where(failed, evidence, np.inf)))
    right, wrong = n[best] + more_n[best] - e[best] - more_e[best], e[best] + more_e[best]
    tail = (1 - INTERVAL) / 2
    ends = special.betaincinv(
        [right + 1, max(right, 1e-9)], [max(wrong, 1e-9), wrong + 1], [1 - tail, tail]
    )
    accepted = rest.accepted(thresholds)[best] + selection.accepted(thresholds)[best]
    collect = growth * rest.effect(thresholds)[best] * (len(rest) + len(selection)) / accepted
    seen = int(n[best]), int(np.ceil(e[best]))
    low, high = (_until(seen, float(q), target=target, level=level) for q in ends)
    if low is None:
        return None
    return int(np.ceil(low * collect)), None if high is None else int(np.ceil(high * collect))


def _until(seen: tuple[int, int], precision: float, *, target: float, level: float) -> int | None:
    """Accepted labels to add until the test passes with the probability POWER, None if never."""
    if precision <= target:
        return None
    # Steps of 3 %: the answer is an estimate, and the exact power rises in a saw-tooth.
    extra = np.unique(np.geomspace(1, MOST_LABELS, 600).astype(np.int64))
    passes = power(extra, np.asarray([precision]), target=target, level=level, seen=seen) >= POWER
    return int(extra[np.argmax(passes)]) if passes.any() else None
