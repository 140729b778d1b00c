"""What a linear layer makes of pairs of vectors, without holding a vector for each pair."""

from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

NUMBERS = 2**20
"""Numbers of |a - b| that are made at a time: 4 MiB in float32, near enough to a cache."""


def contrast(
    left: Float[Tensor, "Q D"],
    right: Float[Tensor, "C D"],
    rows: Int[Tensor, " E"],
    columns: Int[Tensor, "E S"],
    weight: Float[Tensor, "r W"],
) -> Float[Tensor, "E S r"]:
    """W [|a - b|; a * b] of each row a = left[rows] with each of its columns b = right[columns].

    Memory: E x S x r numbers. The E x S x 2D in between are made for some pairs at a time, and
    made again in the backward.
    """
    return _Contrast.apply(left, right, rows, columns, weight)


class _Contrast(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, left: Tensor, right: Tensor, rows: Tensor, columns: Tensor, weight: Tensor
    ) -> Tensor:
        ctx.save_for_backward(left, right, rows, columns, weight)
        gap, product = weight.T.chunk(2)
        out = left.new_empty(*columns.shape, len(weight))
        for part, a, b in _parts(left, right, rows, columns):
            to = torch.matmul((a - b).abs_(), gap, out=out[part]).flatten(0, 1)
            to.addmm_((a * b).flatten(0, 1), product)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_out: Tensor) -> tuple[Tensor | None, ...]:
        # The objective compares in full precision; who calls backward may not.
        with torch.autocast(of_out.device.type, enabled=False):
            return _contrast_gradients(of_out, *ctx.saved_tensors)


def _contrast_gradients(
    of_out: Tensor, left: Tensor, right: Tensor, rows: Tensor, columns: Tensor, weight: Tensor
) -> tuple[Tensor | None, ...]:
    gap, product = weight.chunk(2, dim=1)
    of_left, of_right, of_weight = map(torch.zeros_like, (left, right, weight))
    of_gap, of_product = of_weight.chunk(2, dim=1)
    for part, a, b in _parts(left, right, rows, columns):
        wanted = of_out[part].flatten(0, 1)
        signed = a - b
        of_product.addmm_(wanted.T, (a * b).flatten(0, 1))
        of_gap.addmm_(wanted.T, signed.abs().flatten(0, 1))
        by_gap = signed.sgn_().mul_((wanted @ gap).view_as(b))
        by_product = (wanted @ product).view_as(b)
        of_left.index_add_(0, rows[part], torch.addcmul(by_gap, by_product, b).sum(1))
        by_right = by_product.mul_(a).sub_(by_gap).flatten(0, 1)
        of_right.index_add_(0, columns[part].flatten(), by_right)
    return of_left, of_right, None, None, of_weight


def _parts(
    left: Tensor, right: Tensor, rows: Tensor, columns: Tensor
) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Some of the pairs: which, and their a and b."""
    size, dim = columns.shape[1], left.shape[1]
    step = max(1, NUMBERS // (dim * size))
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        b = right.index_select(0, columns[part].flatten()).unflatten(0, (-1, size))
        yield part, left[rows[part]][:, None], b
