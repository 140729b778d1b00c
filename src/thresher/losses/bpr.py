"""BPR: each true item beats each false one with the probability of a logistic regression."""

from dataclasses import dataclass

from thresher.checks import above_0
from thresher.losses.croloss import CROLoss
from thresher.losses.tensors import call
from thresher.types import Matching, Ratio


@dataclass(frozen=True, kw_only=True)
class BPR:
    """Push each true item above each of its false ones, as far as it goes (Bayesian ranking).

    Equation:
        L = mean over positives (i, p) of  sum over negatives n of w_n ln(1 + e^{(s_in - s_ip) / T})
        w_n = q_p / q_n with log_q, else 1

    Each pair of a true and a false item counts the same, wherever they stand: what lies far down
    weighs as much as what comes first. It is `CROLoss` with kernel "softplus" and alpha 0.

    Source: Rendle et al., *BPR: Bayesian personalized ranking from implicit feedback*, UAI
    2009. Differs: all negatives of the batch in place of one that is drawn; scores over T,
    which unit vectors need; the paper's regularisation is the optimiser's weight decay.

    Args:
        temperature: T > 0, unitless; 0.05 to 0.2 is usual for unit vectors.

    Returns:
        {"": (sum over positives, number of positives)}.

    Memory: that of `CROLoss`.

    Raises:
        InputError: the temperature is not above 0.

    Example:
        >>> BPR(temperature=0.2)
        BPR(temperature=0.2)
    """

    temperature: float = 0.1

    def __post_init__(self) -> None:
        above_0("the temperature of bpr", self.temperature, 0.1)

    __call__ = call

    def ratios(self, m: Matching) -> dict[str, Ratio]:
        """Sum over all positives and their negatives, and the number of positives."""
        return CROLoss(kernel="softplus", alpha=0.0, temperature=self.temperature).ratios(m)
