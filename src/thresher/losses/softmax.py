"""Softmax over the columns of the batch, the loss that most retrieval models start from."""

from dataclasses import dataclass

import torch

from thresher.errors import InputError
from thresher.types import Matching, Ratio


@dataclass(frozen=True, kw_only=True)
class Softmax:
    """Make each true item the likeliest of the items in the batch.

    Equation:
        z_ij = s_ij / T - log q_j
        L    = mean over positives (i, p) of
               -log( e^{z_ip} / (e^{z_ip} + sum over negatives n of row i of e^{z_in}) )

    Each positive of a row has a softmax of its own, against the row's negatives and no other
    positive. `links.log_q` undoes the sampling: popular columns stand in a batch more often than
    their share of the catalogue. Without log_q the sum is over the columns as they are.

    **Source**: Yi et al., *Sampling-bias-corrected neural modeling for large corpus item
    recommendations*, RecSys 2019, section 3 (the correction, of the positive too).

    Args:
        temperature: T > 0, unitless; 0.02 to 0.1 is usual for unit vectors.

    Returns:
        {"": (sum over positives, number of positives)}.

    Memory: Q x C scores.

    Raises:
        InputError: the temperature is not above 0.

    Example:
        >>> Softmax(temperature=0.05)
        Softmax(temperature=0.05)
    """

    temperature: float = 0.05

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise InputError(
                f"the temperature of softmax is {self.temperature}; give a number above 0, such "
                "as 0.05"
            )

    def __call__(self, m: Matching) -> dict[str, Ratio]:
        """Sum of the softmax losses of all positives, and their number."""
        logits = m.scores() / self.temperature
        if m.links.log_q is not None:
            logits = logits - m.links.log_q
        row, col = m.links.pos.unbind(1)
        # Once a row, not once a positive: E x C is never held.
        negatives = logits.masked_fill(~m.negatives(), -torch.inf).logsumexp(1)
        hit = logits[row, col]
        loss = torch.logaddexp(hit, negatives[row]) - hit
        return {"": Ratio(loss.sum(), loss.new_full((), len(row)))}
