"""Events: who did something with which item, and when; from a table to one sequence a user."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Float32, Int64

from thresher.data.columns import Column, Times
from thresher.data.findings import counted, examples_of
from thresher.data.histories import Histories
from thresher.data.queries import Queries
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
        findings: a sentence for each thing that was changed or left out, and how often.

    Memory: 20 bytes an event, and the ids.
    """

    users: pa.StringArray
    catalogue: pa.StringArray
    sequences: Sequences
    times: Times
    weights: Float32[np.ndarray, " E"]
    findings: tuple[str, ...]


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


def sorted_events(
    table: pa.Table,
    path: str,
    *,
    catalogue: pa.StringArray | None = None,
    kinds: Sequence[str] = (),
    every_kind: bool = True,
    repeated: Literal["keep", "merge"] = "keep",
    min_events: int = 1,
) -> Events:
    """Sort a table of events into one sequence a user.

    The rules, in this order; each says in `findings` how many events or users it met:

    1. Rows of another kind than those asked for, without a user, or without an item are left out.
    2. Events are sorted by timestamp; at equal times the order of the file holds.
    3. The same user, item and timestamp count once, with the largest weight of their rows.
    4. The same item several times in a row is kept, or with `repeated="merge"` becomes one event at
       the first time, with the largest weight.
    5. Users with fewer than `min_events` events are left out.

    Args:
        table: columns `user_id`, `item_id`, `timestamp` (numbers, ISO dates or times, text of
            either), perhaps `event` (its kind) and `weight` (a number, 0 or more; 1 without it).
        path: of its file, for messages.
        catalogue: ids of the items there are; those of the events, ascending, when left out.
        kinds: values of `event` to read; every kind when empty.
        every_kind: refuse a file that lacks one of these kinds, which may be misspelt.
        repeated: see rule 4.
        min_events: see rule 5; 1 or more.

    Memory: the table, and about 100 bytes an event while it is sorted.

    Raises:
        InputError: a column is missing, a timestamp or weight is none, a kind does not occur, an
            item is not in the catalogue, or no event is left.
    """
    _check_columns(table, kinds, path, every_kind=every_kind)
    places, found = _usable(table, kinds, path)
    column = {
        name: Column(name, table[name].combine_chunks().take(pa.array(places)), places, path)
        for name in table.column_names
        if name in ("user_id", "item_id", "timestamp", "weight")
    }
    of_user, of_item = column["user_id"].values, column["item_id"].values
    users = pc.unique(of_user).sort()
    if catalogue is None:
        catalogue = pc.unique(of_item).sort()
    weights = column["weight"].weights() if "weight" in column else np.ones(len(places))
    log = _Log(
        users=_rows(of_user, users),
        items=_item_rows(of_item, catalogue, path),
        times=column["timestamp"].times(),
        places=places,
        weights=weights.astype(np.float32),
    )
    log, more = _in_order(log, repeated=repeated)
    counts = np.bincount(log.users, minlength=len(users))
    kept = counts >= min_events
    if not kept.any():
        raise InputError(
            f"{path}: no user has {counted(min_events, 'event', 'events')}; give longer histories, or "
            "lower min_events"
        )
    log = log.take(np.flatnonzero(kept[log.users]))
    few = _said((~kept).sum(), "user", "users", f"with fewer than {min_events} events left out")
    return Events(
        users=users.filter(pa.array(kept)),
        catalogue=catalogue,
        sequences=Sequences(bounds(counts[kept]), log.items),
        times=log.times,
        weights=log.weights,
        findings=(*found, *more, *few),
    )


def histories_of(
    table: pa.Table,
    users: pa.Table | None,
    items: pa.Table,
    *,
    kinds: Sequence[str] = (),
    repeated: Literal["keep", "merge"] = "keep",
) -> tuple[Queries, int]:
    """The histories of users, over a catalogue, and how many events are of items that it lacks.

    Args:
        table: the events, as in `sorted_events`.
        users: what is known of users beside their history; None for nothing.
        items: the catalogue.
        kinds: values of `event` to read; every kind when empty.
        repeated: "keep", or "merge" the same item several times in a row.

    Raises:
        InputError: no event names an item of the catalogue.
    """
    done = sorted_events(table, "the events", kinds=kinds, every_kind=False, repeated=repeated)
    rows = _rows(done.catalogue, items["id"].combine_chunks())
    if not (rows[done.sequences.items] >= 0).any():
        raise InputError(
            f"none of the {len(done.sequences.items):,} events names an item of the catalogue, "
            f"such as {items['id'][0].as_py()!r}; check the column item_id"
        )
    histories = done.sequences.renumbered(rows)
    lost = len(done.sequences.items) - len(histories.items)
    at = None if users is None else _rows(done.users, users["id"].combine_chunks())
    return Queries(done.users, users, at, Histories.of(histories)), lost


