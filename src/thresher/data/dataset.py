"""The dataset of a run: the catalogue, and the queries of each split with their truth."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int64

from thresher.data.assembly import assemble, by_query, without_pairs
from thresher.data.events import events_of
from thresher.data.findings import Finding
from thresher.data.histories import Histories
from thresher.data.join import join
from thresher.data.options import FILES, DataOptions, Protocol
from thresher.data.parts import Part
from thresher.data.queries import Queries, rows_of
from thresher.data.sequences import Sequences, bounds
from thresher.data.sources import Sources, renamed, sources
from thresher.data.split import SPLITS, UNASSIGNED, split_number
from thresher.errors import InputError

__all__ = ["Dataset", "Part", "dataset_of", "history_queries", "labelled", "load_dataset"]


@dataclass(frozen=True)
class Dataset:
    """The catalogue of a run, and the queries of each split with their truth.

    Args:
        items: the catalogue; column `id` (text, unique) and any others. Its rows are the item rows.
        parts: of "train", "validation", "calibration" and "test", each perhaps empty.
        item_text: columns that make up the text of an item; perhaps none.
        query_text: the same for queries.
        findings: a clause for each thing that was changed or left out, and how often.
        items_path: of the catalogue's file, for messages.
        queries_path: the same for the queries.
    """

    items: pa.Table
    parts: Mapping[str, Part]
    item_text: tuple[str, ...]
    query_text: tuple[str, ...]
    findings: tuple[str, ...]
    items_path: str
    queries_path: str

    def part(self, name: str) -> Part:
        """The queries of a split; InputError where there is no split of that name."""
        split_number(name)
        return self.parts[name]

    def item_counts(self) -> Int64[np.ndarray, " N"]:
        """In how many training pairs each item stands."""
        return self.parts["train"].truth.item_counts()

    def sizes(self) -> dict[str, int]:
        """How much there is of everything, by name."""
        return {
            "items": len(self.items),
            "items_never_in_training": int((self.item_counts() == 0).sum()),
            "training_pairs": len(self.parts["train"].truth.indices),
            **{f"{name}_queries": len(self.parts[name]) for name in SPLITS},
        }

    def aliases(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The query text of each training pair and the id of its item, but for empty texts."""
        train = self.parts["train"]
        texts, ids = train.queries.text(self.query_text), self.items["id"].to_pylist()
        pairs = [(texts[q], ids[item]) for q, item in train.truth.pairs().tolist() if texts[q]]
        return tuple(text for text, _ in pairs), tuple(item for _, item in pairs)

    def fingerprint(self) -> str:
        """A digest of all that training and validation read."""
        found = hashlib.blake2b(json.dumps([self.item_text, self.query_text]).encode())
        own = self.parts["train"].queries.table
        for table in [self.items] if own is None else [self.items, own]:
            for name in table.column_names:
                values = [name, table[name].to_pylist()]
                found.update(json.dumps(values, default=str).encode())
        for part in (self.parts["train"], self.parts["validation"]):
            arrays = [part.truth.pairs(), part.ignored.pairs(), part.queries.rows]
            arrays += [part.groups, part.sample_weight]
            if (histories := part.queries.histories) is not None:
                arrays += [histories.first.numpy(), histories.last.numpy(), histories.items.numpy()]
            if part.targets is not None:
                arrays += [part.targets.starts, part.targets.items]
            for array in arrays:
                found.update(b"-" if array is None else array.tobytes())
        return found.hexdigest()[:16]


def load_dataset(options: DataOptions, base: str | Path = ".") -> Dataset:
    """Read, join, check and split the data of a run; relative paths start from `base`.

    Memory: the tables, and about 100 bytes a pair or event while they are sorted.

    Raises:
        InputError: a file cannot be read, is empty or lacks a column; ids repeat or are unknown; a
            query is in two splits, or has no pair and `without_pairs` is not set. One sentence
            says which.

    Example:
        >>> data = load_dataset(DataOptions(bundled="online-retail"))
        >>> data.items.column_names
        ['id', 'title']
    """
    return dataset_of(options, base=base)


