"""The scores of left rows against all columns, some rows at a time, and the gradient on the way."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

from thresher.types import Links, Matching, Ratio

NUMBERS = 2**24
"""Scores that are held at a time, 64 MiB in float32. Fewer make narrow, slow matrix products."""

CACHED = 2**19
"""Scores of a tile, 2 MiB in float32: they stay in a processor's cache from one pass to the next.
Elsewhere a tile is all that is held."""


class Tile(NamedTuple):
    """Some left rows against all columns.

    Args:
        rows: which left rows.
        scores: theirs, to be written over.
        pos: rows, counted within the tile, and columns of the positive pairs: an index of `scores`.
        drop: the same for the dropped pairs.
    """

    rows: slice
    scores: Float[Tensor, "n C"]
    pos: tuple[Int[Tensor, " e"], Int[Tensor, " e"]]
    drop: tuple[Int[Tensor, " x"], Int[Tensor, " x"]]

    def negatives(self) -> Float[Tensor, "n C"]:
        """The scores, after those of positive and dropped pairs were set to -inf, in place."""
        self.scores[self.pos] = -torch.inf
        self.scores[self.drop] = -torch.inf
        return self.scores


class Block(NamedTuple):
    """The tiles that are held at a time.

    Args:
        rows: which left rows.
        scores: theirs; the next block is written into the same memory.
        tiles: the same scores in tiles.
    """

    rows: slice
    scores: Float[Tensor, "n C"]
    tiles: list[Tile]


class Part(NamedTuple):
    """What a loss finds in a tile.

    Args:
        num: its sum over the tile's rows.
        den: the count that goes with it.
        gradient: of the sum by the scores, sparse; None where it was written over the scores.
    """

    num: Float[Tensor, ""]
    den: Tensor
    gradient: Tensor | None = None


def blocks(m: Matching) -> Iterator[Block]:
    """Score all left rows, without gradient.

    Memory: `NUMBERS` scores, and at least one row.
    """
    left, right = m.left.detach(), m.right.detach()
    if not (len(left) and len(right)):
        return
    cached = CACHED if left.device.type == "cpu" else NUMBERS
    few = max(1, min(cached, NUMBERS) // len(right))
    many = few * max(1, NUMBERS // (few * len(right)))
    memory = left.new_empty(min(many, len(left)), len(right))
    starts = range(0, len(left), few)
    pairs = zip(starts, _split(m.links.pos, starts), _split(m.links.drop, starts), strict=True)
    for start in range(0, len(left), many):
        rows = left[start : start + many]
        scores = torch.mm(rows, right.T, out=memory[: len(rows)])
        # In this order, zip takes no pairs that belong to the next block.
        parts = list(zip(scores.split(few), pairs, strict=False))
        yield Block(
            slice(start, start + len(rows)),
            scores,
            [
                Tile(
                    slice(first, first + len(part)),
                    part,
                    (pos[:, 0] - first, pos[:, 1]),
                    (drop[:, 0] - first, drop[:, 1]),
                )
                for part, (first, pos, drop) in parts
            ],
        )


def streamed(m: Matching, fold: Callable[[Tile], Part]) -> Ratio:
    """Add up a loss of independent left rows over tiles; its gradient is ready when its value is.

    Where a gradient is wanted, each block is multiplied three times: for its scores, and its
    gradient by the right and by the left rows. Nothing is computed again in the backward.

    Memory: one block, and the gradients of left and right.
    """
    num, den = _Streamed.apply(m.left, m.right, m.links, fold)
    return Ratio(num, den)


class _Streamed(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, left: Tensor, right: Tensor, links: Links, fold: Callable[[Tile], Part]
    ) -> tuple[Tensor, Tensor]:
        of_left, of_right = (
            torch.zeros_like(x) if wanted else None
            for x, wanted in zip((left, right), ctx.needs_input_grad, strict=False)
        )
        num, den = left.new_zeros(()), left.new_zeros(())
        for block in blocks(Matching(left, right, links)):
            parts = [fold(tile) for tile in block.tiles]
            num += torch.stack([part.num for part in parts]).sum()
            den += torch.stack([part.den for part in parts]).sum()
            sparse = [part.gradient for part in parts if part.gradient is not None]
            gradient = torch.cat(sparse) if sparse else block.scores
            if of_left is not None:
                of_left[block.rows] = gradient @ right
            if of_right is not None:
                of_right.addmm_(gradient.T, left[block.rows])
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
