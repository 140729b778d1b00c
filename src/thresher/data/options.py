"""Where the tables of a run lie and how they are split: the keys of the `[data]` table."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from thresher.data.bundled import bundled, bundled_tables
from thresher.data.protocols import check_shares
from thresher.data.split import SHARES
from thresher.errors import InputError

Protocol = Literal["queries", "pairs", "users", "last", "time"]
LIST_SHARES: Mapping[str, float] = {"train": 0.8, "validation": 0.1, "test": 0.1}
TABLES = ("items", "queries", "pairs", "events", "ignored")


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """Where a dataset lies and how it is split: either files, or one that ships with the package.

    A run has `pairs` of queries and items, or `events` of users, whose next item is looked for
    after their history. Files are parquet, CSV, TSV, JSON lines or Excel.

    Args:
        items: file of the catalogue: `id` and any columns. Needed with pairs; the items of the
            events when left out.
        queries: file of the queries, or of the users of the events: `id`, any columns, and perhaps
            `split`. With pairs and without queries, the items are the queries.
        pairs: file of the true pairs: `query_id`, `item_id`, and perhaps `split`.
        events: file of the events: `user_id`, `item_id`, `timestamp`, and perhaps `event` and
            `weight`.
        ignored: file of pairs that are neither true nor false: `query_id`, `item_id`. Their item is
            never ranked for their query.
        bundled: name of a dataset that ships with the package, in place of the files.
        columns: what a column is called in the files, by the name that it has here.
        item_text: columns whose text, joined by a blank, describes an item; the first of title,
            text and name when left out.
        query_text: the same for queries.
        without_pairs: what a query is that no pair names: "unlabelled", left out, or "no_item", a
            query whose item the catalogue lacks. To be set as soon as there is one.
        open_catalogue: whether pairs may name items that are not in the catalogue; their queries
            then have no true item, and accepting an answer to one of them is an error.
        event_kinds: values of `event` to read; every kind when left out.
        repeated_events: "keep", or "merge" the same item several times in a row into one event.
        min_events: users with fewer are left out; 1 or more, 2 is usual.
        protocol: how a split is made where the files give none. Pairs: "queries", all pairs of a
            query, and of queries with the same text, together; "pairs", each by itself. Events:
            "users", "last" or "time" (`thresher.data.protocols`). When left out "queries", "pairs"
            where items are the queries, and "users".
        shares: fraction of the queries, pairs, users or events for each split; with a share for
            calibration a threshold is certified. When left out 0.65, 0.05, 0.15 and 0.15 for train,
            validation, calibration and test with "queries", else 0.8, 0.1, 0 and 0.1.
        history_share: fraction of an evaluated user's events that are history ("users"), in (0, 1).
        train_share: fraction of the training pairs that are kept, above 0; to see what few labels
            do.
        seed: of the split, and of what is kept.
        propensity: whose constants PSP uses: "amazon" and "wikipedia" for the sets of these names
            in the extreme classification repository, "other" for every other set.
    """

    items: str | None = None
    queries: str | None = None
    pairs: str | None = None
    events: str | None = None
    ignored: str | None = None
    bundled: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    item_text: tuple[str, ...] = ()
    query_text: tuple[str, ...] = ()
    without_pairs: Literal["unlabelled", "no_item"] | None = None
    open_catalogue: bool = False
    event_kinds: tuple[str, ...] = ()
    repeated_events: Literal["keep", "merge"] = "keep"
    min_events: int = 2
    protocol: Protocol | None = None
    shares: Mapping[str, float] | None = None
    history_share: float = 0.8
    train_share: float = 1.0
    seed: int = 0
    propensity: Literal["amazon", "wikipedia", "other"] = "other"

    def __post_init__(self) -> None:
        if self.shares is not None:
            check_shares(self.shares)
        for name in ("history_share", "train_share"):
            value = getattr(self, name)
            if not 0 < value <= 1 or (name == "history_share" and value == 1):
                raise InputError(f"data.{name} is {value}; give a fraction above 0 and below 1")
        if self.min_events < 1:
            raise InputError(f"data.min_events is {self.min_events}; give 1 or more, such as 2")
        files = [name for name in TABLES if getattr(self, name) is not None]
        if self.bundled is not None and files:
            raise InputError(
                f"the data names both bundled = {self.bundled!r} and files of its own "
                f"({', '.join(files)}); remove one of the two"
            )
        if self.pairs is not None and self.events is not None:
            raise InputError("the data names both pairs and events; remove one of the two")
        self._check_protocol()

    def _check_protocol(self) -> None:
        if self.protocol is not None and not self._nothing_named:
            of_events = self.protocol in ("users", "last", "time")
            if of_events != self.has_events:
                what, other = ("events", "pairs") if of_events else ("pairs", "events")
                raise InputError(
                    f"data.protocol = {self.protocol!r} splits {what}, and the data names {other}; "
                    "leave it out, or give another"
                )
        if self.protocol in ("last", "time") and self.split_shares().get("calibration", 0):
            raise InputError(
                f"data.protocol = {self.protocol!r} keeps no users apart to calibrate on; give "
                "calibration no share, or set protocol = 'users'"
            )

    @property
    def _nothing_named(self) -> bool:
        return self.pairs is None and self.events is None and self.bundled is None

    @property
    def has_events(self) -> bool:
        """Whether queries are histories of events."""
        if self.bundled is not None:
            return "events" in bundled_tables(self.bundled)
        return self.events is not None

    @property
    def splits_by(self) -> Protocol:
        """The protocol, the default one where none is configured."""
        if self.protocol is not None:
            return self.protocol
        if self.has_events:
            return "users"
        return "pairs" if self.pairs is not None and self.queries is None else "queries"

    def split_shares(self) -> Mapping[str, float]:
        """The shares, the default ones where none are configured."""
        if self.shares is not None:
            return self.shares
        return SHARES if self.splits_by == "queries" else LIST_SHARES

    @property
    def calibrates(self) -> bool:
        """Whether labels are kept apart to certify a threshold on."""
        return self.split_shares().get("calibration", 0.0) > 0

    def paths(self, base: str | Path = ".") -> dict[str, Path]:
        """The files by the name of their table; relative ones start at `base`.

        Raises:
            InputError: neither pairs nor events are named, or pairs without items.
        """
        if self.bundled is not None:
            folder = bundled(self.bundled)
            return {path.stem: path for path in sorted(folder.glob("*.parquet"))}
        if self.pairs is None and self.events is None:
            raise InputError(
                "the data names no pairs and no events; name items, queries and pairs, or events, "
                "or bundled"
            )
        if self.pairs is not None and self.items is None:
            raise InputError("the data names pairs and no items; name the file of the items")
        given = {name: getattr(self, name) for name in TABLES}
        return {name: Path(base) / path for name, path in given.items() if path is not None}
