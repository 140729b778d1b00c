"""From tables to the parts of a dataset: what is trained on, evaluated, or left out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Int64, Integer, UInt8

from thresher.data.events import Events, events_of
from thresher.data.finding_texts import found
from thresher.data.findings import Finding, counted
from thresher.data.histories import Histories
from thresher.data.join import Joined, join, unique_rows
from thresher.data.options import DataOptions
from thresher.data.parts import Part
from thresher.data.protocols import Cut, by_time, by_users, evaluated, examples, leave_one_out
from thresher.data.queries import Queries, rows_of
from thresher.data.relation import Relation
from thresher.data.sequences import Sequences
from thresher.data.sources import Sources
from thresher.data.split import SPLITS, UNASSIGNED, fill, normalised
from thresher.data.tables import require_columns, text_of

_THINNED = 1  # the second of the numbers that seed which training pairs stay
_BY_PAIR = 2  # the same for the split of pairs
_TEXT = ("title", "text", "name")


class Assembled(NamedTuple):
    """What became of the tables, and in `findings` what was left out, or may not be.

    `queries` are those of a table of queries or users, None without; `unlabelled` counts those that
    are in no part, because no pair names them.
    """

    items: pa.Table
    queries: pa.Table | None
    parts: Mapping[str, Part]
    item_text: tuple[str, ...]
    query_text: tuple[str, ...]
    findings: tuple[Finding, ...]
    unlabelled: int = 0


def assemble(sources: Sources, options: DataOptions) -> Assembled:
    """Join, check and split the tables; what does not fit is left out and becomes a finding.

    InputError where a column is missing or cannot be read, or events cannot be put in order.
    """
    if "events" in sources.tables:
        return _of_events(sources, options)
    return _of_pairs(sources, options)


def without_pairs(
    joined: Joined, sources: Sources, options: DataOptions
) -> tuple[Int64[np.ndarray, " unlabelled"], list[Finding]]:
    """The queries without a label, which are left out, and a finding on queries without a pair.

    A query of an item that the catalogue lacks is named by a pair, and is not one of them.
    """
    rows = np.flatnonzero(~joined.named)
    if not len(rows) or options.without_pairs == "no_item":
        return rows[:0], []
    return rows, found(
        "query-without-pairs/left-out" if options.without_pairs else "query-without-pairs",
        len(rows),
        joined.queries["id"].take(pa.array(rows[:100])).to_pylist(),
        path=sources.paths["queries"],
        other=sources.paths["pairs"],
        total=counted(len(joined.queries), "query", "queries"),
    )


def text_columns(
    table: pa.Table, chosen: tuple[str, ...], path: str, *, default: bool = True
) -> tuple[str, ...]:
    """The columns chosen, or else the first usual one; InputError where a chosen one is missing."""
    if chosen:
        require_columns(table, chosen, path)
        text_of(table.slice(0, 0), chosen)  # refuses what is not text
        return chosen
    usual = [name for name in _TEXT if default and name in table.column_names]
    return tuple(usual[:1])


def _of_pairs(sources: Sources, options: DataOptions) -> Assembled:
    joined = join(sources, open_catalogue=options.open_catalogue)
    items, queries = joined.items, joined.queries
    item_text = text_columns(items, options.item_text, sources.paths["items"])
    query_text = item_text
    if "queries" in sources.tables or options.query_text:
        query_text = text_columns(queries, options.query_text, sources.paths["queries"])
    findings, left = joined.findings, 0
    if sources.protocol == "pairs":
        parts = by_pair(joined, options)
    else:
        unlabelled, more = without_pairs(joined, sources, options)
        findings, left = (*findings, *more), len(unlabelled)
        split = _by_text(joined, query_text, options)
        split[unlabelled] = UNASSIGNED
        parts = by_query(joined, split, options)
    return Assembled(items, queries, parts, item_text, query_text, findings, left)


def _by_text(
    joined: Joined, columns: tuple[str, ...], options: DataOptions
) -> UInt8[np.ndarray, " Q"]:
    """The split of each query; one without a text is split by its id."""
    ids = joined.queries["id"].to_pylist()
    texts = text_of(joined.queries, columns) if columns else ids
    keys = [text if normalised(text) else id_ for text, id_ in zip(texts, ids, strict=True)]
    shares = options.split_shares("queries")
    return fill(joined.split, keys, shares=shares, seed=options.seed)


def by_query(
    joined: Joined, split: UInt8[np.ndarray, " Q"], options: DataOptions
) -> dict[str, Part]:
    """The queries of each split with all their pairs; `UNASSIGNED` leaves a query out."""
    of_pair = split[joined.relation.pairs()[:, 0]]
    without = np.where(joined.relation.counts() == 0, split, UNASSIGNED)
    return _parts(joined, of_pair, without, options)


def by_pair(joined: Joined, options: DataOptions) -> dict[str, Part]:
    """Each pair in the split that is given or drawn, and the queries that have pairs there."""
    given, count = joined.pair_split, len(joined.pair_split)
    order = np.random.default_rng((options.seed, _BY_PAIR)).permutation(count)
    shares = options.split_shares("pairs")
    ends = np.round(np.cumsum([shares.get(name, 0.0) for name in SPLITS]) * count)
    drawn = np.searchsorted(ends[:-1], order, side="right")
    of_pair = np.where(given == UNASSIGNED, drawn, given)
    return _parts(joined, of_pair, np.full(len(joined.relation), UNASSIGNED), options)


def _parts(
    joined: Joined,
    of_pair: Integer[np.ndarray, " P"],
    without: Integer[np.ndarray, " Q"],  # the split of a query that has no true item
    options: DataOptions,
) -> dict[str, Part]:
    """The queries of each split; what is known from an earlier split is never ranked again."""
    pairs, shape = joined.relation.pairs(), joined.relation.shape
    everything, parts = Queries.of_table(joined.queries), {}
    for number, name in enumerate(SPLITS):
        truth, earlier = (
            Relation.from_pairs(*pairs[mask].T, shape=shape)
            for mask in (of_pair == number, of_pair < number)
        )
        if name == "train" and options.train_share < 1:
            kept = _kept(len(truth.indices), options)
            truth = Relation.from_pairs(*truth.pairs()[kept].T, shape=shape)
        rows = np.flatnonzero((truth.counts() > 0) | (without == number))
        ignored = joined.ignored.take(rows).union(earlier.take(rows))
        parts[name] = Part(everything.take(rows), truth.take(rows), ignored)
    return parts


def _kept(count: int, options: DataOptions) -> Int64[np.ndarray, " kept"]:
    """Which training pairs stay; those of a smaller share are among those of a larger one."""
    order = np.random.default_rng((options.seed, _THINNED)).permutation(count)
    return np.sort(order[: max(1, round(options.train_share * count))]).astype(np.int64)


def _of_events(sources: Sources, options: DataOptions) -> Assembled:
    items, users = sources.tables.get("items"), sources.tables.get("queries")
    findings: list[Finding] = []
    if items is not None:
        items, findings = unique_rows(items, sources.paths["items"], "item")
    if users is not None:
        users, bad = unique_rows(users, sources.paths["queries"], "user")
        findings += bad
    events = events_of(
        sources.tables["events"],
        sources.paths["events"],
        catalogue=None if items is None else items["id"].combine_chunks(),
        event_kinds=options.event_kinds,
        repeated_events=options.repeated_events,
        min_events=options.min_events,
    )
    items = pa.table({"id": events.catalogue}) if items is None else items
    cut = _cut(events, sources, options)
    asking = _Users(events, users, len(items))
    findings += events.findings
    parts = {name: asking.none() for name in SPLITS} | {"train": asking.train(cut, options)}
    for name, span in cut.spans.items():
        one, more = evaluated(events, span, name)
        findings += more
        parts[name] = asking.part(one.users, Histories.of(one.histories), one.targets)
    query_text: tuple[str, ...] = ()
    if users is not None or options.query_text:
        table = pa.table({"id": events.users}) if users is None else users
        path = sources.paths["queries"]
        query_text = text_columns(table, options.query_text, path, default=False)
    item_text = text_columns(items, options.item_text, sources.paths["items"])
    return Assembled(items, users, parts, item_text, query_text, tuple(findings))


def _cut(events: Events, sources: Sources, options: DataOptions) -> Cut:
    shares, seed = options.split_shares(sources.protocol), options.seed
    counts = events.sequences.counts()
    if sources.protocol == "time":
        return by_time(events.sequences, events.times, shares=shares)
    if sources.protocol == "last":
        return leave_one_out(counts, shares=shares, seed=seed)
    return by_users(counts, shares=shares, history_share=options.history_share, seed=seed)


@dataclass(frozen=True)
class _Users:
    """Makes parts of users, from their events and perhaps a table of them."""

    events: Events
    table: pa.Table | None
    columns: int

    def queries(self, users: Int64[np.ndarray, " n"], histories: Histories) -> Queries:
        """Users by their rows in the events, and what each had."""
        ids, rows = self.events.users.take(pa.array(users)), None
        if self.table is not None:
            rows = rows_of(ids, self.table["id"].combine_chunks())
        return Queries(ids, self.table, rows, histories)

    def part(
        self, users: Int64[np.ndarray, " n"], histories: Histories, targets: Sequences
    ) -> Part:
        """Users who are evaluated."""
        truth, none = targets.relation(self.columns), Relation.none((len(users), self.columns))
        return Part(self.queries(users, histories), truth, none, targets)

    def none(self) -> Part:
        """A split without users."""
        nothing = Sequences(np.zeros(1, np.int64), np.empty(0, np.int64))
        return self.part(np.empty(0, np.int64), Histories.of(nothing), nothing)

    def train(self, cut: Cut, options: DataOptions) -> Part:
        """The training examples, each a query of one true item."""
        every = examples(self.events, cut.train)
        kept = np.arange(len(every.users))
        if options.train_share < 1 and len(kept):
            kept = _kept(len(kept), options)
        first, target, users, weights = (column[kept] for column in every[1:])
        histories = Histories.windows(every.items, first, target)
        truth = Relation(np.arange(len(kept) + 1), every.items[target], self.columns)
        none = Relation.none(truth.shape)
        weight = weights.astype(np.float64) if len(np.unique(weights)) > 1 else None
        return Part(self.queries(users, histories), truth, none, None, users, weight)
