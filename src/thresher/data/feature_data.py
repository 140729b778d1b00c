"""Data of a features run: items and queries as tables of features, who took what, who is asked."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int64

from thresher.data.history import SHARES, HistorySpec, check_ids, load_history
from thresher.data.pair_cut import places, read_pairs
from thresher.data.protocols import checked
from thresher.data.relation import Relation
from thresher.data.sequences import Asked, Examples, Sequences, bounds
from thresher.data.tables import read_table, require_columns
from thresher.data.values import entries
from thresher.errors import InputError

_THINNED = 1  # the second of the numbers that seed which training pairs stay


@dataclass(frozen=True)
class FeatureSpec:
    """Where the tables of a features run lie, and how they are cut.

    Either `pairs` of queries and items, or `events` of users, whose next item is asked for after
    their history.

    Args:
        items: file of the catalogue, a column `id` and columns of features; parquet, CSV, TSV or
            JSON lines. Needed with pairs; the items of the events when left out.
        queries: file of the queries, or of the users of the events, a column `id` and columns of
            features. Left out, queries are items themselves, such as pages that link to pages; or
            users have their history alone.
        pairs: file of the true pairs, columns `query_id` and `item_id`, and perhaps `split`.
        events: file of the events, columns `user_id`, `item_id` and `timestamp`, and perhaps
            `event` and `weight`.
        bundled: name of a set of events that ships with the package, in place of the files.
        events_of_kind: values of `event` to read; every kind when left out.
        repeats: "keep", or "merge" the same item several times in a row into one event.
        fewest_events: users with fewer are left out.
        protocol: how events are cut: "users", "last" or "time"; how pairs without a split are:
            "pairs", each pair by itself, or "queries", all pairs of a query together. When left
            out, "users" and "pairs".
        shares: fraction of the users, events, pairs or queries for each split.
        known: fraction of an asked user's events that are history ("users"), in (0, 1).
        train_share: fraction of the training pairs that are kept, above 0; to see what scarce
            labels do.
        seed: of the cut, and of what is kept.
    """

    items: str | Path | None = None
    queries: str | Path | None = None
    pairs: str | Path | None = None
    events: str | Path | None = None
    bundled: str | None = None
    events_of_kind: tuple[str, ...] = ()
    repeats: Literal["keep", "merge"] = "keep"
    fewest_events: int = 2
    protocol: Literal["users", "last", "time", "pairs", "queries"] | None = None
    shares: Mapping[str, float] = field(default_factory=lambda: dict(SHARES))
    known: float = 0.8
    train_share: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        checked(self.shares)
        if not 0 < self.train_share <= 1:
            raise InputError(
                f"data.train_share is {self.train_share}; give a fraction above 0, up to 1"
            )
        if self.pairs is not None and (self.events is not None or self.bundled is not None):
            other = "events" if self.events is not None else "bundled"
            raise InputError(f"the data names both pairs and {other}; remove one of the two")
        if self.pairs is not None and self.items is None:
            raise InputError("the data names pairs and no items; name the file of the items")
        of_pairs = self.protocol in ("pairs", "queries")
        if self.protocol is not None and of_pairs != (self.pairs is not None):
            cut = "pairs" if of_pairs else "events"
            raise InputError(
                f"data.protocol = {self.protocol!r} cuts {cut}, and the data names "
                f"{'events' if of_pairs else 'pairs'}; leave it out, or name {cut}"
            )
        if self.pairs is None:
            self.history()  # refuses what it may not be

    def history(self) -> HistorySpec:
        """How the events are read and cut."""
        return HistorySpec(
            events=self.events,
            items=self.items,
            bundled=self.bundled,
            events_of_kind=self.events_of_kind,
            repeats=self.repeats,
            fewest_events=self.fewest_events,
            protocol=self.protocol if self.protocol in ("last", "time") else "users",
            shares=self.shares,
            known=self.known,
            seed=self.seed,
        )

    def paths(self, base: str | Path = ".") -> tuple[Path, ...]:
        """All files that are read; relative ones begin at `base`.

        Raises:
            InputError: neither pairs nor events are named, or too much is.
        """
        if self.pairs is None:
            found = [path for path in self.history().paths(base) if path is not None]
            return (*found, *([Path(base, self.queries)] if self.queries else []))
        named = (self.items, self.queries, self.pairs)
        return tuple(Path(base, path) for path in named if path is not None)


@dataclass(frozen=True)
class Asking:
    """Queries that are asked: what is known of each, and which items are right.

    Args:
        ids: the id of each query or user.
        rows: its row in the table of queries, -1 for none; None without a table.
        histories: item rows of what each did, oldest first; None where queries have no history, or
            have it in a column of theirs.
        targets: item rows that are right.
        known: items that are known already, or are the query itself: never listed.
    """

    ids: pa.StringArray
    rows: Int64[np.ndarray, " n"] | None
    histories: Sequences | None
    targets: Sequences
    known: Relation

    def __len__(self) -> int:
        """Number of queries."""
        return len(self.ids)

    def first(self, count: int) -> "Asking":
        """The first so many queries."""
        kept = np.arange(min(count, len(self)))
        return Asking(
            self.ids[: len(kept)],
            None if self.rows is None else self.rows[kept],
            None if self.histories is None else self.histories.take(kept),
            self.targets.take(kept),
            self.known.take(kept),
        )


@dataclass(frozen=True)
class FeatureData:
    """Items and queries with their features, the training pairs, and who is asked.

    Args:
        items: the catalogue; column `id` (text, unique) and any others. Its rows are the item rows.
        queries: the same of queries, or of users; None where a query is its history alone.
        relation: the training pairs, training queries x items.
        rows: the row of each training query in `queries`, -1 for none; None without a table.
        examples: with events, the history and target that each training query is.
        itself: pairs of a query and the item that it is; they count for nothing.
        validation: who is asked while training, to keep the best weights.
        test: who is asked at the end.
        findings: a sentence for each thing that was changed or left out, and how often.
        items_path: of the catalogue's file, for messages.
        queries_path: the same for the queries.
    """

    items: pa.Table
    queries: pa.Table | None
    relation: Relation
    rows: Int64[np.ndarray, " n"] | None
    examples: Examples | None
    itself: Relation | None
    validation: Asking
    test: Asking
    findings: tuple[str, ...]
    items_path: str
    queries_path: str

    def counts(self) -> Int64[np.ndarray, " N"]:
        """In how many training pairs each item stands."""
        return self.relation.item_counts()

    def asked_in_training(self) -> Int64[np.ndarray, " rows"]:
        """How many training pairs each row of the table of queries has."""
        if self.rows is None or self.queries is None:
            return np.zeros(0, np.int64)
        given = self.rows >= 0
        pairs = self.relation.counts()[given]
        return np.bincount(self.rows[given], pairs, minlength=len(self.queries)).astype(np.int64)

    def sizes(self) -> dict[str, int]:
        """How much there is of everything, by name."""
        return {
            "items": len(self.items),
            "items_never_in_training": int((self.counts() == 0).sum()),
            "training_pairs": len(self.relation.indices),
            "queries_asked_in_validation": len(self.validation),
            "queries_asked_in_test": len(self.test),
        }

    def lines(self) -> list[str]:
        """What there is, and what was changed or left out, as lines of text for a terminal."""
        sizes = [f"{name.replace('_', ' ')}: {size:,}" for name, size in self.sizes().items()]
        return [*sizes, *(f"- {finding}" for finding in self.findings)]


def load_feature_data(spec: FeatureSpec, base: str | Path = ".") -> FeatureData:
    """Read, check and cut the data of a features run.

    Args:
        spec: where the files are and how to cut them.
        base: the folder that relative paths start from.

    Memory: the tables, and about 100 bytes a pair or event while they are sorted.

    Raises:
        InputError: a file cannot be read or lacks a column, ids repeat or are unknown, or a split
            that has a share is empty.
    """
    return _of_events(spec, base) if spec.pairs is None else _of_pairs(spec, base)


def histories_of(table: pa.Table, column: str, items: pa.Table) -> tuple[Sequences, int]:
    """The items of a column of ids, as rows of the catalogue, and how many ids it lacks.

    A value is a list of ids, or a text of ids with "|" between them.

    Raises:
        InputError: the column holds neither.
    """
    rows, ids = entries(table[column], "history", column)
    places = pc.index_in(ids, value_set=items["id"].combine_chunks())
    found = pc.fill_null(places, -1).to_numpy().astype(np.int64)
    there = found >= 0
    counts = np.bincount(rows[there], minlength=len(table))
    return Sequences(bounds(counts), found[there]), int((~there).sum())


def _of_events(spec: FeatureSpec, base: str | Path) -> FeatureData:
    history = load_history(spec.history(), base)
    examples, findings = history.train, list(history.findings)
    if spec.train_share < 1:
        kept = _kept(len(examples), spec)
        examples = Examples(
            examples.sequences,
            examples.users[kept],
            examples.targets[kept],
            examples.weights[kept],
        )
    queries = path = None
    if spec.queries is not None:
        path = Path(base, spec.queries)
        queries = _table(path)
    items = len(history.items)
    relation = Relation(np.arange(len(examples) + 1), examples.items(), items)
    users = history.train_users

    def rows(ids: pa.StringArray) -> Int64[np.ndarray, " n"] | None:
        if queries is None:
            return None
        return places(ids, queries["id"].combine_chunks())

    def asking(asked: Asked) -> Asking:
        nothing = Relation.none((len(asked), items))
        return Asking(asked.users, rows(asked.users), asked.histories, asked.targets, nothing)

    own = rows(users)
    return FeatureData(
        items=history.items,
        queries=queries,
        relation=relation,
        rows=None if own is None else own[examples.users],
        examples=examples,
        itself=None,
        validation=asking(history.validation),
        test=asking(history.test),
        findings=tuple(findings),
        items_path=str(spec.history().paths(base)[1] or spec.history().paths(base)[0]),
        queries_path=str(path or ""),
    )


def _of_pairs(spec: FeatureSpec, base: str | Path) -> FeatureData:
    items_path, pairs_path = Path(base, str(spec.items)), Path(base, str(spec.pairs))
    items = _table(items_path)
    queries, queries_path = items, items_path
    if spec.queries is not None:
        queries_path = Path(base, spec.queries)
        queries = _table(queries_path)
    cut, findings = read_pairs(
        pairs_path,
        queries,
        items,
        same=spec.queries is None,
        together=spec.protocol == "queries",
        shares=spec.shares,
        seed=spec.seed,
    )
    shape = len(queries), len(items)
    train = cut.of((0,), shape)
    itself = None
    if spec.queries is None:
        itself = Relation(np.arange(len(items) + 1), np.arange(len(items)), len(items))
    kept = train
    if spec.train_share < 1:
        pairs = train.pairs()[_kept(len(train.indices), spec)]
        kept = Relation.from_pairs(*pairs.T, shape=shape)
    ids = queries["id"].combine_chunks()

    def asking(number: int) -> Asking:
        targets = cut.of((number,), shape)
        rows = np.flatnonzero(targets.counts())
        known = cut.of(tuple(range(number)), shape).take(rows)
        right = targets.take(rows)
        return Asking(
            ids.take(pa.array(rows)),
            rows.astype(np.int64),
            None,
            Sequences(right.indptr, right.indices),
            known if itself is None else known.union(itself.take(rows)),
        )

    return FeatureData(
        items=items,
        queries=queries,
        relation=kept,
        rows=np.arange(len(queries)),
        examples=None,
        itself=itself,
        validation=asking(1),
        test=asking(2),
        findings=findings,
        items_path=str(items_path),
        queries_path=str(queries_path),
    )


def _table(path: Path) -> pa.Table:
    table = read_table(path)
    require_columns(table, ["id"], path)
    check_ids(table, path, one="row", many="rows")
    return table


def _kept(count: int, spec: FeatureSpec) -> Int64[np.ndarray, " kept"]:
    """Which training pairs stay; those of a smaller share are among those of a larger one."""
    order = np.random.default_rng((spec.seed, _THINNED)).permutation(count)
    return np.sort(order[: max(1, round(spec.train_share * count))]).astype(np.int64)
