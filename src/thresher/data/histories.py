"""Histories of users as windows over one long list of events: what a tower of histories reads."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from thresher.data.sequences import Sequences, bounds, ranges
from thresher.data.values import entries

if TYPE_CHECKING:  # torch takes seconds to import, and an audit needs none
    from torch import Tensor


@dataclass(frozen=True)
class Histories:
    """Rows of events, oldest first: row i reads `items[first[i]:last[i]]`.

    Windows may overlap, and rows that are taken share the list of events: a batch of histories
    costs two numbers a row.

    Args:
        items: int64 [E], catalogue rows of the events of all users, one user after the other.
        first: int64 [n], where each row's events begin.
        last: int64 [n], where they end; equal to `first` for a user without events.

    Memory: 16 bytes a row, beside the events.

    Example:
        >>> h = Histories.of(Sequences(np.array([0, 2, 3]), np.array([7, 4, 9])))
        >>> h[1:].lengths()
        tensor([1])
    """

    items: "Tensor"
    first: "Tensor"
    last: "Tensor"

    @classmethod
    def of(cls, sequences: Sequences) -> "Histories":
        """The events of each user."""
        return cls.windows(sequences.items, sequences.starts[:-1], sequences.starts[1:])

    @classmethod
    def windows(cls, items: np.ndarray, first: np.ndarray, last: np.ndarray) -> "Histories":
        """From NumPy arrays, see the class."""
        import torch

        return cls(*(torch.from_numpy(part.astype(np.int64)) for part in (items, first, last)))

    def __len__(self) -> int:
        return len(self.first)

    def __getitem__(self, rows: "slice | Tensor") -> "Histories":
        return Histories(self.items, self.first[rows], self.last[rows])

    def take(self, rows: "Tensor | np.ndarray") -> "Histories":
        """The rows of these numbers, in this order; a row may be taken more than once."""
        import torch

        return self[torch.as_tensor(rows)]

    def lengths(self) -> "Tensor":
        """How many events each row has: int64 [n]."""
        return self.last - self.first

    def table(self, max_length: int, *, padding: int) -> "Tensor":
        """The events of each row side by side, oldest first, filled up at the end: int64 [n, L].

        L is the length of the longest row, from 1 to `max_length`: the last events are kept.
        `padding` stands where a row has no more.
        """
        import torch

        lengths = self.lengths().clamp(max=max_length)
        column = torch.arange(max(1, int(lengths.max()) if len(self) else 1))
        there = column < lengths[:, None]
        places = (self.last - lengths)[:, None] + column
        rows = torch.full(there.shape, padding, dtype=torch.int64)
        rows[there] = self.items[places[there]]
        return rows

    def within(self, windows: "Histories", max_length: int) -> "Histories":
        """The same rows, each beginning where the last `max_length` events of a window do.

        Row i of `windows` is of the same user as row i of these, and ends with it or less than
        `max_length` events later.
        """
        return Histories(self.items, self.first.maximum(windows.last - max_length), self.last)

    def passes(self, max_length: int) -> tuple["Histories", "Tensor", "Tensor"]:
        """Rows that begin together as one: the longest of each; which of them, and how far, a row.

        Row i has the first `length[i]` events of row `of[i]` of the first. As in `table` the last
        `max_length` events of each row count.
        """
        import torch

        first = self.first.maximum(self.last - max_length)
        begin, of = first.unique(return_inverse=True)
        end = torch.zeros_like(begin).scatter_reduce(0, of, self.last, "amax")
        return Histories(self.items, begin, end), of, self.last - first

    def sequences(self) -> Sequences:
        """The same as lists of their own."""
        counts = self.lengths().numpy()
        return Sequences(bounds(counts), self.items.numpy()[ranges(self.first.numpy(), counts)])


def histories_of(table: pa.Table, column: str, items: pa.Table) -> tuple[Histories, int]:
    """The items of a column of ids, as rows of the catalogue, and how many ids it lacks.

    A value is a list of ids, or a text of ids with "|" between them; InputError for any other.
    """
    rows, ids = entries(table[column], "history", column)
    places = pc.index_in(ids, value_set=items["id"].combine_chunks())
    found = pc.fill_null(places, -1).to_numpy().astype(np.int64)
    there = found >= 0
    counts = np.bincount(rows[there], minlength=len(table))
    return Histories.of(Sequences(bounds(counts), found[there])), int((~there).sum())
