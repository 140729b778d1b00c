"""How far a number could have come out otherwise: percentile intervals over the queries.

Queries are drawn again with replacement, as many as there are, and the metric is computed on each
draw; the interval leaves out equal tails. Queries are taken to be independent: where many share one
text, the true interval is wider.

Source: Efron and Tibshirani, *An Introduction to the Bootstrap*, 1993, chapter 13.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64

from thresher.data.relation import Relation
from thresher.data.sequences import Sequences
from thresher.errors import InputError
from thresher.evaluate.coverage import FLOOR, check_confidence, last_of_block
from thresher.evaluate.evaluation import KS, PRECISIONS, Accepted, Retrieved, sureness
from thresher.evaluate.ranking import Placed

_CELLS = 1 << 22  # draws x queries held at a time: 32 MB
_MOST = 1 << 27  # draws x queries in all: a minute of work


class Interval(NamedTuple):
    """A value and the ends of its interval."""

    value: float
    low: float
    high: float


def intervals(
    hits: Retrieved,
    truth: Relation,
    *,
    confidence: Float[np.ndarray, " Q"] | None = None,
    accepted: Accepted | None = None,
    targets: Sequences | None = None,
    count_repeats: bool = False,
    ks: Sequence[int] = KS,
    seed: int = 0,
) -> dict[str, tuple[float, float]]:
    """95 % intervals of the numbers of `evaluate` that decisions rest on, by their names.

    P@1, recall@k, coverage@precision=t and certified_coverage@precision=t; the arguments are those
    of `evaluate`. With many queries fewer draws are made than the usual 1,000.
    """
    if not len(truth):
        return {}
    placed = Placed.of(hits.rows, truth, targets if count_repeats else None)
    columns = {"P@1": placed.precision(1)}
    columns |= {f"recall@{k}": placed.recall(k) for k in ks if k <= placed.width}
    for target, taken in (accepted or {}).items():
        columns[f"certified_coverage@precision={target:g}"] = taken.astype(np.float64)
    draws = min(1000, max(100, _MOST // len(truth)))
    generator = np.random.default_rng(seed)
    values = np.stack(list(columns.values()), axis=1)
    means = bootstrap_means(values, generator=generator, draws=draws)
    coverages = bootstrap_coverages(
        sureness(hits, confidence),
        placed.first_is_right(),
        precisions=PRECISIONS,
        generator=generator,
        draws=draws,
    )
    found = dict(zip(columns, means, strict=True))
    found |= {
        f"coverage@precision={target:g}": interval
        for target, interval in zip(PRECISIONS, coverages, strict=True)
    }
    return {name: (i.low, i.high) for name, i in found.items() if not np.isnan(i.low)}


def bootstrap_means(
    values: Float[np.ndarray, "Q m"],
    *,
    generator: np.random.Generator,
    draws: int = 1000,
    level: float = 0.95,
) -> list[Interval]:
    """The interval of the mean of each column, all from the same draws of queries.

    Args:
        values: a row a query; NaN values (queries without a true item) are left out of a mean.
        generator: the source of the draws; the same seed gives the same intervals.
        draws: how often to draw.
        level: share of the draws inside, a fraction.

    Returns:
        Draws without a value of a column are left out of its interval; the difference of two
        columns gives the interval of a difference.

    Memory: 4M draws x queries at a time.

    Raises:
        InputError: fewer than one query or draw, or a level that is no fraction.

    Example:
        >>> values = np.array([[0.0], [1.0], [np.nan], [1.0]])
        >>> round(bootstrap_means(values, generator=np.random.default_rng(0))[0].value, 3)
        0.667
    """
    known = ~np.isnan(values)
    filled, counted = np.where(known, values, 0.0).astype(np.float64), known.astype(np.float64)

    def means(times: Float64[np.ndarray, "b Q"]) -> Float64[np.ndarray, "b m"]:
        there = times @ counted
        return times @ filled / np.where(there > 0, there, np.nan)

    rows = np.concatenate([means(t) for t in _times(len(values), draws, generator, level)])
    own = means(np.ones((1, len(values))))[0]
    return [_interval(value, drawn, level) for value, drawn in zip(own, rows.T, strict=True)]


def bootstrap_coverages(
    confidence: Float[np.ndarray, " Q"],
    correct: Bool[np.ndarray, " Q"],
    *,
    precisions: Sequence[float],
    generator: np.random.Generator,
    floor: int = FLOOR,
    draws: int = 1000,
    level: float = 0.95,
) -> list[Interval]:
    """The interval of the coverage at each precision; thresholds are chosen again on each draw.

    The same as the intervals of `precision_coverage_curve(...).coverage_at(precision)`, but the
    queries are sorted once for all draws.

    Memory: 4M draws x queries at a time.

    Raises:
        InputError: a confidence is NaN; see also `bootstrap_means`.
    """
    check_confidence(confidence, len(correct))
    order = np.argsort(-confidence, kind="stable")
    ordered = confidence[order].astype(np.float64)
    last = last_of_block(ordered)
    last, right = last[ordered[last] > -np.inf], correct[order]

    def coverage(times: Float64[np.ndarray, "b Q"]) -> Float64[np.ndarray, "b t"]:
        """`times`: how often each query was drawn, most confident first."""
        accepted = np.cumsum(times, axis=1)[:, last]
        share = np.cumsum(times * right, axis=1)[:, last] / np.maximum(accepted, 1)
        enough = accepted >= max(floor, 1)
        best = [
            np.where(enough & (share >= p), accepted, 0).max(axis=1, initial=0) for p in precisions
        ]
        few = np.nan if len(correct) < floor else 1.0
        return few * np.stack(best, axis=1) / len(correct)

    rows = np.concatenate([coverage(t) for t in _times(len(correct), draws, generator, level)])
    own = coverage(np.ones((1, len(correct))))[0]
    return [_interval(value, drawn, level) for value, drawn in zip(own, rows.T, strict=True)]


def _times(
    queries: int, draws: int, generator: np.random.Generator, level: float
) -> Iterator[Float64[np.ndarray, "b Q"]]:
    """How often each query stands in each draw, some draws at a time."""
    if queries < 1 or draws < 1 or not 0 < level < 1:
        raise InputError(
            f"a bootstrap of {draws} draws over {queries} queries at level {level} was asked for; "
            "give at least one of each, and a level between 0 and 1"
        )
    step = max(1, _CELLS // queries)
    for start in range(0, draws, step):
        rows: Int64[np.ndarray, "b Q"] = generator.integers(
            0, queries, size=(min(step, draws - start), queries)
        )
        shifted = rows + np.arange(len(rows))[:, None] * queries
        yield np.bincount(shifted.ravel(), minlength=rows.size).reshape(rows.shape).astype(float)


def _interval(value: float, sampled: Float64[np.ndarray, " draws"], level: float) -> Interval:
    known = sampled[~np.isnan(sampled)]
    if not len(known):
        return Interval(float(value), float("nan"), float("nan"))
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(value), float(low), float(high))
