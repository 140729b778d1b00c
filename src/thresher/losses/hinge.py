"""Hinge on the hardest negatives: the loss of NGAME and, with a dynamic margin, of PRIME."""

from dataclasses import dataclass

import torch
from torch import Tensor

from thresher.checks import above_0, are_numbers
from thresher.errors import InputError
from thresher.losses.tensors import call
from thresher.losses.tiles import Tile, streamed
from thresher.types import Matching, Ratio


@dataclass(frozen=True, kw_only=True)
class HardestHinge:
    """Push the hardest false items of the batch below each true item by a margin.

    Equation:
        L   = mean over positives (i, p) of  sum over n in V of w_n h_n
        h_n = [s_in - s_ip + m_n]+           N the K negatives of row i with the highest scores
        w   = softmax over V of s_in / T     V = {n in N: h_n > 0}, those that violate the margin
        m_n = margin, or with `smallest_margin` clip(|s_ip - s_in|, smallest_margin, margin),
              a number without gradient

    A positive whose negatives all keep the margin costs 0. A row with fewer than K negatives uses
    those it has. With the dynamic margin a negative just below its positive by d needs no more than
    d, so that only a gap under `smallest_margin` is a violation.

    Source: Dahiya et al., *NGAME: negative mining-aware mini-batching for extreme
    classification*, WSDM 2023; the dynamic margin: Dahiya et al., *Prototypical extreme multi-label
    classification with a dynamic margin loss* (PRIME), NAACL 2025. Reconstructed from the
    authors' code: the weights have a gradient, and those of the pairs that violate the margin add
    up to 1 (in NGAME's own code a pair that does not violate it still takes a share). There the
    positive of a query is drawn at random; here each one of the batch counts.

    Args:
        hardest: K >= 1 negatives a query; 10 to 100 is usual.
        margin: a difference of scores, above 0; on unit vectors of cosines, 0.3 is usual.
        smallest_margin: turns the dynamic margin on; above 0 and not above margin, 0.1 is usual.
        temperature: T > 0 of the weights, unitless; 0.1 is usual.

    Returns:
        {"": (sum over positives, number of positives)}.

    Memory: 2^24 scores at a time, E x K numbers, and the gradients of left and right.

    Raises:
        InputError: an option outside its range.

    Example:
        >>> HardestHinge(smallest_margin=0.1).margin
        0.3
    """

    hardest: int = 10
    margin: float = 0.3
    smallest_margin: float | None = None
    temperature: float = 0.1

    def __post_init__(self) -> None:
        if not (are_numbers(self.hardest, whole=True) and self.hardest >= 1):
            raise InputError(
                f"hardest of hinge is {self.hardest!r} negatives; give 1 or more, as a whole number"
            )
        above_0("the margin of hinge", self.margin, 0.3)
        least = self.smallest_margin
        if least is not None and not (are_numbers(least) and 0 < least <= self.margin):
            raise InputError(
                f"smallest_margin of hinge is {least!r}; give a number above 0 and "
                f"not above the margin of {self.margin}, or leave it out"
            )
        if not (are_numbers(self.temperature) and self.temperature > 0):
            raise InputError(
                f"the temperature of hinge is {self.temperature!r}; give a number above 0, such as "
                "0.1"
            )

    __call__ = call

    def ratios(self, m: Matching) -> dict[str, Ratio]:
        """Sum of the weighted hinges of all positives, and their number."""
        return {"": streamed(m, self._fold)}

    def _fold(self, tile: Tile) -> tuple[Tensor, Tensor, Tensor]:
        row, column = tile.pos
        hit = tile.scores[tile.pos][:, None]
        hard, columns = tile.hardest(self.hardest)
        hard, columns = hard[row], columns[row]
        # -inf where a row has too few negatives: neither a violation nor a weight.
        hinges = (hard - hit + self._margin(hard, hit)).relu()
        powers = ((hard - hard[:, :1]) / self.temperature).exp().where(hinges > 0, 0)
        # If any violates, the hardest does, whose power is 1.
        weights = powers / powers.sum(1, keepdim=True).clamp(min=1)
        loss = (weights * hinges).sum(1)
        of_hard = weights * (1 + (hinges - loss[:, None]) / self.temperature)
        columns = torch.cat([column[:, None], columns], 1)
        edges = torch.stack([row.repeat_interleave(columns.shape[1]), columns.flatten()])
        values = torch.cat([-weights.sum(1, keepdim=True), of_hard], 1).flatten()
        gradient = torch.sparse_coo_tensor(edges, values, tile.scores.shape, check_invariants=False)
        return loss.sum(), loss.new_tensor(len(loss)), gradient

    def _margin(self, hard: Tensor, hit: Tensor) -> Tensor | float:
        if self.smallest_margin is None:
            return self.margin
        return (hit - hard).abs().clamp(self.smallest_margin, self.margin)
