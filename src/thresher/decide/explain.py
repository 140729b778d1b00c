"""Why nothing was certified: what is reachable, and how many labels would settle it."""

import numpy as np
from jaxtyping import Float64

from thresher.decide.binomial import p_value, power
from thresher.decide.policy import NoThreshold, Promise
from thresher.decide.sequence import MIN_CLUSTERS, Labels, order, passed

REACHABLE = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.925, 0.95, 0.96, 0.97, 0.98, 0.985, 0.99, 0.995)
"""Lower targets to try when the one asked for is out of reach."""
POWER = 0.8
"""How probable it must be that a test passes, when labels are planned."""
CLEAR = 0.999
"""The same of a threshold that shows what is reachable: a dozen are tested in turn."""
INTERVAL = 0.8
"""Probability of the interval of the precision that the number of missing labels is given for."""
MOST_LABELS = 10_000_000
"""More labels than this settle nothing in practice."""


def explain(selection: Labels, rest: Labels, promise: Promise, growth: float) -> NoThreshold:
    """Say what is reachable, and how many labels would settle it, after a failure.

    Args:
        selection: the part that chose the thresholds.
        rest: the certifying part.
        promise: target and level, and what the answer says about the labels.
        growth: labels to collect for one more in the certifying part.
    """
    thresholds, _ = order(
        selection, certify_size=len(rest), target=promise.target_precision, level=promise.level
    )
    # Where no threshold accepts enough clusters, the loosest comes closest.
    enough = rest.testable(thresholds)
    thresholds = thresholds[enough] if enough.any() else thresholds[-1:]
    precision, coverage = _reachable(selection, rest, promise)
    return NoThreshold(
        reachable_precision=precision,
        reachable_coverage=coverage,
        more_labels=_more_labels(selection, rest, thresholds, promise, growth),
        **rest.evidence(thresholds[:1]),
        **vars(promise),
    )


def _reachable(
    selection: Labels, rest: Labels, promise: Promise
) -> tuple[float | None, float | None]:
    """The highest lower target that passes, and its coverage; None where none does.

    One fixed sequence of pairs, a target and a threshold of the selection part, from the lowest
    target up to the first failure: however many targets are tried, one false claim has a
    probability <= level. The threshold is the loosest that the selection part certifies by itself
    at a tenth of the level and predicts the certifying part to pass, by the sizes of its clusters,
    with a probability of `CLEAR`, so that it fails rarely; else the most promising.
    """
    # Labels of clusters of unequal sizes say as much as so many, if errors grow with the sizes.
    size = int(len(rest) * rest.squares[-1] / rest.cubes[-1])
    best: tuple[float | None, float | None] = (None, None)
    level = promise.level
    for target in (lower for lower in REACHABLE if lower < promise.target_precision):
        thresholds, powers = order(selection, certify_size=size, target=target, level=level)
        here = rest.testable(thresholds)
        thresholds, powers = thresholds[here], powers[here]
        sure = selection.p_values(thresholds, target=target) <= level / 10
        clear = np.flatnonzero(sure & (powers >= CLEAR))
        chosen = thresholds[clear[-1:]] if len(clear) else thresholds[:1]
        if not len(chosen) or not passed(rest, chosen, target=target, level=level):
            break
        best = target, float(rest.counts(chosen)[0][0]) / len(rest)
    return best


def _more_labels(
    selection: Labels,
    rest: Labels,
    thresholds: Float64[np.ndarray, " T"],
    promise: Promise,
    growth: float,
) -> tuple[int, int | None] | None:
    """Labels to add until a failed test is expected to pass: from, to; None where hopeless.

    At the failed threshold with the clearest evidence in both parts together, the present counts
    grow by labels that are right with the precision at either end of the Clopper-Pearson interval
    of both parts, divided by the coverage.
    """
    if not len(thresholds):
        return None
    target = promise.target_precision
    (n, e), (more_n, more_e) = rest.effective(thresholds), selection.effective(thresholds)
    evidence = p_value(e + more_e, n + more_n, target=target)
    failed = rest.p_values(thresholds, target=target) > promise.level
    best = np.argmin(np.where(failed, evidence, np.inf))
    wrong = e[best] + more_e[best]
    right = n[best] + more_n[best] - wrong
    tail = (1 - INTERVAL) / 2
    from scipy import special  # slow to import, and nothing that only matches needs it

    optimistic = special.betaincinv(right + 1, max(wrong, 1e-9), 1 - tail)
    cautious = special.betaincinv(max(right, 1e-9), wrong + 1, tail)
    accepted = rest.counts(thresholds)[0][best] + selection.counts(thresholds)[0][best]
    each = growth * rest.effect(thresholds)[best] * (len(rest) + len(selection)) / accepted
    seen = int(n[best]), int(np.ceil(e[best]))
    low, high = (_until(seen, float(q), promise) for q in (optimistic, cautious))
    clusters = rest.evidence(thresholds[best : best + 1])["distinct_clusters"]
    least = 0 if rest.testable(thresholds)[best] else MIN_CLUSTERS - clusters
    low, high = (n and int(np.ceil(max(n, least) * each)) for n in (low, high))
    return None if low is None else (low, high)


def _until(seen: tuple[int, int], precision: float, promise: Promise) -> int | None:
    """Accepted labels to add until the test passes with the probability POWER, None if never.

    Equation:  min { m : P(e + Binom(m, 1 - precision) <= errors allowed in n + m) >= POWER },
               given n accepted labels with e errors.
    """
    target = promise.target_precision
    if precision <= target:
        return None
    # Steps of 3 %: the answer is an estimate, and the exact power rises in a saw-tooth.
    extra = np.unique(np.geomspace(1, MOST_LABELS, 600).astype(np.int64))
    powers = power(extra, np.asarray([precision]), target=target, level=promise.level, seen=seen)
    return int(extra[np.argmax(powers >= POWER)]) if powers.max() >= POWER else None
