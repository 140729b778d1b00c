"""Joins the tables of a dataset, and finds what does not fit without stopping at it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Int64, UInt8

from thresher.data.findings import Finding, counted, examples_of
from thresher.data.relation import Relation
from thresher.data.split import SPLITS, UNASSIGNED


FALSE = ("0", "0.0", "0.00", "-1", "-1.0", "false", "f", "no", "n", "negative", "non-match")
"""What a label of a pair that is not true is called, in lower case."""


@dataclass(frozen=True)
class Tables:
    """The tables as read, and what to call them in messages (their paths)."""

    items: pa.Table
    queries: pa.Table
    pairs: pa.Table
    ignored: pa.Table | None = None
    items_path: str = "items"
    queries_path: str = "queries"
    pairs_path: str = "pairs"
    ignored_path: str = "ignored"


@dataclass(frozen=True)
class Joined:
    """The tables without the rows that do not fit, what is true, and what did not fit.

    Args:
        items: rows with an id of their own (the first of each id).
        queries: the same.
        relation: the true pairs whose two ids are known, without the ignored ones.
        ignored: the pairs that are neither true nor false; none where no table lists any.
        split: the split the files give each query; `UNASSIGNED` where they give none.
        unlabelled: queries that no pair names and that belong to no split.
        findings: what was left out or is contradictory.
    """

    items: pa.Table
    queries: pa.Table
    relation: Relation
    ignored: Relation
    split: UInt8[np.ndarray, " Q"]
    unlabelled: Bool[np.ndarray, " Q"]
    findings: tuple[Finding, ...]


def join(
    tables: Tables,
    *,
    open_catalogue: bool = False,
    without_pairs: Literal["unlabelled", "no_item"] | None = None,
) -> Joined:
    """Join pairs to queries and items by id.

    Args:
        tables: items and queries with a column `id`, pairs with `query_id` and `item_id`, ignored
            pairs likewise; pairs or queries may have a column `split`. A pair that is both true
            and ignored is ignored: an item that may not be ranked cannot be found either.
        open_catalogue: whether a query's item may be missing from the catalogue. Then a pair with
            an unknown item is left out (its query stays, perhaps without a true item) and is a
            note rather than an error.
        without_pairs: what a query is that no pair names; an error where this is not configured.
    """
    items, bad_items = unique_rows(tables.items, tables.items_path, "item")
    queries, bad_queries = unique_rows(tables.queries, tables.queries_path, "query")
    known = {"query": queries["id"], "item": items["id"]}
    true = _Pairs.of(tables.pairs, tables.pairs_path, known)
    listed, ignored = true.relation, Relation.none((len(queries), len(items)))
    found = [*_rowless(tables), *bad_items, *bad_queries, *_labels(tables)]
    found += true.unknown(tables, open_catalogue=open_catalogue)
    named = [true.query_rows]
    if tables.ignored is not None:
        left_out = _Pairs.of(tables.ignored, tables.ignored_path, known)
        ignored = left_out.relation
        named.append(left_out.query_rows)
        found += left_out.unknown(tables, open_catalogue=open_catalogue)
    relation = listed.without(ignored)
    alone = ~np.isin(np.arange(len(queries)), np.concatenate(named))
    found += _without_pairs(queries, alone, without_pairs, tables)
    split, bad_splits = _given_split(queries, true.query_rows, tables)
    found += [
        *bad_splits,
        *_repeated(tables, int(true.known.sum()) - len(listed.indices)),
        *_true_and_ignored(tables, len(listed.indices) - len(relation.indices)),
    ]
    unlabelled = alone & (without_pairs != "no_item")
    return Joined(items, queries, relation, ignored, split, unlabelled, tuple(found))


@dataclass(frozen=True)
class _Pairs:
    """A table of pairs, and the rows that its ids stand for; -1 where an id is unknown."""

    table: pa.Table
    path: str
    query_rows: Int64[np.ndarray, " P"]
    item_rows: Int64[np.ndarray, " P"]
    shape: tuple[int, int]

    @classmethod
    def of(cls, table: pa.Table, path: str, known: Mapping[str, pa.ChunkedArray]) -> "_Pairs":
        query_rows = _rows_of(table["query_id"], known["query"])
        item_rows = _rows_of(table["item_id"], known["item"])
        return cls(table, path, query_rows, item_rows, (len(known["query"]), len(known["item"])))

    @property
    def known(self) -> Bool[np.ndarray, " P"]:
        return (self.query_rows >= 0) & (self.item_rows >= 0)

    @property
    def relation(self) -> Relation:
        rows = self.query_rows[self.known], self.item_rows[self.known]
        return Relation.from_pairs(*rows, shape=self.shape)

    def unknown(self, tables: Tables, *, open_catalogue: bool) -> Iterator[Finding]:
        """What to say of ids that are in no other table."""
        for kind, path, rows, opened in (
            ("query", tables.queries_path, self.query_rows, False),
            ("item", tables.items_path, self.item_rows, open_catalogue),
        ):
            yield from self._unknown(kind, path, rows < 0, opened=opened)

    def _unknown(
        self, kind: str, path: str, mask: Bool[np.ndarray, " P"], *, opened: bool
    ) -> Iterator[Finding]:
        if not mask.any():
            return
        names = self.table[f"{kind}_id"].filter(pa.array(mask)).unique().to_pylist()
        number = int(mask.sum())
        remedy = "correct the ids or remove the pairs"
        if kind == "item":
            remedy += (
                "; they are left out, and a query whose last pair goes has no true item"
                if opened
                else ", or set open_catalogue = true if such queries have no item in the catalogue"
            )
        yield Finding(
            f"unknown-{kind}",
            "note" if opened else "error",
            number,
            examples_of("" if name is None else name for name in names),
            f"{self.path}: {counted(number, 'pair names', 'pairs name')} a {kind}_id that is not "
            f"an id in {path}",
            remedy,
        )


def _rowless(tables: Tables) -> Iterator[Finding]:
    for name, table, path in (
        ("items", tables.items, tables.items_path),
        ("queries", tables.queries, tables.queries_path),
        ("pairs", tables.pairs, tables.pairs_path),
    ):
        if not len(table):
            yield Finding(
                f"no-{name}",
                "error",
                0,
                (),
                f"{path} has columns but no rows",
                "give a file with at least one",
            )


def _without_pairs(
    queries: pa.Table,
    alone: Bool[np.ndarray, " Q"],
    meaning: str | None,
    tables: Tables,
) -> Iterator[Finding]:
    """What to say of queries that no pair names."""
    if not alone.any():
        return
    number, names = int(alone.sum()), queries["id"].filter(pa.array(alone))
    said = {
        None: "set data.without_pairs = 'unlabelled' to leave them out, or 'no_item' if the "
        "catalogue has no item for them, so that accepting an answer is an error",
        "unlabelled": "they are left out, as configured",
        "no_item": "their item is not in the catalogue, as configured, and accepting an answer is "
        "an error",
    }
    yield Finding(
        "query-without-pairs",
        "error" if meaning is None else "note",
        number,
        examples_of(names.slice(0, 100).to_pylist()),
        f"{tables.pairs_path}: {counted(number, 'query is', 'queries are')} named by no pair, of "
        f"{len(alone):,} in {tables.queries_path}",
        said[meaning],
    )


def unique_rows(
    table: pa.Table, path: str, kind: Literal["item", "query"]
) -> tuple[pa.Table, list[Finding]]:
    """The first row of each id, and what was wrong with the ids."""
    found = []
    ids = table["id"].combine_chunks()
    blank = pc.fill_null(pc.equal(pc.utf8_trim_whitespace(ids), ""), True)
    if missing := pc.sum(blank).as_py() or 0:
        rows = np.flatnonzero(blank.to_numpy(zero_copy_only=False)) + 1
        found.append(
            Finding(
                "missing-id",
                "error",
                missing,
                examples_of(f"row {row}" for row in rows),
                f"{path}: {counted(missing, 'row has', 'rows have')} no id",
                "give every row an id of its own",
            )
        )
        table = table.filter(pc.invert(blank))
        ids = table["id"].combine_chunks()
    counts = pc.value_counts(ids)
    repeated = counts.filter(pc.greater(counts.field("counts"), 1))
    if len(repeated):
        twice = repeated.field("values").to_pylist()
        found.append(
            Finding(
                f"duplicate-{kind}-id",
                "error",
                len(twice),
                examples_of(twice),
                f"{path}: {counted(len(twice), 'id stands', 'ids stand')} on several rows",
                f"keep one row for each {kind}",
            )
        )
        # `index_in` answers with the first row of an id.
        first = pc.index_in(pc.unique(ids), ids).to_numpy()
        table = table.take(pa.array(np.sort(first)))
    return table, found


def _rows_of(ids: pa.ChunkedArray, known: pa.ChunkedArray) -> Int64[np.ndarray, " P"]:
    """The row of each id among the known ones; -1 where there is none."""
    rows = pc.index_in(ids, value_set=known.combine_chunks())
    return pc.fill_null(rows, -1).to_numpy().astype(np.int64)


def _labels(tables: Tables) -> Iterator[Finding]:
    """A column of labels with zeros means that somebody gave judged pairs for true ones."""
    if "label" not in tables.pairs.column_names:
        return
    labels = pc.utf8_lower(pc.utf8_trim_whitespace(tables.pairs["label"].cast(pa.string())))
    zeros = pc.sum(pc.is_in(labels, pa.array(FALSE))).as_py() or 0
    if zeros:
        yield Finding(
            "negative-pairs",
            "error",
            zeros,
            (),
            f"{tables.pairs_path}: {counted(zeros, 'pair has', 'pairs have')} a label that means false",
            "this file lists true pairs alone, so remove those, or import a folder of judged "
            "pairs as a pair table",
        )


def _repeated(tables: Tables, number: int) -> Iterator[Finding]:
    if number:
        yield Finding(
            "repeated-pair",
            "note",
            number,
            (),
            f"{tables.pairs_path}: {counted(number, 'pair repeats', 'pairs repeat')} another",
            "nothing to do: a pair counts once",
        )


def _true_and_ignored(tables: Tables, number: int) -> Iterator[Finding]:
    if number:
        yield Finding(
            "true-and-ignored",
            "note",
            number,
            (),
            f"{tables.ignored_path}: {counted(number, 'pair is', 'pairs are')} also in "
            f"{tables.pairs_path} and no longer true",
            "right where the list of ignored pairs is to win; else remove them from it",
        )


def _given_split(
    queries: pa.Table, query_rows: Int64[np.ndarray, " P"], tables: Tables
) -> tuple[UInt8[np.ndarray, " Q"], list[Finding]]:
    found = []
    lowest = np.full(len(queries), UNASSIGNED, dtype=np.int64)
    highest = np.full(len(queries), -1, dtype=np.int64)
    for table, path, rows in (
        (tables.pairs, tables.pairs_path, query_rows),
        (queries, tables.queries_path, np.arange(len(queries))),
    ):
        if "split" not in table.column_names:
            continue
        names = table["split"].cast(pa.string())
        numbers = _rows_of(names, pa.chunked_array([SPLITS]))
        named = pc.fill_null(pc.not_equal(names, ""), False).to_numpy()
        if unknown := int((named & (numbers < 0)).sum()):
            found.append(_unknown_split(names, path, unknown))
        used = (numbers >= 0) & (rows >= 0)
        np.minimum.at(lowest, rows[used], numbers[used])
        np.maximum.at(highest, rows[used], numbers[used])
    torn = (highest >= 0) & (lowest != highest)
    if torn.any():
        names = queries["id"].filter(pa.array(torn)).to_pylist()
        found.append(
            Finding(
                "query-in-two-splits",
                "error",
                len(names),
                examples_of(names),
                f"{tables.pairs_path}: {counted(len(names), 'query is', 'queries are')} in "
                "several splits",
                "put all pairs of a query in one split",
            )
        )
    return np.where(highest >= 0, highest, UNASSIGNED).astype(np.uint8), found


def _unknown_split(names: pa.ChunkedArray, path: str, number: int) -> Finding:
    others = [n for n in names.unique().to_pylist() if n and n not in SPLITS]
    return Finding(
        "unknown-split",
        "error",
        number,
        examples_of(others),
        f"{path}: {counted(number, 'row names', 'rows name')} a split that does not exist",
        f"the splits are {', '.join(SPLITS)}",
    )
