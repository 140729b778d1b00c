"""Items and queries as bags by feature: what the tower of features reads."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Int, Int64
from scipy import sparse
from torch import Tensor

from thresher.data.histories import Histories
from thresher.towers.bags import Bags
from thresher.towers.encoders.base import Bag, unit
from thresher.towers.features import Side


@dataclass(frozen=True)
class Features:
    """Some items or queries: for each feature the bag of every row, and perhaps histories.

    Args:
        side: of the rows.
        bags: by the name of the feature, all of the same number of rows.
        histories: item rows of what each query did; None where they are not read one by one.
    """

    side: Side
    bags: Mapping[str, Bags]
    histories: Histories | None = None

    @classmethod
    def of(cls, side: Side, bags: Mapping[str, Bag]) -> "Features":
        """From the bags of a schema."""
        return cls(side, {name: Bags.from_csr(bag) for name, bag in bags.items()})

    def __len__(self) -> int:
        rows = next(iter(self.bags.values())) if self.histories is None else self.histories
        return len(rows)

    def __getitem__(self, rows: slice) -> "Features":
        histories = None if self.histories is None else self.histories[rows]
        return Features(self.side, {n: bags[rows] for n, bags in self.bags.items()}, histories)

    def take(self, rows: Int[Tensor, " n"]) -> "Features":
        """The rows of these numbers, in this order."""
        histories = None if self.histories is None else self.histories.take(rows)
        return Features(self.side, {n: bags.take(rows) for n, bags in self.bags.items()}, histories)

    def without(self, names: Collection[str]) -> "Features":
        """The same rows as if nothing were known of these features."""
        nothing = Bags.empty(len(self))
        return replace(self, bags={n: nothing if n in names else b for n, b in self.bags.items()})

    def thinned(
        self, names: Collection[str], share: float, generator: torch.Generator
    ) -> "Features":
        """The same rows, without a share of the values of these features.

        Each value is dropped by itself; those that stay are scaled so that a row keeps its length.
        """
        kept = {n: b.thinned(share, generator) if n in names else b for n, b in self.bags.items()}
        return replace(self, bags=kept)


@dataclass(frozen=True)
class QueryTable:
    """Queries: what stands of each in a table, and the items of its history.

    Equation, where histories are averaged: the bag of `history.NAME` of a query is the sum of the
    bags of NAME of the items in its history, scaled to the length 1.

    Args:
        own: the bags of the table of queries.
        rows: the row of each query in it, -1 for none; None without a table.
        histories: the items that each had; None without.
        averaged: the bags of the catalogue, by the name of the item's feature, where they are
            averaged over a history; None where its items are read one by one.
        max_history: items of a history that are read, the last ones.
        run: queries of one user that training keeps together, as the tower reads their histories in
            one pass; 1 where it reads each by itself.

    Memory: the table and 24 bytes a query; bags are made for the rows that are taken.
    """

    own: Mapping[str, Bags]
    rows: Int64[Tensor, " n"] | None
    histories: Histories | None
    averaged: Mapping[str, Bag] | None
    max_history: int
    run: int = 1

    def __len__(self) -> int:
        if self.histories is not None:
            return len(self.histories)
        return 0 if self.rows is None else len(self.rows)

    def __getitem__(self, rows: slice) -> Features:
        return self.take(torch.arange(len(self))[rows])

    def within(self, rows: Int[Tensor, " n"], windows: Int[Tensor, " n"]) -> Features:
        """The queries of these numbers, each with what it shares of the window of another.

        Query `rows[i]` reads of its history the events that are among the last `max_history` of
        query `windows[i]`, which is of the same user and has the same events and perhaps more.
        """
        taken = self.take(rows)
        if taken.histories is None or self.histories is None:
            return taken
        histories = taken.histories.within(self.histories.take(windows), self.max_history)
        return replace(taken, histories=histories)

    def take(self, rows: Int[Tensor, " n"]) -> Features:
        """The queries of these numbers, in this order."""
        bags: dict[str, Bags] = {}
        if self.rows is not None:
            at = self.rows[rows]
            # The last row of each table is one of nothing.
            bags = {
                n: own.padded().take(at.where(at >= 0, len(own))) for n, own in self.own.items()
            }
        histories = None if self.histories is None else self.histories.take(rows)
        if histories is None or self.averaged is None:
            return Features("query", bags, histories)
        for name, items in self.averaged.items():
            events = _events(histories, items.shape[0], self.max_history)
            bags[f"history.{name}"] = Bags.from_csr(unit(events @ items))
        return Features("query", bags)


def _events(histories: Histories, items: int, longest: int) -> sparse.csr_matrix:
    """How often each item stands in the last events of each history: [histories, items]."""
    table = histories.table(longest, padding=-1).numpy()
    row, column = np.nonzero(table >= 0)
    ones = np.ones(len(row), np.float32)
    return sparse.csr_matrix((ones, (row, table[row, column])), (len(histories), items))
