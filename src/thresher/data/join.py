"""Joins the three tables of a dataset, and finds what does not fit without stopping at it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Int64, UInt8

from thresher.data.findings import Finding, counted, examples_of
from thresher.data.relation import Relation
from thresher.data.split import SPLITS, UNASSIGNED


@dataclass(frozen=True)
class Tables:
    """The three tables as read, and what to call them in messages (their paths)."""

    items: pa.Table
    queries: pa.Table
    pairs: pa.Table
    items_path: str = "items"
    queries_path: str = "queries"
    pairs_path: str = "pairs"


@dataclass(frozen=True)
class Joined:
    """The tables without the rows that do not fit, what is true, and what did not fit.

    Args:
        items: rows with an id of their own (the first of each id).
        queries: the same.
        relation: the pairs whose two ids are known.
        split: the split the files give each query; `UNASSIGNED` where they give none.
        findings: what was left out or is contradictory.
    """

    items: pa.Table
    queries: pa.Table
    relation: Relation
    split: UInt8[np.ndarray, " Q"]
    findings: tuple[Finding, ...]


def join(tables: Tables, *, open_catalogue: bool = False) -> Joined:
    """Join pairs to queries and items by id.

    Args:
        tables: items and queries with a column `id`, pairs with `query_id` and `item_id`; pairs
            or queries may have a column `split`.
        open_catalogue: whether a query's item may be missing from the catalogue. Then a pair with
            an unknown item is left out (its query stays, perhaps without a true item) and is a
            note rather than an error.
    """
    items, bad_items = unique_rows(tables.items, tables.items_path, "item")
    queries, bad_queries = unique_rows(tables.queries, tables.queries_path, "query")
    pairs = tables.pairs
    query_rows = _rows_of(pairs["query_id"], queries["id"])
    item_rows = _rows_of(pairs["item_id"], items["id"])
    known = (query_rows >= 0) & (item_rows >= 0)
    relation = Relation.from_pairs(
        query_rows[known], item_rows[known], shape=(len(queries), len(items))
    )
    split, bad_splits = _given_split(queries, query_rows, tables)
    found = [
        *_rowless(tables),
        *bad_items,
        *bad_queries,
        *_labels(tables),
        *_unknown(tables, "query", query_rows < 0, open_catalogue=False),
        *_unknown(tables, "item", item_rows < 0, open_catalogue=open_catalogue),
        *bad_splits,
        *_repeated(tables, int(known.sum()) - len(relation.indices)),
    ]
    return Joined(items, queries, relation, split, tuple(found))


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


def _unknown(
    tables: Tables, kind: str, mask: Bool[np.ndarray, " P"], *, open_catalogue: bool
) -> Iterator[Finding]:
    if not mask.any():
        return
    path = tables.items_path if kind == "item" else tables.queries_path
    names = tables.pairs[f"{kind}_id"].filter(pa.array(mask)).unique().to_pylist()
    number = int(mask.sum())
    remedy = "correct the ids or remove the pairs"
    if kind == "item":
        remedy += (
            "; their queries count as queries without a true item"
            if open_catalogue
            else ", or set open_catalogue = true if such queries have no item in the catalogue"
        )
    yield Finding(
        f"unknown-{kind}",
        "note" if open_catalogue else "error",
        number,
        examples_of("" if name is None else name for name in names),
        f"{tables.pairs_path}: {counted(number, 'pair names', 'pairs name')} a {kind}_id that is "
        f"not an id in {path}",
        remedy,
    )


def _labels(tables: Tables) -> Iterator[Finding]:
    """A column of labels with zeros means that somebody gave judged pairs for true ones."""
    if "label" not in tables.pairs.column_names:
        return
    labels = tables.pairs["label"].cast(pa.string())
    zeros = pc.sum(pc.is_in(labels, pa.array(["0", "0.0", "false"]))).as_py() or 0
    if zeros:
        yield Finding(
            "negative-pairs",
            "error",
            zeros,
            (),
            f"{tables.pairs_path}: {counted(zeros, 'pair has', 'pairs have')} the label 0",
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
