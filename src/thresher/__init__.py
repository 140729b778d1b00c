"""Find each query's item in a large catalogue, and decide at a certified precision.

>>> import thresher
>>> thresher.certify(scores, correct, target=0.95)  # doctest: +SKIP
>>> thresher.losses.CROLoss(alpha=1.2)(queries, items)  # doctest: +SKIP
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"
__all__ = [
    "InputError",
    "Matcher",
    "NoThreshold",
    "Objective",
    "Policy",
    "certify",
    "losses",
]

if TYPE_CHECKING:
    from thresher import losses
    from thresher.decide.certify import certify
    from thresher.decide.policy import NoThreshold, Policy
    from thresher.errors import InputError
    from thresher.matcher import Matcher
    from thresher.objective import Objective

_WHERE = {
    "InputError": "thresher.errors",
    "Matcher": "thresher.matcher",
    "NoThreshold": "thresher.decide.policy",
    "Objective": "thresher.objective",
    "Policy": "thresher.decide.policy",
    "certify": "thresher.decide.certify",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: `import thresher` needs no torch."""
    if name in _WHERE:
        value = getattr(importlib.import_module(_WHERE[name]), name)
    elif name == "losses":
        value = importlib.import_module("thresher.losses")
    else:
        raise AttributeError(f"module 'thresher' has no attribute {name!r}")
    globals()[name] = value
    return value
