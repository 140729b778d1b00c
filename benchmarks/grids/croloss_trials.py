"""The trials of a loss: which settings are tried, the same for every loss."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from scipy.stats import qmc

ALPHAS = (0.0, 0.6, 0.8, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0)
TEMPERATURE, RATE, ALPHA = (0.06, 0.4), (0.15, 1.0), (0.6, 1.8)
"""Where trials are drawn: the first two by their logarithms."""

Section = Mapping[str, Any]


class Draw(NamedTuple):
    """What a trial draws; a loss takes from it what it has.

    The n-th trial of every loss has the same temperature and learning rate.
    """

    temperature: float
    learning_rate: float
    alpha: float
    kernel: str


LOSSES: Mapping[str, Callable[[Draw], Section]] = {
    "softmax": lambda d: {"kind": "softmax", "temperature": d.temperature},
    "triplet": lambda d: {"kind": "triplet", "margin": d.temperature / 2},
    "bpr": lambda d: {"kind": "bpr", "temperature": d.temperature},
    "CROLoss": lambda d: {"kind": "croloss", **_shape(d)},
    "CROLoss lambda": lambda d: {"kind": "croloss", "rank_kernel": "sigmoid", **_shape(d)},
}
"""Row of the table -> the term of a trial. The triplet's margin is that of its CROLoss."""


def _shape(draw: Draw) -> Section:
    return {"kernel": draw.kernel, "alpha": draw.alpha, "temperature": draw.temperature}


def draws(count: int) -> list[Draw]:
    """The trials, the same in every run; the first has what is usual.

    The others are a Halton sequence, which leaves no gaps where so few random points would.
    """
    places = qmc.Halton(d=4, scramble=False).random(count)[1:]
    found = [Draw(0.1, 0.3, 1.0, "softplus")]
    for temperature, rate, alpha, kernel in places:
        found.append(
            Draw(
                _between(TEMPERATURE, temperature),
                _between(RATE, rate),
                float(round(ALPHA[0] + (ALPHA[1] - ALPHA[0]) * alpha, 1)),
                "softplus" if kernel < 0.5 else "exp",
            )
        )
    return found


def _between(ends: tuple[float, float], place: float) -> float:
    """A number at this share of the way between two, by logarithms, with two digits."""
    low, high = ends
    return float(f"{low * (high / low) ** place:.2g}")
