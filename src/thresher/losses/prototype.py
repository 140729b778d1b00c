"""What PRIME asks of a label's prototype: to be a better label than the text it is made from."""

from dataclasses import dataclass, replace

from thresher.checks import above_0
from thresher.losses.tcm import ThresholdConsistentMargin
from thresher.losses.tensors import call
from thresher.types import Matching, Ratio


@dataclass(frozen=True, kw_only=True)
class PrototypeMargin:
    """Make an item's prototype closer to its queries, and farther from others, than its text is.

    Its right side is no item but a gap: the vector of the item's text minus its prototype. A score
    s is then what the text scores above the prototype.

    Equation:
        L = 1/2 * sum_{P+} (s + m)[s >= -m] / #{P+: s >= -m}
          + 1/2 * sum_{P-} (m - s)[s <= m]  / #{P-: s <= m}
        P+ all positives, P- all negatives; a term without a violating pair is 0.

    Source: Dahiya et al., *Prototypical extreme multi-label classification with a dynamic
    margin loss* (PRIME), NAACL 2025. Reconstructed from the authors' code, which takes for P-
    the negatives of each query that its prototypes score highest; here all of the batch.

    Args:
        margin: m > 0, a difference of scores; on unit vectors of cosines, 0.1 is usual.

    Returns:
        {"pos": ..., "neg": ...}: half the sums over violating pairs, and their counts.

    Memory: 2^24 scores at a time, the gradients of left and right, and E x D numbers.

    Raises:
        InputError: the margin is not above 0.

    Example:
        >>> PrototypeMargin()
        PrototypeMargin(margin=0.1)
    """

    margin: float = 0.1

    def __post_init__(self) -> None:
        above_0("the margin of prototype", self.margin, 0.1)

    __call__ = call

    def ratios(self, m: Matching) -> dict[str, Ratio]:
        """Sums and counts of the violating pairs."""
        # Of what the prototype scores above the text, true pairs need m, and false ones -m.
        above = replace(m, left=-m.left)
        return ThresholdConsistentMargin(
            margin_pos=self.margin, margin_neg=-self.margin, weight_pos=0.5, weight_neg=0.5
        ).ratios(above)
