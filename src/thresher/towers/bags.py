"""A bag of weighted tokens a row, kept as one CSR: what a text is after it was tokenised, once."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Int64
from scipy import sparse
from torch import Tensor


@dataclass(frozen=True)
class Bags:
    """Rows of tokens: row i holds `tokens[offsets[i]:offsets[i + 1]]` with their weights.

    Args:
        tokens: token numbers of all rows, one after the other.
        weights: how much each token counts in its row.
        offsets: where each row begins; the last entry is the number of tokens.
    """

    tokens: Int64[Tensor, " T"]
    weights: Float32[Tensor, " T"]
    offsets: Int64[Tensor, " rows_plus_one"]

    @classmethod
    def from_csr(cls, matrix: sparse.csr_matrix) -> "Bags":
        """The rows of a scipy CSR matrix: its columns are the tokens, its values the weights."""
        return cls(
            torch.from_numpy(matrix.indices.astype(np.int64)),
            torch.from_numpy(matrix.data.astype(np.float32)),
            torch.from_numpy(matrix.indptr.astype(np.int64)),
        )

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, rows: slice) -> "Bags":
        first, last, step = rows.indices(len(self))
        if step != 1:
            return self.take(torch.arange(first, last, step))
        offsets = self.offsets[first : max(first, last) + 1]
        inside = slice(int(offsets[0]), int(offsets[-1]))
        return Bags(self.tokens[inside], self.weights[inside], offsets - offsets[0])

    def take(self, rows: Int64[Tensor, " n"]) -> "Bags":
        """The rows of these numbers, in this order; a row may be taken more than once."""
        first = self.offsets[rows]
        length = self.offsets[rows + 1] - first
        offsets = torch.zeros(len(rows) + 1, dtype=torch.int64)
        torch.cumsum(length, 0, out=offsets[1:])
        where = torch.repeat_interleave(first - offsets[:-1], length) + torch.arange(
            int(offsets[-1])
        )
        return Bags(self.tokens[where], self.weights[where], offsets)

    def to(self, device: torch.device) -> "Bags":
        """The same rows on another device."""
        return Bags(self.tokens.to(device), self.weights.to(device), self.offsets.to(device))
