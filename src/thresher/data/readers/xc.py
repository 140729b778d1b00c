"""Imports a folder of the extreme classification (XC) repository, as published or as raw text."""

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int64

from thresher.data.findings import counted
from thresher.data.join import Tables
from thresher.data.readers.summary import Summary, write_dataset
from thresher.data.readers.xc_lines import (
    Point,
    Rows,
    filter_pairs,
    json_labels,
    json_points,
    raw_labels,
    raw_points,
)
from thresher.errors import InputError

CHUNK = 65_536
_PARTS = {"trn": "train", "tst": "test"}
# The files of each layout by what they hold; any of them may be packed (.gz).
_LAYOUTS: Mapping[str, Mapping[str, str]] = {
    "json": {"lbl": "lbl.json", "trn": "trn.json", "tst": "tst.json"},
    "text": {
        "lbl": "Y.txt",
        "trn": "trn_X.txt",
        "tst": "tst_X.txt",
        "trn truth": "trn_X_Y.txt",
        "tst truth": "tst_X_Y.txt",
    },
    "raw text": {
        "lbl": "lbl.raw.txt",
        "trn": "trn.raw.txt",
        "tst": "tst.raw.txt",
        "trn truth": "trn_X_Y.txt",
        "tst truth": "tst_X_Y.txt",
    },
}
_FILTERS = {
    "trn": ("filter_labels_train.txt", "trn_filter_labels.txt"),
    "tst": ("filter_labels_test.txt", "tst_filter_labels.txt"),
}


def convert(
    source: str | Path,
    out: str | Path,
    *,
    calibration: float = 0.1,
    validation: float = 0.02,
    seed: int = 0,
) -> Summary:
    """Turn a set of the XC repository into items, queries, pairs and ignored pairs as parquet.

    Labels become the items, in their order; points the queries `trn-0`, `trn-1`, ... and `tst-0`,
    ...; their titles the text, and `content` is not read. A label's id is its `uid` where every
    label has one of its own, else its row. Filter lists become `ignored.parquet`: pairs that are
    never ranked, the reciprocal ones.

    test stays test. XC knows neither validation nor calibration, and a threshold needs one: seeded
    shares of the training points become them.

    Args:
        source: the folder, with trn.json.gz, tst.json.gz and lbl.json.gz; or with trn_X.txt,
            tst_X.txt and Y.txt (or trn.raw.txt, tst.raw.txt and lbl.raw.txt) beside trn_X_Y.txt
            and tst_X_Y.txt. Each may be packed (.gz) or not. filter_labels_train.txt and
            filter_labels_test.txt may lie beside them.
        out: folder for the tables.
        calibration: fraction of the training points to calibrate on; 0 for none.
        validation: fraction of the training points to choose the best weights on; 0 for none.
        seed: of the choice.

    Memory: the tables, and one block of 65,536 lines.

    Raises:
        InputError: a file is missing, cut short or damaged, a number is out of range, a label has
            no text, or a header disagrees with its file; the sentence names file and line.
    """
    source, out = Path(source), Path(out)
    files = _layout(source)
    texts, uids = _labels(files)
    labels = Rows(files["lbl"], len(texts))
    own = uids is not None
    ids = uids if uids is not None else pc.cast(pa.array(np.arange(len(texts))), pa.string())
    items = pa.table({"id": ids, "title": texts})
    parts = {part: _points(files, part, labels) for part in _PARTS}
    queries = pa.concat_tables(
        pa.table({"id": _numbers(part, len(points.texts)), "title": points.texts})
        for part, points in parts.items()
    )
    ignored, lists = _ignored(source, files, parts, labels)
    pairs = [(points.rows, points.labels) for points in parts.values()]
    sizes = [len(points.texts) for points in parts.values()]
    tables = Tables(
        items,
        queries,
        _named(pairs, sizes, queries["id"], items["id"]),
        _named(ignored, sizes, queries["id"], items["id"]) if lists else None,
    )
    notes = _notes(parts, tables, own=own)
    splits = [split for part, split in _PARTS.items() for _ in range(len(parts[part].texts))]
    shares = {"calibration": calibration, "validation": validation}
    return write_dataset(out, tables, splits, **shares, seed=seed, notes=notes)


@dataclass(frozen=True)
class _Points:
    """Points as columns: their texts, and the rows of each true pair."""

    texts: pa.ChunkedArray
    rows: Int64[np.ndarray, " P"]
    labels: Int64[np.ndarray, " P"]


class _Texts:
    """A column of text that grows; what is full becomes an Arrow chunk."""

    def __init__(self) -> None:
        self._chunks: list[pa.Array] = []
        self._block: list[str | None] = []

    def append(self, text: str | None) -> None:
        self._block.append(text)
        if len(self._block) == CHUNK:
            self._close()

    def column(self) -> pa.ChunkedArray:
        self._close()
        return pa.chunked_array(self._chunks, pa.string())

    def _close(self) -> None:
        self._chunks.append(pa.array(self._block, pa.string()))
        self._block = []


def _find(folder: Path, name: str) -> Path | None:
    return next((p for p in (folder / f"{name}.gz", folder / name) if p.is_file()), None)


