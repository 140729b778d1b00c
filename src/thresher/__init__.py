"""Find each query's item in a large catalogue, and decide at a certified precision.

>>> import thresher
>>> model = thresher.train(items=items, queries=offers, pairs=pairs)  # doctest: +SKIP
>>> model.match(new_offers)  # doctest: +SKIP
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"
__all__ = [
    "InputError",
    "NoThreshold",
    "Objective",
    "Policy",
    "Retriever",
    "certify",
    "losses",
    "open",
    "train",
]

if TYPE_CHECKING:
    from thresher import losses
    from thresher.api import open, train
    from thresher.decide.certify import certify
    from thresher.decide.policy import NoThreshold, Policy
    from thresher.errors import InputError
    from thresher.objective import Objective
    from thresher.retriever import Retriever

_WHERE = {
    "InputError": "thresher.errors",
    "NoThreshold": "thresher.decide.policy",
    "Objective": "thresher.objective",
    "Policy": "thresher.decide.policy",
    "Retriever": "thresher.retriever",
    "certify": "thresher.decide.certify",
    "open": "thresher.api",
    "train": "thresher.api",
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


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
