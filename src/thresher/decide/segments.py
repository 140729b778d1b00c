"""One threshold for all, or one for each segment that can afford it and one for the others."""

from bisect import bisect_right
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float64, Int64, Shaped

from thresher.decide.binomial import labels_needed
from thresher.decide.explain import POWER, explain
from thresher.decide.policy import KNOWN_TEXT, NoThreshold, Policy, Promise
from thresher.decide.sequence import Labels, order, passed

Parts = tuple[Labels, Labels]
"""The selection part and the certifying part of some labels."""


@dataclass(frozen=True)
class Rows:
    """Labelled answers as they came: the columns that `certify` takes, checked.

    Args:
        scores: confidence of each answer.
        correct: whether each answer is right.
        clusters: a number for each answer, equal where they stand or fall together, or None.
        selection: whether the answer chooses thresholds; the others certify.
        segments: the segment of each answer; None for one threshold.
    """

    scores: Float64[np.ndarray, " Q"]
    correct: Bool[np.ndarray, " Q"]
    clusters: Int64[np.ndarray, " Q"] | None
    selection: Bool[np.ndarray, " Q"]
    segments: Shaped[np.ndarray, " Q"] | None = None

    def parts(self, rows: Bool[np.ndarray, " Q"] | None = None) -> Parts:
        """The two parts of some of the rows, or of all."""
        here = np.ones(len(self.scores), np.bool_) if rows is None else rows
        return self._labels(here & self.selection), self._labels(here & ~self.selection)

    def _labels(self, rows: Bool[np.ndarray, " Q"]) -> Labels:
        clusters = None if self.clusters is None else self.clusters[rows]
        return Labels.of(self.scores[rows], self.correct[rows], clusters)


def certify_rows(
    rows: Rows, promise: Promise, *, by: str | None, growth: float
) -> Policy | NoThreshold:
    """Certify one target, in each segment that can afford it and in the others together.

    Equation:  m families are tested: the segments with a threshold of their own and, as one more,
               the remainder if any is labelled; each by `certify_parts` at level / m.
    Source:    `certify`; Bonferroni over the families. Reconstructed: no paper gives this rule.

    Which segments are tested alone is decided on the selection part: as many as are predicted to
    pass their first test with a probability of 80 % at that level, the surest first. The remainder
    is every row of any other segment, segments never seen included, and is certified as one
    population with one threshold; `KNOWN_TEXT` is not part of it, and reviewed unless tested alone.

    Promise: with a probability of at least 1 - level *all* the thresholds hold at once: in each
    segment with its own, the precision of what is accepted exceeds the target; and so does the
    precision of all that is accepted in the remainder together. A mixture of populations that
    exceed the target exceeds it, so all that is accepted does too. Nothing is promised for one
    segment inside the remainder.

    Two tempting fall-backs are not sound and not done. A threshold certified on *all* traffic says
    nothing about the segments that are left to use it: those that have their own may have carried
    it. And a segment that was tested alone and failed cannot join the remainder afterwards, because
    the remainder would then be chosen by the labels that certify it: such a segment is reviewed.

    Args:
        rows: the labelled answers.
        promise: target and level, and what the answer says about the labels.
        by: the name of the column of the segments.
        growth: labels to collect for one more in the certifying part.

    Returns:
        A policy whose own threshold serves the remainder (None: reviewed), or, when nothing at all
        was certified, what is reachable with one threshold for all.
    """
    if rows.segments is None:
        policy = certify_parts(*rows.parts(), promise)
    else:
        policy = _by_segment(rows, rows.segments, promise, by)
    if any(own.accept_at is not None for own in (policy, *policy.segments.values())):
        return policy
    # Known texts have another threshold or none: they say nothing about the others, if any certify.
    new = None if rows.segments is None else rows.segments != KNOWN_TEXT
    some = new is not None and bool(new[~rows.selection].any())
    return explain(*rows.parts(new if some else None), promise, growth)


def certify_parts(selection: Labels, rest: Labels, promise: Promise) -> Policy:
    """Order thresholds on one part, test them on the other; without success `accept_at` is None."""
    test = {"target": promise.target_precision, "level": promise.level}
    thresholds, _ = order(selection, certify_size=len(rest), **test)
    thresholds = thresholds[rest.testable(thresholds)]
    count = passed(rest, thresholds, **test)
    chosen = thresholds[:count][-1:]
    accept_at = float(chosen[0]) if count else None
    return Policy(accept_at=accept_at, **rest.evidence(chosen), **vars(promise))


def _by_segment(
    rows: Rows, segments: Shaped[np.ndarray, " Q"], promise: Promise, by: str | None
) -> Policy:
    """The policy of the remainder, with those of the segments tested alone or kept apart."""
    names = [str(name) for name in np.unique(segments)]
    column = by if set(names) - {KNOWN_TEXT, ""} else None
    own = names if column else [name for name in names if name == KNOWN_TEXT]
    candidates = {name: rows.parts(segments == name) for name in own}
    alone = _tested_alone(candidates, promise, others=len(names) > len(own))
    apart = [name for name in own if name == KNOWN_TEXT and name not in alone]
    rest = ~np.isin(segments, alone + apart)
    share = promise.shared(max(1, len(alone) + bool(rest.any())))
    others = certify_parts(*rows.parts(rest), share)
    tested = {name: certify_parts(*candidates[name], share) for name in alone}
    kept = {name: others.reviewing(len(candidates[name][1])) for name in apart}
    return replace(others, by=column, segments=tested | kept)


def _tested_alone(candidates: dict[str, Parts], promise: Promise, *, others: bool) -> list[str]:
    """The most segments that are predicted to pass when each gets its share of the level.

    Sees the labels of the selection parts, and of the certifying parts no more than their number.
    More segments mean less level for each, so what is too many for k is too many for k + 1:
    bisection. `others`: whether there are rows that are no candidate.
    """
    target = promise.target_precision
    minimum = labels_needed(target, promise.confidence_level)
    lowest = np.asarray([-np.inf])
    large = {
        name: parts
        for name, parts in candidates.items()
        if len(parts[1]) >= minimum and parts[1].testable(lowest)
    }

    def strongest(count: int) -> list[str]:
        level = promise.shared(min(count + 1, len(candidates) + others)).level
        powers = {
            name: order(one, certify_size=len(rest), target=target, level=level)[1].max(initial=0)
            for name, (one, rest) in large.items()
        }
        strong = [name for name in powers if powers[name] >= POWER]
        return sorted(strong, key=lambda name: (-powers[name], name))[:count]

    enough = bisect_right(
        range(1, len(large) + 1), 0, key=lambda count: count - len(strongest(count))
    )
    return sorted(strongest(enough)) if enough else []
