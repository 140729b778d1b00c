"""Features of items and queries as bags: the inputs of a tower of features."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Int, Int64
from scipy import sparse
from torch import Tensor

from thresher.data.values import unit
from thresher.towers.bags import Bags
from thresher.data.histories import Histories

Side = Literal["item", "query"]


@dataclass(frozen=True)
class Features:
    """Some items or queries: for each feature the bag of every row.

    Args:
        side: which of the two towers they go through.
        bags: by the name of the feature, all of the same number of rows.
    """

    side: Side
    bags: Mapping[str, Bags]

    def __len__(self) -> int:
        return len(next(iter(self.bags.values())))

    def __getitem__(self, rows: slice) -> "Features":
        return Features(self.side, {name: bags[rows] for name, bags in self.bags.items()})

    def without(self, names: Collection[str]) -> "Features":
        """The same rows as if nothing were known of these features."""
        nothing = Bags.empty(len(self))
        return Features(self.side, {n: nothing if n in names else b for n, b in self.bags.items()})

    def thinned(
        self, names: Collection[str], share: float, generator: torch.Generator
    ) -> "Features":
        """The same rows, without a share of the values of these features.

        Each value is dropped by itself; those that stay are scaled so that a row keeps its length.
        """
        kept = {n: b.thinned(share, generator) if n in names else b for n, b in self.bags.items()}
        return Features(self.side, kept)


@dataclass(frozen=True)
class FeatureTable:
    """Items, or what of queries stands in a table, prepared once.

    Args:
        side: which of the two towers they go through.
        bags: by feature.
    """

    side: Side
    bags: Mapping[str, Bags]

    @classmethod
    def of(cls, side: Side, bags: Mapping[str, sparse.csr_matrix]) -> "FeatureTable":
        """From the bags of a schema."""
        return cls(side, {name: Bags.from_csr(bag) for name, bag in bags.items()})

    def __len__(self) -> int:
        return len(next(iter(self.bags.values())))

    def __getitem__(self, rows: slice) -> Features:
        return Features(self.side, {name: bags[rows] for name, bags in self.bags.items()})

    def take(self, rows: Int[Tensor, " n"]) -> Features:
        """The rows of these numbers, in this order."""
        return Features(self.side, {name: bags.take(rows) for name, bags in self.bags.items()})


@dataclass(frozen=True)
class QueryTable:
    """Queries: what stands of each in a table, and what the items of its history have.

    Equation:  the bag of `history.NAME` of a query is the sum of the bags of NAME of the items in
    its history, scaled to the length 1.

    Args:
        own: bags of the table of queries, by feature, with a last row of nothing.
        rows: the row of each query in it, -1 for none; None without a table.
        histories: the items that each had; None without.
        items: the bags of the catalogue, by the name of the item's feature, for the histories.

    Memory: the table and 16 bytes a query; the sums are made for the rows that are taken.
    """

    own: Mapping[str, Bags]
    rows: Int64[Tensor, " n"] | None
    histories: Histories | None
    items: Mapping[str, sparse.csr_matrix]

    def __len__(self) -> int:
        if self.histories is not None:
            return len(self.histories)
        return 0 if self.rows is None else len(self.rows)

    def __getitem__(self, rows: slice) -> Features:
        return self.take(torch.arange(len(self))[rows])

    def take(self, rows: Int[Tensor, " n"]) -> Features:
        """The queries of these numbers, in this order."""
        bags: dict[str, Bags] = {}
        if self.rows is not None:
            at = self.rows[rows]
            for name, own in self.own.items():
                bags[name] = own.take(at.where(at >= 0, len(own) - 1))
        if self.histories is not None:
            histories = self.histories.take(rows)
            for name, items in self.items.items():
                bags[f"history.{name}"] = Bags.from_csr(unit(_events(histories, items) @ items))
        return Features("query", bags)


def _events(histories: Histories, items: sparse.csr_matrix) -> sparse.csr_matrix:
    """How often each item stands in each history: [histories, items]."""
    lengths = histories.lengths()
    ends = torch.cumsum(lengths, 0)
    places = torch.arange(int(ends[-1]) if len(ends) else 0)
    places += torch.repeat_interleave(histories.first - (ends - lengths), lengths)
    events = histories.items[places].numpy()
    bounds = np.concatenate([[0], ends.numpy()])
    ones = np.ones(len(events), np.float32)
    return sparse.csr_matrix((ones, events, bounds), (len(histories), items.shape[0]))
