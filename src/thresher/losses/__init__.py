"""Losses, one file each, and the registry that names them in a configuration.

    loss = CROLoss(alpha=1.2)
    loss(queries, items)                                    # row i's positive is item i
    loss(queries, items, positives=mask_or_pairs, ignored=mask_or_pairs)
    loss(queries, items, labels=classes, ref_labels=classes_of_items)

`call` has all options. A loss sees vectors and links, never a model. For training it returns sums
and counts (`Loss.ratios`), so that blocks of rows and several processes can be added up before
dividing. To add one: its file, its test, its line in `LOSSES`.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from thresher.lazy import Registry, exported

if TYPE_CHECKING:
    from thresher.losses.alc import HardestPairs
    from thresher.losses.bpr import BPR
    from thresher.losses.croloss import CROLoss
    from thresher.losses.hinge import HardestHinge
    from thresher.losses.prototype import PrototypeMargin
    from thresher.losses.softmax import Softmax
    from thresher.losses.tcm import ThresholdConsistentMargin
    from thresher.losses.tensors import call
    from thresher.losses.triplet import Triplet
    from thresher.types import Loss

LOSSES: "Mapping[str, Callable[..., Loss]]" = Registry(
    {
        "softmax": "thresher.losses.softmax:Softmax",
        "hinge": "thresher.losses.hinge:HardestHinge",
        "prototype": "thresher.losses.prototype:PrototypeMargin",
        "tcm": "thresher.losses.tcm:ThresholdConsistentMargin",
        "alc": "thresher.losses.alc:HardestPairs",
        "croloss": "thresher.losses.croloss:CROLoss",
        "triplet": "thresher.losses.triplet:Triplet",
        "bpr": "thresher.losses.bpr:BPR",
    }
)
"""Name in a configuration -> constructor.

Options are keyword-only. A constructor whose signature has `dim` gets the length of the vectors
from the training job, so that its parameters have their shapes before the optimiser is made. One
that has `generator` may get the generator that draws its first weights; on several processes, one
in the same state on each.
"""

__all__ = [
    "BPR",
    "LOSSES",
    "CROLoss",
    "HardestHinge",
    "HardestPairs",
    "PrototypeMargin",
    "Softmax",
    "ThresholdConsistentMargin",
    "Triplet",
    "call",
]

__getattr__ = exported(
    {
        "BPR": "thresher.losses.bpr:BPR",
        "CROLoss": "thresher.losses.croloss:CROLoss",
        "HardestHinge": "thresher.losses.hinge:HardestHinge",
        "HardestPairs": "thresher.losses.alc:HardestPairs",
        "PrototypeMargin": "thresher.losses.prototype:PrototypeMargin",
        "Softmax": "thresher.losses.softmax:Softmax",
        "ThresholdConsistentMargin": "thresher.losses.tcm:ThresholdConsistentMargin",
        "Triplet": "thresher.losses.triplet:Triplet",
        "call": "thresher.losses.tensors:call",
    },
    globals(),
)