def _check_columns(table: pa.Table, kinds: Sequence[str], path: str, *, every_kind: bool) -> None:
    require_columns(table, ["user_id", "item_id"], path)
    if "timestamp" not in table.column_names:
        raise InputError(
            f"{path} has no column 'timestamp' (it has {', '.join(table.column_names)}); events "
            "need one to be put in order: a date, or any number that grows, such as the place in "
            "the user's list"
        )
    if kinds:
        require_columns(table, ["event"], path)
        there = pc.unique(table["event"].cast(pa.string())).drop_null().sort().to_pylist()
        for kind in kinds:
            if kind not in there and every_kind:
                raise InputError(
                    f"{path} has no event {kind!r}; it has {', '.join(there[:10])}; correct "
                    "event_kinds"
                )


def _usable(
    table: pa.Table, kinds: Sequence[str], path: str
) -> tuple[Int64[np.ndarray, " kept"], list[str]]:
    """The rows that are of the right kind and name a user and an item."""
    findings = []
    kept = np.ones(len(table), dtype=bool)
    if kinds:
        kept = _truth(pc.is_in(table["event"].cast(pa.string()), value_set=pa.array(kinds)))
        named = ", ".join(kinds)
        findings += _said(
            (~kept).sum(), "event", "events", f"of another kind than {named} left out"
        )
    for name in ("user", "item"):
        given = _truth(pc.not_equal(table[f"{name}_id"], ""))
        findings += _said((kept & ~given).sum(), "row", "rows", f"without {name}_id left out")
        kept &= given
    if not kept.any():
        raise InputError(
            f"{path} has {counted(len(table), 'row', 'rows')}, none of them an event with a user "
            "and an item; give at least two events of a user"
        )
    return np.flatnonzero(kept).astype(np.int64), findings


def _truth(mask: pa.ChunkedArray) -> Bool[np.ndarray, " rows"]:
    return pc.fill_null(mask, False).combine_chunks().to_numpy(zero_copy_only=False)


def _rows(ids: pa.StringArray, of: pa.StringArray) -> Int64[np.ndarray, " E"]:
    """The row of each id; -1 for one that is not there."""
    return pc.fill_null(pc.index_in(ids, value_set=of), -1).to_numpy().astype(np.int64)


def _item_rows(
    ids: pa.StringArray, catalogue: pa.StringArray, path: str
) -> Int64[np.ndarray, " E"]:
    rows = _rows(ids, catalogue)
    unknown = ids.filter(pa.array(rows < 0))
    if len(unknown):
        names = pc.unique(unknown).sort()
        raise InputError(
            f"{path}: {counted(len(names), 'item is', 'items are')} not in the catalogue (such as "
            f"{', '.join(map(repr, examples_of(names.to_pylist())))}), named by "
            f"{counted(len(unknown), 'event', 'events')}; add them to the items, remove their "
            "events, or leave the items file out"
        )
    return rows


def _in_order(log: _Log, *, repeated: Literal["keep", "merge"]) -> tuple[_Log, list[str]]:
    """Events by user and time, each once."""
    alike = log.take(np.lexsort((log.places, log.items, log.times, log.users)))
    once = _merged(alike, alike.users, alike.times, alike.items)
    findings = _said(
        len(log.users) - len(once.users), "event", "events", "listed twice, counted once"
    )
    log = once.take(np.lexsort((once.places, once.times, once.users)))
    early = (np.diff(log.places) < 0) & (np.diff(log.users) == 0)
    findings += _said(early.sum(), "event", "events", "not in the order of time, sorted")
    if repeated == "merge":
        once = _merged(log, log.users, log.items)
        merged = len(log.users) - len(once.users)
        findings += _said(merged, "event", "events", "of the same item as just before, merged")
        log = once
    return log, findings


def _merged(log: _Log, *keys: np.ndarray) -> _Log:
    """One event for each run of rows with the same keys: the first, with the largest weight."""
    new = np.ones(len(log.users), dtype=bool)
    new[1:] = np.any([key[1:] != key[:-1] for key in keys], axis=0)
    first = np.flatnonzero(new)
    return log.take(first)._replace(weights=np.maximum.reduceat(log.weights, first))


def _said(number: int | np.integer, one: str, many: str, what: str) -> list[str]:
    """A finding, unless there is nothing to tell."""
    return [f"{counted(int(number), one, many)} {what}"] if number else []
