"""What the data of a run holds and what is wrong with it, before anybody trains on it."""

import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Int

from thresher.data.agreement import Agreement, agreements
from thresher.data.assembly import Assembled, assemble
from thresher.data.finding_texts import found
from thresher.data.findings import SEVERITIES, Audit, Finding, counted
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
        data = assemble(read, options)
    except InputError as error:
        return _audit(found("refused", 1, sentence=error), None)
    findings = list(data.findings)
    if len(read.tables["pairs" if "pairs" in read.tables else "events"]):
        findings += _splits(data, read, options, batch_size, calibration_queries)
    items = _Texts.of(data.items, data.item_text)
    twins = {key: n for key, n in Counter(items.keys).items() if key and n > 1}
    findings += found("same-item-text", sum(twins.values()), twins)
    findings += _oddities(items, "item")
    if data.queries is not None and data.queries is not data.items:
        queries = _Texts.of(data.queries, data.query_text)
        findings += _oddities(queries, "query")
        if read.protocol == "queries":
            findings += _groups(data, queries, set(items.keys) - {""})
    return _audit(findings + _untrue(data), data)


def _audit(findings: list[Finding], data: Assembled | None) -> Audit:
    order = tuple(sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity)))
    if data is None:
        return Audit(0, 0, 0, {}, {}, {}, order)
    truths = [part.truth for part in data.parts.values()]
    left = {"unlabelled": data.unlabelled} if data.unlabelled else {}
    return Audit(
        items=len(data.items),
        queries=sum(map(len, truths)) + data.unlabelled,
        pairs=sum(len(truth.indices) for truth in truths),
        splits={name: len(part) for name, part in data.parts.items()} | left,
        items_per_query=_histogram(np.concatenate([truth.counts() for truth in truths])),
        queries_per_item=_histogram(np.sum([truth.item_counts() for truth in truths], axis=0)),
        findings=order,
        columns=_agreements(data),
    )


def _agreements(data: Assembled) -> tuple[Agreement, ...]:
    """Of training pairs, so that nothing is chosen by the others; of all where there are none."""
    if data.queries is None or data.queries is data.items:
        return ()
    train = data.parts["train"]
    parts = [train] if len(train.truth.indices) else list(data.parts.values())
    return agreements(data.items, data.queries, parts, data.query_text)


def _splits(
    data: Assembled, read: Sources, options: DataOptions, batch_size: int, calibration: int
) -> list[Finding]:
    """Splits that are too small for what reads them."""
    findings: list[Finding] = []
    pairs = {name: len(part.truth.indices) for name, part in data.parts.items()}
    if batch_size and not pairs["train"]:
        where = ", ".join(f"{size:,} in {name}" for name, size in pairs.items() if size)
        findings += found("no-training-pairs", 1, where=where or "none is anywhere")
    elif pairs["train"] < batch_size:
        findings += found("few-training-pairs", pairs["train"], batch_size=f"{batch_size:,}")
    labelled = len(data.parts["calibration"])
    if labelled < calibration:
        there = counted(labelled, "query is", "queries are")
        findings += found("few-calibration-queries", 1, there=there, needed=f"{calibration:,}")
    shares = options.split_shares(read.protocol)
    for split, use in _USES.items():
        if shares.get(split, 0) and not len(data.parts[split]):
            findings += found("empty-split", 1, split=split, use=use)
    return findings


class _Texts(NamedTuple):
    """The texts of a table, raw and normalised."""

    raw: list[str]
    keys: list[str]

    @classmethod
    def of(cls, table: pa.Table, columns: tuple[str, ...]) -> "_Texts":
        """None of them where there are no columns of text."""
        raw = text_of(table, columns) if columns else []
        return cls(raw, [normalised(text) for text in raw])


def _groups(data: Assembled, texts: _Texts, known: set[str]) -> list[Finding]:
    """Equal query texts in several splits, with different truth, or that are texts of items."""
    splits: defaultdict[str, set[str]] = defaultdict(set)
    truth: defaultdict[str, list[bytes]] = defaultdict(list)
    for name, part in data.parts.items():
        rows = part.queries.rows if texts.keys else None
        for at, row in enumerate([] if rows is None else rows.tolist()):
            if key := texts.keys[row]:
                splits[key].add(name)
                truth[key].append(part.truth.items_of(at).tobytes())
    torn = [key for key, names in splits.items() if len(names) > 1]
    mixed = {key: len(each) for key, each in truth.items() if len(set(each)) > 1}
    same = [text for text, key in zip(texts.raw, texts.keys, strict=True) if key in known]
    share = f"{len(same) / max(len(texts.raw), 1):.1%}"
    return [
        *found("leak", len(torn), torn),
        *found("same-text-different-truth", sum(mixed.values()), mixed),
        *found("query-is-item-text", len(same), same, share=share),
    ]


def _oddities(texts: _Texts, kind: Literal["item", "query"]) -> list[Finding]:
    empty = [row for row, text in enumerate(texts.raw, 1) if not text.strip()]
    odd = [text for text in texts.raw if _ODD.search(text)]
    return [
        *found(f"{kind}-without-text", len(empty), (f"row {row}" for row in empty)),
        *found(f"{kind}-encoding", len(odd), map(ascii, odd)),
    ]


def _untrue(data: Assembled) -> list[Finding]:
    """Queries without a true item, and items that are true for no query."""
    parts = data.parts.values()
    ids = pa.chunked_array([part.queries.ids for part in parts], pa.string())
    idle = np.concatenate([part.truth.counts() for part in parts]) == 0
    unused = np.sum([part.truth.item_counts() for part in parts], axis=0) == 0
    queries, items = (
        every.filter(pa.array(mask)).slice(0, 100).to_pylist()
        for every, mask in ((ids, idle), (data.items["id"], unused))
    )
    return [
        *found("query-without-item", int(idle.sum()), queries),
        *found("item-without-query", int(unused.sum()), items),
    ]


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
