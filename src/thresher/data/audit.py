"""What the data of a run holds and what is wrong with it, before anybody trains on it."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Int

from thresher.data.assembly import Assembled, assemble
from thresher.data.findings import SEVERITIES, Audit, Finding, counted, examples_of
from thresher.data.options import DataOptions
from thresher.data.sources import Sources, sources
from thresher.data.split import normalised
from thresher.data.tables import text_of
from thresher.errors import InputError

# Largest count that each bar of a histogram holds; the last bar has no end.
_BARS = (0, 1, 2, 3, 5, 10, 100)
# The replacement character, control characters, and UTF-8 that was once read as Latin-1.
_ODD = re.compile("[\ufffd\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|Ã[\x80-\xbf]|â€|Â[\x80-\xbf]")
_USES = {
    "validation": "training keeps its last weights, not its best",
    "calibration": "no threshold can be chosen",
    "test": "nothing is left to evaluate on",
}


def audit(
    options: DataOptions,
    base: str | Path = ".",
    *,
    batch_size: int = 1,
    calibration_queries: int = 0,
) -> Audit:
    """Look through the data of a run for what it would be refused for, and what spoils its numbers.

    What does not join is reported, and the rest is looked at.

    Args:
        options: where the files are and how they are split.
        base: the folder that relative paths start from.
        batch_size: pairs that one step of training needs; 0 for a tower that is not trained.
        calibration_queries: queries that calibration needs; 0 for a run that does not decide.

    Memory: the texts of all items and queries.

    Raises:
        InputError: a file cannot be read at all, or lacks a column.
    """
    read = sources(options, base, {})
    try:
        found = assemble(read, options)
    except InputError as error:
        return _audit([Finding("refused", "error", 1, (), str(error), "")], None)
    findings = list(found.findings)
    if not any(finding.code == "no-pairs" for finding in findings):
        findings += _splits(found, read, options, batch_size, calibration_queries)
    items = _Texts.of(found.items, found.item_text, "item")
    findings += [*_twin_items(items), *_textless(items), *_oddities(items)]
    if found.queries is not None and found.queries is not found.items:
        queries = _Texts.of(found.queries, found.query_text, "query")
        findings += [*_textless(queries), *_oddities(queries)]
        if read.protocol == "queries":
            findings += [*_groups(found, queries), *_copies(queries, items)]
    findings += [*_untrue(found)]
    return _audit(findings, found)


def _audit(findings: list[Finding], found: Assembled | None) -> Audit:
    order = sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))
    if found is None:
        return Audit(0, 0, 0, {}, {}, {}, tuple(order))
    parts = found.parts
    truths = [part.truth for part in parts.values()]
    return Audit(
        items=len(found.items),
        queries=sum(map(len, truths)) + found.unlabelled,
        pairs=sum(len(truth.indices) for truth in truths),
        splits={name: len(part) for name, part in parts.items()}
        | ({"unlabelled": found.unlabelled} if found.unlabelled else {}),
        items_per_query=_histogram(np.concatenate([truth.counts() for truth in truths])),
        queries_per_item=_histogram(np.sum([truth.item_counts() for truth in truths], axis=0)),
        findings=tuple(order),
    )


def _splits(
    found: Assembled, read: Sources, options: DataOptions, batch_size: int, calibration: int
) -> Iterator[Finding]:
    """Splits that are too small for what reads them."""
    sizes = {name: len(part.truth.indices) for name, part in found.parts.items()}
    pairs = sizes["train"]
    if not pairs and batch_size:
        where = ", ".join(f"{size:,} in {name}" for name, size in sizes.items() if size)
        yield Finding(
            "no-training-pairs",
            "error",
            0,
            (),
            f"no true pair is in train ({where or 'none is anywhere'})",
            "give queries of train, in a column split or by [data] shares",
        )
    elif pairs < batch_size:
        yield Finding(
            "few-training-pairs",
            "error",
            pairs,
            (),
            f"there are {pairs:,} training pairs, fewer than one batch of {batch_size:,}",
            "lower train.batch_size, or give more pairs or a larger share for train",
        )
    labelled = len(found.parts["calibration"])
    if labelled < calibration:
        yield Finding(
            "few-calibration-queries",
            "error",
            labelled,
            (),
            f"{counted(labelled, 'query is', 'queries are')} in calibration, and a threshold needs "
            f"{calibration:,} or more",
            "label more of them, or give calibration a larger share in [data] shares",
        )
    shares = options.split_shares(read.protocol)
    for name, use in _USES.items():
        if shares.get(name, 0) and not len(found.parts[name]):
            remedy = f"give it queries, or set the share of {name} to 0 if that is meant"
            yield Finding("empty-split", "warning", 1, (), f"no query is in {name}: {use}", remedy)


class _Texts(NamedTuple):
    """The texts of a table, raw and normalised, of items or queries."""

    kind: Literal["item", "query"]
    raw: list[str]
    keys: list[str]

    @classmethod
    def of(
        cls, table: pa.Table, columns: tuple[str, ...], kind: Literal["item", "query"]
    ) -> "_Texts":
        """None of them where there are no columns of text."""
        raw = text_of(table, columns) if columns else []
        return cls(kind, raw, [normalised(text) for text in raw])

    def counted(self, number: int, one: str, many: str) -> str:
        """A number of items or queries, and a verb."""
        nouns = {"item": ("item", "items"), "query": ("query", "queries")}[self.kind]
        return counted(number, f"{nouns[0]} {one}", f"{nouns[1]} {many}")


def _groups(found: Assembled, texts: _Texts) -> Iterator[Finding]:
    """Equal query texts in several splits, or with different truth."""
    splits: defaultdict[str, set[str]] = defaultdict(set)
    truth: defaultdict[str, list[bytes]] = defaultdict(list)
    for name, part in found.parts.items():
        rows = part.queries.rows if texts.keys else None
        for at, row in enumerate([] if rows is None else rows.tolist()):
            if key := texts.keys[row]:
                splits[key].add(name)
                truth[key].append(part.truth.items_of(at).tobytes())
    torn = [key for key, names in splits.items() if len(names) > 1]
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
    mixed = {key: len(each) for key, each in truth.items() if len(set(each)) > 1}
    if mixed:
        number = sum(mixed.values())
        yield Finding(
            "same-text-different-truth",
            "warning",
            number,
            examples_of(mixed),
            f"{counted(number, 'query shares its', 'queries share their')} text with a query "
            "that has another true item: no model that reads the text alone gets all of them right",
            "add a column that tells them apart to query_text, or correct the pairs",
        )


def _twin_items(texts: _Texts) -> Iterator[Finding]:
    twins = {key: n for key, n in Counter(texts.keys).items() if key and n > 1}
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


def _textless(texts: _Texts) -> Iterator[Finding]:
    rows = [row for row, text in enumerate(texts.raw, 1) if not text.strip()]
    if rows:
        yield Finding(
            f"{texts.kind}-without-text",
            "warning",
            len(rows),
            examples_of(f"row {row}" for row in rows),
            f"{texts.counted(len(rows), 'has', 'have')} no text",
            f"remove them, or name a column that has their text in {texts.kind}_text",
        )


def _oddities(texts: _Texts) -> Iterator[Finding]:
    odd = [text for text in texts.raw if _ODD.search(text)]
    if odd:
        yield Finding(
            f"{texts.kind}-encoding",
            "warning",
            len(odd),
            examples_of(map(ascii, odd)),
            f"{texts.counted(len(odd), 'has', 'have')} text with broken characters",
            "read the source again with its own encoding and save it as UTF-8",
        )


def _untrue(found: Assembled) -> Iterator[Finding]:
    """Queries without a true item, and items that are true for no query."""
    truths = [part.truth for part in found.parts.values()]
    ids = pa.chunked_array([part.queries.ids for part in found.parts.values()], pa.string())
    idle = np.concatenate([truth.counts() for truth in truths]) == 0
    if idle.any():
        number = int(idle.sum())
        yield Finding(
            "query-without-item",
            "note",
            number,
            examples_of(ids.filter(pa.array(idle)).slice(0, 100).to_pylist()),
            f"{counted(number, 'query has', 'queries have')} no true item",
            "right if their item is not in the catalogue: accepting an answer to them then counts "
            "as an error",
        )
    idle = np.sum([truth.item_counts() for truth in truths], axis=0) == 0
    if idle.any():
        number = int(idle.sum())
        yield Finding(
            "item-without-query",
            "note",
            number,
            examples_of(found.items["id"].filter(pa.array(idle)).slice(0, 100).to_pylist()),
            f"{counted(number, 'item is', 'items are')} true for no query",
            "nothing to do: they are wrong answers to be told from right ones",
        )


def _copies(queries: _Texts, items: _Texts) -> Iterator[Finding]:
    known = set(items.keys) - {""}
    same = [text for text, key in zip(queries.raw, queries.keys, strict=True) if key in known]
    if same:
        share = len(same) / len(queries.raw)
        yield Finding(
            "query-is-item-text",
            "note",
            len(same),
            examples_of(same),
            f"{queries.counted(len(same), 'is', 'are')} word for word the text of an item "
            f"({share:.1%})",
            "nothing to do, but a lookup finds these without a model",
        )


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
