"""Histories of users: windows over one long list of events."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int, Int64
from torch import Tensor

from thresher.data.relation import Relation
from thresher.data.sequences import Examples, Sequences, bounds, ranges
from thresher.errors import InputError


@dataclass(frozen=True)
class Histories:
    """Rows of events, oldest first: row i reads `items[first[i]:last[i]]`.

    Windows may overlap, and rows that are cut or taken share the list of events: a batch of
    histories costs two numbers a row.

    Args:
        items: catalogue rows of the events of all users, one user after the other.
        first: where each row's events begin.
        last: where they end; equal to `first` for a user without events.

    Memory: 16 bytes a row, beside the events.

    Example:
        >>> h = Histories(torch.tensor([7, 4, 9]), torch.tensor([0, 1]), torch.tensor([2, 3]))
        >>> h[1:].lengths()
        tensor([2])
    """

    items: Int64[Tensor, " E"]
    first: Int64[Tensor, " n"]
    last: Int64[Tensor, " n"]

    @classmethod
    def of(cls, sequences: Sequences, max_length: int | None = None) -> "Histories":
        """The events of each user; the last `max_length` of them, where one is given.

        Raises:
            InputError: max_length is below 1.
        """
        starts = torch.from_numpy(sequences.starts)
        whole = cls(torch.from_numpy(sequences.items), starts[:-1], starts[1:])
        return whole if max_length is None else whole.cut(max_length)

    @classmethod
    def before(cls, examples: Examples, max_length: int | None = None) -> "Histories":
        """The events of the same user just before each target, the last `max_length` of them.

        Raises:
            InputError: max_length is below 1.
        """
        begins = torch.from_numpy(examples.sequences.starts[examples.users])
        items = torch.from_numpy(examples.sequences.items)
        whole = cls(items, begins, torch.from_numpy(examples.targets))
        return whole if max_length is None else whole.cut(max_length)

    def cut(self, max_length: int) -> "Histories":
        """The same rows without what is older than the last `max_length` events.

        Raises:
            InputError: max_length is below 1.
        """
        if max_length < 1:
            raise InputError(f"histories of at most {max_length} events were asked for; give 1 or more")
        return Histories(self.items, torch.maximum(self.first, self.last - max_length), self.last)

    def sequences(self) -> Sequences:
        """The events of each row, one row after the other."""
        counts = self.lengths().numpy()
        places = ranges(self.first.numpy(), counts)
        return Sequences(bounds(counts), self.items.numpy()[places])

    def renumbered(self, rows: Int64[np.ndarray, " N"]) -> "Histories":
        """The same over another catalogue: item i is item `rows[i]` there, or none for -1."""
        return Histories.of(self.sequences().renumbered(rows))

    def relation(self, columns: int) -> Relation:
        """The distinct pairs of row and item, against a catalogue of so many items."""
        return self.sequences().relation(columns)

    def __len__(self) -> int:
        return len(self.first)

    def __getitem__(self, rows: slice) -> "Histories":
        return Histories(self.items, self.first[rows], self.last[rows])

    def take(self, rows: Int[Tensor, " n"]) -> "Histories":
        """The rows of these numbers, in this order; a row may be taken more than once."""
        return Histories(self.items, self.first[rows], self.last[rows])

    def lengths(self) -> Int64[Tensor, " n"]:
        """How many events each row has."""
        return self.last - self.first

    def table(self, max_length: int, *, padding: int) -> Int64[Tensor, "n L"]:
        """The events of each row side by side, oldest first, filled up at the end.

        Args:
            max_length: most events a row, the last ones are kept; L is that of the max_length row, at
                least 1.
            padding: what stands where a row has no more events.
        """
        lengths = self.lengths().clamp(max=max_length)
        column = torch.arange(max(1, int(lengths.max()) if len(self) else 1))
        there = column < lengths[:, None]
        places = (self.last - lengths)[:, None] + column
        rows = torch.full(there.shape, padding, dtype=torch.int64)
        rows[there] = self.items[places[there]]
        return rows

