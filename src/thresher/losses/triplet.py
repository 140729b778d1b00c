"""Triplet: each true item leads each false one by a margin."""

from dataclasses import dataclass

from thresher.checks import above_0
from thresher.losses.croloss import CROLoss
from thresher.losses.tensors import call
from thresher.types import Matching, Ratio


@dataclass(frozen=True, kw_only=True)
class Triplet:
    """Push each true item a margin above each of its false ones.

    Equation:
        L = mean over positives (i, p) of  sum over negatives n of w_n max(s_in - s_ip + margin, 0)
        w_n = q_p / q_n with log_q, else 1

    All false items within the margin are pushed alike, however many there are; `hinge` takes the
    hardest of them. It is `CROLoss` with kernel "hinge", alpha 0 and T = 2 margin, times T: its
    kernel max(z + 0.5, 0) has a margin of T / 2 in scores.

    Source: Weinberger, Saul, *Distance metric learning for large margin nearest neighbor
    classification*, JMLR 2009; Schroff et al., *FaceNet*, CVPR 2015. Differs: similarities in
    place of squared distances, and the sum over all negatives.

    Args:
        margin: a difference of scores, above 0; on unit vectors of cosines, 0.05 to 0.5 is usual.

    Returns:
        {"": (sum over positives, number of positives)}.

    Memory: that of `CROLoss`.

    Raises:
        InputError: the margin is not above 0.

    Example:
        >>> Triplet(margin=0.2)
        Triplet(margin=0.2)
    """

    margin: float = 0.05

    def __post_init__(self) -> None:
        above_0("the margin of triplet", self.margin, 0.05)

    __call__ = call

    def ratios(self, m: Matching) -> dict[str, Ratio]:
        """Sum over all positives and their negatives, and the number of positives."""
        width = 2 * self.margin
        ranks = CROLoss(kernel="hinge", alpha=0.0, temperature=width).ratios(m)
        return {part: Ratio(width * num, den) for part, (num, den) in ranks.items()}
