"""A threshold for each segment that can afford one, and one for all the others together."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float, Shaped

from thresher.decide.binomial import check_levels, labels_needed
from thresher.decide.certify import POWER, certify_parts, explain
from thresher.decide.policy import NoThreshold, Policy, segment_names
from thresher.decide.sequence import FIT_SHARE, Labels, fit_rows, order
from thresher.errors import InputError

Names = Sequence[str | None] | Shaped[np.ndarray, " Q"]
"""The segment of each row; None is a row without one."""


def certify_by(
    scores: Float[np.ndarray, " Q"],
    correct: Bool[np.ndarray, " Q"],
    segments: Names,
    *,
    by: str,
    target: float,
    confidence: float,
    fit_rows: Bool[np.ndarray, " Q"] | None = None,
    groups: Shaped[np.ndarray, " Q"] | None = None,
    design_effect: float = 1.0,
    seed: int | np.random.Generator = 0,
    fitted_on: str = "",
) -> Policy | NoThreshold:
    """Find a threshold for each segment such that every one of them keeps the promise.

    Equation:  m families are tested: the segments with a threshold of their own and, as one more,
               the remainder if any is labelled; each by `certify` at (1 - confidence) / m.
    Source:    `certify`; Bonferroni over the families. Reconstructed: no paper gives this rule.

    Which segments are tested alone is decided on the fit part: as many as are predicted to pass
    their first test with a probability of 80 % at that level, the surest first.
    The remainder is every row of any other segment, segments never seen included, and is certified
    as one population with one threshold.

    Promise: with a probability of at least `confidence` *all* the thresholds hold at once: in each
    segment with its own, the precision of what is accepted exceeds the target; and so does the
    precision of all that is accepted in the remainder together. (Each single one holds at the
    higher confidence 1 - (1 - confidence) / m that stands in it.) A mixture of populations that
    exceed the target exceeds it, so all that is accepted does too. Nothing is promised for one
    segment inside the remainder.

    Two tempting fall-backs are not sound and not done. A threshold certified on *all* traffic says
    nothing about the segments that are left to use it: those that have their own may have carried
    it. And a segment that was tested alone and failed cannot join the remainder afterwards, because
    the remainder would then be chosen by the labels that certify it: such a segment is reviewed.
    Holm's step-down is no gain here: a family passes its level on only after its loosest
    threshold passed.

    Args:
        scores: confidence of each answer; higher is more certain; -inf is never accepted.
        correct: whether each answer is right.
        segments: the segment of each row; None is one more segment, the empty string.
        by: the name of the column of the segments.
        target: precision to certify, a fraction in (0, 1).
        confidence: probability that all promises hold, a fraction in (0, 1).
        fit_rows: true for the rows of the fit part; without it a quarter of the rows is drawn.
        groups: a value per row; equal values stay on the same side of the drawn split.
        design_effect: how many labels say as much as one independent label, as in `certify`.
        seed: a seed or a generator for the split.
        fitted_on: fingerprint of the model and index, kept in the answer.

    Returns:
        A policy whose own threshold serves the remainder (None: reviewed), or, when nothing at all
        was certified, what is reachable with one threshold for all.

    Raises:
        InputError: if a level is outside (0, 1), the arrays do not fit together, or labels are too
            few to split.
    """
    check_levels(target, confidence)
    names = segment_names(segments, len(scores), by)
    fit_row = _split(scores, correct, rows=fit_rows, groups=groups, seed=seed)

    def parts(rows: np.ndarray) -> tuple[Labels, Labels]:
        fit, rest = rows & fit_row, rows & ~fit_row
        return (
            Labels.of(scores[fit], correct[fit], design_effect=design_effect),
            Labels.of(scores[rest], correct[rest], design_effect=design_effect),
        )

    everyone = np.ones(len(scores), np.bool_)
    candidates = {str(name): parts(names == name) for name in np.unique(names)}
    alone = _tested_alone(candidates, target=target, level=1 - confidence)
    level = (1 - confidence) / _families(len(alone), len(candidates))
    own = {
        name: certify_parts(*candidates[name], target=target, level=level, fitted_on=fitted_on)
        for name in alone
    }
    others = certify_parts(
        *parts(~np.isin(names, alone)), target=target, level=level, fitted_on=fitted_on
    )
    if all(policy.accept_at is None for policy in (others, *own.values())):
        fit, rest = parts(everyone)
        growth = 1.0 if fit_rows is not None else 1 / (1 - FIT_SHARE)
        return explain(
            fit, rest, target=target, confidence=confidence, growth=growth, fitted_on=fitted_on
        )
    return replace(others, by=by, segments=own)


def _split(
    scores: np.ndarray,
    correct: np.ndarray,
    *,
    rows: np.ndarray | None,
    groups: np.ndarray | None,
    seed: int | np.random.Generator,
) -> np.ndarray:
    if rows is None:
        return fit_rows(scores, correct, groups=groups, seed=seed)
    if groups is not None:
        raise InputError("Groups steer the split, and fit rows were given: leave out one of them.")
    if len(rows) != len(scores) or not rows.any() or rows.all():
        raise InputError(
            f"Got {int(rows.sum())} fit rows of {len(rows)} for {len(scores)} scores: mark some, "
            "and not all, of the rows."
        )
    return rows


def _families(alone: int, segments: int) -> int:
    """Families to share the level among: segments tested alone, and the remainder if it has any."""
    return alone + (alone < segments)


def _tested_alone(
    candidates: dict[str, tuple[Labels, Labels]], *, target: float, level: float
) -> list[str]:
    """The most segments that are predicted to pass when each gets its share of the level.

    Sees the labels of the fit parts, and of the certify parts no more than their number. More
    segments mean less level for each, so what is too many for k is too many for k + 1: bisection.
    """
    fewest = labels_needed(target, 1 - level)
    large = {name: parts for name, parts in candidates.items() if len(parts[1]) >= fewest}

    def strongest(count: int) -> list[str]:
        share = level / _families(count, len(candidates))
        powers = {
            name: order(fit, certify_size=len(rest), target=target, level=share)[1].max(initial=0)
            for name, (fit, rest) in large.items()
        }
        strong = [name for name in powers if powers[name] >= POWER]
        return sorted(strong, key=lambda name: (-powers[name], name))[:count]

    enough = bisect_right(
        range(1, len(large) + 1), 0, key=lambda count: count - len(strongest(count))
    )
    return sorted(strongest(enough)) if enough else []
