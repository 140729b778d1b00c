"""What a contender gets: who had what, and the features of both sides as vectors."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from history_contenders.task import CELLS, best, matrix
from thresher.data.feature_data import Asking, FeatureData
from thresher.data.features import Counted, Schema
from thresher.data.relation import Relation
from thresher.data.schema import FeatureOptions
from thresher.data.sequences import Sequences, bounds, ranges

GROUPS = {"text": ("words", "text"), "categories": ("categories", "category")}

Vectors = sparse.csr_matrix


@dataclass(frozen=True)
class Queries:
    """Who asks.

    Args:
        rows: the row of each in the training matrix; None for users, who are all new.
        histories: the items that each had in training, or before.
    """

    rows: np.ndarray | None
    histories: Sequences

    def __len__(self) -> int:
        """Number of queries."""
        return len(self.histories)

    def take(self, rows: np.ndarray) -> "Queries":
        """Some of them."""
        own = None if self.rows is None else self.rows[rows]
        return Queries(own, self.histories.take(rows))


# Queries to a score for each item of the catalogue, higher is better; -inf is never listed.
Score = Callable[[Queries], np.ndarray]


@dataclass(frozen=True)
class Task:
    """What every contender gets.

    Args:
        train: the training queries, with all that a features run sees of them.
        items: size of the catalogue.
        counts: training pairs of each item.
        of_items: "text" and "categories" of the items as vectors of length 1 or 0.
        of_queries: the same of the queries of pairs, in the same dimensions, by row; None for
            users, of whom only the history is known.
        threads: to use.
        minutes: longest training, of processor time; who learns in rounds ends there.
        seed: of every random choice.
        judge: recall on (some of) the validation queries, to end in time.
    """

    train: Queries
    items: int
    counts: np.ndarray
    of_items: Mapping[str, Vectors]
    of_queries: Mapping[str, Vectors] | None
    threads: int
    minutes: float
    seed: int
    judge: Callable[[Score], float]

    def described(self, queries: Queries, group: str) -> Vectors:
        """Their text or categories: their own, or the mean of their history's, at length 1."""
        if self.of_queries is not None:
            return self.of_queries[group][queries.rows]
        return unit(matrix(queries.histories, self.items) @ self.of_items[group])

    def shares(self) -> np.ndarray:
        """Training pairs of each item, as a share of those of the most frequent one."""
        return (self.counts / self.counts.max()).astype(np.float32)


def popular(task: Task) -> Score:
    """The same list for everybody: what was taken most, of equals the first in the table."""
    order = task.counts - np.arange(task.items) / task.items
    return lambda queries: np.tile(order, (len(queries), 1))


def train_of(data: FeatureData) -> Queries:
    """The training queries; of users the events up to the last one that is to be foretold."""
    if data.examples is None:
        had = Sequences(data.relation.indptr, data.relation.indices)
        return Queries(np.arange(len(had)), had)
    sequences, users = data.examples.sequences, data.examples.users
    last = np.full(len(sequences), -1)
    np.maximum.at(last, users, data.examples.targets)
    kept = np.flatnonzero(last >= 0)
    starts = sequences.starts[kept]
    counts = last[kept] + 1 - starts
    return Queries(None, Sequences(bounds(counts), sequences.items[ranges(starts, counts)]))


def asked_of(asking: Asking, train: Queries) -> Queries:
    """Who is asked, with what is known of them."""
    if asking.histories is not None:
        return Queries(None, asking.histories)
    return Queries(asking.rows, train.histories.take(asking.rows))


def vectors_of(
    data: FeatureData, options: FeatureOptions
) -> tuple[dict[str, Vectors], dict[str, Vectors] | None]:
    """Text and categories of the items, and of the queries of pairs, as vectors.

    The columns are read as a features run reads them. A query without a column that the items have
    is 0 there, and so is a number everywhere.
    """
    of_pairs = data.examples is None
    items = Counted(data.items, data.seen(), data.items_path)
    queries = None
    if of_pairs:
        queries = Counted(data.queries, data.asked_in_training(), data.queries_path)
    schema = Schema.fitted(items, queries, options, histories=not of_pairs)
    bags, own = schema.of_items(data.items), {}
    if of_pairs:
        found = schema.of_queries(data.queries)
        own = {f.table: found[f.name] for f in schema.queries if f.name in found}
    left: dict[str, Vectors] = {}
    right: dict[str, Vectors] = {}
    for group, kinds in GROUPS.items():
        features = [f for f in schema.items if f.kind in kinds]
        weights = [rarity(bags[f.name]) if group == "categories" else 1.0 for f in features]
        right[group] = joined([bags[f.name] for f in features], weights, len(data.items))
        if of_pairs:
            count = len(data.queries)
            nothing = [sparse.csr_matrix((count, bags[f.name].shape[1])) for f in features]
            parts = [own.get(f.table, zero) for f, zero in zip(features, nothing, strict=True)]
            left[group] = joined(parts, weights, count)
    return right, left if of_pairs else None


def joined(parts: list[Vectors], weights: list[np.ndarray | float], rows: int) -> Vectors:
    """Features side by side, their values weighted, each row at length 1."""
    blank = sparse.csr_matrix((rows, 1), dtype=np.float32)
    weighed = [p.multiply(w).tocsr() for p, w in zip(parts, weights, strict=True)]
    return unit(sparse.hstack([blank, *weighed], format="csr", dtype=np.float32))


def rarity(bag: Vectors) -> np.ndarray:
    """ln(items / items that have it) of each value."""
    having = np.bincount(bag.indices, minlength=bag.shape[1])
    return np.log(bag.shape[0] / np.maximum(having, 1))


def unit(rows: Vectors) -> Vectors:
    """Each row at length 1; one of zeros stays."""
    lengths = np.sqrt(np.asarray(rows.multiply(rows).sum(axis=1)))[:, 0]
    scale = np.divide(1, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    return (sparse.diags(scale) @ rows).tocsr().astype(np.float32)


def listed(score: Score, queries: Queries, known: Relation, k: int) -> np.ndarray:
    """Rows of the k best items that a query does not know yet, best first; -1 where none are."""
    rows = np.full((len(queries), k), -1, np.int64)
    step = max(1, CELLS // known.columns)
    for start in range(0, len(queries), step):
        block = np.arange(start, min(start + step, len(queries)))
        scores = score(queries.take(block))
        scores[tuple(known.take(block).pairs().T)] = -np.inf
        rows[block] = best(scores, k)
    return rows
