"""Histories: the catalogue, what customers did in time order, and who is asked what comes next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int64

from thresher.data.bundled import bundled
from thresher.data.events import Events, read_events
from thresher.data.findings import counted, examples_of
from thresher.data.protocols import Cut, asked, by_time, by_users, checked, examples, leave_one_out
from thresher.data.sequences import Asked, Examples
from thresher.data.tables import read_table, require_columns, text_of
from thresher.errors import InputError

SHARES: Mapping[str, float] = {"train": 0.8, "validation": 0.1, "test": 0.1}


@dataclass(frozen=True)
class HistorySpec:
    """Where the histories lie and how they are cut: either files, or a set that ships with us.

    Args:
        events: file of the events, columns `user_id`, `item_id`, `timestamp`, perhaps `event` and
            `weight`; parquet, CSV, TSV or JSON lines.
        items: file of the catalogue, with a column `id`; without it, the items of the events.
        bundled: name of a set that ships with the package, in place of the files.
        item_text: columns whose text, joined by a blank, describes an item; none when left out.
        item_categories: columns of categories, each of text or of lists of text; none when left
            out.
        events_of_kind: values of `event` to read; every kind when left out.
        repeats: "keep", or "merge" the same item several times in a row into one event.
        fewest_events: users with fewer are left out; 1 or more, 2 is usual.
        protocol: who is asked, and after what (`thresher.data.protocols`): "users", "last", "time".
        shares: fraction of the users ("users") or events ("time") for each split.
        known: fraction of an asked user's events that are history ("users"), in (0, 1).
        seed: of the choice of users ("users").
    """

    events: str | Path | None = None
    items: str | Path | None = None
    bundled: str | None = None
    item_text: tuple[str, ...] = ()
    item_categories: tuple[str, ...] = ()
    events_of_kind: tuple[str, ...] = ()
    repeats: Literal["keep", "merge"] = "keep"
    fewest_events: int = 2
    protocol: Literal["users", "last", "time"] = "users"
    shares: Mapping[str, float] = field(default_factory=lambda: dict(SHARES))
    known: float = 0.8
    seed: int = 0

    def __post_init__(self) -> None:
        checked(self.shares)
        if not 0 < self.known < 1:
            raise InputError(
                f"known is {self.known}; give the fraction of an asked user's events that is "
                "history, above 0 and below 1, such as 0.8"
            )
        if self.fewest_events < 1:
            raise InputError(f"fewest_events is {self.fewest_events}; give 1 or more, such as 2")

    def paths(self, base: str | Path = ".") -> tuple[Path, Path | None]:
        """The files of events and of items, None without one; relative ones start at `base`.

        Raises:
            InputError: no events are named, or both a bundled set and files are.
        """
        if self.bundled is not None:
            if self.events is not None or self.items is not None:
                raise InputError(
                    f"the history names both bundled = {self.bundled!r} and files of its own; "
                    "remove one of the two"
                )
            folder = bundled(self.bundled, table="events")
            return folder / "events.parquet", folder / "items.parquet"
        if self.events is None:
            raise InputError("the history names no file of events; name events, or bundled")
        return Path(base) / self.events, None if self.items is None else Path(base) / self.items


@dataclass(frozen=True)
class History:
    """A catalogue, what is learnt from its customers' histories, and who is asked.

    Args:
        items: the catalogue; column `id` (text, unique) and any others. Its rows are the item rows.
        text_columns: columns that make up the text of an item; perhaps none.
        category_columns: columns of its categories, text or lists of text; perhaps none.
        train: what is learnt from.
        train_users: the id of each user of `train`.
        validation: who is asked while training, to keep the best weights.
        test: who is asked at the end.
        findings: a sentence for each thing that was changed or left out, and how often.
    """

    items: pa.Table
    text_columns: tuple[str, ...]
    category_columns: tuple[str, ...]
    train: Examples
    train_users: pa.StringArray
    validation: Asked
    test: Asked
    findings: tuple[str, ...]

    def counts(self) -> Int64[np.ndarray, " N"]:
        """How many training events each item has."""
        items = self.train.sequences.items
        return np.bincount(items, minlength=len(self.items)).astype(np.int64)

    def sizes(self) -> dict[str, int]:
        """How much there is of everything, by name."""
        return {
            "items": len(self.items),
            "items_never_in_training": int((self.counts() == 0).sum()),
            "users_learnt_from": len(self.train.sequences),
            "events_learnt_from": len(self.train.sequences.items),
            "users_asked_in_validation": len(self.validation),
            "users_asked_in_test": len(self.test),
        }

    def lines(self) -> list[str]:
        """What there is, and what was changed or left out, as lines of text for a terminal."""
        sizes = [f"{name.replace('_', ' ')}: {size:,}" for name, size in self.sizes().items()]
        return [*sizes, *(f"- {finding}" for finding in self.findings)]


def load_history(spec: HistorySpec, base: str | Path = ".") -> History:
    """Read, check and cut histories.

    Args:
        spec: where the files are and how to cut them.
        base: the folder that relative paths start from.

    Memory: the tables, and about 100 bytes an event while they are sorted.

    Raises:
        InputError: a file cannot be read or lacks a column, ids of items repeat or are unknown, a
            timestamp or weight is none, or a split that has a share is empty.

    Example:
        >>> history = load_history(HistorySpec(bundled="online-retail"))
        >>> history.items.column_names
        ['id', 'title']
    """
    path, catalogue = spec.paths(base)
    if catalogue is None and (spec.item_text or spec.item_categories):
        raise InputError(
            "item_text and item_categories name columns of the items, but the history has no file "
            "of items; name one in items, or leave them out"
        )
    items = None if catalogue is None else _items(catalogue, spec)
    events = read_events(
        path,
        catalogue=None if items is None else items["id"].combine_chunks(),
        kinds=spec.events_of_kind,
        repeats=spec.repeats,
        fewest=spec.fewest_events,
    )
    cut = _cut(events, spec)
    validation, of_validation = asked(events, cut.validation, "validation")
    test, of_test = asked(events, cut.test, "test")
    history = History(
        items=pa.table({"id": events.catalogue}) if items is None else items,
        text_columns=spec.item_text,
        category_columns=spec.item_categories,
        train=examples(events, cut.train),
        train_users=events.users.take(pa.array(np.flatnonzero(cut.train))),
        validation=validation,
        test=test,
        findings=(*events.findings, *of_validation, *of_test),
    )
    _check_splits(history, spec)
    return history


def _cut(events: Events, spec: HistorySpec) -> Cut:
    counts = events.sequences.counts()
    if spec.protocol == "users":
        return by_users(counts, shares=spec.shares, known=spec.known, seed=spec.seed)
    if spec.protocol == "last":
        return leave_one_out(counts)
    return by_time(events.sequences, events.times, shares=spec.shares)


def _items(path: Path, spec: HistorySpec) -> pa.Table:
    """The catalogue, its ids and columns checked."""
    items = read_table(path)
    require_columns(items, ["id", *spec.item_text, *spec.item_categories], path)
    check_ids(items, path)
    text_of(items.slice(0, 0), spec.item_text)
    return _with_categories(items, spec.item_categories, path)


def check_ids(table: pa.Table, path: str | Path, one: str = "item", many: str = "items") -> None:
    """InputError for a table that is empty, or has a row without an id or two of one id."""
    missing = pc.sum(pc.equal(pc.fill_null(table["id"], ""), "")).as_py()
    if not len(table) or missing:
        raise InputError(
            f"{path} has {counted(len(table), one, many)}, {missing or 0} of them without "
            f"an id; give one {one} or more, each with an id"
        )
    ids = pc.value_counts(table["id"])
    twice = ids.field("values").filter(pc.greater(ids.field("counts"), 1))
    if len(twice):
        raise InputError(
            f"{path}: {counted(len(twice), 'id stands', 'ids stand')} on several rows (such as "
            f"{', '.join(map(repr, examples_of(twice.to_pylist())))}); keep one row of each"
        )


def _with_categories(items: pa.Table, names: Sequence[str], path: Path) -> pa.Table:
    """The items with their categories as text or lists of text, whatever the file stores."""
    for name in names:
        kind = items[name].type
        if pa.types.is_dictionary(kind):
            kind = kind.value_type
            at = items.column_names.index(name)
            items = items.set_column(at, name, items[name].cast(kind))
        several = pa.types.is_list(kind) or pa.types.is_large_list(kind)
        inner = kind.value_type if several else kind
        if not (pa.types.is_string(inner) or pa.types.is_large_string(inner)):
            raise InputError(
                f"{path}: column {name!r} holds {kind}; categories are text or lists of text"
            )
    return items


def _check_splits(history: History, spec: HistorySpec) -> None:
    """InputError for a split that is meant to have something, and has nothing."""
    sizes = {
        "train": len(history.train),
        "validation": len(history.validation),
        "test": len(history.test),
    }
    for name, size in sizes.items():
        meant = spec.protocol == "last" or spec.shares.get(name, 0) > 0
        if meant and not size:
            what = "event to learn from" if name == "train" else "user to ask"
            raise InputError(
                f"the protocol {spec.protocol!r} leaves no {what} in {name} "
                f"({'; '.join(history.findings) or 'nothing was left out'}); give more or longer "
                "histories, or another protocol or shares"
            )
