"""Imports pair tables: tableA.csv, tableB.csv and judged pairs in train, valid and test.csv."""

from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from thresher.data.findings import counted
from thresher.data.join import Tables
from thresher.data.readers.summary import Summary, write_dataset
from thresher.data.tables import is_table, read_table, require_columns
from thresher.errors import InputError

# The strictest split first: a record that stands in several belongs to the first of them.
_SPLITS = {"test": "test", "valid": "validation", "train": "train"}
_TRUE, _FALSE = ("1", "1.0", "true"), ("0", "0.0", "false")


def convert(
    source: str | Path,
    out: str | Path,
    *,
    catalogue: Literal["right", "left"] = "right",
    calibration: float = 0.2,
    validation: float = 0.0,
    seed: int = 0,
) -> Summary:
    """Turn pair tables (ltable_id, rtable_id, label) into items, queries and pairs as parquet.

    One table becomes the catalogue, the records of the other the queries. A pair labelled 1 is
    true; one labelled 0 is no truth and is not kept, since every pair that is not true is a
    negative anyway. A record without a true pair becomes a query without an item.

    train stays train, valid becomes validation, test stays test. A record that stands in several
    files goes, with all its true pairs, to the first of test, valid and train that has a true pair
    of it (or any pair, where it has no true one), so that nothing of the test is trained on. A
    record in no pair gets its split from its text on loading. There is no calibration split in the
    source, and a threshold needs one: a seeded share of the train queries becomes it.

    Args:
        source: the folder; the files may be .csv, .tsv, .parquet or .jsonl, packed or not, and
            their names may begin with something else (`abt_tableA.csv`).
        out: folder for the three files.
        catalogue: which table is searched, the right (tableB) or the left (tableA) one.
        calibration: fraction of the train queries to use for calibration; 0 for none.
        validation: fraction of the train queries to add to validation; 0 for none.
        seed: of the choice.

    Raises:
        InputError: a file is missing, there twice or damaged, a label is neither 0 nor 1, a pair
            names an unknown record.
    """
    source, out = Path(source), Path(out)
    if catalogue not in ("right", "left"):
        raise InputError(f"the catalogue is {catalogue!r}; it must be 'right' or 'left'")
    sides = {"ltable_id": _records(source, "tableA"), "rtable_id": _records(source, "tableB")}
    item_key, query_key = list(reversed(sides)) if catalogue == "right" else list(sides)
    items, queries = sides[item_key], sides[query_key]
    judged = _judgments(source, sides)
    split, torn = _query_splits(judged, judged[query_key], queries)
    true = judged.filter(judged["true"])
    pairs = pa.table({"query_id": true[query_key], "item_id": true[item_key]})
    pairs = pairs.group_by(["query_id", "item_id"], use_threads=False).aggregate([])
    notes = []
    if zeros := len(judged) - len(true):
        notes.append(f"{counted(zeros, 'pair', 'pairs')} labelled 0 left out: they are not truth")
    if idle := len(queries) - len(pairs["query_id"].unique()):
        notes.append(f"{counted(idle, 'record has', 'records have')} no true pair: queries without "
                     "an item")  # fmt: skip
    if torn:
        notes.append(f"{counted(torn, 'record has', 'records have')} true pairs in several files: "
                     "the first of test, valid and train was taken")  # fmt: skip
    if unseen := split.count(None):
        notes.append(f"{counted(unseen, 'record is', 'records are')} in no pair: split by text on "
                     "loading")  # fmt: skip
    tables = Tables(items, queries, pairs)
    return write_dataset(
        out,
        tables,
        split,
        calibration=calibration,
        validation=validation,
        seed=seed,
        notes=notes,
    )


def _find(source: Path, name: str) -> Path | None:
    """The one file that is called `name`, or else ends in "_name" or "-name"."""
    if not source.is_dir():
        raise InputError(f"{source} is not a folder; give the folder that holds tableA and tableB")
    files = [path for path in sorted(source.iterdir()) if is_table(path)]
    stems = [path.name.lower().split(".")[0] for path in files]
    wanted = name.lower()
    exact = [p for p, stem in zip(files, stems, strict=True) if stem == wanted]
    endings = (f"_{wanted}", f"-{wanted}")
    found = exact or [p for p, stem in zip(files, stems, strict=True) if stem.endswith(endings)]
    if len(found) > 1:
        raise InputError(
            f"{source} has several files for {name}: {', '.join(p.name for p in found)}; keep one"
        )
    return found[0] if found else None


def _records(source: Path, name: str) -> pa.Table:
    path = _find(source, name)
    if path is None:
        raise InputError(
            f"{source} has no {name}.csv; pair tables are tableA, tableB and train, valid or test"
        )
    table = read_table(path)
    require_columns(table, ["id"], path)
    if "split" in table.column_names:
        raise InputError(f"{path} has a column 'split', which is written here; rename it")
    return table


def _judgments(source: Path, sides: dict[str, pa.Table]) -> pa.Table:
    """All judged pairs: the two ids, whether it is true, and the split, the strictest first."""
    tables = []
    for name, split in _SPLITS.items():
        path = _find(source, name)
        if path is None:
            continue
        table = read_table(path)
        require_columns(table, ["ltable_id", "rtable_id", "label"], path)
        for key, side in sides.items():
            known = pc.is_in(table[key], value_set=side["id"].combine_chunks())
            strangers = table[key].filter(pc.invert(known))
            if len(strangers):
                raise InputError(
                    f"{path}: {key} {strangers[0].as_py()!r} is not an id of its table; correct or "
                    "remove it"
                )
        labels = pc.utf8_lower(table["label"].cast(pa.string()))
        true = pc.is_in(labels, value_set=pa.array(_TRUE))
        bad = labels.filter(pc.invert(pc.or_(true, pc.is_in(labels, value_set=pa.array(_FALSE)))))
        if len(bad):
            raise InputError(f"{path}: the label {bad[0].as_py()!r} is neither 0 nor 1; correct it")
        columns = {key: table[key] for key in sides}
        names = pa.array([split] * len(table), pa.string())
        tables.append(pa.table({**columns, "true": true, "split": names}))
    if not tables:
        raise InputError(f"{source} has no train, valid or test file of pairs; add at least one")
    return pa.concat_tables(tables)


def _query_splits(
    judged: pa.Table, ids: pa.ChunkedArray, queries: pa.Table
) -> tuple[list[str | None], int]:
    """The split of each query, and how many queries have true pairs in several."""
    order = list(_SPLITS.values())
    rows = pc.index_in(ids, value_set=queries["id"].combine_chunks()).to_numpy()
    number = pc.index_in(judged["split"], value_set=pa.array(order)).to_numpy()
    true = judged["true"].to_numpy()
    # A true pair outweighs any pair labelled 0; among equals the stricter split comes first.
    best = np.full(len(queries), 2 * len(order))
    np.minimum.at(best, rows, np.where(true, 0, len(order)) + number)
    last = np.full(len(queries), -1)
    np.maximum.at(last, rows[true], number[true])
    names = [*order, *order, None]
    return [names[at] for at in best.tolist()], int((best < last).sum())
