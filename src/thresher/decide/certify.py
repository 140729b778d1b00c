"""From labelled answers to a threshold with a certified precision, or to why there is none."""

import numpy as np
from jaxtyping import Bool, Float, Float64, Shaped

from thresher.decide.binomial import check_levels, p_value, power, shrunk_precision
from thresher.decide.policy import NoThreshold, Policy
from thresher.decide.sequence import FIT_SHARE, Labels, fit_rows, order, passed
from thresher.errors import InputError

REACHABLE = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.925, 0.95, 0.96, 0.97, 0.98, 0.985, 0.99, 0.995)
"""Lower targets to try when the one asked for is out of reach."""
POWER = 0.8
"""How probable it must be that a test passes, when labels are planned."""
MOST_LABELS = 10_000_000
"""More labels than this settle nothing in practice."""


def certify(
    scores: Float[np.ndarray, " Q"],
    correct: Bool[np.ndarray, " Q"],
    *,
    target: float,
    confidence: float,
    fit_scores: Float[np.ndarray, " F"] | None = None,
    fit_correct: Bool[np.ndarray, " F"] | None = None,
    groups: Shaped[np.ndarray, " Q"] | None = None,
    design_effect: float = 1.0,
    seed: int | np.random.Generator = 0,
    fitted_on: str = "",
) -> Policy | NoThreshold:
    """Find the loosest threshold whose precision is proved to exceed a target.

    Equation:  precision(t) = P(correct | score >= t);  H0(t): precision(t) <= target;
               p(t) = P(Binom(n(t), 1 - target) <= errors(t)), n(t) accepted in the certify part;
               thresholds t1, t2, ... of the fit part in a fixed order, each tested at
               1 - confidence, up to the first failure; the last that passed is the answer.
    Source:    Angelopoulos et al. 2021, "Learn then Test", arXiv 2110.01052, section 2 and the
               split fixed-sequence procedure; Bauer 1991, Stat. Med. 10(6), for the fixed order.
    Differs:   the order is one path from the threshold with the highest predicted power to looser
               ones, not a path of p-values over a grid; the p-value is the exact binomial one.

    Promise: over the draw of the certify part, the precision of what the policy accepts exceeds the
    target with a probability of at least `confidence`.

    Why the test is exact although the number accepted is random: the thresholds come from other
    labels, so for a fixed threshold, given *which* rows of the certify part are accepted, their
    labels are independent draws from the answers with score >= t, each wrong with probability
    1 - precision(t). Given n(t) = n the errors are Binom(n, 1 - precision(t)), so under H0 the
    p-value is at most d with probability at most d, for every n, hence also on average over n.

    What it assumes: the rows of the certify part are independent draws from the traffic to come.
    Rows with the same text stand or fall together and say less than their number: `groups` keeps
    them on one side of the split, and with a `design_effect` (see `repeats`) the counts are divided
    by it before they are tested. The test is then approximate, as Rao and Scott's is. A learned
    confidence may have been trained on the fit part, never on the certify part.

    Args:
        scores: confidence of each answer; higher is more certain; -inf is never accepted.
        correct: whether each answer is right.
        target: precision to certify, a fraction in (0, 1).
        confidence: probability that the promise holds, a fraction in (0, 1); 0.9-0.95 is usual.
        fit_scores: confidences of the fit part; without it a quarter of the rows is drawn as such.
        fit_correct: labels of the fit part.
        groups: a value per row; equal values stay on the same side of the drawn split.
        design_effect: how many labels say as much as one independent label; 1 when no two rows
            have the same text.
        seed: a seed or a generator for the split.
        fitted_on: fingerprint of the model and index, kept in the answer.

    Returns:
        A policy, or what is reachable instead.

    Memory: O(Q).

    Raises:
        InputError: if a level is outside (0, 1), the arrays do not fit together, or labels are too
            few to split.

    Example:
        >>> scores = np.linspace(0, 1, 1000)
        >>> answer = certify(scores, scores > 0.3, target=0.9, confidence=0.95)
        >>> answer.lower_bound > 0.9
        True
    """
    check_levels(target, confidence)
    growth = 1.0
    if fit_scores is None and fit_correct is None:
        fit_row = fit_rows(scores, correct, groups=groups, seed=seed)
        fit_scores, fit_correct = scores[fit_row], correct[fit_row]
        scores, correct = scores[~fit_row], correct[~fit_row]
        growth = 1 / (1 - FIT_SHARE)
    elif groups is not None:
        raise InputError("Groups steer the split, and a fit part was given: leave out one of them.")
    if fit_scores is None or fit_correct is None:
        raise InputError("Only one of fit_scores and fit_correct was given: give both or neither.")
    fit = Labels.of(fit_scores, fit_correct, design_effect=design_effect)
    rest = Labels.of(scores, correct, design_effect=design_effect)
    if not len(fit) or not len(rest):
        raise InputError(
            f"Got {len(fit)} labels to fit on and {len(rest)} to certify: both need some."
        )
    policy = certify_parts(fit, rest, target=target, level=1 - confidence, fitted_on=fitted_on)
    if policy.accept_at is not None:
        return policy
    return explain(
        fit, rest, target=target, confidence=confidence, growth=growth, fitted_on=fitted_on
    )


