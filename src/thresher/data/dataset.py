"""A dataset: the catalogue, and the queries of each split with their true items."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float64, Int64

from thresher.data.events import Events, sorted_events
from thresher.data.findings import counted, examples_of
from thresher.data.histories import Histories
from thresher.data.join import Joined, Tables, join
from thresher.data.options import DataOptions
from thresher.data.pair_cut import cut_pairs, places
from thresher.data.protocols import Cut, by_time, by_users, evaluated, examples, leave_one_out
from thresher.data.queries import Queries
from thresher.data.relation import Relation
from thresher.data.sequences import Examples, Sequences
from thresher.data.split import SPLITS, UNASSIGNED, fill, split_number
from thresher.data.tables import ids_as_text, read_table, require_columns, text_of
from thresher.errors import InputError

_TEXT = ("title", "text", "name")
_THINNED = 1  # the second of the numbers that seed which training pairs stay


@dataclass(frozen=True)
class Part:
    """The queries of one split, and what is true for them.

    A query without a true item is legal: its item is not in the catalogue. Ranking metrics leave
    such queries out; precision and coverage count them, since accepting an answer is an error.

    Args:
        queries: what is looked for.
        truth: their true items, queries x items.
        ignored: pairs that are neither true nor false, and never ranked.
        targets: of events what came next, repeats kept; None otherwise.
        groups: the user of each query, where training draws by user; None otherwise.
        sample_weight: how much more often than others each is drawn; None for all alike.
    """

    queries: Queries
    truth: Relation
    ignored: Relation
    targets: Sequences | None = None
    groups: Int64[np.ndarray, " n"] | None = None
    sample_weight: Float64[np.ndarray, " n"] | None = None

    def __len__(self) -> int:
        return len(self.queries)

    def take(self, rows: Int64[np.ndarray, " n"]) -> "Part":
        """The queries of these numbers, in this order."""
        return Part(
            self.queries.take(rows),
            self.truth.take(rows),
            self.ignored.take(rows),
            None if self.targets is None else self.targets.take(rows),
            None if self.groups is None else self.groups[rows],
            None if self.sample_weight is None else self.sample_weight[rows],
        )

    def first(self, count: int) -> "Part":
        """The first so many queries."""
        return self if count >= len(self) else self.take(np.arange(count))

    def over(self, items: pa.Table, catalogue: pa.Table) -> "Part":
        """The same queries over another catalogue: true items that it lacks are none there.

        Args:
            items: the catalogue that the rows of this part name.
            catalogue: the one that they are to name.
        """
        if items is catalogue or items["id"].equals(catalogue["id"]):
            return self
        rows = places(items["id"].combine_chunks(), catalogue["id"].combine_chunks())

        def renumbered(relation: Relation) -> Relation:
            pairs = relation.pairs()
            to = rows[pairs[:, 1]]
            shape = (len(relation), len(catalogue))
            return Relation.from_pairs(pairs[to >= 0, 0], to[to >= 0], shape=shape)

        queries = self.queries
        if queries.histories is not None:
            queries = replace(queries, histories=queries.histories.renumbered(rows))
        return replace(
            self,
            queries=queries,
            truth=renumbered(self.truth),
            ignored=renumbered(self.ignored),
            targets=None if self.targets is None else self.targets.renumbered(rows),
        )


@dataclass(frozen=True)
class Dataset:
    """The catalogue, and the queries of each split with what is true for them.

    Args:
        items: the catalogue; column `id` (text, unique) and any others. Its rows are the item rows.
        parts: the queries of "train", "validation", "calibration" and "test"; one may be empty.
        item_text: columns that make up the text of an item; perhaps none.
        query_text: the same for queries.
        findings: a sentence for each thing that was changed or left out, and how often.
        items_path: of the catalogue's file, for messages.
        queries_path: the same for the queries.
        itself: whether queries are items.
    """

    items: pa.Table
    parts: Mapping[str, Part]
    item_text: tuple[str, ...]
    query_text: tuple[str, ...]
    findings: tuple[str, ...] = ()
    items_path: str = "items"
    queries_path: str = "queries"
    itself: bool = field(default=False)

    def part(self, split: str) -> Part:
        """The queries of a split.

        Raises:
            InputError: there is no split of that name.
        """
        split_number(split)
        return self.parts[split]

    def item_counts(self) -> Int64[np.ndarray, " N"]:
        """In how many training pairs, or events of training users, each item stands."""
        train = self.parts["train"]
        if train.queries.histories is not None and train.groups is not None:
            return np.bincount(
                train.queries.histories.items.numpy(), minlength=len(self.items)
            ).astype(np.int64)
        return train.truth.item_counts()

    def query_table(self) -> pa.Table | None:
        """The table of the queries, or of users; None where queries are histories alone."""
        return self.parts["train"].queries.table

    def aliases(self) -> tuple[list[str], list[str]]:
        """The text of each training query, and the id of its item, a place for each true pair."""
        train = self.parts["train"]
        if not self.query_text or self.itself:
            return [], []
        texts, pairs = train.queries.text(self.query_text), train.truth.pairs()
        ids = self.items["id"].take(pa.array(pairs[:, 1])).to_pylist()
        return [texts[q] for q in pairs[:, 0].tolist()], ids

    def sizes(self) -> dict[str, int]:
        """How much there is of everything, by name."""
        return {
            "items": len(self.items),
            "items_without_training_pairs": int((self.item_counts() == 0).sum()),
            "training_pairs": len(self.parts["train"].truth.indices),
            **{f"{name}_queries": len(part) for name, part in self.parts.items()},
        }

    def fingerprint(self) -> str:
        """A digest of everything that training reads."""
        digest = hashlib.sha256()
        for table in (self.items, self.query_table()):
            if table is not None:
                digest.update(_content(table))
        for name in ("train", "validation"):
            part = self.parts[name]
            for relation in (part.truth, part.ignored):
                digest.update(relation.pairs().tobytes())
            if part.queries.histories is not None:
                histories = part.queries.histories
                for numbers in (histories.items, histories.first, histories.last):
                    digest.update(numbers.numpy().tobytes())
            if part.queries.rows is not None:
                digest.update(part.queries.rows.tobytes())
        return digest.hexdigest()[:16]


def load_dataset(options: DataOptions, base: str | Path = ".") -> Dataset:
    """Read, join, check and split the tables of a run.

    Args:
        options: where the files are and how to split them.
        base: the folder that relative paths start from.

    Memory: the tables, and about 100 bytes a pair or event while they are sorted.

    Raises:
        InputError: a file cannot be read, is empty or lacks a column; ids repeat or are unknown; a
            split is contradictory, or one with a share is empty. One sentence says which.
    """
    paths = options.paths(base)
    return assembled(options, read_tables(options, base), {k: str(p) for k, p in paths.items()})


def dataset_of(options: DataOptions, **tables: pa.Table | None) -> Dataset:
    """The same of Arrow tables: items, queries, pairs or events, and ignored.

    Raises:
        InputError: as `load_dataset`.
    """
    given = {name: t for name, t in tables.items() if t is not None}
    if "pairs" in given and "items" not in given:
        raise InputError("pairs need items; give the table of the items as well")
    if not {"pairs", "events"} & set(given):
        raise InputError("give items, queries and pairs, or events, to train on")
    read = {name: ids_as_text(table, f"the table of {name}") for name, table in given.items()}
    return assembled(options, _renamed(read, options), {name: f"the {name}" for name in read})


def read_tables(options: DataOptions, base: str | Path = ".") -> dict[str, pa.Table]:
    """The tables of a run as they are in its files, with the configured names of columns."""
    tables = {name: read_table(path) for name, path in options.paths(base).items()}
    return _renamed(tables, options)


def assembled(
    options: DataOptions, tables: Mapping[str, pa.Table], paths: Mapping[str, str]
) -> Dataset:
    """The dataset of tables, split as configured."""
    for name in ("items", "queries"):
        if name in tables:
            require_columns(tables[name], ["id"], paths[name])
    if "events" in tables:
        return _of_events(options, tables, paths)
    for name in ("pairs", "ignored"):
        if name in tables:
            require_columns(tables[name], ["query_id", "item_id"], paths[name])
    if options.splits_by == "pairs":
        return _of_pairs(options, tables, paths)
    joined = joined_tables(options, tables, paths)
    for finding in joined.findings:
        if finding.severity == "error":
            raise InputError(finding.sentence())
    return of_joined(options, joined, paths)


def labelled(queries: pa.Table, pairs: pa.Table, items: pa.Table) -> Part:
    """Queries and their true items over a catalogue, which need not hold every item.

    Args:
        queries: their columns, `id` among them.
        pairs: `query_id` and `item_id`.
        items: the catalogue.

    Raises:
        InputError: ids repeat, or a pair names an unknown query.
    """
    require_columns(queries, ["id"], "the table of queries")
    require_columns(pairs, ["query_id", "item_id"], "the table of pairs")
    paths = {name: f"the table of {name}" for name in ("items", "queries", "pairs")}
    tables = {"items": items, "queries": queries, "pairs": pairs}
    options = DataOptions(open_catalogue=True, without_pairs="no_item")
    joined = joined_tables(options, tables, paths)
    for finding in joined.findings:
        if finding.severity == "error":
            raise InputError(finding.sentence())
    return Part(Queries.of_table(joined.queries), joined.relation, joined.ignored)


def joined_tables(
    options: DataOptions, tables: Mapping[str, pa.Table], paths: Mapping[str, str]
) -> Joined:
    """Items, queries and pairs joined by id, with what does not fit."""
    queries = tables.get("queries", tables["items"])
    given = Tables(
        items=tables["items"],
        queries=queries,
        pairs=tables["pairs"],
        ignored=tables.get("ignored"),
        items_path=paths["items"],
        queries_path=paths.get("queries", paths["items"]),
        pairs_path=paths["pairs"],
        ignored_path=paths.get("ignored", "ignored"),
    )
    return join(given, open_catalogue=options.open_catalogue, without_pairs=options.without_pairs)


def of_joined(options: DataOptions, joined: Joined, paths: Mapping[str, str]) -> Dataset:
    """The dataset of joined tables: its text columns chosen, its split completed."""
    item_text = text_columns(joined.items, options.item_text, paths["items"])
    query_text = text_columns(
        joined.queries, options.query_text, paths.get("queries", paths["items"])
    )
    # Queries without text are split by their ids.
    keys = text_of(joined.queries, query_text or ("id",))
    split = fill(joined.split, keys, shares=options.split_shares(), seed=options.seed)
    split[joined.unlabelled] = UNASSIGNED
    queries = Queries.of_table(joined.queries)

    def part(number: int) -> Part:
        rows = np.flatnonzero(split == number)
        return Part(queries.take(rows), joined.relation.take(rows), joined.ignored.take(rows))

    parts = {name: part(number) for number, name in enumerate(SPLITS)}
    if options.train_share < 1:
        parts["train"] = _thinned(parts["train"], options)
    if not len(parts["train"].truth.indices):
        raise InputError(
            f"no pair is left to train on: of {counted(len(joined.queries), 'query', 'queries')} "
            f"{len(parts['train']):,} are in the split 'train'; give train a larger share in "
            "[data] shares, or rows of the column `split`"
        )
    return Dataset(
        items=joined.items,
        parts=parts,
        item_text=item_text,
        query_text=query_text,
        findings=tuple(f.sentence() for f in joined.findings if f.severity == "note"),
        items_path=paths["items"],
        queries_path=paths.get("queries", paths["items"]),
    )


def text_columns(table: pa.Table, chosen: tuple[str, ...], path: str) -> tuple[str, ...]:
    """The columns that make up a text: as configured, or the first of title, text and name."""
    if chosen:
        require_columns(table, chosen, path)
        return chosen
    return next(((name,) for name in _TEXT if name in table.column_names), ())


def _of_pairs(
    options: DataOptions, tables: Mapping[str, pa.Table], paths: Mapping[str, str]
) -> Dataset:
    """Pairs that are split one by one: a query may be in several splits, with other true items."""
    items, itself = tables["items"], "queries" not in tables
    queries = items if itself else tables["queries"]
    queries_path = paths.get("queries", paths["items"])
    for table, path in ((items, paths["items"]), (queries, queries_path)):
        check_ids(table, path)
    cut, findings = cut_pairs(
        tables["pairs"],
        paths["pairs"],
        queries,
        items,
        same=itself,
        shares=options.split_shares(),
        seed=options.seed,
    )
    shape = len(queries), len(items)
    nothing = Relation.none(shape)
    own = nothing
    if itself:
        own = Relation(np.arange(len(items) + 1), np.arange(len(items)), len(items))
    whole = Queries.of_table(queries)

    def part(number: int) -> Part:
        truth = cut.of((number,), shape)
        # What is known already, and the query itself, is not listed.
        earlier = cut.of(tuple(range(number)), shape) if number else nothing
        rows = np.flatnonzero(truth.counts()).astype(np.int64)
        return Part(whole.take(rows), truth.take(rows), earlier.union(own).take(rows))

    parts = {name: part(number) for number, name in enumerate(SPLITS)}
    if options.train_share < 1:
        parts["train"] = _thinned(parts["train"], options)
    return Dataset(
        items=items,
        parts=parts,
        item_text=text_columns(items, options.item_text, paths["items"]),
        query_text=text_columns(queries, options.query_text, queries_path),
        findings=findings,
        items_path=paths["items"],
        queries_path=queries_path,
        itself=itself,
    )


def _of_events(
    options: DataOptions, tables: Mapping[str, pa.Table], paths: Mapping[str, str]
) -> Dataset:
    """Histories of users, and what came next."""
    catalogue = tables.get("items")
    if catalogue is not None:
        check_ids(catalogue, paths["items"])
    events = sorted_events(
        tables["events"],
        paths["events"],
        catalogue=None if catalogue is None else catalogue["id"].combine_chunks(),
        kinds=options.event_kinds,
        repeated=options.repeated_events,
        min_events=options.min_events,
    )
    items = pa.table({"id": events.catalogue}) if catalogue is None else catalogue
    users = tables.get("queries")
    if users is not None:
        check_ids(users, paths["queries"])

    def queries(ids: pa.StringArray, histories: Histories) -> Queries:
        rows = None if users is None else places(ids, users["id"].combine_chunks())
        return Queries(ids, users, rows, histories)

    cut, findings = _cut(events, options), list(events.findings)
    nothing = pa.array([], pa.string())
    empty = Queries(nothing, users, None if users is None else np.zeros(0, np.int64), _no_history())
    parts = {}
    for name in ("validation", "calibration", "test"):
        if (span := getattr(cut, name)) is None:
            none = Relation.none((0, len(items)))
            parts[name] = Part(empty, none, none, Sequences(np.zeros(1, np.int64), _none()))
            continue
        found, left_out = evaluated(events, span, name)
        findings += left_out
        parts[name] = Part(
            queries(found.users, Histories.of(found.histories)),
            found.targets.relation(len(items)),
            Relation.none((len(found), len(items))),
            found.targets,
        )
    learnt = examples(events, cut.train)
    if options.train_share < 1:
        learnt = _fewer(learnt, options)
    of_user = events.users.take(pa.array(np.flatnonzero(cut.train)))
    weights = learnt.weights.astype(np.float64)
    train = Part(
        queries(of_user.take(pa.array(learnt.users)), Histories.before(learnt)),
        Relation(np.arange(len(learnt) + 1), learnt.items(), len(items)),
        Relation.none((len(learnt), len(items))),
        groups=learnt.users,
        sample_weight=None if len(np.unique(weights)) <= 1 else weights,
    )
    _check_events(options, {"train": train, **parts}, findings)
    return Dataset(
        items=items,
        parts={name: {"train": train, **parts}[name] for name in SPLITS},
        item_text=text_columns(items, options.item_text, paths.get("items", paths["events"])),
        query_text=()
        if users is None
        else text_columns(users, options.query_text, paths["queries"]),
        findings=tuple(findings),
        items_path=paths.get("items", paths["events"]),
        queries_path=paths.get("queries", ""),
    )


def _cut(events: Events, options: DataOptions) -> Cut:
    counts, shares = events.sequences.counts(), options.split_shares()
    if options.splits_by == "users":
        return by_users(
            counts, shares=shares, history_share=options.history_share, seed=options.seed
        )
    if options.splits_by == "last":
        return leave_one_out(counts)
    return by_time(events.sequences, events.times, shares=shares)


def _check_events(
    options: DataOptions, parts: Mapping[str, Part], findings: list[str]
) -> None:
    """InputError for a split that has a share and no query."""
    for name, part in parts.items():
        meant = options.splits_by == "last" and name != "calibration"
        if (meant or options.split_shares().get(name, 0) > 0) and not len(part):
            what = "event to learn from" if name == "train" else "user to evaluate"
            raise InputError(
                f"the protocol {options.splits_by!r} leaves no {what} in {name} "
                f"({'; '.join(findings) or 'nothing was left out'}); give more or longer "
                "histories, or another protocol or shares"
            )


def check_ids(table: pa.Table, path: str) -> None:
    """InputError for a table that is empty, or has a row without an id or two of one id."""
    missing = pc.sum(pc.equal(pc.fill_null(table["id"], ""), "")).as_py()
    if not len(table) or missing:
        raise InputError(
            f"{path} has {counted(len(table), 'row', 'rows')}, {missing or 0} of them without "
            "an id; give one row or more, each with an id"
        )
    ids = pc.value_counts(table["id"])
    twice = ids.field("values").filter(pc.greater(ids.field("counts"), 1))
    if len(twice):
        raise InputError(
            f"{path}: {counted(len(twice), 'id stands', 'ids stand')} on several rows (such as "
            f"{', '.join(map(repr, examples_of(twice.to_pylist())))}); keep one row of each"
        )


def _renamed(tables: Mapping[str, pa.Table], options: DataOptions) -> dict[str, pa.Table]:
    """The tables with the names of columns that `data.columns` gives them."""
    if not options.columns:
        return dict(tables)
    new = {old: name for name, old in options.columns.items()}
    for old in new:
        if not any(old in table.column_names for table in tables.values()):
            there = sorted({name for table in tables.values() for name in table.column_names})
            raise InputError(
                f"data.columns names {old!r}, which no table has; their columns are "
                f"{', '.join(there)}"
            )
    return {
        name: table.rename_columns([new.get(c, c) for c in table.column_names])
        for name, table in tables.items()
    }


def _thinned(part: Part, options: DataOptions) -> Part:
    """The training queries with a share of their pairs; a smaller share is part of a larger one."""
    pairs = part.truth.pairs()
    kept = pairs[_kept(len(pairs), options)]
    truth = Relation.from_pairs(kept[:, 0], kept[:, 1], shape=part.truth.shape)
    return replace(part, truth=truth).take(np.flatnonzero(truth.counts()).astype(np.int64))


def _fewer(learnt: Examples, options: DataOptions) -> Examples:
    kept = _kept(len(learnt), options)
    return Examples(
        learnt.sequences, learnt.users[kept], learnt.targets[kept], learnt.weights[kept]
    )


def _kept(count: int, options: DataOptions) -> Int64[np.ndarray, " kept"]:
    order = np.random.default_rng((options.seed, _THINNED)).permutation(count)
    return np.sort(order[: max(1, round(options.train_share * count))]).astype(np.int64)


def _none() -> Int64[np.ndarray, " 0"]:
    return np.zeros(0, np.int64)


def _no_history() -> Histories:
    return Histories.of(Sequences(np.zeros(1, np.int64), _none()))


def _content(table: pa.Table) -> bytes:
    """A digest of a table, block by block."""
    digest = hashlib.sha256(str(table.schema.remove_metadata()).encode())
    for block in table.to_batches(max_chunksize=65_536):
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, block.schema) as stream:
            stream.write_batch(block)
        digest.update(sink.getvalue())
    return digest.digest()

