"""Histories of users as windows over one long list of events: the input of a history tower."""

from dataclasses import dataclass

import torch
from jaxtyping import Int, Int64
from torch import Tensor

from thresher.data.sequences import Examples, Sequences
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
    def of(cls, sequences: Sequences, longest: int) -> "Histories":
        """The last events of each user.

        Args:
            sequences: the events.
            longest: most events a row; 20 to 50 is usual.

        Raises:
            InputError: longest is below 1.
        """
        starts = torch.from_numpy(sequences.starts)
        items = torch.from_numpy(sequences.items)
        return _windows(items, starts[:-1], starts[1:], longest)

    @classmethod
    def before(cls, examples: Examples, longest: int) -> "Histories":
        """The events of the same user just before each target.

        Args:
            examples: the targets, and the events.
            longest: most events a row; 20 to 50 is usual.

        Raises:
            InputError: longest is below 1.
        """
        begins = torch.from_numpy(examples.sequences.starts[examples.users])
        items = torch.from_numpy(examples.sequences.items)
        return _windows(items, begins, torch.from_numpy(examples.targets), longest)

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

    def table(self, longest: int, *, padding: int) -> Int64[Tensor, "n L"]:
        """The events of each row side by side, oldest first, filled up at the end.

        Args:
            longest: most events a row, the last ones are kept; L is that of the longest row, at
                least 1.
            padding: what stands where a row has no more events.
        """
        lengths = self.lengths().clamp(max=longest)
        column = torch.arange(max(1, int(lengths.max()) if len(self) else 1))
        there = column < lengths[:, None]
        places = (self.last - lengths)[:, None] + column
        rows = torch.full(there.shape, padding, dtype=torch.int64)
        rows[there] = self.items[places[there]]
        return rows


def _windows(items: Tensor, begins: Tensor, ends: Tensor, longest: int) -> Histories:
    if longest < 1:
        raise InputError(f"histories of at most {longest} events were asked for; give 1 or more")
    return Histories(items, torch.maximum(begins, ends - longest), ends)
