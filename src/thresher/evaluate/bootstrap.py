"""How far a number could have come out otherwise: percentile intervals over the queries.

Queries are drawn again with replacement, as many as there are, and the metric is computed on each
draw; the interval leaves out equal tails. **Source**: Efron and Tibshirani, *An Introduction to
the Bootstrap*, 1993, chapter 13. Queries are taken to be independent: where many share one text,
the true interval is wider.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64

from thresher.errors import InputError
from thresher.evaluate.coverage import FLOOR, check_confidence, last_of_block

_CELLS = 1 << 22  # draws x queries held at a time: 32 MB


class Interval(NamedTuple):
    """A value and the ends of its interval."""

    value: float
    low: float
    high: float


def bootstrap(
    metric: Callable[[Int64[np.ndarray, " Q"]], float],
    queries: int,
    *,
    generator: np.random.Generator,
    draws: int = 1000,
    level: float = 0.95,
) -> Interval:
    """The interval of any number that is computed from a set of queries.

    Args:
        metric: from row numbers of queries, repeats among them, to the number.
        queries: how many queries there are.
        generator: the source of the draws; the same seed gives the same interval.
        draws: how often to draw.
        level: share of the draws inside, a fraction.

    Returns:
        The metric of all queries, and the ends; draws where it is NaN are left out.

    Raises:
        InputError: fewer than one query or draw, or a level that is no fraction.

    Example:
        >>> values = np.array([0.0, 1.0, 1.0, 1.0])
        >>> bootstrap(lambda rows: values[rows].mean(), 4, generator=np.random.default_rng(0)).value
        0.75
    """
    sampled = [
        float(metric(rows)) for block in _draws(queries, draws, generator, level) for rows in block
    ]
    return _interval(float(metric(np.arange(queries))), np.array(sampled), level)


def bootstrap_mean(
    values: Float[np.ndarray, " Q"],
    *,
    generator: np.random.Generator,
    draws: int = 1000,
    level: float = 0.95,
) -> Interval:
    """The interval of a mean over queries; NaN values (queries without a true item) are left out.

    Memory: 4M draws x queries at a time.

    Raises:
        InputError: see `bootstrap`.
    """
    known = values[~np.isnan(values)].astype(np.float64)
    if not len(known):
        return Interval(float("nan"), float("nan"), float("nan"))
    sampled = [known[rows].mean(axis=1) for rows in _draws(len(known), draws, generator, level)]
    return _interval(float(known.mean()), np.concatenate(sampled), level)


def bootstrap_coverage(
    confidence: Float[np.ndarray, " Q"],
    correct: Bool[np.ndarray, " Q"],
    *,
    precision: float,
    generator: np.random.Generator,
    floor: int = FLOOR,
    draws: int = 1000,
    level: float = 0.95,
) -> Interval:
    """The interval of the coverage at a precision; the threshold is chosen anew on each draw.

    The same as `bootstrap` of `precision_coverage_curve(...).coverage_at(precision)` over queries
    sorted by falling confidence, but sorted once for all draws.

    Memory: 4M draws x queries at a time.

    Raises:
        InputError: a confidence is NaN; see also `bootstrap`.
    """
    check_confidence(confidence, len(correct))
    order = np.argsort(-confidence, kind="stable")
    last = last_of_block(confidence[order].astype(np.float64))
    right = correct[order]

    def coverage(times: Int64[np.ndarray, "b Q"]) -> Float64[np.ndarray, " b"]:
        """`times`: how often each query was drawn, most confident first."""
        accepted = np.cumsum(times, axis=1)[:, last]
        good = np.cumsum(times * right, axis=1)[:, last]
        share = good / np.maximum(accepted, 1)
        fine = (share >= precision) & (accepted >= max(floor, 1))
        return np.where(fine, accepted, 0).max(axis=1) / times.sum(axis=1)

    queries = len(correct)
    sampled = [coverage(_times(rows, queries)) for rows in _draws(queries, draws, generator, level)]
    value = coverage(np.ones((1, queries), dtype=np.int64))
    return _interval(float(value[0]), np.concatenate(sampled), level)


def _times(rows: Int64[np.ndarray, "b Q"], queries: int) -> Int64[np.ndarray, "b Q"]:
    """How often each place stands in each draw."""
    shifted = rows + np.arange(len(rows))[:, None] * queries
    return np.bincount(shifted.ravel(), minlength=rows.size).reshape(rows.shape).astype(np.int64)


def _draws(
    queries: int, draws: int, generator: np.random.Generator, level: float
) -> Iterator[Int64[np.ndarray, "b Q"]]:
    if queries < 1 or draws < 1 or not 0 < level < 1:
        raise InputError(
            f"A bootstrap of {draws} draws over {queries} queries at level {level} was asked; "
            "give at least one of each, and a level between 0 and 1."
        )
    step = max(1, _CELLS // queries)
    for start in range(0, draws, step):
        yield generator.integers(0, queries, size=(min(step, draws - start), queries))


def _interval(value: float, sampled: Float64[np.ndarray, " draws"], level: float) -> Interval:
    known = sampled[~np.isnan(sampled)]
    if not len(known):
        return Interval(value, float("nan"), float("nan"))
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, float(low), float(high))
