"""Whether what a user gave is a number, and in which range."""

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


def whole(name: str, value: int, most: int, why: str) -> int:
    """A whole number of 1 to the most.

    Raises:
        InputError: for any other, with why there are no more.
    """
    if not (are_numbers(value, whole=True) and 1 <= value <= most):
        raise InputError(f"{name} is {value!r}; give 1 to {most}, {why}, as a whole number")
    return int(value)