def dataset_of(
    options: DataOptions,
    *,
    items: pa.Table | None = None,
    queries: pa.Table | None = None,
    pairs: pa.Table | None = None,
    events: pa.Table | None = None,
    ignored: pa.Table | None = None,
    base: str | Path = ".",
) -> Dataset:
    """The dataset of tables in memory, each in place of the file that the options name.

    With events, the queries are their users. InputError as `load_dataset`.

    Example:
        >>> items = pa.table({"id": ["a", "b"], "title": ["red mug", "teapot"]})
        >>> queries = pa.table({"id": ["1"], "title": ["mug, red"], "split": ["test"]})
        >>> pairs = pa.table({"query_id": ["1"], "item_id": ["a"]})
        >>> data = dataset_of(DataOptions(), items=items, queries=queries, pairs=pairs)
        >>> data.part("test").truth.pairs().tolist()
        [[0, 0]]
    """
    given = {"items": items, "queries": queries, "pairs": pairs, "events": events}
    read = sources(options, base, {**given, "ignored": ignored})
    assembled = assemble(read, options)
    _refuse(assembled.findings)
    return Dataset(
        items=assembled.items,
        parts=assembled.parts,
        item_text=assembled.item_text,
        query_text=assembled.query_text,
        findings=tuple(finding.meaning for finding in assembled.findings),
        items_path=read.paths["items"],
        queries_path=read.paths["queries"],
    )


def labelled(
    options: DataOptions, *, items: pa.Table, pairs: pa.Table, queries: pa.Table | None = None
) -> Part:
    """Queries and pairs that are given later, over a catalogue that is there: all in one part.

    The queries are the items themselves when left out. Of the options, `columns`, `open_catalogue`
    and `without_pairs` are used. InputError as `load_dataset`.
    """
    given = {"pairs": pairs} if queries is None else {"pairs": pairs, "queries": queries}
    paths = {name: f"the table of {name}" for name in FILES}
    tables = {n: renamed(table, n, paths[n], options.columns) for n, table in given.items()}
    protocol: Protocol = "pairs" if queries is None else "queries"
    read = Sources({**tables, "items": items}, paths, protocol)
    joined = join(read, open_catalogue=options.open_catalogue)
    split = np.where(joined.named, 0, UNASSIGNED).astype(np.uint8)
    findings = joined.findings
    if protocol == "queries":
        unlabelled, more = without_pairs(joined, read, options)
        split[:], findings = 0, (*findings, *more)
        split[unlabelled] = UNASSIGNED
    _refuse(findings)
    return by_query(joined, split, replace(options, train_share=1.0))["train"]


def history_queries(
    events: pa.Table,
    options: DataOptions,
    *,
    items: pa.Table,
    users: pa.Table | None = None,
    path: str = "the table of events",
) -> tuple[Queries, tuple[str, ...]]:
    """The users of a table of events, each with all its events of known items, perhaps none.

    The events are read by `event_kinds`, `repeated_events` and `columns` of the options; the path
    is what to call them. Users and items have a column `id`. With the queries comes a clause for
    each thing that was left out. InputError where the table lacks a column, or no event is of an
    item of the catalogue.
    """
    table = renamed(events, "events", path, options.columns)
    found = events_of(
        table,
        path,
        catalogue=items["id"].combine_chunks(),
        event_kinds=options.event_kinds,
        repeated_events=options.repeated_events,
        strict=False,
    )
    ids = pc.unique(table["user_id"].filter(pc.not_equal(table["user_id"], ""))).sort()
    counts = np.zeros(len(ids), np.int64)
    counts[rows_of(found.users, ids)] = found.sequences.counts()
    histories = Histories.of(Sequences(bounds(counts), found.sequences.items))
    rows = None if users is None else rows_of(ids, users["id"].combine_chunks())
    queries = Queries(ids, users, rows, histories)
    return queries, tuple(finding.meaning for finding in found.findings)


def _refuse(findings: Iterable[Finding]) -> None:
    for finding in findings:
        if finding.severity == "error":
            raise InputError(finding.sentence())
