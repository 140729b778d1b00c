"""A part of a dataset: the queries of one split, and their truth."""

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from jaxtyping import Float64, Int, Int64

from thresher.data.histories import Histories
from thresher.data.queries import Queries, rows_of
from thresher.data.relation import Relation
from thresher.data.sequences import Sequences, bounds


@dataclass(frozen=True)
class Part:
    """The queries of one split, and their truth; perhaps none.

    Args:
        queries: n of them. In training on events each example is one, so that users repeat.
        truth: their true items, n x items. A query may have none: its item is not in the catalogue.
        ignored: items that are neither true nor negative, and never ranked: the query itself, items
            that are known to be true from another split, ignored pairs.
        targets: with events, the items that came next, oldest first, repeats kept.
        groups: with events, in training, a number for the user of each query.
        sample_weight: how often a query is to be drawn in training; None for all alike.
    """

    queries: Queries
    truth: Relation
    ignored: Relation
    targets: Sequences | None = None
    groups: Int64[np.ndarray, " n"] | None = None
    sample_weight: Float64[np.ndarray, " n"] | None = None

    def __len__(self) -> int:
        """Number of queries."""
        return len(self.truth)

    def first(self, count: int) -> "Part":
        """The first so many queries."""
        return self.take(np.arange(min(count, len(self))))

    def take(self, rows: Int[np.ndarray, " R"]) -> "Part":
        """The queries of these numbers, in this order."""
        return Part(
            self.queries.take(rows),
            self.truth.take(rows),
            self.ignored.take(rows),
            None if self.targets is None else self.targets.take(rows),
            None if self.groups is None else self.groups[rows],
            None if self.sample_weight is None else self.sample_weight[rows],
        )

    def over(self, own: pa.Table, catalogue: pa.Table) -> "Part":
        """The same queries over another catalogue than its own; items that it lacks are left out.

        Both have a column `id`.
        """
        rows, size = rows_of(own["id"], catalogue["id"].combine_chunks()), len(catalogue)
        queries, had = self.queries, self.queries.histories
        if had is not None:
            known = Histories.of(_renumbered(had.sequences(), rows))
            queries = replace(queries, histories=known)
        truth, ignored = (_related(own, rows, size) for own in (self.truth, self.ignored))
        targets = None if self.targets is None else _renumbered(self.targets, rows)
        return replace(self, queries=queries, truth=truth, ignored=ignored, targets=targets)


def _related(relation: Relation, rows: Int64[np.ndarray, " N"], size: int) -> Relation:
    """The pairs whose item has a row in a catalogue of this size; -1 where it has none."""
    pairs = relation.pairs()
    items = rows[pairs[:, 1]]
    kept = items >= 0
    return Relation.from_pairs(pairs[kept, 0], items[kept], shape=(len(relation), size))


def _renumbered(sequences: Sequences, rows: Int64[np.ndarray, " N"]) -> Sequences:
    """The items that have a row, by that; -1 where they have none."""
    items = rows[sequences.items]
    of = np.repeat(np.arange(len(sequences)), sequences.counts())
    kept = items >= 0
    return Sequences(bounds(np.bincount(of[kept], minlength=len(sequences))), items[kept])
