"""What a contender gets: who had what, and the features of both sides as vectors."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from history_contenders.task import CELLS, best, events_of, matrix
from thresher.data.dataset import Dataset
from thresher.data.parts import Part
from thresher.data.relation import Relation
from thresher.data.sequences import Sequences
from thresher.towers.features import FeatureOptions
from thresher.towers.schema import Schema

GROUPS = {"text": ("text",), "categories": ("categories", "category")}

Vectors = sparse.csr_matrix


@dataclass(frozen=True)
class Queries:
    """Queries: users, or rows of a table.

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
        of_queries: the same of the queries of pairs, in the same dimensions, by row of their table;
            None for users, of whom only the history is known.
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


def train_of(data: Dataset) -> Queries:
    """The training queries; of users the events up to the last one that is to be predicted."""
    part = data.part("train")
    if part.queries.histories is not None:
        return Queries(None, events_of(part))
    return Queries(part.queries.rows, Sequences(part.truth.indptr, part.truth.indices))


def queries_of(part: Part, train: Queries) -> Queries:
    """The queries of a part, with what is known of them from training."""
    if part.queries.histories is not None:
        return Queries(None, part.queries.histories.sequences())
    place = np.full(max(train.rows.max(), part.queries.rows.max(initial=0)) + 1, -1)
    place[train.rows] = np.arange(len(train))
    known = place[part.queries.rows]
    empty = Sequences(
        np.append(train.histories.starts, train.histories.starts[-1]), train.histories.items
    )
    return Queries(part.queries.rows, empty.take(np.where(known < 0, len(train), known)))


def vectors_of(
    data: Dataset, options: FeatureOptions
) -> tuple[dict[str, Vectors], dict[str, Vectors] | None]:
    """Text and categories of the items, and of the queries of pairs, as vectors.

    The columns are read as a features run reads them. A query without a column that the items have
    is 0 there, and so is a number everywhere.
    """
    queries = data.part("train").queries
    of_pairs = queries.histories is None
    schema = Schema.fit(data, options, combine="concat", dim=128, bits=17, ngram_range=(2, 3))
    bags, own = schema.read("item", data.items), {}
    if of_pairs:
        found = schema.read("query", queries.table)
        own = {f.table: found[f.name] for f in schema.queries if f.name in found}
    left: dict[str, Vectors] = {}
    right: dict[str, Vectors] = {}
    for group, kinds in GROUPS.items():
        features = [f for f in schema.items if f.kind in kinds]
        weights = [rarity(bags[f.name]) if group == "categories" else 1.0 for f in features]
        right[group] = joined([bags[f.name] for f in features], weights, len(data.items))
        if of_pairs:
            count = len(queries.table)
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
