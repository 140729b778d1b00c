"""Encode queries of any features, search the catalogue: what the commands ask for."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Int64
from scipy import sparse

from thresher.data.feature_data import Asking, histories_of
from thresher.data.features import Bag, Schema
from thresher.data.sequences import Sequences
from thresher.evaluate.options import RankingOptions
from thresher.list_model import ListModel, opened
from thresher.retrieve import Hits, Index, build, search_without
from thresher.retrieve.options import IndexOptions
from thresher.towers import FEATURES
from thresher.towers.bags import Bags
from thresher.towers.encode import vectors
from thresher.towers.feature_inputs import FeatureTable, QueryTable
from thresher.towers.features import FeatureTower
from thresher.towers.histories import Histories

BLOCK = 2048  # queries that are searched at a time


@dataclass(frozen=True)
class FeatureRecommender(ListModel):
    """A trained tower of features over a catalogue.

    Args:
        tower: encodes queries and items; it knows their schema.
        items: the catalogue, a column `id` among others.
        bags: its features.
        index: over its vectors.
        options: what a list may hold.
    """

    tower: FeatureTower
    items: pa.Table
    bags: Mapping[str, Bag]
    index: Index
    options: RankingOptions

    @classmethod
    def build(
        cls,
        tower: FeatureTower,
        items: pa.Table,
        bags: Mapping[str, Bag],
        index: IndexOptions,
        options: RankingOptions,
    ) -> "FeatureRecommender":
        """Encodes and indexes a catalogue."""
        rows = vectors(tower, FeatureTable.of("item", bags))
        return cls(tower, items, bags, build(rows, kind=index.kind), options)

    @classmethod
    def open(cls, folder: Path) -> "FeatureRecommender":
        """Loads an artifact.

        Raises:
            InputError: for one that is damaged, or was not trained on features.
        """
        otherwise = "and this is for features runs"
        return opened(folder, FEATURES, FeatureTower.load, cls._over, otherwise=otherwise)

    @classmethod
    def _over(
        cls, tower: FeatureTower, items: pa.Table, index: Index, options: RankingOptions
    ) -> "FeatureRecommender":
        return cls(tower, items, tower.known().of_items(items), index, options)

    @property
    def schema(self) -> Schema:
        """The features of both sides."""
        return self.tower.known()

    @cached_property
    def queries(self) -> "Queries":
        """Makes inputs of queries over this catalogue."""
        return Queries(self.schema, self.items, self.bags)

    def recommend(
        self, asking: Asking, table: QueryTable, k: int, *, remove_history: bool | None = None
    ) -> Hits:
        """The k items that are closest to each query.

        Args:
            asking: the queries; what they know already is not listed.
            table: their features, as `queries` makes them.
            k: items a query; fewer where little is left.
            remove_history: leave out what is in the history; as the model says when left out.

        Memory: a search of 2,048 queries, and k rows and scores for each query.

        Raises:
            InputError: when k is not between 1 and the number of items.
        """
        self.checked(k)
        remove = self.options.remove_history if remove_history is None else remove_history
        had = asking.histories if remove else None
        blocks = np.array_split(np.arange(len(asking)), max(1, -(-len(asking) // BLOCK)))
        return Hits.joined(self._block(asking, table, rows, had, k) for rows in blocks)

    def _block(
        self,
        asking: Asking,
        table: QueryTable,
        rows: Int64[np.ndarray, " n"],
        had: Sequences | None,
        k: int,
    ) -> Hits:
        encoded = vectors(self.tower, table.take(torch.from_numpy(rows)))
        removed = asking.known.take(rows)
        if had is not None:
            removed = removed.union(had.take(rows).relation(len(self.items)))
        return search_without(lambda depth: self.index.search(encoded, depth), k, removed)


@dataclass(frozen=True)
class Queries:
    """Makes the inputs of queries: their own columns, and what the items of their histories have.

    Args:
        schema: the features.
        items: the catalogue that histories speak of.
        bags: its features.
    """

    schema: Schema
    items: pa.Table
    bags: Mapping[str, Bag]

    def of(
        self,
        table: pa.Table | None,
        rows: Int64[np.ndarray, " n"] | None,
        histories: Histories | None,
    ) -> QueryTable:
        """Inputs of queries.

        Args:
            table: their columns; None where they have none.
            rows: the row of each in it, -1 for none.
            histories: what each had; those of the column of histories when left out.

        Raises:
            InputError: a column is missing or holds what it may not.
        """
        own: dict[str, Bags] = {}
        if table is not None and rows is not None:
            bags = self.schema.of_queries(table)
            own = {name: Bags.from_csr(_with_nothing(bag)) for name, bag in bags.items()}
            if histories is None and self.schema.history is not None:
                histories = self.in_column(table, rows)
        read = {f.name for f in self.schema.queries}
        kept = {name: bag for name, bag in self.bags.items() if f"history.{name}" in read}
        at = None if table is None or rows is None else torch.from_numpy(rows)
        return QueryTable(own, at, histories, kept)

    def of_asking(self, table: pa.Table | None, asking: Asking) -> QueryTable:
        """Inputs of queries that are asked."""
        histories = asking.histories
        windows = None if histories is None else Histories.of(histories, self.schema.longest)
        return self.of(table, asking.rows, windows)

    def in_column(self, table: pa.Table, rows: Int64[np.ndarray, " n"]) -> Histories:
        """The histories that stand in a column of a table."""
        sequences, _ = histories_of(table, str(self.schema.history), self.items)
        return Histories.of(sequences.take(rows), self.schema.longest)


def _with_nothing(bag: Bag) -> Bag:
    """A last row without a value, for a query that the table lacks."""
    return sparse.vstack([bag, sparse.csr_matrix((1, bag.shape[1]), dtype=bag.dtype)], format="csr")
