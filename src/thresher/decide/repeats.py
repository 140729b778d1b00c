"""Queries with the same text are right or wrong together: how much less their labels say."""

import numpy as np
from jaxtyping import Bool, Shaped


def design_effect(correct: Bool[np.ndarray, " Q"], groups: Shaped[np.ndarray, " Q"]) -> float:
    """By how much repeated queries widen the uncertainty of a precision; 1 means not at all.

    Equation:  p = sum_g e_g / sum_g n_g,   v = m / (m - 1) sum_g (e_g - p n_g)^2 / (sum_g n_g)^2
               design effect = max(1, v / (p (1 - p) / sum_g n_g))
    over m groups g of n_g answers with e_g errors: the variance of the error rate when groups are
    drawn, over the variance if every answer were drawn by itself. Counts divided by it are tested
    as if they were independent.

    Source:    Rao and Scott 1992, *A simple method for the analysis of clustered binary data*,
               Biometrics 48(2), equations 2 and 3.
    Differs:   never below 1, so that chance cannot make the labels count for more than they are.

    Args:
        correct: whether each answer is right.
        groups: a value per answer; equal values, such as the same query text, stand or fall
            together.

    Returns:
        A number >= 1; 1 when there are no errors or only one group, where nothing can be told.

    Example:
        >>> right = np.array([True, True, True, False, True, False])
        >>> design_effect(right.repeat(2), np.arange(6).repeat(2)) > 2
        True
    """
    _, member = np.unique(groups, return_inverse=True)
    size = np.bincount(member).astype(np.float64)
    errors = np.bincount(member, weights=~correct)
    rate = errors.sum() / max(size.sum(), 1)
    if len(size) < 2 or not 0 < rate < 1:
        return 1.0
    spread = len(size) / (len(size) - 1) * np.sum((errors - rate * size) ** 2)
    return float(max(1.0, spread / (rate * (1 - rate) * size.sum())))
