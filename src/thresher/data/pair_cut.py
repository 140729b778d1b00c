"""True pairs from a file: in rows of the two tables, each once, and each in a split."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int64

from thresher.data.findings import counted, examples_of
from thresher.data.relation import Relation
from thresher.data.split import SPLITS
from thresher.data.tables import require_columns
from thresher.errors import InputError

_CUT = 2  # the second of the numbers that seed the cut


class Cut(NamedTuple):
    """Distinct pairs: query row, item row, and the number of each one's split, as in `SPLITS`."""

    queries: Int64[np.ndarray, " P"]
    items: Int64[np.ndarray, " P"]
    split: Int64[np.ndarray, " P"]

    def of(self, splits: tuple[int, ...], shape: tuple[int, int]) -> Relation:
        """The pairs of some splits."""
        kept = np.isin(self.split, splits)
        return Relation.from_pairs(self.queries[kept], self.items[kept], shape=shape)


def cut_pairs(
    table: pa.Table,
    path: str | Path,
    queries: pa.Table,
    items: pa.Table,
    *,
    same: bool,
    shares: Mapping[str, float],
    seed: int,
) -> tuple[Cut, tuple[str, ...]]:
    """Cut true pairs, each by itself; a sentence for each thing that is left out or missing comes along.

    Args:
        table: columns `query_id` and `item_id`, and perhaps `split`.
        path: of its file, for messages.
        queries: the table of the queries, with a column `id`.
        items: the same of the items.
        same: whether queries are the items themselves; a pair of one with itself is left out.
        shares: fraction of each split, where the file gives none.
        seed: of the cut.

    Raises:
        InputError: the table lacks a column, names an unknown id or split, has no
            training pair, or is too short to give each split with a share a pair.
    """
    require_columns(table, ["query_id", "item_id"], path)
    query, item = (
        _known(table[name].combine_chunks(), of["id"].combine_chunks(), name, path)
        for name, of in (("query_id", queries), ("item_id", items))
    )
    keys, first = np.unique(query * len(items) + item, return_index=True)
    findings = []
    if len(keys) < len(table):
        findings.append(f"{counted(len(table) - len(keys), 'pair', 'pairs')} listed twice")
    query, item = np.divmod(keys, len(items))
    if same:
        own = query == item
        if own.any():
            findings.append(f"{counted(int(own.sum()), 'pair', 'pairs')} of an item with itself")
        query, item, first = query[~own], item[~own], first[~own]
    findings = [f"{finding} left out" for finding in findings]
    given = "split" in table.column_names
    if given:
        split = _given(table["split"].take(pa.array(first)), path)
    else:
        split = _drawn(len(query), shares, seed)
    for number, name in enumerate(SPLITS):
        if (split == number).any():
            continue
        if name == "train" or (not given and shares.get(name, 0) > 0):
            raise InputError(
                f"{path} leaves no pair in the split {name!r}; give more pairs, other shares, or "
                "another column `split`"
            )
        if given and name != "calibration":  # a file may leave out what nobody measures
            findings.append(f"no pair has the split {name!r}: nothing is evaluated on it")
    return Cut(query, item, split), tuple(findings)


def places(ids: pa.StringArray, of: pa.StringArray) -> Int64[np.ndarray, " n"]:
    """The row of each id; -1 for one that is not there."""
    return pc.fill_null(pc.index_in(ids, value_set=of), -1).to_numpy().astype(np.int64)


def _known(
    ids: pa.StringArray, of: pa.StringArray, name: str, path: str | Path
) -> Int64[np.ndarray, " P"]:
    rows = places(ids, of)
    unknown = pc.unique(ids.filter(pa.array(rows < 0))).to_pylist()
    if unknown:
        raise InputError(
            f"{path}: {counted(len(unknown), 'value', 'values')} of {name} (such as "
            f"{', '.join(map(repr, examples_of(unknown)))}) "
            f"{'is' if len(unknown) == 1 else 'are'} no id of the "
            f"{'queries' if name == 'query_id' else 'items'}; add the rows, or remove the pairs"
        )
    return rows


def _given(column: pa.ChunkedArray, path: str | Path) -> Int64[np.ndarray, " P"]:
    numbers = pc.index_in(column.cast(pa.string()), value_set=pa.array(SPLITS))
    unknown = column.filter(pc.is_null(numbers))
    if len(unknown):
        raise InputError(
            f"{path}: a pair has the split {unknown[0].as_py()!r}; the splits are "
            f"{', '.join(SPLITS)}, or leave the column out"
        )
    return numbers.to_numpy().astype(np.int64)


def _drawn(count: int, shares: Mapping[str, float], seed: int) -> Int64[np.ndarray, " P"]:
    """The split of each pair, drawn by itself."""
    order = np.random.default_rng((seed, _CUT)).permutation(count)
    ends = np.cumsum([shares.get(name, 0.0) for name in SPLITS]) * count
    return np.searchsorted(np.round(ends[:-1]), order, side="right").astype(np.int64)
