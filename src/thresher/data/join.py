"""Joins the tables of a dataset, and finds what does not fit without stopping at it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Int64, UInt8

from thresher.data.findings import Finding, counted, examples_of
from thresher.data.queries import rows_of
from thresher.data.relation import Relation
from thresher.data.split import SPLITS, UNASSIGNED, normalised

_FALSE = {"false", "f", "no", "n", "negative", "neg", "wrong", "incorrect", "non-match", "nonmatch"}


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


def join(tables: Tables, *, open_catalogue: bool = False, by_pair: bool = False) -> Joined:
    """Join pairs to queries and items by id.

    Args:
        tables: items and queries with a column `id`, pairs with `query_id` and `item_id`, ignored
            pairs likewise; pairs or queries may have a column `split`. A pair that is both true
            and ignored is ignored: an item that may not be ranked cannot be found either.
        open_catalogue: whether a query's item may be missing from the catalogue. Then a pair with
            an unknown item is left out (its query stays, perhaps without a true item) and is a
            note rather than an error.
        by_pair: whether pairs of one query may be in several splits.
    """
    same = tables.queries is tables.items
    items, found = unique_rows(tables.items, tables.items_path, "item")
    queries = items
    if not same:
        queries, bad = unique_rows(tables.queries, tables.queries_path, "query")
        found += bad
    known = {"query": queries["id"], "item": items["id"]}
    true = _Pairs.of(tables.pairs, tables.pairs_path, known)
    ignored = Relation.none((len(queries), len(items)))
    found += [*_rowless(tables), *_negative(tables)]
    found += true.unknown(tables, open_catalogue=open_catalogue)
    if tables.ignored is not None:
        listed = _Pairs.of(tables.ignored, tables.ignored_path, known)
        ignored = listed.relation
        found += listed.unknown(tables, open_catalogue=open_catalogue)
    if same:
        itself = np.arange(len(items))
        ignored = ignored.union(Relation(np.arange(len(items) + 1), itself, len(items)))
    split, bad = _query_split(queries, true, tables, by_pair=by_pair)
    found += bad
    pairs = true.relation.pairs()
    kept = ~ignored.contains(pairs[:, 0], pairs[:, 1])
    own = same & (pairs[:, 0] == pairs[:, 1])
    found += _left_out(tables, true, int((~kept & ~own).sum()), int(own.sum()))
    return Joined(
        items,
        queries,
        true.relation.without(ignored),
        ignored,
        true.named(),
        split,
        _pair_split(true, split)[kept],
        tuple(found),
    )


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
        query_rows, item_rows = (
            rows_of(table[f"{side}_id"], ids.combine_chunks()) for side, ids in known.items()
        )
        return cls(table, path, query_rows, item_rows, (len(known["query"]), len(known["item"])))

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
            f"{self.path}: {counted(number, 'pair names', 'pairs name')} "
            f"{'an' if kind == 'item' else 'a'} {kind}_id that is not an id in {path}",
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


def _negative(tables: Tables) -> Iterator[Finding]:
    """Pairs labelled as false: somebody gave judged pairs for true ones."""
    for name in tables.pairs.column_names:
        if name.casefold() != "label":
            continue
        labels = pc.value_counts(tables.pairs[name].combine_chunks())
        values = labels.field("values").to_pylist()
        counts = labels.field("counts").to_pylist()
        false = {str(v): n for v, n in zip(values, counts, strict=True) if is_false(v)}
        if false:
            number = sum(false.values())
            yield Finding(
                "negative-pairs",
                "error",
                number,
                examples_of(false),
                f"{tables.pairs_path}: {counted(number, 'pair is', 'pairs are')} labelled as false",
                "this file lists true pairs alone, so remove those, or import a folder of judged "
                "pairs as a pair table",
            )


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


def _left_out(tables: Tables, true: _Pairs, ignored: int, own: int) -> Iterator[Finding]:
    repeated = int(true.known.sum()) - len(true.relation.indices)
    for code, number, meaning, remedy in (
        (
            "repeated-pair",
            repeated,
            f"{tables.pairs_path}: {counted(repeated, 'pair repeats', 'pairs repeat')} another",
            "nothing to do: a pair counts once",
        ),
        (
            "true-and-ignored",
            ignored,
            f"{tables.ignored_path}: {counted(ignored, 'pair is', 'pairs are')} also in "
            f"{tables.pairs_path} and no longer true",
            "right where the list of ignored pairs is to win; else remove them from it",
        ),
        (
            "pair-with-itself",
            own,
            f"{tables.pairs_path}: {counted(own, 'pair', 'pairs')} of an item with itself left out",
            "nothing to do: an item is never retrieved for itself",
        ),
    ):
        if number:
            yield Finding(code, "note", number, (), meaning, remedy)


def _query_split(
    queries: pa.Table, true: _Pairs, tables: Tables, *, by_pair: bool
) -> tuple[UInt8[np.ndarray, " Q"], list[Finding]]:
    """The split that the files give each query; where pairs have their own, that of `queries`."""
    found = []
    lowest = np.full(len(queries), UNASSIGNED, dtype=np.int64)
    highest = np.full(len(queries), -1, dtype=np.int64)
    for table, path, rows in (
        (true.table, true.path, true.query_rows),
        (queries, tables.queries_path, np.arange(len(queries))),
    ):
        if "split" not in table.column_names:
            continue
        numbers, bad = _split_numbers(table, path)
        found += bad
        if by_pair and table is true.table:
            continue
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
                f"{true.path}: {counted(len(names), 'query is', 'queries are')} in several splits",
                'put all pairs of a query in one split, or set protocol = "pairs"',
            )
        )
    return np.where(highest >= 0, highest, UNASSIGNED).astype(np.uint8), found


def _pair_split(true: _Pairs, of_query: UInt8[np.ndarray, " Q"]) -> UInt8[np.ndarray, " P"]:
    """The split of each known pair: its own, that of its first row, or else that of its query."""
    known, columns = true.known, max(true.shape[1], 1)
    keys = true.query_rows[known] * columns + true.item_rows[known]
    keys, first = np.unique(keys, return_index=True)
    queries = of_query[keys // columns]
    if "split" not in true.table.column_names:
        return queries
    numbers = _split_numbers(true.table, true.path)[0][known][first]
    return np.where(numbers >= 0, numbers, queries).astype(np.uint8)


def _split_numbers(table: pa.Table, path: str) -> tuple[Int64[np.ndarray, " rows"], list[Finding]]:
    """The number of the split in each row, -1 for none."""
    names = table["split"].cast(pa.string())
    numbers = rows_of(names, pa.array(SPLITS))
    named = pc.fill_null(pc.not_equal(names, ""), False).to_numpy()
    unknown = int((named & (numbers < 0)).sum())
    if not unknown:
        return numbers, []
    others = [n for n in names.unique().to_pylist() if n and n not in SPLITS]
    return numbers, [
        Finding(
            "unknown-split",
            "error",
            unknown,
            examples_of(others),
            f"{path}: {counted(unknown, 'row names', 'rows name')} a split that does not exist",
            f"the splits are {', '.join(SPLITS)}",
        )
    ]
