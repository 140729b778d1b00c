"""Protocols: which events are trained on, which users are evaluated, and what is their history.

Each is a rule that says for every user, in numbers of events from the oldest, how far training
reads and where the histories and targets of the other splits end.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int64

from thresher.data.columns import Times
from thresher.data.events import Events
from thresher.data.finding_texts import found
from thresher.data.findings import Finding
from thresher.data.sequences import Sequences, bounds, ranges
from thresher.data.split import SPLITS

# 10 * 0.7 must be 7 and not a hair under it.
_HAIR = 1e-9


class Span(NamedTuple):
    """The history of each user is events [0, known), the targets are [known, end); end 0: none."""

    known: Int64[np.ndarray, " U"]
    end: Int64[np.ndarray, " U"]


class Cut(NamedTuple):
    """How many events of each user are trained on, and the span of each other split."""

    train: Int64[np.ndarray, " U"]
    spans: Mapping[str, Span]


class Examples(NamedTuple):
    """Training examples: item `items[target]` of a user, after the history `items[first:target]`.

    `items` are those of the events of the training users, one user after the other; a target is
    never the first event of its user. `users` are rows in the events, `weights` say how often each
    example is to be drawn, relative to the others; above 0.
    """

    items: Int64[np.ndarray, " E"]
    first: Int64[np.ndarray, " n"]
    target: Int64[np.ndarray, " n"]
    users: Int64[np.ndarray, " n"]
    weights: Float32[np.ndarray, " n"]


class Evaluated(NamedTuple):
    """Users of an evaluated split: their rows in the events, histories, and what came next."""

    users: Int64[np.ndarray, " n"]
    histories: Sequences
    targets: Sequences


def by_users(
    counts: Int64[np.ndarray, " U"], *, shares: Mapping[str, float], history_share: float, seed: int
) -> Cut:
    """Train on some users, evaluate others: the protocol of ComiRec, "users".

    The users are permuted by the seed and cut by the shares. A training user's events are all
    trained on. Of another user's n events the first floor(history_share n) are history, the rest
    targets. `counts` are the events of each user, history_share lies in (0, 1).

    **Source**: Cen et al., *Controllable multi-interest framework for recommendation* (ComiRec),
    KDD 2020, section 4.1: shares 0.8, 0.1, 0.1, history_share 0.8.

    Example:
        >>> half = {"train": 0.5, "test": 0.5}
        >>> cut = by_users(np.array([5, 5]), shares=half, history_share=0.8, seed=0)
        >>> sorted(cut.train.tolist()), sorted(cut.spans["test"].known.tolist())
        ([0, 5], [0, 4])
    """
    split = split_of_places(len(counts), shares, seed)
    known = np.floor(counts * history_share + _HAIR).astype(np.int64)
    spans = {
        name: Span(np.where(split == number, known, 0), np.where(split == number, counts, 0))
        for number, name in enumerate(SPLITS)
        if number and shares.get(name, 0)
    }
    return Cut(np.where(split == 0, counts, 0), spans)


def leave_one_out(
    counts: Int64[np.ndarray, " U"], *, shares: Mapping[str, float], seed: int
) -> Cut:
    """Evaluate every user on the last event, after all before it: "last".

    The last event is the target of the test, the last but one that of validation, and those before
    it are trained on. The history of the test holds the target of validation. A user of two events
    is in the test alone. With a share for calibration, the seed divides the users between
    calibration and test in the ratio of these two shares. `counts` are the events of each user.

    **Source**: Kang and McAuley, *Self-attentive sequential recommendation* (SASRec), ICDM 2018,
    section IV.A.

    Example:
        >>> leave_one_out(np.array([5]), shares={"train": 0.9, "test": 0.1}, seed=0).spans["test"]
        Span(known=array([4]), end=array([5]))
    """
    train, last = np.maximum(counts - 2, 0), np.maximum(counts - 1, 0)
    spans = {"validation": Span(train, last)}
    calibration, test = (shares.get(name, 0.0) for name in ("calibration", "test"))
    if calibration:
        share = calibration / (calibration + test)
        mine = split_of_places(len(counts), {"train": share, "test": 1 - share}, seed) == 0
        spans["calibration"] = Span(np.where(mine, last, 0), np.where(mine, counts, 0))
        counts, last = np.where(mine, 0, counts), np.where(mine, 0, last)
    return Cut(train, {**spans, "test": Span(last, counts)})


def by_time(sequences: Sequences, times: Times, *, shares: Mapping[str, float]) -> Cut:
    """Cut the events of all users at the same moments: "time".

    Equation:
        T1, T2, T3 = the times of the events at the places share_train E,
                     (share_train + share_validation) E and (1 - share_test) E among all E events
        train:       events up to and with T1
        validation:  history up to T1, targets after T1 up to and with T2
        calibration: history up to T2, targets after T2 up to and with T3
        test:        history up to T3, targets after T3

    A user may be evaluated in any of them, or in none. Events at the very moment of a cut stay
    together, so that many equal times shift the shares.

    Example:
        >>> s = Sequences(np.array([0, 4]), np.array([5, 6, 7, 8]))
        >>> shares = {"train": 0.5, "validation": 0.25, "test": 0.25}
        >>> cut = by_time(s, np.arange(4), shares=shares)
        >>> cut.train, cut.spans["validation"].end, cut.spans["test"].end
        (array([2]), array([3]), array([4]))
    """
    ordered = np.sort(times)
    users = np.repeat(np.arange(len(sequences)), sequences.counts())

    def until(events: int) -> Int64[np.ndarray, " U"]:
        inside = times <= ordered[events - 1] if events else np.zeros(len(times), dtype=bool)
        return np.bincount(users[inside], minlength=len(sequences)).astype(np.int64)

    ends = [until(place) for place in _ends(len(times), shares).tolist()]
    spans = {
        name: Span(ends[number - 1], ends[number])
        for number, name in enumerate(SPLITS)
        if number and shares.get(name, 0)
    }
    return Cut(ends[0], spans)


def split_of_places(
    size: int, shares: Mapping[str, float], seed: int
) -> Int64[np.ndarray, " size"]:
    """The number of the split of each of so many, permuted by the seed and cut by the shares."""
    place = np.argsort(np.random.default_rng(seed).permutation(size))
    return np.searchsorted(_ends(size, shares)[:-1], place, side="right").astype(np.int64)


def examples(events: Events, train: Int64[np.ndarray, " U"]) -> Examples:
    """What is trained on of the first `train` events of each user: every event but the first one.

    An event of weight 0 is no target; it stays in the histories of those after it.
    """
    users = np.flatnonzero(train)
    counts = train[users]
    places = ranges(events.sequences.starts[users], counts)
    starts, weights = bounds(counts), events.weights[places]
    wanted = weights > 0
    wanted[starts[:-1]] = False
    target = np.flatnonzero(wanted).astype(np.int64)
    of = np.repeat(np.arange(len(users)), counts)[target]
    return Examples(events.sequences.items[places], starts[of], target, users[of], weights[target])


def evaluated(events: Events, span: Span, split: str) -> tuple[Evaluated, list[Finding]]:
    """The users of a span, and findings on those of them who cannot be evaluated.

    Left out are users without a history, and those without a target: an event of weight 0 is none.
    """
    starts, items = events.sequences.starts[:-1], events.sequences.items
    counts = np.maximum(span.end - span.known, 0)
    places = ranges(starts + span.known, counts)
    wanted = events.weights[places] > 0
    users = np.repeat(np.arange(len(starts)), counts)[wanted]
    targets = np.bincount(users, minlength=len(starts)).astype(np.int64)
    meant, ready = span.end > 0, (span.known > 0) & (targets > 0)
    rows = np.flatnonzero(ready)
    histories = items[ranges(starts[rows], span.known[rows])]
    part = Evaluated(
        users=rows,
        histories=Sequences(bounds(span.known[rows]), histories),
        targets=Sequences(bounds(targets[rows]), items[places[wanted]][ready[users]]),
    )
    known = span.known > 0
    lacking = {"history": meant & ~known, "target": meant & known & (targets == 0)}
    return part, [
        finding
        for what, left in lacking.items()
        for finding in found("user-left-out", int(left.sum()), split=split, what=what)
    ]


def _ends(size: int, shares: Mapping[str, float]) -> Int64[np.ndarray, " 4"]:
    """Where each split ends among so many; the last one with a share takes what is left."""
    parts = np.array([shares.get(name, 0.0) for name in SPLITS])
    ends = np.cumsum(parts)
    ends[np.flatnonzero(parts)[-1] :] = 1
    return (size * ends + _HAIR).astype(np.int64)
