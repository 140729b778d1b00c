"""How far a number could have come out otherwise: 95 % percentile intervals over the queries.

Queries are drawn again with replacement, as many as there are, and the metric is computed on each
draw; the interval leaves out equal tails. Queries are taken to be independent: where many share one
text, the true interval is wider.

Source: Efron and Tibshirani, *An Introduction to the Bootstrap*, 1993, chapter 13.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Bool, Float, Float64

from thresher.data.relation import Relation
from thresher.data.sequences import Sequences
from thresher.errors import InputError
from thresher.evaluate.coverage import FLOOR, check_confidence, last_of_block
from thresher.evaluate.evaluation import KS, PRECISIONS, Accepted, Retrieved, sureness
from thresher.evaluate.ranking import Placed

ENDS = (0.025, 0.975)
_CELLS = 1 << 22  # draws x queries held at a time: 32 MB
_MOST = 1 << 27  # draws x queries in all: a minute of work


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
    means = bootstrap_means(np.stack(list(columns.values()), 1), generator=generator, draws=draws)
    sure, right = sureness(hits, confidence), placed.first_is_right()
    own = bootstrap_coverages(sure, right, precisions=PRECISIONS, generator=generator, draws=draws)
    names = [*columns, *(f"coverage@precision={target:g}" for target in PRECISIONS)]
    found = zip(names, np.concatenate([means, own]).tolist(), strict=True)
    return {name: (low, high) for name, (low, high) in found if not np.isnan(low)}


def bootstrap_means(
    values: Float[np.ndarray, "Q m"], *, generator: np.random.Generator, draws: int = 1000
) -> Float64[np.ndarray, "m 2"]:
    """The ends of the interval of each column's mean, all from the same draws of queries.

    Args:
        values: a row a query; NaN values (queries without a true item) are left out of a mean. The
            difference of two systems' columns gives the interval of their difference.
        generator: the source of the draws; the same seed gives the same intervals.
        draws: how often to draw.

    Memory: 4M draws x queries at a time.

    Raises:
        InputError: fewer than one query or draw.

    Example:
        >>> ends = bootstrap_means(np.ones((9, 1)), generator=np.random.default_rng(0))
        >>> ends.tolist()
        [[1.0, 1.0]]
    """
    known = ~np.isnan(values)
    filled, counted = np.where(known, values, 0.0).astype(np.float64), known.astype(np.float64)
    found = []
    for times in _times(len(values), draws, generator):
        there = times @ counted
        found.append(times @ filled / np.where(there > 0, there, np.nan))
    return _ends(np.concatenate(found))


def bootstrap_coverages(
    confidence: Float[np.ndarray, " Q"],
    correct: Bool[np.ndarray, " Q"],
    *,
    precisions: Sequence[float],
    generator: np.random.Generator,
    floor: int = FLOOR,
    draws: int = 1000,
) -> Float64[np.ndarray, "t 2"]:
    """The ends of the interval of the coverage at each precision.

    Thresholds are chosen again on each draw, as by `precision_coverage_curve(...).coverage_at`,
    but the queries are sorted once for all draws. NaN for fewer queries than the floor.

    Memory: 4M draws x queries at a time.

    Raises:
        InputError: a confidence is NaN; see also `bootstrap_means`.
    """
    check_confidence(confidence, len(correct))
    order = np.argsort(-confidence, kind="stable")
    ordered = confidence[order].astype(np.float64)
    last = last_of_block(ordered)
    last, right = last[ordered[last] > -np.inf], correct[order]
    found = []
    for times in _times(len(correct), draws, generator):
        accepted = np.cumsum(times, axis=1)[:, last]
        share = np.cumsum(times * right, axis=1)[:, last] / np.maximum(accepted, 1)
        share[accepted < max(floor, 1)] = -1.0
        best = [np.where(share >= p, accepted, 0).max(axis=1, initial=0) for p in precisions]
        found.append(np.stack(best, axis=1) / len(correct))
    return _ends(np.concatenate(found)) * (1.0 if len(correct) >= floor else np.nan)


def _times(
    queries: int, draws: int, generator: np.random.Generator
) -> Iterator[Float64[np.ndarray, "b Q"]]:
    """How often each query stands in each draw, some draws at a time."""
    if queries < 1 or draws < 1:
        raise InputError(
            f"a bootstrap of {draws} draws over {queries} queries was asked for; give at least one "
            "of each"
        )
    step = max(1, _CELLS // queries)
    for start in range(0, draws, step):
        rows = generator.integers(0, queries, size=(min(step, draws - start), queries))
        shifted = rows + np.arange(len(rows))[:, None] * queries
        yield np.bincount(shifted.ravel(), minlength=rows.size).reshape(rows.shape).astype(float)


def _ends(drawn: Float64[np.ndarray, "draws m"]) -> Float64[np.ndarray, "m 2"]:
    """The quantiles of each column without its NaN draws; NaN of nothing."""
    columns = [column[~np.isnan(column)] for column in drawn.T]
    return np.array([np.quantile(c, ENDS) if len(c) else [np.nan, np.nan] for c in columns])
