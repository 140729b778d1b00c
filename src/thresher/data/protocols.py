"""Protocols: which events are learnt from, who is evaluated, and what is known of them.

Each is a rule that says for every user, in numbers of events from the oldest, how far training
reads and where the histories and targets of validation and test end.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Int64

from thresher.data.columns import Times
from thresher.data.events import Events
from thresher.data.findings import counted
from thresher.data.sequences import Evaluated, Examples, Sequences, bounds, ranges
from thresher.data.split import check_shares
from thresher.errors import InputError

# 10 * 0.7 must be 7 and not a hair under it.
_HAIR = 1e-9


class Span(NamedTuple):
    """The history of each user is events [0, known), the targets are [known, end); end 0: none."""

    known: Int64[np.ndarray, " U"]
    end: Int64[np.ndarray, " U"]


class Cut(NamedTuple):
    """What a protocol says of each user: how many events are learnt from, and what is evaluated."""

    train: Int64[np.ndarray, " U"]
    validation: Span
    test: Span
    calibration: Span | None = None


def by_users(
    counts: Int64[np.ndarray, " U"],
    *,
    shares: Mapping[str, float],
    history_share: float,
    seed: int,
) -> Cut:
    """Some users are learnt from, others are evaluated: the protocol of ComiRec, "users".

    The users are permuted by the seed and cut by the shares. A training user's events are all
    learnt from. Of another user's n events the first floor(history_share n) are history, the rest
    targets.

    **Source**: Cen et al., *Controllable multi-interest framework for recommendation* (ComiRec),
    KDD 2020, section 4.1: shares 0.8, 0.1, 0.1, history 0.8.

    Args:
        counts: number of events of each user.
        shares: fraction of the users for each split, see `check_shares`.
        history_share: in (0, 1).
        seed: of the permutation.

    Example:
        >>> shares = {"train": 0.5, "test": 0.5}
        >>> cut = by_users(np.array([5, 5]), shares=shares, history_share=0.8, seed=0)
        >>> sorted(cut.train), sorted(cut.test.known)
        ([0, 5], [0, 4])
    """
    first, second = _cuts(len(counts), shares)
    place = np.argsort(np.random.default_rng(seed).permutation(len(counts)))
    known = np.floor(counts * history_share + _HAIR).astype(np.int64)

    def span(of_split: np.ndarray) -> Span:
        return Span(np.where(of_split, known, 0), np.where(of_split, counts, 0))

    train, test, calibration = place < first, place >= second, None
    apart = ~train & ~test
    if shares.get("calibration", 0.0):
        upto = first + int(len(counts) * shares.get("validation", 0.0) + _HAIR)
        calibration, apart = span(apart & (place >= upto)), apart & (place < upto)
    return Cut(np.where(train, counts, 0), span(apart), span(test), calibration)


def leave_one_out(counts: Int64[np.ndarray, " U"]) -> Cut:
    """Every user is evaluated on the last event, after all before it: "last".

    The last event is the target of the test, the last but one that of validation, and those before
    it are learnt from. The history of the test holds the target of validation. A user of two events
    is evaluated in the test alone.

    **Source**: Kang and McAuley, *Self-attentive sequential recommendation* (SASRec), ICDM 2018,
    section IV.A.

    Args:
        counts: number of events of each user.

    Example:
        >>> leave_one_out(np.array([5])).test
        Span(known=array([4]), end=array([5]))
    """
    train, last = np.maximum(counts - 2, 0), np.maximum(counts - 1, 0)
    return Cut(train, Span(train, last), Span(last, counts))


def by_time(sequences: Sequences, times: Times, *, shares: Mapping[str, float]) -> Cut:
    """Two moments cut the events of all users alike: "time".

    Equation:
        T1, T2 = the times of the events at the places share_train E and
                 (share_train + share_validation) E among all E events, by time
        train:      events up to and with T1
        validation: history up to T1, targets after T1 up to and with T2
        test:       history up to T2, targets after T2

    A user is evaluated in validation, in the test, in both or in neither.

    Args:
        sequences: events of all users.
        times: when each of them was.
        shares: fraction of the events for each split, see `check_shares`. Events at the very moment of
            a cut stay together, so that many equal times shift the shares.

    Example:
        >>> s = Sequences(np.array([0, 4]), np.array([5, 6, 7, 8]))
        >>> cut = by_time(s, np.arange(4), shares={"train": .5, "validation": .25, "test": .25})
        >>> cut.train, cut.validation.end, cut.test.end
        (array([2]), array([3]), array([4]))
    """
    ordered = np.sort(times)
    counts = sequences.counts()
    users = np.repeat(np.arange(len(sequences)), counts)

    def until(events: int) -> Int64[np.ndarray, " U"]:
        inside = times <= ordered[events - 1] if events else np.zeros(len(times), dtype=bool)
        return np.bincount(users[inside], minlength=len(sequences)).astype(np.int64)

    first, second = map(until, _cuts(len(times), shares))
    return Cut(first, Span(first, second), Span(second, counts))


def examples(events: Events, train: Int64[np.ndarray, " U"]) -> Examples:
    """What is learnt from the first `train` events of each user: every event but the first one.

    An event of weight 0 is no target; it stays in the histories of those after it.
    """
    kept = np.flatnonzero(train)
    counts = train[kept]
    places = ranges(events.sequences.starts[kept], counts)
    sequences = Sequences(bounds(counts), events.sequences.items[places])
    weights = events.weights[places]
    target = weights > 0
    target[sequences.starts[:-1]] = False
    targets = np.flatnonzero(target).astype(np.int64)
    users = np.repeat(np.arange(len(kept)), counts)[targets].astype(np.int64)
    return Examples(sequences, users, targets, weights[targets])


def evaluated(events: Events, span: Span, split: str) -> tuple[Evaluated, list[str]]:
    """The users of a span, and sentences on those who cannot be evaluated.

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
    found = Evaluated(
        users=events.users.take(pa.array(rows)),
        histories=Sequences(bounds(span.known[rows]), histories),
        targets=Sequences(bounds(targets[rows]), items[places[wanted]][ready[users]]),
    )
    reasons = {
        "without a history": meant & (span.known == 0),
        "without a target": meant & (span.known > 0) & (targets == 0),
    }
    return found, [
        f"{split}: {counted(int(left.sum()), 'user', 'users')} {why} left out"
        for why, left in reasons.items()
        if left.any()
    ]


def _cuts(size: int, shares: Mapping[str, float]) -> tuple[int, int]:
    """How many of so many fall to train, and how many to train and validation."""
    train = shares.get("train", 0.0)
    both = train + shares.get("validation", 0.0) + shares.get("calibration", 0.0)
    if not shares.get("test", 0.0):
        both = 1.0
    return int(size * train + _HAIR), int(size * both + _HAIR)