def certify_parts(
    fit: Labels, rest: Labels, *, target: float, level: float, fitted_on: str
) -> Policy:
    """Order thresholds on one part, test them on the other; without success `accept_at` is None."""
    thresholds, _ = order(fit, certify_size=len(rest), target=target, level=level)
    count = passed(rest, thresholds, target=target, level=level)
    chosen = thresholds[:count][-1:]
    accepted, errors = rest.counts(chosen)
    return Policy(
        accept_at=float(chosen[0]) if count else None,
        target_precision=target,
        confidence=1 - level,
        accepted=int(accepted.sum()),
        errors=int(errors.sum()),
        labelled=len(rest),
        design_effect=rest.design_effect,
        fitted_on=fitted_on,
    )


def explain(
    fit: Labels, rest: Labels, *, target: float, confidence: float, growth: float, fitted_on: str
) -> NoThreshold:
    """Say what is reachable, and how many labels would settle it, after a failure.

    Args:
        fit: the fit part.
        rest: the certify part.
        target: the precision that was not certified.
        confidence: the confidence of every statement.
        growth: labels to collect for one more in the certify part.
        fitted_on: fingerprint of the model and index.
    """
    level = 1 - confidence
    thresholds, _ = order(fit, certify_size=len(rest), target=target, level=level)
    accepted, errors = rest.counts(thresholds[:1])
    best = _reachable(fit, rest, target=target, level=level)
    more = _more_labels(fit, rest, thresholds, target=target, level=level)
    return NoThreshold(
        target_precision=target,
        confidence=confidence,
        accepted=int(accepted.sum()),
        errors=int(errors.sum()),
        labelled=len(rest),
        reachable_precision=best[0] if best else None,
        reachable_coverage=best[1] if best else None,
        more_labels=None if more is None else int(np.ceil(more * growth)),
        fitted_on=fitted_on,
    )


def _reachable(
    fit: Labels, rest: Labels, *, target: float, level: float
) -> tuple[float, float] | None:
    """The highest lower target that passes, and its coverage.

    One fixed sequence of pairs, a target and a threshold of the fit part, from the lowest target up
    to the first failure: however many targets are tried, one false claim has a probability <=
    level. The threshold is the loosest that the fit part certifies by itself at a tenth of the
    level, so that the larger certify part fails it rarely; else the most promising.
    """
    best = None
    for lower in (x for x in REACHABLE if x < target):
        thresholds, _ = order(fit, certify_size=len(rest), target=lower, level=level)
        clear = np.flatnonzero(fit.p_values(thresholds, target=lower) <= level / 10)
        chosen = thresholds[clear[-1:]] if len(clear) else thresholds[:1]
        if not len(chosen) or not passed(rest, chosen, target=lower, level=level):
            break
        best = lower, float(rest.counts(chosen)[0][0]) / len(rest)
    return best


def _more_labels(
    fit: Labels,
    rest: Labels,
    thresholds: Float64[np.ndarray, " T"],
    *,
    target: float,
    level: float,
) -> int | None:
    """Labels to add to the certify part until a failed test is expected to pass, or None.

    At the failed threshold with the clearest evidence in both parts together, the present counts
    (n, e) grow by m accepted labels, wrong at the cautious estimate of their rate q:
    min { m : P(e + Binom(m, q) <= errors allowed in n + m) >= POWER }, divided by the coverage.
    """
    n, e = rest.counts(thresholds)
    fit_n, fit_e = fit.counts(thresholds)
    precision = shrunk_precision(e + fit_e, n + fit_n, target=target)
    evidence = p_value(e + fit_e, n + fit_n, target=target)
    useful = (rest.p_values(thresholds, target=target) > level) & (precision > target)
    if not useful.any():
        return None
    best = int(np.argmin(np.where(useful, evidence, np.inf)))
    coverage = (n[best] + fit_n[best]) / (len(rest) + len(fit))
    # Steps of 3 %: the answer is an estimate, and the exact power rises in a saw-tooth.
    extra = np.unique(np.geomspace(1, MOST_LABELS, 600).astype(np.int64))
    # In independent labels; what is to be collected then counts `design_effect` times.
    seen = int(n[best] / rest.design_effect), int(np.ceil(e[best] / rest.design_effect))
    passes = (
        power(extra, precision[best : best + 1], target=target, level=level, seen=seen) >= POWER
    )
    if not passes.any():
        return None
    return int(np.ceil(extra[np.argmax(passes)] * rest.design_effect / coverage))