def _layout(source: Path) -> dict[str, Path]:
    """The files by what they hold: those of the layout of which the fewest are missing."""
    missing: dict[str, list[str]] = {}
    for layout, names in _LAYOUTS.items():
        found = {part: _find(source, name) for part, name in names.items()}
        missing[layout] = [names[part] for part, path in found.items() if path is None]
        if not missing[layout]:
            return {part: path for part, path in found.items() if path is not None}
    nearest = min(missing, key=lambda layout: len(missing[layout]) / len(_LAYOUTS[layout]))
    lost = missing[nearest]
    if len(lost) < len(_LAYOUTS[nearest]):
        there = [name for name in _LAYOUTS[nearest].values() if name not in lost]
        raise InputError(
            f"{source} has {', '.join(there)} but no {' and no '.join(lost)} (or the same with "
            ".gz); add what is missing from the same download"
        )
    raise InputError(
        f"{source} holds no set of the XC repository; it must have trn.json.gz, tst.json.gz and "
        "lbl.json.gz, or trn_X.txt, tst_X.txt, Y.txt, trn_X_Y.txt and tst_X_Y.txt"
    )


def _labels(files: Mapping[str, Path]) -> tuple[pa.ChunkedArray, pa.ChunkedArray | None]:
    """The texts of the labels, and their uids if each has one of its own."""
    path, texts, uids = files["lbl"], _Texts(), _Texts()
    for label in raw_labels(path) if "trn truth" in files else json_labels(path):
        texts.append(label.text)
        uids.append(label.uid)
    column, names = _lined(texts.column(), path), uids.column()
    named = names.null_count == 0 and pc.count_distinct(names).as_py() == len(names)
    blank = pc.any(pc.equal(pc.utf8_trim_whitespace(names), "")).as_py()
    return column, names if named and not blank else None


def _points(files: Mapping[str, Path], part: str, labels: Rows) -> _Points:
    path = files[part]
    truth = files.get(f"{part} truth")
    points: Iterable[Point] = (
        json_points(path, labels) if truth is None else raw_points(path, truth, labels)
    )
    texts, rows, targets = _Texts(), array("q"), array("q")
    for row, point in enumerate(points):
        texts.append(point.text)
        rows.extend([row] * len(point.labels))
        targets.extend(point.labels)
    return _Points(_lined(texts.column(), path), _array(rows), _array(targets))


def _lined(column: pa.ChunkedArray, path: Path) -> pa.ChunkedArray:
    if not len(column):
        raise InputError(f"{path} has no lines; copy it again")
    return column


def _ignored(
    source: Path, files: Mapping[str, Path], parts: Mapping[str, _Points], labels: Rows
) -> tuple[list[tuple[np.ndarray, np.ndarray]], int]:
    """The pairs of the filter list of each part, and how many lists there are."""
    pairs, lists = [], 0
    for part, points in parts.items():
        rows, targets = array("q"), array("q")
        path = next((p for name in _FILTERS[part] if (p := _find(source, name))), None)
        if path is not None:
            lists += 1
            for row, label in filter_pairs(path, Rows(files[part], len(points.texts)), labels):
                rows.append(row)
                targets.append(label)
        pairs.append((_array(rows), _array(targets)))
    return pairs, lists


def _array(numbers: Sequence[int]) -> Int64[np.ndarray, " P"]:
    return np.array(numbers, np.int64)


def _numbers(part: str, count: int) -> pa.Array:
    """The ids of the points of a part: trn-0, trn-1, ..."""
    return pc.binary_join_element_wise(part, pc.cast(pa.array(np.arange(count)), pa.string()), "-")


def _named(
    pairs: Iterable[tuple[np.ndarray, np.ndarray]],
    sizes: Iterable[int],
    query_ids: pa.ChunkedArray,
    item_ids: pa.ChunkedArray,
) -> pa.Table:
    """Pairs of each part, whose points are numbered from 0, by the ids of both sides."""
    start, tables = 0, []
    for (rows, labels), size in zip(pairs, sizes, strict=True):
        columns = {"query_id": query_ids.take(pa.array(rows + start))}
        tables.append(pa.table({**columns, "item_id": item_ids.take(pa.array(labels))}))
        start += size
    return pa.concat_tables(tables)


def _notes(parts: Mapping[str, _Points], tables: Tables, *, own: bool) -> list[str]:
    notes = [f"the id of an item is its {'uid' if own else 'row'} in the label file"]
    titles = tables.queries["title"]
    blank = pc.sum(pc.equal(pc.utf8_trim_whitespace(titles), "")).as_py()
    idle = sum(len(p.texts) - len(np.unique(p.rows)) for p in parts.values())
    if blank:
        notes.append(f"{counted(blank, 'query has', 'queries have')} an empty title")
    if idle:
        notes.append(f"{counted(idle, 'query has', 'queries have')} no label: queries without an "
                     "item")  # fmt: skip
    return [
        *notes,
        'for PSP name the constants of the set: propensity = "amazon" or "wikipedia"; "other" is '
        "the default",
    ]
