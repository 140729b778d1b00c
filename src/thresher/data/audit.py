"""What a dataset holds and what is wrong with it, before anybody trains on it."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Bool, Int, UInt8

from thresher.data.dataset import Dataset, assembled, joined_tables, of_joined, read_tables
from thresher.data.findings import SEVERITIES, Audit, Finding, counted, examples_of
from thresher.data.options import DataOptions
from thresher.data.relation import Relation
from thresher.data.split import SPLITS, normalised, straddling
from thresher.data.tables import require_columns, text_of
from thresher.errors import InputError

# Largest count that each bar of a histogram holds; the last bar has no end.
_BARS = (0, 1, 2, 3, 5, 10, 100)
# The replacement character, control characters, and UTF-8 that was once read as Latin-1.
_ODD = re.compile("[\ufffd\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|Ã[\x80-\xbf]|â€|Â[\x80-\xbf]")


@dataclass(frozen=True)
class _Flat:
    """The queries of all splits under each other.

    Args:
        items: text of each item.
        queries: text of each query.
        relation: their true items.
        split: number of each query's split.
        by_query: whether all true items of a query are in its split.
    """

    items: list[str]
    queries: list[str]
    relation: Relation
    split: UInt8[np.ndarray, " Q"]
    by_query: bool

    @classmethod
    def of(cls, data: Dataset, *, by_query: bool) -> "_Flat":
        parts = [data.parts[name] for name in SPLITS]
        bounds = np.concatenate([[0], *(part.truth.counts() for part in parts)]).cumsum()
        indices = np.concatenate([part.truth.indices for part in parts])
        items = text_of(data.items, data.item_text) if data.item_text else []
        return cls(
            items,
            [text for part in parts for text in part.queries.text(data.query_text)],
            Relation(bounds, indices, len(data.items)),
            np.repeat(np.arange(len(parts)), [len(part) for part in parts]).astype(np.uint8),
            by_query,
        )


def audit(options: DataOptions, base: str | Path = ".") -> Audit:
    """Look through the data of a run for what would spoil training or make its numbers lie.

    What does not fit is reported and the rest looked at; what training would refuse is an error.

    Args:
        options: where the files are.
        base: the folder that relative paths start from.

    Memory: the texts of all items and queries.

    Raises:
        InputError: a file cannot be read at all, or lacks a column.
    """
    tables = read_tables(options, base)
    paths = {name: str(path) for name, path in options.paths(base).items()}
    also: tuple[Finding, ...] = ()
    by_query = "pairs" in tables and options.splits_by == "queries"
    try:
        if by_query:
            for name in ("items", "queries"):
                require_columns(tables.get(name, tables["items"]), ["id"], paths.get(name, name))
            require_columns(tables["pairs"], ["query_id", "item_id"], paths["pairs"])
            joined = joined_tables(options, tables, paths)
            also = joined.findings
            data = of_joined(options, joined, paths)
        else:
            data = assembled(options, tables, paths)
    except InputError as error:
        refused = Finding("refused", "error", 1, (), str(error), "training refuses this data")
        return Audit(0, 0, 0, {}, {}, {}, (*also, refused))
    if not by_query:
        also = tuple(
            Finding("left-out", "note", 1, (), text, "nothing to do if so meant")
            for text in data.findings
        )
    return audit_dataset(data, also, by_query=by_query)


def audit_dataset(
    data: Dataset, also: Sequence[Finding] = (), *, by_query: bool = True
) -> Audit:
    """Look through a dataset.

    Args:
        data: what to look through.
        also: findings made while it was read, to be listed with the others.
        by_query: whether all true items of a query are in one split.
    """
    flat = _Flat.of(data, by_query=by_query)
    found = [*also, *_empty_splits(flat)]
    if data.item_text:
        found += [
            *_twin_items(flat.items),
            *_textless(flat.items, "item"),
            *_oddities(flat.items, "item"),
        ]
    if data.query_text:
        found += [*_textless(flat.queries, "query"), *_oddities(flat.queries, "query")]
        if by_query:
            found += [*_leaks(flat), *_conflicts(flat)]
            found += _copies(flat.queries, flat.items)
    if by_query:
        found += _untrue(flat)
    return Audit(
        items=len(data.items),
        queries=len(flat.queries),
        pairs=len(flat.relation.indices),
        splits={name: int((flat.split == n).sum()) for n, name in enumerate(SPLITS)},
        items_per_query=_histogram(flat.relation.counts()),
        queries_per_item=_histogram(flat.relation.item_counts()),
        findings=tuple(sorted(found, key=lambda finding: SEVERITIES.index(finding.severity))),
    )


def _leaks(flat: _Flat) -> Iterator[Finding]:
    torn = straddling(flat.queries, flat.split)
    if torn:
        yield Finding(
            "leak",
            "error",
            len(torn),
            examples_of(torn),
            f"{counted(len(torn), 'query text stands', 'query texts stand')} in several splits, so "
            "that results on one split were partly learnt from another",
            "put equal texts in one split, or leave the column split out and let the text decide",
        )


def _empty_splits(flat: _Flat) -> Iterator[Finding]:
    empty = [name for n, name in enumerate(SPLITS) if not (flat.split == n).any()]
    if empty:
        yield Finding(
            "empty-split",
            "warning",
            len(empty),
            (),
            f"no query is in {' or '.join(empty)}",
            "training reads train and validation, a threshold is certified on calibration, and "
            "evaluate reads test: give those that you need queries",
        )


def _conflicts(flat: _Flat) -> Iterator[Finding]:
    """Groups of equal query texts whose members have different truth."""
    groups: defaultdict[str, list[int]] = defaultdict(list)
    for row, text in enumerate(flat.queries):
        groups[normalised(text)].append(row)
    truth = flat.relation.items_of
    torn = {
        text: rows
        for text, rows in groups.items()
        if text and len(rows) > 1 and len({truth(row).tobytes() for row in rows}) > 1
    }
    if torn:
        number = sum(map(len, torn.values()))
        yield Finding(
            "same-text-different-truth",
            "warning",
            number,
            examples_of(torn),
            f"{counted(number, 'query shares its', 'queries share their')} text with a query "
            "that has another true item: no model that reads the text alone gets all of them right",
            "add a column that tells them apart to query_text, or correct the pairs",
        )


def _twin_items(texts: Sequence[str]) -> Iterator[Finding]:
    counts: defaultdict[str, int] = defaultdict(int)
    for text in texts:
        counts[normalised(text)] += 1
    twins = {text: n for text, n in counts.items() if text and n > 1}
    if twins:
        number = sum(twins.values())
        yield Finding(
            "same-item-text",
            "warning",
            number,
            examples_of(twins),
            f"{number:,} items share their text with another item: which of them comes first is "
            "chance",
            "merge them, or add a column that tells them apart to item_text",
        )


def _textless(texts: Sequence[str], kind: Literal["item", "query"]) -> Iterator[Finding]:
    rows = [row for row, text in enumerate(texts, 1) if not text.strip()]
    if rows:
        many = {"item": "items have", "query": "queries have"}[kind]
        yield Finding(
            f"{kind}-without-text",
            "warning",
            len(rows),
            examples_of(f"row {row}" for row in rows),
            f"{counted(len(rows), f'{kind} has', many)} no text",
            f"remove them, or name a column that has their text in {kind}_text",
        )


def _oddities(texts: Sequence[str], kind: Literal["item", "query"]) -> Iterator[Finding]:
    odd = [text for text in texts if _ODD.search(text)]
    if odd:
        one, many = {"item": ("item has", "items have"), "query": ("query has", "queries have")}[
            kind
        ]
        yield Finding(
            f"{kind}-encoding",
            "warning",
            len(odd),
            examples_of(map(ascii, odd)),
            f"{counted(len(odd), one, many)} text with broken characters",
            "read the source again with its own encoding and save it as UTF-8",
        )


def _untrue(flat: _Flat) -> Iterator[Finding]:
    idle = flat.relation.counts() == 0
    if idle.any():
        number = int(idle.sum())
        yield Finding(
            "query-without-item",
            "note",
            number,
            _some(flat.queries, idle),
            f"{counted(number, 'query has', 'queries have')} no true item",
            "right if their item is not in the catalogue: accepting an answer to them then counts "
            "as an error; if their item is merely unknown, remove them",
        )
    idle = flat.relation.item_counts() == 0
    if idle.any():
        number = int(idle.sum())
        yield Finding(
            "item-without-query",
            "note",
            number,
            _some(flat.items, idle) if flat.items else (),
            f"{counted(number, 'item is', 'items are')} true for no query",
            "nothing to do: they are wrong answers to be told from right ones",
        )


def _copies(queries: Sequence[str], items: Sequence[str]) -> Iterator[Finding]:
    known = {normalised(text) for text in items} - {""}
    same = [text for text in queries if normalised(text) in known]
    if same:
        share = len(same) / len(queries)
        yield Finding(
            "query-is-item-text",
            "note",
            len(same),
            examples_of(same),
            f"{counted(len(same), 'query is', 'queries are')} word for word the text of an item "
            f"({share:.1%})",
            "nothing to do, but a lookup finds these without a model",
        )


def _some(texts: Sequence[str], mask: Bool[np.ndarray, " rows"]) -> tuple[str, ...]:
    return examples_of(texts[row] for row in np.flatnonzero(mask).tolist())


def _histogram(counts: Int[np.ndarray, " rows"]) -> dict[str, int]:
    """How many rows fall in each bar; empty bars are left out."""
    lows = [0, *(high + 1 for high in _BARS)]
    names = [
        f"{low}" if low == high else f"{low}-{high}" for low, high in zip(lows, _BARS, strict=False)
    ]
    sizes = np.bincount(np.searchsorted(_BARS, counts), minlength=len(lows))
    return {
        name: int(size)
        for name, size in zip([*names, f"over {_BARS[-1]}"], sizes, strict=True)
        if size
    }
