"""Small datasets, made of columns, pairs and histories."""

import numpy as np
import pyarrow as pa

from thresher.data.dataset import Dataset
from thresher.data.histories import Histories
from thresher.data.parts import Part
from thresher.data.queries import Queries
from thresher.data.relation import Relation
from thresher.data.sequences import Sequences

SPLITS = ("train", "validation", "calibration", "test")


def numbered(columns, letter):
    """A table with ids of its own where the columns have none."""
    table = columns if isinstance(columns, pa.Table) else pa.table(columns)
    if "id" in table.column_names:
        return table
    return table.add_column(0, "id", pa.array([f"{letter}{i}" for i in range(len(table))]))


def histories(*rows):
    """What each of some users did."""
    starts = np.cumsum([0, *map(len, rows)])
    items = np.array([item for row in rows for item in row], np.int64)
    return Histories.of(Sequences(starts, items))


def queries_of(columns=None, history=None):
    """Queries of a table, of histories, or of both."""
    if columns is None:
        ids = pa.array([f"u{i}" for i in range(len(history))])
        return Queries(ids, None, None, histories(*history))
    made = Queries.of_table(numbered(columns, "q"))
    if history is None:
        return made
    return Queries(made.ids, made.table, made.rows, histories(*history))


def dataset(items, queries=None, pairs=(), *, history=None, text=False, path="t.parquet"):
    """A dataset that is all training.

    Args:
        items: columns of the catalogue.
        queries: columns of the queries; None for histories alone.
        pairs: (query, item) that are true.
        history: the items that each query had.
        text: whether both sides have the text `title`.
        path: of both files.
    """
    table, own = numbered(items, "i"), queries_of(queries, history)
    rows = np.array(list(pairs), np.int64).reshape(-1, 2)
    truth = Relation.from_pairs(rows[:, 0], rows[:, 1], shape=(len(own), len(table)))
    none = np.zeros(0, np.int64)
    train = Part(own, truth, Relation.none(truth.shape))
    columns = ("title",) if text else ()
    parts = {name: train if name == "train" else train.take(none) for name in SPLITS}
    of_queries = columns if queries is not None else ()
    return Dataset(table, parts, columns, of_queries, (), path, path)
