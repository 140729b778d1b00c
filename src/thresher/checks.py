"""Whether what a user gave is a number, and in which range."""

import math
from numbers import Integral, Real

from thresher.errors import InputError


def are_numbers(*values: object, whole: bool = False) -> bool:
    """Whether all of these are numbers, or whole ones; no text is one, and no truth value.

    Example:
        >>> are_numbers(1, 2.5), are_numbers("1"), are_numbers(2.5, whole=True)
        (True, False, False)
    """
    kind = Integral if whole else Real
    return all(isinstance(value, kind) and not isinstance(value, bool) for value in values)


def above_0(name: str, value: float, such_as: float) -> None:
    """InputError for what is no finite number above 0."""
    if not (are_numbers(value) and 0 < value < math.inf):
        raise InputError(f"{name} is {value!r}; give a number above 0, such as {such_as}")


def whole(name: str, value: int, most: int, why: str) -> int:
    """A whole number of 1 to the most.

    Raises:
        InputError: for any other, with why there are no more.
    """
    if not (are_numbers(value, whole=True) and 1 <= value <= most):
        raise InputError(f"{name} is {value!r}; give 1 to {most}, {why}, as a whole number")
    return int(value)
