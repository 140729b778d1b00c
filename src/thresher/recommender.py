"""Encode histories, search the catalogue: what the commands and a server ask for next items."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float32

from thresher.data.relation import Relation
from thresher.data.sequences import Sequences
from thresher.data.tables import text_of
from thresher.evaluate.options import RankingOptions
from thresher.list_model import ListModel, opened
from thresher.retrieve import Hits, Index, build, search_without
from thresher.retrieve.options import IndexOptions
from thresher.towers import HISTORY
from thresher.towers.encode import vectors
from thresher.towers.histories import Histories
from thresher.towers.history import HistoryTower

BLOCK = 2048  # histories that are searched at a time


@dataclass(frozen=True)
class Recommender(ListModel):
    """A trained history tower over a catalogue.

    Args:
        tower: encodes histories and items.
        items: the catalogue, a column `id` among others.
        index: over the items' vectors.
        options: what a list may hold.
    """

    tower: HistoryTower
    items: pa.Table
    index: Index
    options: RankingOptions

    @classmethod
    def build(
        cls, tower: HistoryTower, items: pa.Table, index: IndexOptions, options: RankingOptions
    ) -> "Recommender":
        """Indexes the catalogue that the tower knows."""
        rows = vectors(tower, torch.arange(len(items)))
        return cls(tower, items, build(rows, kind=index.kind), options)

    @classmethod
    def open(cls, folder: Path) -> "Recommender":
        """Loads an artifact.

        Raises:
            InputError: for one that is damaged, or was not trained on histories.
        """
        otherwise = "which matches texts; ask `thresher match`"
        return opened(folder, HISTORY, HistoryTower.load, cls._over, otherwise=otherwise)

    @classmethod
    def _over(
        cls, tower: HistoryTower, items: pa.Table, index: Index, options: RankingOptions
    ) -> "Recommender":
        tower.describe(items)
        return cls(tower, items, index, options)

    def recommend(
        self, histories: Sequences, k: int, *, remove_history: bool | None = None
    ) -> Hits:
        """The k items that are closest to each history.

        Args:
            histories: catalogue rows of what each customer did, oldest first.
            k: items a customer; fewer where a history leaves fewer.
            remove_history: leave out what is in the history; as the model says when left out.
                Asked to keep it, `again` of the model holds.

        Memory: a search of 2,048 histories, and k rows and scores for each history.

        Raises:
            InputError: when k is not between 1 and the number of items.
        """
        self.checked(k)
        remove = self.options.remove_history if remove_history is None else remove_history
        blocks = np.array_split(np.arange(len(histories)), max(1, -(-len(histories) // BLOCK)))
        return Hits.joined(self._block(histories.take(rows), k, remove=remove) for rows in blocks)

    def titles(self, rows: pa.Array) -> list[str]:
        """The text of items, by their catalogue rows; empty where the tower reads none."""
        columns = self.tower.tokens.text_columns
        return text_of(self.items.take(rows), columns) if columns else [""] * len(rows)

    def _block(self, histories: Sequences, k: int, *, remove: bool) -> Hits:
        queries = vectors(self.tower, Histories.of(histories, self.tower.longest))
        queries = queries.reshape(-1, self.tower.dim)  # the interests of a customer, one by one
        lists = self.tower.interests

        def search(depth: int) -> Hits:
            return self.index.search(queries, depth).merged(lists)

        had = histories.relation(len(self.items))
        if remove:
            return search_without(search, k, had)
        return self._again(search(k), had, queries) if self.options.again else search(k)

    def _again(self, found: Hits, had: Relation, queries: Float32[np.ndarray, "QL D"]) -> Hits:
        """The hits with what is in the history, whose scores are raised."""
        user, item = had.pairs().T
        distinct, at = np.unique(item, return_inverse=True)
        items = vectors(self.tower, torch.from_numpy(distinct))[at]
        each = queries.reshape(len(had), -1, self.tower.dim)[user]
        scores = np.einsum("pld,pd->pl", each, items).max(axis=1, initial=-np.inf)
        k, place = found.rows.shape[1], np.arange(len(item)) - had.indptr[user]
        width = max(k, int(had.counts().max(initial=0)))
        rows = np.full((len(had), 2, width), -1, np.int64)
        best = np.full(rows.shape, -np.inf, np.float32)
        rows[:, 0, :k], best[:, 0, :k] = found.rows, found.scores
        rows[user, 1, place], best[user, 1, place] = item, scores + self.options.again
        return Hits(rows.reshape(-1, width), best.reshape(-1, width)).merged(2).top(k)
