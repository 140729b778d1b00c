"""The trials of an arm: which settings are tried, the same for every arm."""

from typing import NamedTuple

import numpy as np
from scipy.stats import qmc

RATE, TEMPERATURE, DROPOUT, ACCUMULATOR = (0.05, 0.2), (0.07, 0.2), (0.1, 0.6), (1e-6, 1e-3)
ALPHA, VALUE_DROPOUT, FEATURE_DROPOUT = (0.03, 3.0), (0.1, 0.6), (0.05, 0.5)
"""Where trials are drawn: rate, temperature, accumulator and alpha by their logarithms."""

_COMMON = 0.005  # size of the gradients of common rows, roots of what their accumulators come to
_SCRAMBLED = 99  # of the sequence, so that its first points already spread over each setting


class Draw(NamedTuple):
    """What a trial draws; an arm takes from it what it has.

    The n-th trial of every arm has the same learning rate, temperature, dropout and accumulator.

    Args:
        learning_rate: of the vectors of the features; the higher the accumulator starts, the higher
            it is, so that common rows move alike in every trial.
        temperature: of the softmax, and of the one of self-supervision.
        dropout: of the towers.
        accumulator: that Adagrad starts from.
        alpha: weight of the self-supervised or spreading term.
        value_dropout: share of the values that a view drops.
        feature_dropout: share of the features that the item tower drops, of "FD".
    """

    learning_rate: float
    temperature: float
    dropout: float
    accumulator: float
    alpha: float
    value_dropout: float
    feature_dropout: float


USUAL = Draw(0.1, 0.1, 0.3, 0.0, 0.3, 0.3, 0.2)
"""The first trial: what is usual, alpha and the dropout of values from the paper's grid."""


def draws(count: int) -> list[Draw]:
    """The trials, the same in every run; the first has what is usual.

    The others are a scrambled Halton sequence, which leaves no gaps where so few random points
    would.
    """
    sequence = qmc.Halton(d=len(Draw._fields), seed=np.random.default_rng(_SCRAMBLED))
    found = [USUAL]
    for rate, temperature, dropout, start, alpha, values, features in sequence.random(count - 1):
        accumulator = _between(ACCUMULATOR, start)
        found.append(
            Draw(
                _short(_between(RATE, rate) * (1 + accumulator**0.5 / _COMMON)),
                _between(TEMPERATURE, temperature),
                _among(DROPOUT, dropout),
                accumulator,
                _between(ALPHA, alpha),
                _among(VALUE_DROPOUT, values),
                _among(FEATURE_DROPOUT, features),
            )
        )
    return found


def _between(ends: tuple[float, float], place: float) -> float:
    """A number at this share of the way between two, by logarithms, with two digits."""
    low, high = ends
    return _short(low * (high / low) ** place)


def _short(number: float) -> float:
    return float(f"{number:.2g}")


def _among(ends: tuple[float, float], place: float) -> float:
    """The same by the numbers themselves, with two decimals."""
    low, high = ends
    return round(float(low + (high - low) * place), 2)
