"""The scores of left rows against all columns, some rows at a time, and the gradient on the way."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

from thresher.types import Links, Matching, Ratio

NUMBERS = 2**24
"""Scores of a tile, 64 MiB in float32. Fewer make narrow matrix products, which are slow."""


class Tile(NamedTuple):
    """Some left rows against all columns.

    The scores are theirs, to be written over; the next tile is written into the same memory. `pos`
    are the rows, counted within the tile, and columns of the positive pairs: an index of `scores`;
    `ignored` are those of the ignored ones.
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


Fold = Callable[[Tile], tuple[Tensor, Tensor, Tensor]]
"""From a tile to the loss's sum over it, the count, and the sum's gradient by the scores.

The gradient has the shape of the scores, is dense (best in their place) or sparse.
"""


def tiles(m: Matching) -> Iterator[Tile]:
    """Score all left rows, `NUMBERS` scores at a time, without gradient.

    Memory: one tile, and at least one row.
    """
    left, right = m.left.detach(), m.right.detach()
    if not (len(left) and len(right)):
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


def streamed(m: Matching, fold: Fold) -> Ratio:
    """Add up a loss of independent left rows over tiles; its gradient is ready when its value is.

    Where a gradient is wanted, each tile is multiplied three times: for its scores, and its
    gradient by the right and by the left rows. Nothing is computed again in the backward.

    Memory: one tile, and the gradients of left and right.
    """
    num, den = _Streamed.apply(m.left, m.right, m.links, fold)
    return Ratio(num, den)


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
