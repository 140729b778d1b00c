"""Where the data of a run lies and how it is split: the keys of `[data]`."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from thresher.data.bundled import bundled, tables_of
from thresher.data.split import check_shares
from thresher.errors import InputError, percent_hint

Protocol = Literal["queries", "pairs", "users", "last", "time"]
SHARES: Mapping[str, Mapping[str, float]] = {
    "queries": {"train": 0.65, "validation": 0.05, "calibration": 0.15, "test": 0.15},
    "other": {"train": 0.8, "validation": 0.1, "test": 0.1},
}
IN_MEMORY = "(in memory)"
"""What a run names in place of a file where it was given a table."""
FILES = ("items", "queries", "pairs", "events", "ignored")
_OF_EVENTS = ("users", "last", "time")


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """Where the data of a run lies and how it is split; the keys of the `[data]` table.

    A run has either `pairs` of queries and items, or `events` of users, whose next item is to be
    found from their history.

    Args:
        items: file of the catalogue, a column `id` and any others; parquet, CSV, TSV, JSON lines.
            With events it may be left out: the items are then those of the events.
        queries: file of the queries, or of the users of the events, likewise; perhaps with a column
            `split`. With pairs it may be left out: the queries are then items themselves, such as
            pages that link to pages.
        pairs: file of the true pairs, columns `query_id` and `item_id`, perhaps `split`.
        events: file of the events, columns `user_id`, `item_id` and `timestamp`, perhaps `event`
            and `weight`.
        ignored: file of ignored pairs, columns `query_id` and `item_id`: neither true nor negative,
            never ranked.
        bundled: name of a dataset that ships with the package, in place of the files.
        item_text: columns whose text, joined by a space, describes an item; the first of title,
            text and name when left out, none where there is none of them.
        query_text: the same for queries.
        event_kinds: values of `event` to read; every kind when left out.
        repeated_events: "keep", or "merge" the same item several times in a row into one event.
        min_events: users with fewer events are left out; 1 or more.
        protocol: how the data is split. Pairs: "queries", each query with all its pairs, equal
            texts together (the default with a file of queries), or "pairs", each pair by itself
            (the default without). Events: "users" (the default), "last" or "time", see
            `thresher.data.protocols`. A column `split` of queries or pairs wins.
        shares: fraction of the queries, pairs, users or events for each split; for "last", only the
            ratio of calibration to test is used. A run without a share for calibration does not
            decide.
        history_share: fraction of the events of a user in an evaluated split that are history
            ("users"), in (0, 1).
        train_share: fraction of the training pairs that are kept, in (0, 1]; for experiments with
            few labels.
        seed: of the split, and of what is kept.
        open_catalogue: whether pairs may name items that are not in the catalogue; their queries
            then have no true item, and accepting an answer to one of them is an error.
        propensity: whose constants PSP uses: "amazon" and "wikipedia" for the sets of these names
            in the extreme classification repository, "other" for every other set.
        without_pairs: what a query that no pair names is: "unlabelled" leaves it out; "no_item"
            says that its item is not in the catalogue, so that accepting an answer is an error.
            Needed as soon as there is one.
        columns: new names of columns, `new = "old"`, in every file that has the old one.
    """

    items: str | Path | None = None
    queries: str | Path | None = None
    pairs: str | Path | None = None
    events: str | Path | None = None
    ignored: str | Path | None = None
    bundled: str | None = None
    item_text: tuple[str, ...] = ()
    query_text: tuple[str, ...] = ()
    event_kinds: tuple[str, ...] = ()
    repeated_events: Literal["keep", "merge"] = "keep"
    min_events: int = 2
    protocol: Protocol | None = None
    shares: Mapping[str, float] | None = None
    history_share: float = 0.8
    train_share: float = 1.0
    seed: int = 0
    open_catalogue: bool = False
    propensity: Literal["amazon", "wikipedia", "other"] = "other"
    without_pairs: Literal["unlabelled", "no_item"] | None = None
    columns: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.shares is not None:
            check_shares(self.shares)
        if not 0 < self.history_share < 1:
            hint = percent_hint(self.history_share)
            raise InputError(
                f"data.history_share is {self.history_share}; give the fraction of a user's events "
                f"that is history, above 0 and below 1, such as 0.8{hint}"
            )
        if not 0 < self.train_share <= 1:
            raise InputError(
                f"data.train_share is {self.train_share}; give a fraction in (0, 1]"
                f"{percent_hint(self.train_share)}"
            )
        if self.min_events < 1:
            raise InputError(f"data.min_events is {self.min_events}; give 1 or more, such as 2")
        self.check_bundled([file for file in FILES if getattr(self, file) is not None])
        if self.pairs is not None and self.events is not None:
            raise InputError("the data names both pairs and events; remove one of the two")
        named = self.named()
        if "pairs" in named or "events" in named:
            self.split_protocol(named)

    def check_bundled(self, own: Collection[str]) -> None:
        """InputError for tables of its own beside those of a bundled dataset."""
        if self.bundled is not None and own:
            raise InputError(
                f"the data names both bundled = {self.bundled!r} and {' and '.join(own)} of its "
                "own; remove one of the two"
            )

    def named(self) -> tuple[str, ...]:
        """Which of items, queries, pairs, events and ignored the data has."""
        if self.bundled is not None:
            return tables_of(self.bundled)
        return tuple(name for name in FILES if getattr(self, name) is not None)

    def paths(self, base: str | Path = ".") -> dict[str, Path]:
        """The file of each table that the data names; relative ones begin at `base`."""
        if self.bundled is not None:
            return {name: bundled(self.bundled) / f"{name}.parquet" for name in self.named()}
        return {name: Path(base, getattr(self, name)) for name in self.named()}

    def split_protocol(self, given: tuple[str, ...]) -> Protocol:
        """The protocol, or the default one for the tables that are given.

        InputError where there are neither pairs nor events, or both, pairs come without items, or
        an option does not go with them.
        """
        if ("pairs" in given) == ("events" in given):
            raise InputError(
                f"the data has {' and '.join(given) or 'no table'}; give items, queries and pairs, "
                "or events, or the name of a bundled dataset"
            )
        kind, other = ("pairs", "events") if "pairs" in given else ("events", "pairs")
        if kind == "pairs" and "items" not in given:
            raise InputError("the data has pairs and no items; name the file of the items")
        of_events = kind == "events"
        if self.protocol is not None and (self.protocol in _OF_EVENTS) != of_events:
            raise InputError(
                f"data.protocol = {self.protocol!r} splits {other}, and the data has {kind}; leave "
                f"it out, or give {other}"
            )
        default: Protocol = "users" if of_events else "queries" if "queries" in given else "pairs"
        protocol = self.protocol or default
        if self.without_pairs is not None and protocol != "queries":
            raise InputError(
                f"data.without_pairs = {self.without_pairs!r} is for queries that are split as a "
                f"whole, and the protocol is {protocol!r}; leave it out"
            )
        return protocol

    def split_shares(self, protocol: Protocol) -> Mapping[str, float]:
        """The shares, or the default ones of the protocol."""
        default = SHARES["queries" if protocol == "queries" else "other"]
        return default if self.shares is None else self.shares
