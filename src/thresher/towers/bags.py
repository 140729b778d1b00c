"""A bag of weighted tokens a row, kept as one CSR: what a text is after it was tokenised, once."""

import weakref
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32, Int32, Int64
from scipy import sparse
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.utils.weak import WeakTensorKeyDictionary

from thresher.towers import bag_loops


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
        return self._made(bag_loops.take, rows)

    @classmethod
    def empty(cls, rows: int) -> "Bags":
        """So many rows without a token."""
        nothing = torch.zeros(0, dtype=torch.int32), torch.zeros(0, dtype=torch.float32)
        return cls(*nothing, torch.zeros(rows + 1, dtype=torch.int64))

    def weighed(self, weights: Float32[Tensor, " T"]) -> "Bags":
        """The same rows with other weights."""
        return Bags(self.tokens, weights, self.offsets)

    def weighty(self) -> "Bags":
        """The rows without their tokens of weight 0, which nothing is to be read for."""
        return self._made(bag_loops.weighty)

    def _made(self, loop: Any, *also: Tensor) -> "Bags":
        """Bags on the CPU through a loop of `thresher.towers.bag_loops`."""
        parts = (self.tokens, self.weights, self.offsets, *also)
        return Bags(*map(torch.from_numpy, loop(*(part.numpy() for part in parts))))

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


def weighted_sums(table: Float[Tensor, "N D"], bags: Bags) -> Float[Tensor, "rows D"]:
    """The sum of each row's token vectors, times their weights; it costs the tokens of the rows.

    Equation:  y_i = sum_t w_it E_t

    The gradient of the table is a sparse tensor that holds the tokens in use, so that neither
    backward nor an optimiser made for it (`thresher.training.optimizer`) passes over all of it.
    One backward makes it once, of all sums of the table, such as those of queries and of items.
    The weights get no gradient.

    Memory:    the sums; backward adds D numbers for each distinct token.
    """
    offsets = bags.offsets.int()
    if not (table.requires_grad and torch.is_grad_enabled()):
        return _sums(table, bags.tokens, bags.weights, offsets)
    user = _User.of(table)
    sums: Tensor = _Sums.apply(user.tensor, table.detach(), bags, offsets, user)
    return sums


class _User:
    """Stands between a table and the sums made of it, until a backward has gone through them."""

    _latest: WeakTensorKeyDictionary = WeakTensorKeyDictionary()

    def __init__(self, table: Tensor) -> None:
        self.found: list[tuple[Tensor, Bags]] = []
        self.tensor: Tensor = _Table.apply(table, self.found)

    @classmethod
    def of(cls, table: Tensor) -> "_User":
        """The latest one of a table that still lives; the graph of its sums holds it."""
        user = cls._latest[table]() if table in cls._latest else None
        # Something found at this point is of a backward that failed, or that is under way.
        if user is None or user.found:
            user = cls(table)
            cls._latest[table] = weakref.ref(user)
        return user


class _Table(torch.autograd.Function):
    """Runs backward after all of the sums, and makes one gradient of what they left here."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, found: list[tuple[Tensor, Bags]]) -> Tensor:
        ctx.shape, ctx.found = table.shape, found
        return table.new_zeros(())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        grads, bags = zip(*ctx.found, strict=True)
        ctx.found.clear()
        ends = torch.tensor([0, *(len(b.tokens) for b in bags)]).cumsum(0)
        tokens = torch.cat([b.tokens for b in bags]).cpu()
        weights = torch.cat([b.weights for b in bags]).cpu()
        offsets = [b.offsets[:-1].cpu() + end for b, end in zip(bags, ends, strict=False)]
        parts = (tokens, weights, torch.cat([*offsets, ends[-1:]]))
        # A token's gradient is a weighted sum of rows, again a bag. torch's own backward adds rows
        # one by one, 50 times slower than its forward on a CPU.
        made = bag_loops.by_token(*(part.numpy() for part in parts))
        used, rows, by_row, starts = (torch.from_numpy(p).to(grad.device) for p in made)
        values = _sums(torch.cat(grads), rows, by_row, starts)
        sums = torch.sparse_coo_tensor(
            used[None], values, ctx.shape, is_coalesced=True, check_invariants=False
        )
        return sums, None


class _Sums(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, _: Tensor, table: Tensor, bags: Bags, offsets: Tensor, user: _User
    ) -> Tensor:
        ctx.bags, ctx.user = bags, user
        return _sums(table, bags.tokens, bags.weights, offsets)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        ctx.user.found.append((grad, ctx.bags))
        return grad.new_zeros(()), None, None, None, None


def _sums(table: Tensor, tokens: Tensor, weights: Tensor, offsets: Tensor) -> Tensor:
    return F.embedding_bag(
        tokens, table, offsets, mode="sum", per_sample_weights=weights, include_last_offset=True
    )
