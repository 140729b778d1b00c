"""The scores of left rows against all columns, some rows at a time, and the gradient on the way."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

from thresher.hardest import hardest
from thresher.types import Links, Matching, Ratio

NUMBERS = 2**24
"""Scores of a tile, 64 MiB in float32. Fewer make narrow matrix products, which are slow."""


class Tile(NamedTuple):
    """Some left rows against all columns.

    The scores may be written over where `streamed` says so; the next tile is written into the same
    memory. `pos` are the rows, counted within the tile, and columns of the positive pairs: an index
    of `scores`; `ignored` are those of the ignored ones.
    """

    rows: slice
    scores: Float[Tensor, "n C"]
    pos: tuple[Int[Tensor, " e"], Int[Tensor, " e"]]
    ignored: tuple[Int[Tensor, " x"], Int[Tensor, " x"]]

    def negatives(self) -> Float[Tensor, "n C"]:
        """The scores, after those of positive and ignored pairs were set to -inf, in place."""
        self.scores[self.pos] = -torch.inf
        self.scores[self.ignored] = -torch.inf
        return self.scores

    def hardest(self, count: int) -> tuple[Float[Tensor, "n K"], Int[Tensor, "n K"]]:
        """The highest scores of negatives of each row, and their columns; `scores` stay.

        Where a row has fewer negatives than `count`, or than there are columns, -inf and any
        column.
        """
        count = min(count, self.scores.shape[1])
        if self.scores.device.type != "cpu":
            return self._replace(scores=self.scores.clone()).negatives().topk(count, dim=1)
        rows, left_out = (torch.cat(parts) for parts in zip(self.pos, self.ignored, strict=True))
        starts = torch.zeros(len(self.scores) + 1, dtype=torch.int64)
        torch.cumsum(torch.bincount(rows, minlength=len(self.scores)), 0, out=starts[1:])
        top = self.scores.new_full((len(self.scores), count), -torch.inf)
        columns = torch.zeros(top.shape, dtype=torch.int64)
        skipped = np.zeros(self.scores.shape[1], np.bool_)
        scores, sorted_out = self.scores.numpy(), left_out[rows.argsort()].numpy()
        hardest(scores, sorted_out, starts.numpy(), skipped, top.numpy(), columns.numpy())
        return top, columns


Fold = Callable[[Tile], tuple[Tensor, Tensor, Tensor]]
"""From a tile to the loss's sum over it, the count, and the sum's gradient by the scores.

The gradient has the shape of the scores, is dense (best in their place) or sparse.
"""


def fits(m: Matching) -> bool:
    """Whether all scores are one tile."""
    return len(m.left) * len(m.right) <= NUMBERS


def tiles(m: Matching) -> Iterator[Tile]:
    """Score all left rows, `NUMBERS` scores at a time, without gradient; only to be read.

    Memory: one tile, and at least one row.
    """
    left, right = m.left.detach(), m.right.detach()
    if not (len(left) and len(right)):
        return
    if m.shared and fits(m):
        yield _whole(_scores(m).detach(), m.links)
        return
    step = max(1, NUMBERS // len(right))
    memory = left.new_empty(min(step, len(left)), len(right))
    starts = range(0, len(left), step)
    each_pos, each_ignored = _split(m.links.pos, starts), _split(m.links.ignored, starts)
    for start, pos, ignored in zip(starts, each_pos, each_ignored, strict=True):
        rows = slice(start, min(start + step, len(left)))
        scores = torch.mm(left[rows], right.T, out=memory[: rows.stop - start])
        yield Tile(
            rows, scores, (pos[:, 0] - start, pos[:, 1]), (ignored[:, 0] - start, ignored[:, 1])
        )


def streamed(m: Matching, fold: Fold, *, scale: float | None = None) -> Ratio:
    """Add up a loss of independent left rows over tiles; its gradient is ready when its value is.

    With a scale the fold gets the scores times it, to be written over; without one it may only
    read them.

    Where a gradient is wanted, each tile is multiplied three times: for its scores, and its
    gradient by the right and by the left rows. Nothing is computed again in the backward. Losses of
    a `shared` matching that fits into a tile do so together: scored once, and one gradient of the
    scores, theirs added up, multiplied in the backward.

    Memory: one tile, and the gradients of left and right; shared, the scores, and for each loss a
    tile, or what is sparse of it, until the backward.
    """
    if m.shared and fits(m) and len(m.left) and len(m.right):
        return Ratio(*_Folded.apply(_scores(m), m.links, fold, scale))
    scaled = m if scale is None else replace(m, left=m.left * scale, shared=False)
    return Ratio(*_Streamed.apply(scaled.left, scaled.right, m.links, fold))


def _whole(scores: Tensor, links: Links) -> Tile:
    pos, ignored = links.pos, links.ignored
    each = (pos[:, 0], pos[:, 1]), (ignored[:, 0], ignored[:, 1])
    return Tile(slice(0, len(scores)), scores, *each)


def _scores(m: Matching) -> Tensor:
    """Of a shared matching, all scores, made by the first loss that asks."""
    if "all" not in m.made:
        m.made["all"] = _Products.apply(m.left, m.right)
    return m.made["all"]


class _Products(torch.autograd.Function):
    """The products of all left and right rows; what comes back may be sparse."""

    @staticmethod
    def forward(ctx: Any, left: Tensor, right: Tensor) -> Tensor:
        ctx.save_for_backward(left, right)
        return left @ right.T

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        left, right = ctx.saved_tensors
        grad = grad.to_dense() if grad.is_sparse else grad
        # As the objective, in full precision; who calls backward may not.
        with torch.autocast(grad.device.type, enabled=False):
            return (
                grad @ right if ctx.needs_input_grad[0] else None,
                grad.T @ left if ctx.needs_input_grad[1] else None,
            )


class _Folded(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, scores: Tensor, links: Links, fold: Fold, scale: float | None
    ) -> tuple[Tensor, Tensor]:
        scaled = scores if scale is None else scores * scale
        total, count, gradient = fold(_whole(scaled, links))
        ctx.gradient, ctx.scale = gradient, 1.0 if scale is None else scale
        den = scores.new_zeros(()) + count
        ctx.mark_non_differentiable(den)
        return total, den

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_num: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        return ctx.gradient * (of_num * ctx.scale), None, None, None


class _Streamed(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, left: Tensor, right: Tensor, links: Links, fold: Fold
    ) -> tuple[Tensor, Tensor]:
        of_left, of_right = (
            torch.zeros_like(x) if wanted else None
            for x, wanted in zip((left, right), ctx.needs_input_grad, strict=False)
        )
        num, den = left.new_zeros(()), left.new_zeros(())
        for tile in tiles(Matching(left, right, links)):
            total, count, gradient = fold(tile)
            num += total
            den += count
            if of_left is not None:
                of_left[tile.rows] = gradient @ right
            if of_right is not None:
                of_right.addmm_(gradient.T, left[tile.rows])
        ctx.save_for_backward(of_left, of_right)
        ctx.mark_non_differentiable(den)
        return num, den

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_num: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        of_left, of_right = (None if x is None else of_num * x for x in ctx.saved_tensors)
        return of_left, of_right, None, None


def _split(pairs: Tensor, starts: range) -> tuple[Tensor, ...]:
    """The pairs of each tile, by the tiles' first rows."""
    pairs = pairs[pairs[:, 0].argsort()]
    firsts = torch.tensor(starts[1:], dtype=pairs.dtype, device=pairs.device)
    return pairs.tensor_split(torch.searchsorted(pairs[:, 0].contiguous(), firsts).tolist())
