"""Threshold-consistent margin: one threshold for all concepts."""

from dataclasses import dataclass

import torch
from torch import Tensor

from thresher.checks import are_numbers
from thresher.errors import InputError
from thresher.losses.tensors import call
from thresher.losses.tiles import Tile, streamed
from thresher.types import Matching, Ratio

SPARSE = 16
"""A gradient is sparse where at most one pair of so many has one."""


@dataclass(frozen=True, kw_only=True)
class ThresholdConsistentMargin:
    """Pull true pairs above one score and false pairs below another, the same for every concept.

    It is added to a base loss, so that one threshold fits the whole catalogue.

    Equation:
        L = l+ * sum_{P+} (m+ - s)[s <= m+] / #{P+: s <= m+}
          + l- * sum_{P-} (s - m-)[s >= m-] / #{P-: s >= m-}
        P+ all positives, P- all negatives; a term without a violating pair is 0.

    The counts are of violating pairs only, so that a few bad pairs weigh as much as many.

    Source: Zhang et al., *Threshold-consistent margin loss for open-world deep metric
    learning*, ICLR 2024, arXiv 2307.04047.

    Args:
        margin_pos: m+, a score; on unit vectors a cosine, 0.6 to 0.9 is usual.
        margin_neg: m-, a score not above m+; 0.2 to 0.5 is usual.
        weight_pos: l+ >= 0, unitless.
        weight_neg: l- >= 0, unitless.

    Returns:
        {"pos": ..., "neg": ...}: sums over violating pairs times their weight, and their counts.

    Memory: 2^24 scores at a time, the gradients of left and right, and E x D numbers.

    Raises:
        InputError: m- above m+, or a negative weight.

    Example:
        >>> ThresholdConsistentMargin(margin_neg=0.3).margin_pos
        0.9
    """

    margin_pos: float = 0.9
    margin_neg: float = 0.5
    weight_pos: float = 1.0
    weight_neg: float = 1.0

    def __post_init__(self) -> None:
        margins, weights = (self.margin_neg, self.margin_pos), (self.weight_pos, self.weight_neg)
        if not (are_numbers(*margins) and self.margin_neg <= self.margin_pos):
            raise InputError(
                f"margin_neg is {self.margin_neg!r} and margin_pos {self.margin_pos!r}; give "
                "numbers with margin_neg <= margin_pos"
            )
        if not (are_numbers(*weights) and min(weights) >= 0):
            raise InputError(
                f"weight_pos is {self.weight_pos!r} and weight_neg {self.weight_neg!r}; give "
                "numbers >= 0"
            )

    __call__ = call

    def ratios(self, m: Matching) -> dict[str, Ratio]:
        """Sums and counts of the violating pairs."""
        row, column = m.links.pos.unbind(1)
        below = self.margin_pos - (m.left[row] * m.right[column]).sum(1)
        far = below[below >= 0]
        near = streamed(m, lambda tile: _above(tile, self.margin_neg))
        return {
            "pos": Ratio(self.weight_pos * far.sum(), below.new_tensor(len(far))),
            "neg": Ratio(self.weight_neg * near.num, near.den),
        }


def _above(tile: Tile, margin: float) -> tuple[Tensor, Tensor, Tensor]:
    violating = (tile.scores < margin).logical_not_()  # so is what is no number, to be seen
    violating[tile.pos] = False
    violating[tile.ignored] = False
    count = violating.count_nonzero()
    # Most pairs keep the margin, and then a sparse gradient is little to add.
    if int(count) * SPARSE > violating.numel():
        over = tile.scores.where(violating, margin).sub_(margin)
        return over.sum(), count, violating.to(over.dtype)
    edges = violating.nonzero()
    over = tile.scores[edges[:, 0], edges[:, 1]] - margin
    gradient = torch.sparse_coo_tensor(
        edges.T, torch.ones_like(over), violating.shape, check_invariants=False
    )
    return over.sum(), count, gradient
