"""What a dataset holds and what is wrong with it, before anybody trains on it."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Bool, Int

from thresher.data.dataset import Dataset, DataSpec, as_dataset, read_tables
from thresher.data.findings import SEVERITIES, Audit, Finding, counted, examples_of
from thresher.data.join import join
from thresher.data.split import SPLITS, normalised, straddling

# Largest count that each bar of a histogram holds; the last bar has no end.
_BARS = (0, 1, 2, 3, 5, 10, 100)
# The replacement character, control characters, and UTF-8 that was once read as Latin-1.
_ODD = re.compile("[\ufffd\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|Ã[\x80-\xbf]|â€|Â[\x80-\xbf]")


def audit_files(spec: DataSpec, base: str | Path = ".") -> Audit:
    """Audit files as they are: what does not join is reported, and the rest is looked at.

    Args:
        spec: where the files are.
        base: the folder that relative paths start from.

    Raises:
        InputError: a file cannot be read at all, or lacks a column.
    """
    tables = read_tables(spec, base)
    joined = join(tables, open_catalogue=spec.open_catalogue)
    return audit(as_dataset(joined, tables, spec), joined.findings)


def audit(dataset: Dataset, also: Sequence[Finding] = ()) -> Audit:
    """Look through a dataset for what would spoil training or make its numbers lie.

    Args:
        dataset: what to look through.
        also: findings made while it was read, to be listed with the others.

    Memory: the texts of all items and queries.
    """
    items, queries = dataset.item_text(), dataset.query_text()
    relation = dataset.relation
    found = [
        *also,
        *_leaks(dataset, queries),
        *_empty_splits(dataset),
        *_conflicts(dataset, queries),
        *_twin_items(items),
        *_textless(items, "item"),
        *_textless(queries, "query"),
        *_oddities(items, "item"),
        *_oddities(queries, "query"),
        *_untrue(dataset, queries, items),
        *_copies(queries, items),
    ]
    return Audit(
        items=len(items),
        queries=len(queries),
        pairs=len(relation.indices),
        splits={name: int((dataset.split == n).sum()) for n, name in enumerate(SPLITS)},
        items_per_query=_histogram(relation.counts()),
        queries_per_item=_histogram(relation.item_counts()),
        findings=tuple(sorted(found, key=lambda finding: SEVERITIES.index(finding.severity))),
    )


def _leaks(dataset: Dataset, texts: Sequence[str]) -> Iterator[Finding]:
    torn = straddling(texts, dataset.split)
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


def _empty_splits(dataset: Dataset) -> Iterator[Finding]:
    empty = [name for n, name in enumerate(SPLITS) if not (dataset.split == n).any()]
    if empty:
        yield Finding(
            "empty-split",
            "warning",
            len(empty),
            (),
            f"no query is in {' or '.join(empty)}",
            "training reads train and validation, the threshold is fitted on calibration and "
            "certified on test: give each of them queries",
        )


def _conflicts(dataset: Dataset, texts: Sequence[str]) -> Iterator[Finding]:
    """Groups of equal query texts whose members have different truth."""
    groups: defaultdict[str, list[int]] = defaultdict(list)
    for row, text in enumerate(texts):
        groups[normalised(text)].append(row)
    truth = dataset.relation.items_of
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


def _untrue(dataset: Dataset, queries: Sequence[str], items: Sequence[str]) -> Iterator[Finding]:
    idle = dataset.relation.counts() == 0
    if idle.any():
        number = int(idle.sum())
        yield Finding(
            "query-without-item",
            "note",
            number,
            _some(queries, idle),
            f"{counted(number, 'query has', 'queries have')} no true item",
            "right if their item is not in the catalogue: accepting an answer to them then counts "
            "as an error; if their item is merely unknown, remove them",
        )
    idle = dataset.relation.item_counts() == 0
    if idle.any():
        number = int(idle.sum())
        yield Finding(
            "item-without-query",
            "note",
            number,
            _some(items, idle),
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
