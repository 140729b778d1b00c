"""Joins the tables of a dataset, and finds what does not fit without stopping at it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Int64, UInt8
from pyarrow.types import is_nested

from thresher.data.finding_texts import found
from thresher.data.findings import Finding
from thresher.data.queries import rows_of
from thresher.data.relation import Relation
from thresher.data.sources import Sources
from thresher.data.split import SPLITS, UNASSIGNED, normalised
from thresher.errors import InputError

# What else than `label` names a column of verdicts, or one of grades, where 0 and 1 are verdicts.
_VERDICTS = {"ismatch", "match", "istrue", "gold", "truth", "correct", "y"}
_GRADES = {"target", "score", "relevance"}
_FALSE = {"false", "f", "no", "n", "negative", "neg", "wrong", "incorrect", "non-match", "nonmatch"}


@dataclass(frozen=True)
class Tables:
    """The tables that an importer writes."""

    items: pa.Table
    queries: pa.Table
    pairs: pa.Table
    ignored: pa.Table | None = None


@dataclass(frozen=True)
class Joined:
    """The tables without the rows that do not fit, what is true, and what did not fit.

    Args:
        items: rows with an id of their own (the first of each id).
        queries: the same; the items themselves where they are the queries.
        relation: the true pairs whose two ids are known, without the ignored ones.
        ignored: the ignored pairs, also of an item with itself where items are the queries.
        named: the queries that a pair names, also one of an unknown item.
        split: the number of the split that the files give each query; `UNASSIGNED` for none.
        pair_split: the same for each pair of `relation`, in the order of its `pairs()`.
        findings: what was left out or is contradictory.
    """

    items: pa.Table
    queries: pa.Table
    relation: Relation
    ignored: Relation
    named: Bool[np.ndarray, " Q"]
    split: UInt8[np.ndarray, " Q"]
    pair_split: UInt8[np.ndarray, " P"]
    findings: tuple[Finding, ...]


def join(sources: Sources, *, open_catalogue: bool = False) -> Joined:
    """Join pairs to queries and items by id.

    The queries are the items themselves where there are none. A pair that is both true and ignored
    is ignored: an item that may not be ranked cannot be found either. With the protocol "pairs",
    pairs of one query may be in several splits. With an `open_catalogue`, a pair of an item that
    the catalogue lacks is left out (its query stays, perhaps without a true item) and is a note,
    not an error.
    """
    tables, paths = sources.tables, sources.paths
    items, findings = unique_rows(tables["items"], paths["items"], "item")
    queries, same = items, "queries" not in tables
    if not same:
        queries, bad = unique_rows(tables["queries"], paths["queries"], "query")
        findings += bad
    for name in ("items", "queries", "pairs"):
        if name in tables:
            rowless = int(not len(tables[name]))
            findings += found("no-{table}", rowless, path=paths[name], table=name)
    listed = {
        name: _Pairs.of(tables[name], queries, items)
        for name in ("pairs", "ignored")
        if name in tables
    }
    for name, table in listed.items():
        findings += table.unknown(paths, name, open_catalogue=open_catalogue)
    true, each = listed["pairs"], np.arange(len(items) if same else 0)
    ignored = Relation.from_pairs(each, each, shape=true.shape)
    if "ignored" in listed:
        ignored = ignored.union(listed["ignored"].relation)
    findings += _negative(true.table, paths["pairs"])
    split, bad = _query_split(queries, true, sources)
    findings += bad
    pairs = true.relation.pairs()
    kept = ~ignored.contains(pairs[:, 0], pairs[:, 1])
    itself = same & (pairs[:, 0] == pairs[:, 1])
    repeated, path = int(true.known.sum()) - len(pairs), paths["pairs"]
    findings += found("repeated-pair", repeated, path=path)
    also = {"path": paths["ignored"], "other": path}
    findings += found("true-and-ignored", int((~kept & ~itself).sum()), **also)
    findings += found("pair-with-itself", int(itself.sum()), path=path)
    left, own = true.relation.without(ignored), _pair_split(true, split)[kept]
    return Joined(items, queries, left, ignored, true.named(), split, own, tuple(findings))


@dataclass(frozen=True)
class _Pairs:
    """A table of pairs, and the rows that its ids stand for; -1 where an id is unknown."""

    table: pa.Table
    query_rows: Int64[np.ndarray, " P"]
    item_rows: Int64[np.ndarray, " P"]
    shape: tuple[int, int]

    @classmethod
    def of(cls, table: pa.Table, queries: pa.Table, items: pa.Table) -> "_Pairs":
        query_rows = rows_of(table["query_id"], queries["id"].combine_chunks())
        item_rows = rows_of(table["item_id"], items["id"].combine_chunks())
        return cls(table, query_rows, item_rows, (len(queries), len(items)))

    @property
    def known(self) -> Bool[np.ndarray, " P"]:
        return (self.query_rows >= 0) & (self.item_rows >= 0)

    @property
    def relation(self) -> Relation:
        rows = self.query_rows[self.known], self.item_rows[self.known]
        return Relation.from_pairs(*rows, shape=self.shape)

    def named(self) -> Bool[np.ndarray, " Q"]:
        """The queries that stand in a pair."""
        rows = self.query_rows[self.query_rows >= 0]
        return np.bincount(rows, minlength=self.shape[0]) > 0

    def unknown(
        self, paths: Mapping[str, str], name: str, *, open_catalogue: bool
    ) -> list[Finding]:
        """Findings on ids that are in no other table."""
        findings = []
        item = "unknown-item/open" if open_catalogue else "unknown-item"
        for code, column, rows, other in (
            ("unknown-query", "query_id", self.query_rows, "queries"),
            (item, "item_id", self.item_rows, "items"),
        ):
            names = self.table[column].filter(pa.array(rows < 0)).unique().to_pylist()
            examples = ("" if name is None else name for name in names)
            number, where = int((rows < 0).sum()), {"path": paths[name], "other": paths[other]}
            findings += found(code, number, examples, **where)
        return findings


def unique_rows(table: pa.Table, path: str, kind: str) -> tuple[pa.Table, list[Finding]]:
    """The first row of each id, and what was wrong with the ids."""
    ids = table["id"].combine_chunks()
    blank = pc.fill_null(pc.equal(pc.utf8_trim_whitespace(ids), ""), True)
    rows = np.flatnonzero(blank.to_numpy(zero_copy_only=False)) + 1
    findings = found("missing-id", len(rows), (f"row {row}" for row in rows), path=path)
    if len(rows):
        table = table.filter(pc.invert(blank))
        ids = table["id"].combine_chunks()
    counts = pc.value_counts(ids)
    twice = counts.field("values").filter(pc.greater(counts.field("counts"), 1)).to_pylist()
    findings += found("duplicate-{kind}-id", len(twice), twice, path=path, kind=kind)
    if twice:
        # `index_in` answers with the first row of an id.
        first = pc.index_in(pc.unique(ids), ids).to_numpy()
        table = table.take(pa.array(np.sort(first)))
    return table, findings


def _negative(pairs: pa.Table, path: str) -> list[Finding]:
    """Pairs labelled as false: somebody gave judged pairs for true ones."""
    findings = []
    for name, column in zip(pairs.column_names, pairs.columns, strict=True):
        known, truth = name.casefold().replace("_", ""), pa.types.is_boolean(column.type)
        if not (truth or known in {"label"} | _VERDICTS | _GRADES) or is_nested(column.type):
            continue
        labels = pc.value_counts(column.combine_chunks())
        each = zip(*(labels.field(n).to_pylist() for n in ("values", "counts")), strict=True)
        counts = {str(value): number for value, number in each if value not in (None, "")}
        false = {value: number for value, number in counts.items() if is_false(value)}
        kinds = {normalised(value) for value in counts}
        if known in _GRADES and not truth:
            judged = {"0": "0", "1": "1", "0.0": "0", "1.0": "1"}
            two = {judged.get(kind) for kind in kinds} == {"0", "1"}
        else:
            two = len(kinds) == 2
        if known == "label" or two:
            findings += found("negative-pairs", sum(false.values()), false, path=path, column=name)
    return findings


def is_false(label: object) -> bool:
    """Whether a label says that a pair is not true: zero, a negative number, or a word for no.

    Example:
        >>> [is_false(label) for label in (False, "FALSE", 0.0, " no ", "1", "yes", None)]
        [True, True, True, True, False, False, False]
    """
    text = normalised(str(label)).strip("'\"")
    try:
        return float(text) <= 0
    except ValueError:
        return text in _FALSE


def _query_split(
    queries: pa.Table, true: _Pairs, sources: Sources
) -> tuple[UInt8[np.ndarray, " Q"], list[Finding]]:
    """The split that the files give each query; where pairs have their own, that of `queries`."""
    findings = []
    lowest = np.full(len(queries), UNASSIGNED, dtype=np.int64)
    highest = np.full(len(queries), -1, dtype=np.int64)
    for table, path, rows in (
        (true.table, sources.paths["pairs"], true.query_rows),
        (queries, sources.paths["queries"], np.arange(len(queries))),
    ):
        if "split" not in table.column_names:
            continue
        numbers, bad = _split_numbers(table, path)
        findings += bad
        if sources.protocol == "pairs" and table is true.table:
            continue
        used = (numbers >= 0) & (rows >= 0)
        np.minimum.at(lowest, rows[used], numbers[used])
        np.maximum.at(highest, rows[used], numbers[used])
    torn = (highest >= 0) & (lowest != highest)
    names = queries["id"].filter(pa.array(torn)).to_pylist()
    findings += found("query-in-two-splits", len(names), names, path=sources.paths["pairs"])
    return np.where(highest >= 0, highest, UNASSIGNED).astype(np.uint8), findings


def _pair_split(true: _Pairs, of_query: UInt8[np.ndarray, " Q"]) -> UInt8[np.ndarray, " P"]:
    """The split of each known pair: its own, that of its first row, or else that of its query."""
    known, columns = true.known, max(true.shape[1], 1)
    keys = true.query_rows[known] * columns + true.item_rows[known]
    keys, first = np.unique(keys, return_index=True)
    queries = of_query[keys // columns]
    if "split" not in true.table.column_names:
        return queries
    numbers = _split_numbers(true.table, "")[0][known][first]
    return np.where(numbers >= 0, numbers, queries).astype(np.uint8)


def _split_numbers(table: pa.Table, path: str) -> tuple[Int64[np.ndarray, " rows"], list[Finding]]:
    """The number of the split in each row, -1 for none."""
    if is_nested(table["split"].type):
        raise InputError(
            f"{path}: column 'split' holds {table['split'].type}; give each row one of "
            f"{', '.join(SPLITS)}, or leave the column out"
        )
    names = table["split"].cast(pa.string())
    numbers = rows_of(names, pa.array(SPLITS))
    named = pc.fill_null(pc.not_equal(names, ""), False).to_numpy()
    strange = named & (numbers < 0)
    others = names.filter(pa.array(strange)).unique().to_pylist()
    splits = ", ".join(SPLITS)
    return numbers, found("unknown-split", int(strange.sum()), others, path=path, splits=splits)
