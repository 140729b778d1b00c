"""The binomial test in exact fractions, written from its definition."""

from fractions import Fraction
from math import comb


def tail(errors, accepted, target):
    """P(Binom(accepted, 1 - target) <= errors) with target a Fraction."""
    q = 1 - target
    terms = (comb(accepted, e) * q**e * target ** (accepted - e) for e in range(errors + 1))
    return sum(terms, Fraction(0))


def passed(scores, correct, thresholds, target, level):
    """How many thresholds pass in order, counting by a plain loop."""
    for number, threshold in enumerate(thresholds):
        accepted = [c for s, c in zip(scores, correct, strict=True) if s >= threshold]
        if tail(len(accepted) - sum(accepted), len(accepted), target) > level:
            return number
    return len(thresholds)
