"""Events: who did what with which item, and when; from a table to one sequence a user."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Float32, Int64

from thresher.data.columns import Column, Times
from thresher.data.finding_texts import found
from thresher.data.findings import Finding, counted
from thresher.data.queries import rows_of
from thresher.data.sequences import Sequences, bounds
from thresher.data.tables import require_columns
from thresher.errors import InputError


@dataclass(frozen=True)
class Events:
    """The events of every user, oldest first.

    Args:
        users: the id of each user, ascending.
        catalogue: the id of each item; the sequences name its rows.
        sequences: what each user did.
        times: when, a number for each event of the sequences; dates count from 1970 in UTC.
        weights: how often each event is to be drawn as a target; 0 for history only.
        findings: what was changed or left out, and how often.

    Memory: 20 bytes an event, and the ids.
    """

    users: pa.StringArray
    catalogue: pa.StringArray
    sequences: Sequences
    times: Times
    weights: Float32[np.ndarray, " E"]
    findings: tuple[Finding, ...]


class _Log(NamedTuple):
    """Events as columns: rows of users and items, time, place in the file, weight."""

    users: Int64[np.ndarray, " E"]
    items: Int64[np.ndarray, " E"]
    times: Times
    places: Int64[np.ndarray, " E"]
    weights: Float32[np.ndarray, " E"]

    def take(self, rows: Int64[np.ndarray, " R"]) -> "_Log":
        """The events of these rows, in this order."""
        return _Log(*(column[rows] for column in self))


def events_of(
    table: pa.Table,
    path: str | Path,
    *,
    catalogue: pa.StringArray | None = None,
    event_kinds: Sequence[str] = (),
    repeated_events: Literal["keep", "merge"] = "keep",
    min_events: int = 1,
    strict: bool = True,
) -> Events:
    """Sort a table of events into one sequence a user.

    The rules, in this order; each says in `findings` how many events or users it met:

    1. Rows of another kind than those chosen, without a user, or without an item are left out.
    2. Events are sorted by timestamp; at equal times the order of the file holds.
    3. The same user, item and timestamp count once, with the largest weight of their rows.
    4. The same item several times in a row is kept, or with `repeated_events="merge"` becomes one
       event at the first time, with the largest weight.
    5. Users with fewer than `min_events` events are left out.

    Args:
        table: columns `user_id`, `item_id`, `timestamp` (numbers, ISO dates or times, text of
            either), perhaps `event` (its kind) and `weight` (0 or more; 1 when left out).
        path: of its file, for messages.
        catalogue: ids of the items there are; those of the events, ascending, when left out.
        event_kinds: values of `event` to read; every kind when empty.
        repeated_events: see rule 4.
        min_events: see rule 5; 1 or more.
        strict: refuse a kind that does not occur, which may be misspelt, and items that are not in
            the catalogue; without it they are left out.

    Memory: the table, and about 100 bytes an event while it is sorted.

    Raises:
        InputError: a column is missing, a timestamp or weight is none, no event is left; or as
            `strict` says.
    """
    _check_columns(table, event_kinds, path, strict=strict)
    kept, findings = _usable(table, event_kinds)
    of_item = table["item_id"].combine_chunks()
    if catalogue is None:
        catalogue = pc.unique(of_item.filter(pa.array(kept))).sort()
    known = rows_of(of_item, catalogue)
    strange = of_item.filter(pa.array(kept & (known < 0)))
    findings += _unknown_items(strange, path, strict=strict)
    log, users = _log(table, kept & (known >= 0), known, path)
    log, more = _in_order(log, repeated_events=repeated_events)
    counts = np.bincount(log.users, minlength=len(users))
    enough = _enough(counts, min_events, path)
    log = log.take(np.flatnonzero(enough[log.users]))
    findings += more + found("short-history", int((~enough).sum()), min_events=min_events)
    return Events(
        users=users.filter(pa.array(enough)),
        catalogue=catalogue,
        sequences=Sequences(bounds(counts[enough]), log.items),
        times=log.times,
        weights=log.weights,
        findings=tuple(findings),
    )


def _log(
    table: pa.Table,
    kept: Bool[np.ndarray, " rows"],
    items: Int64[np.ndarray, " rows"],
    path: str | Path,
) -> tuple[_Log, pa.StringArray]:
    """The rows that are kept, and the ids of their users, ascending."""
    if not kept.any():
        raise InputError(
            f"{path} has {counted(len(table), 'row', 'rows')}, none of them an event with a user "
            "and an item of the catalogue; check the columns user_id and item_id"
        )
    rows = np.flatnonzero(kept).astype(np.int64)
    column = {
        name: Column(name, table[name].combine_chunks().take(pa.array(rows)), rows, path)
        for name in ("user_id", "timestamp", "weight")
        if name in table.column_names
    }
    users = pc.unique(column["user_id"].values).sort()
    weights = column["weight"].weights() if "weight" in column else np.ones(len(rows))
    log = _Log(
        users=rows_of(column["user_id"].values, users),
        items=items[rows],
        times=column["timestamp"].times(),
        places=rows,
        weights=weights.astype(np.float32),
    )
    return log, users


def _enough(
    counts: Int64[np.ndarray, " U"], min_events: int, path: str | Path
) -> Bool[np.ndarray, " U"]:
    """Which users have enough events."""
    enough: Bool[np.ndarray, " U"] = counts >= min_events
    if not enough.any():
        raise InputError(
            f"{path}: no user has {counted(min_events, 'event', 'events')}; give longer histories, "
            "or lower min_events"
        )
    return enough


def _check_columns(
    table: pa.Table, event_kinds: Sequence[str], path: str | Path, *, strict: bool
) -> None:
    require_columns(table, ["user_id", "item_id"], path)
    if "timestamp" not in table.column_names:
        raise InputError(
            f"{path} has no column 'timestamp' (it has "
            f"{', '.join(table.column_names) or 'no columns'}); events need one to be put "
            "in order: a date, or any number that grows, such as the place in the user's list"
        )
    if event_kinds:
        require_columns(table, ["event"], path)
        there = pc.unique(table["event"].cast(pa.string())).drop_null().sort().to_pylist()
        for kind in event_kinds:
            if kind not in there and strict:
                raise InputError(
                    f"{path} has no event {kind!r}; it has {', '.join(there[:10])}; correct "
                    "event_kinds"
                )


def _usable(
    table: pa.Table, event_kinds: Sequence[str]
) -> tuple[Bool[np.ndarray, " rows"], list[Finding]]:
    """Which rows are of the right kind and name a user and an item."""
    findings = []
    kept = np.ones(len(table), dtype=bool)
    if event_kinds:
        kept = _truth(pc.is_in(table["event"].cast(pa.string()), value_set=pa.array(event_kinds)))
        others = int((~kept).sum())
        findings += found("other-event-kind", others, kinds=", ".join(event_kinds))
    for column in ("user_id", "item_id"):
        given = _truth(pc.not_equal(table[column], ""))
        findings += found("event-without-id", int((kept & ~given).sum()), column=column)
        kept = kept & given
    return kept, findings


def _unknown_items(ids: pa.StringArray, path: str | Path, *, strict: bool) -> list[Finding]:
    """A note on events of items that the catalogue lacks; refused where they should be there."""
    if not len(ids):
        return []
    names = pc.unique(ids).sort()
    code = "unknown-item/event" if strict else "unknown-item/passed"
    events = counted(len(ids), "event", "events")
    findings = found(code, len(names), names.to_pylist(), path=path, events=events)
    if strict:
        raise InputError(findings[0].sentence())
    return findings


def _truth(mask: pa.ChunkedArray) -> Bool[np.ndarray, " rows"]:
    return pc.fill_null(mask, False).combine_chunks().to_numpy(zero_copy_only=False)


def _in_order(
    log: _Log, *, repeated_events: Literal["keep", "merge"]
) -> tuple[_Log, list[Finding]]:
    """Events by user and time, each once."""
    alike = log.take(np.lexsort((log.places, log.items, log.times, log.users)))
    once = _merged(alike, alike.users, alike.times, alike.items)
    findings = found("repeated-event", len(log.users) - len(once.users))
    log = once.take(np.lexsort((once.places, once.times, once.users)))
    early = (np.diff(log.places) < 0) & (np.diff(log.users) == 0)
    findings += found("unordered-events", int(early.sum()))
    if repeated_events == "merge":
        once = _merged(log, log.users, log.items)
        findings += found("merged-events", len(log.users) - len(once.users))
        log = once
    return log, findings


def _merged(log: _Log, *keys: np.ndarray) -> _Log:
    """One event for each run of rows with the same keys: the first, with the largest weight."""
    new = np.ones(len(log.users), dtype=bool)
    new[1:] = np.any([key[1:] != key[:-1] for key in keys], axis=0)
    first = np.flatnonzero(new)
    return log.take(first)._replace(weights=np.maximum.reduceat(log.weights, first))
