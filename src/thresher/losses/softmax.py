"""Softmax over the columns of the batch, the loss that most retrieval models start from."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from thresher.checks import are_numbers
from thresher.errors import InputError
from thresher.losses.tensors import call
from thresher.losses.tiles import Tile, streamed
from thresher.types import Matching, Ratio


@dataclass(frozen=True, kw_only=True)
class Softmax:
    """Make each true item the likeliest of the items in the batch.

    Equation:
        z_ij = s_ij / T - log q_j
        L    = mean over positives (i, p) of
               -log( e^{z_ip} / (e^{z_ip} + sum over negatives n of row i of e^{z_in}) )

    Each positive of a row has a softmax of its own, against the row's negatives and no other
    positive ("decoupled": true items do not compete with each other). The columns may be those of a
    batch or the whole catalogue. `links.log_q` undoes the sampling: popular columns stand in a
    batch more often than their share of the catalogue. Without log_q the sum is over the columns as
    they are.

    Source: Gupta et al., *Dual-encoders for extreme multi-label classification* (DEXML),
    ICLR 2024, arXiv 2310.10636: the decoupled softmax. Yi et al., *Sampling-bias-corrected neural
    modeling for large corpus item recommendations*, RecSys 2019, section 3: the correction, of the
    positive too.

    Args:
        temperature: T > 0, unitless; 0.02 to 0.1 is usual for unit vectors.

    Returns:
        {"": (sum over positives, number of positives)}.

    Memory: 2^24 scores at a time, and the gradients of left and right. Three matrix products of
    Q x C x D are nearly all of the time, forward and backward together.

    Raises:
        InputError: the temperature is not above 0.

    Example:
        >>> Softmax(temperature=0.05)
        Softmax(temperature=0.05)
    """

    temperature: float = 0.05

    def __post_init__(self) -> None:
        if not (are_numbers(self.temperature) and self.temperature > 0):
            raise InputError(
                f"the temperature of softmax is {self.temperature!r}; give a number above 0, such "
                "as 0.05"
            )

    __call__ = call

    def ratios(self, m: Matching) -> dict[str, Ratio]:
        """Sum of the softmax losses of all positives, and their number."""
        scale = 1 / self.temperature
        return {"": streamed(m, lambda tile: _softmaxes(tile, m.links.log_q), scale=scale)}


def _softmaxes(tile: Tile, log_q: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    if log_q is not None:
        tile.scores.sub_(log_q)
    row, _ = tile.pos
    hit = tile.scores[tile.pos]
    z = tile.negatives()
    # Finite in a row without negatives too.
    top = z.amax(1, keepdim=True).clamp(min=torch.finfo(z.dtype).min)
    total = z.sub_(top).exp_().sum(1)
    behind = (total.log() + top.squeeze(1))[row] - hit
    loss = -F.logsigmoid(-behind)
    # What a softmax gives to the negatives pulls at its positive, and is pushed out of each
    # negative by its share. A row with a negative has a total of 1 or more, any other 0.
    wrong = behind.sigmoid()
    pushed = torch.zeros_like(total).index_add_(0, row, wrong) / total.clamp(min=1)
    gradient = z.mul_(pushed[:, None]).index_put_(tile.pos, -wrong, accumulate=True)
    return loss.sum(), loss.new_tensor(len(loss)), gradient
