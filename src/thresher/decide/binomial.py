"""Exact binomial arithmetic: how strongly counts of errors speak for a precision."""

import numpy as np
from jaxtyping import Float64, Int, Real

from thresher.checks import are_numbers
from thresher.errors import InputError, percent_hint


def check_levels(target: float, confidence_level: float) -> None:
    """Refuse a target precision or a confidence level that is not strictly between 0 and 1.

    Raises:
        InputError: if either is no number in (0, 1), with a hint when it looks like a percentage.
    """
    for name, value in (("target precision", target), ("confidence level", confidence_level)):
        if not are_numbers(value):
            raise InputError(f"the {name} is {value!r}; give a number between 0 and 1, as 0.95")
        if not 0 < value < 1:
            raise InputError(
                f"the {name} is {value}; it must lie strictly between 0 and 1{percent_hint(value)}"
            )


def p_value(
    errors: Real[np.ndarray, " T"] | int, accepted: Real[np.ndarray, " T"] | int, *, target: float
) -> Float64[np.ndarray, "*T"]:
    """Say how surprising so few errors would be if the precision were no better than the target.

    Equation:  p = P(Binom(accepted, 1 - target) <= errors) = I_target(accepted - errors, errors+1)
    Source:    the exact one-sided binomial test of H0: precision <= target; as a p-value for risk
               control in Angelopoulos et al. 2021, "Learn then Test", arXiv 2110.01052, section 2.

    Args:
        errors: wrong answers among the accepted, 0 <= errors <= accepted; may be a fraction, as
            effective counts are.
        accepted: accepted answers; 0 gives p = 1, no evidence.
        target: precision under test, a fraction in (0, 1).

    Example:
        >>> bool(p_value(0, 59, target=0.95) <= 0.05 < p_value(0, 58, target=0.95))
        True
    """
    wrong = np.asarray(errors, np.float64)
    right = np.asarray(accepted, np.float64) - wrong
    # The incomplete beta function takes the target itself: 1 - target would round it first.
    from scipy import special  # slow to import, and nothing that only matches needs it

    tail = special.betainc(np.maximum(right, 1.0), wrong + 1.0, target)
    return np.asarray(np.where(right > 0, tail, 1.0))


def lower_bound(errors: float | int, accepted: float | int, *, confidence_level: float) -> float:
    """Give the precision that so few errors prove at a confidence level.

    Equation:  the L with P(Binom(accepted, 1 - L) <= errors) = 1 - confidence_level; 0 if
               nothing is correct.
    Source:    Clopper and Pearson 1934, Biometrika 26(4), one-sided.

    Example:
        >>> round(lower_bound(0, 59, confidence_level=0.95), 4)
        0.9505
    """
    if errors >= accepted:
        return 0.0
    from scipy import special

    return float(special.betaincinv(accepted - errors, errors + 1, 1 - confidence_level))


def labels_needed(target: float, confidence_level: float, *, errors: int = 0) -> int:
    """Count the accepted labels it takes to certify a target with a given number of errors.

    Equation:  min { n : P(Binom(n, 1 - target) <= errors) <= 1 - confidence_level }

    Raises:
        InputError: if target or confidence_level is not a fraction in (0, 1).

    Example:
        >>> [labels_needed(t, 0.95) for t in (0.95, 0.98, 0.99)]
        [59, 149, 299]
    """
    check_levels(target, confidence_level)
    low, high = errors, errors + 1
    while p_value(errors, high, target=target) > 1 - confidence_level:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        passes = p_value(errors, middle, target=target) <= 1 - confidence_level
        low, high = (low, middle) if passes else (middle, high)
    return high


def allowed_errors(
    accepted: Int[np.ndarray, " T"], *, target: float, level: float
) -> Int[np.ndarray, " T"]:
    """Count the errors that an exact test at a level forgives; -1 where even none is too many.

    Equation:  max { e : P(Binom(accepted, 1 - target) <= e) <= level }
    """
    from scipy import stats  # slow to import, and not needed to decide

    quantile = stats.binom.ppf(level, accepted, 1 - target).astype(np.int64)
    # ppf is the first count whose tail reaches the level: forgiven only if it meets it exactly.
    # One more step back protects against the rounding of 1 - target inside ppf.
    for _ in range(2):
        too_many = (quantile >= 0) & (p_value(quantile, accepted, target=target) > level)
        quantile = quantile - too_many
    return quantile


def power(
    accepted: Int[np.ndarray, " T"],
    precision: Float64[np.ndarray, "*T"],
    *,
    target: float,
    level: float,
    seen: tuple[int, int] = (0, 0),
) -> Float64[np.ndarray, " T"]:
    """Predict how often an exact test would pass, if the precision were as estimated.

    Equation:  P(errors + Binom(accepted, 1 - precision) <= allowed_errors(seen + accepted))

    Args:
        accepted: accepted answers still to be labelled.
        precision: the true precision to assume, a fraction in [0, 1].
        target: precision under test, a fraction in (0, 1).
        level: significance level of the test, a fraction in (0, 1).
        seen: accepted answers labelled already, and the errors among them.
    """
    forgiven = allowed_errors(seen[0] + accepted, target=target, level=level)
    from scipy import stats

    return np.asarray(stats.binom.cdf(forgiven - seen[1], accepted, 1 - precision))


def shrunk_precision(
    errors: Real[np.ndarray, " T"], accepted: Real[np.ndarray, " T"], *, target: float
) -> Float64[np.ndarray, " T"]:
    """Estimate a precision cautiously: as seen, plus one error at the rate that the target allows.

    A threshold picked for its few errors looks better than it is; this pulls small samples to the
    target without ever moving an estimate across it.

    Equation:  1 - (errors + 1) / (accepted + 1 / (1 - target))
    """
    return np.asarray(1 - (errors + 1) / (accepted + 1 / (1 - target)))
