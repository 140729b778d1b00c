"""A bag of weighted tokens a row, kept as one CSR: what a text is after it was tokenised, once."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32, Int32, Int64
from scipy import sparse
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable


@dataclass(frozen=True)
class Bags:
    """Rows of tokens: row i holds `tokens[offsets[i]:offsets[i + 1]]` with their weights."""

    tokens: Int32[Tensor, " T"]
    weights: Float32[Tensor, " T"]
    offsets: Int64[Tensor, " rows_plus_one"]

    @classmethod
    def from_csr(cls, matrix: sparse.csr_matrix) -> "Bags":
        """The rows of a scipy CSR matrix: its columns are the tokens, its values the weights."""
        kinds = (matrix.indices, np.int32), (matrix.data, np.float32), (matrix.indptr, np.int64)
        return cls(*(torch.from_numpy(part.astype(kind)) for part, kind in kinds))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, rows: slice) -> "Bags":
        first, last, step = rows.indices(len(self))
        if step != 1:
            return self.take(torch.tensor(range(first, last, step), dtype=torch.int64))
        offsets = self.offsets[first : max(first, last) + 1]
        inside = slice(int(offsets[0]), int(offsets[-1]))
        return Bags(self.tokens[inside], self.weights[inside], offsets - offsets[0])

    def take(self, rows: Int64[Tensor, " n"]) -> "Bags":
        """The rows of these numbers, in this order; a row may be taken more than once."""
        where, offsets = places(self.offsets, rows)
        return Bags(self.tokens[where], self.weights[where], offsets)

    @classmethod
    def empty(cls, rows: int) -> "Bags":
        """So many rows without a token."""
        nothing = torch.zeros(0, dtype=torch.int32), torch.zeros(0, dtype=torch.float32)
        return cls(*nothing, torch.zeros(rows + 1, dtype=torch.int64))

    def weighed(self, weights: Float32[Tensor, " T"]) -> "Bags":
        """The same rows with other weights."""
        return Bags(self.tokens, weights, self.offsets)

    def csr(self, columns: int) -> sparse.csr_matrix:
        """The rows as a SciPy matrix; what `from_csr` was given."""
        parts = (self.weights.numpy(), self.tokens.numpy(), self.offsets.numpy())
        return sparse.csr_matrix(parts, (len(self), columns))

    def padded(self) -> "Bags":
        """The same rows, and a last one without a token; the tokens are not copied."""
        return Bags(self.tokens, self.weights, torch.cat([self.offsets, self.offsets[-1:]]))

    def thinned(self, share: float, generator: torch.Generator) -> "Bags":
        """The rows without a share of their tokens, each dropped by itself.

        The weights that stay are scaled so that the row keeps its length. A row that would lose
        all of its tokens keeps them: without any it would be as if nothing were known.
        """
        row = torch.repeat_interleave(torch.arange(len(self)), self.offsets.diff())
        kept = torch.rand(len(self.tokens), generator=generator) >= share
        kept |= (torch.bincount(row[kept], minlength=len(self)) == 0)[row]
        squares = self.weights.square()
        zeros = torch.zeros(len(self))
        before = zeros.index_add(0, row, squares)
        after = zeros.index_add(0, row[kept], squares[kept])
        offsets = torch.zeros_like(self.offsets)
        offsets[1:] = torch.cumsum(torch.bincount(row[kept], minlength=len(self)), 0)
        scale = (before / after.clamp(min=1e-12)).sqrt()
        return Bags(self.tokens[kept], (self.weights * scale[row])[kept], offsets)

    def to(self, device: torch.device) -> "Bags":
        """The same rows on another device."""
        return Bags(self.tokens.to(device), self.weights.to(device), self.offsets.to(device))


def places(
    offsets: Int64[Tensor, " rows_plus_one"], rows: Int64[Tensor, " n"]
) -> tuple[Int64[Tensor, " T"], Int64[Tensor, " n_plus_one"]]:
    """Where the tokens of these rows stand, one row after the other, and the offsets of the rows.

    `offsets` as in `Bags`; a row may be taken more than once.
    """
    first = offsets[rows]
    length = offsets[rows + 1] - first
    taken = torch.zeros(len(rows) + 1, dtype=torch.int64)
    torch.cumsum(length, 0, out=taken[1:])
    where = torch.repeat_interleave(first - taken[:-1], length) + torch.arange(int(taken[-1]))
    return where, taken


def weighted_sums(table: Float[Tensor, "N D"], bags: Bags) -> Float[Tensor, "rows D"]:
    """The sum of each row's token vectors, times their weights; it costs the tokens of the rows.

    Equation:  y_i = sum_t w_it E_t

    The gradient of the table is a sparse tensor that holds the tokens in use, so that neither
    backward nor an optimiser made for it (`thresher.training.optimizer`) passes over all of it.
    The weights get no gradient.

    Memory:    the sums; backward adds D numbers for each distinct token.
    """
    sums: Tensor = _Sums.apply(table, bags.tokens, bags.weights, bags.offsets.int())
    return sums


class _Sums(torch.autograd.Function):
    """`F.embedding_bag` both ways: a token's gradient is a weighted sum of rows, again a bag."""

    @staticmethod
    def forward(
        ctx: FunctionCtx, table: Tensor, tokens: Tensor, weights: Tensor, offsets: Tensor
    ) -> Tensor:
        ctx.save_for_backward(tokens, weights, offsets)
        ctx.shape = table.shape  # type: ignore[attr-defined]
        return _sums(table, tokens, weights, offsets)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor, None, None, None]:
        # torch's own backward adds rows one by one, 50 times slower than its forward on a CPU.
        tokens, weights, offsets = ctx.saved_tensors  # type: ignore[attr-defined]
        used, place = tokens.unique(return_inverse=True)
        rows = (weights.cpu().numpy(), place.int().cpu().numpy(), offsets.cpu().numpy())
        by_token = sparse.csr_matrix(rows, (len(grad), len(used))).tocsc()
        bags = (by_token.indices, by_token.data, by_token.indptr)
        parts = (torch.from_numpy(part).to(grad.device) for part in bags)
        values = _sums(grad.contiguous(), *parts)
        shape = ctx.shape  # type: ignore[attr-defined]
        sums = torch.sparse_coo_tensor(
            used[None], values, shape, is_coalesced=True, check_invariants=False
        )
        return sums, None, None, None


def _sums(table: Tensor, tokens: Tensor, weights: Tensor, offsets: Tensor) -> Tensor:
    return F.embedding_bag(
        tokens, table, offsets, mode="sum", per_sample_weights=weights, include_last_offset=True
    )
