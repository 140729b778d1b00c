"""Imports a BEIR folder: corpus.jsonl, queries.jsonl and qrels/{train,dev,test}.tsv."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from thresher.data.findings import counted
from thresher.data.join import Tables
from thresher.data.read_diagnostics import whole
from thresher.data.readers.summary import Summary, write_dataset
from thresher.data.tables import read_table, require_columns, text_of
from thresher.errors import InputError

# The strictest split first: a query that stands in several belongs to the first of them.
_SPLITS = {"test": "test", "dev": "validation", "train": "train"}


def convert(
    source: str | Path,
    out: str | Path,
    *,
    calibration: float = 0.2,
    validation: float = 0.0,
    seed: int = 0,
) -> Summary:
    """Turn a BEIR folder into items.parquet, queries.parquet and pairs.parquet.

    The corpus becomes the catalogue, a judgment above 0 a true pair; title, text and other columns
    are kept. train stays train, dev becomes validation, test stays test. A query judged in several
    splits goes to the first of test, validation and train. A query that nobody judged is left out;
    one whose judgments are all 0, or whose documents the corpus lacks, stays, without a true item.

    BEIR has no calibration split, and a threshold needs one: a seeded share of the train queries
    (of dev where there is no train, of test where there is neither) becomes it.

    Args:
        source: the folder; each file may be packed (.gz).
        out: folder for the three files.
        calibration: fraction of those queries to use for calibration; 0 for none.
        validation: fraction of the train queries to add to validation; 0 for none.
        seed: of the choice.

    Raises:
        InputError: a file is missing or damaged, a score is no whole number, nothing is judged.
    """
    source, out = Path(source), Path(out)
    items = _documents(source, "corpus")
    queries = _documents(source, "queries")
    judged = _judgments(source)
    split, torn = _query_splits(judged)
    known = np.array([name in split for name in queries["id"].to_pylist()], dtype=bool)
    unjudged = int((~known).sum())
    queries = queries.filter(pa.array(known))
    if not len(queries):
        raise InputError(f"{source}/qrels judges no query of {source}/queries.jsonl; check its ids")
    pairs, lost = _true_pairs(judged, items, queries)
    notes = []
    if torn:
        were = counted(torn, "query is", "queries are")
        notes.append(f"{were} judged in several splits: the first of test, dev and train was taken")
    if unjudged:
        notes.append(f"{counted(unjudged, 'query is', 'queries are')} judged nowhere and left out")
    if lost:
        name = counted(lost, "true pair names", "true pairs name")
        notes.append(f"{name} an unknown query or document and were left out")
    return write_dataset(
        out,
        Tables(items, queries, pairs),
        [split[name] for name in queries["id"].to_pylist()],
        calibration=calibration,
        validation=validation,
        seed=seed,
        notes=notes,
    )


def _find(folder: Path, name: str) -> Path | None:
    return next((p for p in (folder / name, folder / f"{name}.gz") if p.is_file()), None)


def _documents(source: Path, name: str) -> pa.Table:
    path = _find(source, f"{name}.jsonl")
    if path is None:
        raise InputError(
            f"{source} has no {name}.jsonl (or .jsonl.gz); a BEIR folder has corpus.jsonl, "
            "queries.jsonl and qrels/"
        )
    table = read_table(path)
    require_columns(table, ["_id", "text"], path)
    columns = {"id": table["_id"]}
    for column in table.column_names:
        values = table[column]
        # An empty metadata object has no parquet form, and a column of empty titles no use.
        if column in ("_id", "id", "split") or "struct" in str(values.type):
            continue
        if any(text_of(table.select([column]), [column])):
            columns[column] = values
    return pa.table(columns)


def _judgments(source: Path) -> dict[str, pa.Table]:
    """The judgments of each split that there is, the strictest first."""
    judged = {}
    for name in _SPLITS:
        path = _find(source / "qrels", f"{name}.tsv")
        if path is None:
            continue
        table = read_table(path)
        require_columns(table, ["query-id", "corpus-id", "score"], path)
        grades = []
        for line, score in enumerate(table["score"].to_pylist(), 2):
            grade = whole(score)
            if grade is None:
                raise InputError(
                    f"{path}, line {line}: the score is {score!r}; it must be a whole number, "
                    "above 0 for a true pair"
                )
            grades.append(grade)
        columns = {"query_id": table["query-id"], "item_id": table["corpus-id"]}
        judged[name] = pa.table({**columns, "grade": pa.array(grades, pa.int64())})
    if not judged:
        raise InputError(
            f"{source}/qrels has none of train.tsv, dev.tsv and test.tsv; at least one is needed"
        )
    return judged


def _query_splits(judged: Mapping[str, pa.Table]) -> tuple[dict[str, str], int]:
    """The split of each judged query, and how many stood in several."""
    split: dict[str, str] = {}
    torn = set()
    for name, table in judged.items():
        for query in table["query_id"].unique().to_pylist():
            if split.setdefault(query, _SPLITS[name]) != _SPLITS[name]:
                torn.add(query)
    return split, len(torn)


def _true_pairs(
    judged: Mapping[str, pa.Table], items: pa.Table, queries: pa.Table
) -> tuple[pa.Table, int]:
    """The true pairs of all splits, each once, and how many name something unknown."""
    table = pa.concat_tables(judged.values())
    table = table.filter(pc.greater(table["grade"], 0)).select(["query_id", "item_id"])
    table = table.group_by(["query_id", "item_id"], use_threads=False).aggregate([])
    known = pc.and_(
        pc.is_in(table["query_id"], value_set=queries["id"].combine_chunks()),
        pc.is_in(table["item_id"], value_set=items["id"].combine_chunks()),
    )
    kept = table.filter(known)
    return kept, len(table) - len(kept)
