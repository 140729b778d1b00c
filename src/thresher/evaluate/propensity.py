"""Precision that counts a rare item for more, because rare true items are the ones left unlabelled.

An item seen often in training is easily found and nearly always labelled; a rare one is often
true without being listed. Propensity scoring weighs each hit by one over the estimated probability
that a true pair was listed at all.
"""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float, Float64, Int

from thresher.errors import InputError

PROPENSITIES: Mapping[str, tuple[float, float]] = {
    "amazon": (0.6, 2.6),
    "wikipedia": (0.5, 0.4),
    "other": (0.55, 1.5),
}
"""The constants A and B of the data sets they were estimated on; "other" for every other set."""


def inverse_propensity(
    train_counts: Int[np.ndarray, " N"], *, train_queries: int, constants: str = "other"
) -> Float64[np.ndarray, " N"]:
    """How much a hit on each item weighs: the rarer in training, the more.

    1 / p_l = 1 + C (N_l + B)^-A, C = (ln N - 1) (B + 1)^A, for N training queries, N_l of which
    have item l.
    **Source**: Jain, Prabhu, Varma 2016 (doi:10.1145/2939672.2939756); the constants
    are those of the extreme classification repository.

    Args:
        train_counts: training queries for which each item is true.
        train_queries: number of training queries, 3 or more.
        constants: "amazon", "wikipedia" or "other".

    Raises:
        InputError: unknown constants, or fewer than 3 training queries.

    Example:
        >>> inverse_propensity(np.array([0, 100]), train_queries=1000).round(2).tolist()
        [8.82, 1.77]
    """
    if constants not in PROPENSITIES:
        raise InputError(
            f"The propensity constants '{constants}' are unknown; use one of "
            f"{', '.join(PROPENSITIES)}."
        )
    if train_queries < 3:
        raise InputError(
            f"Propensities were asked of {train_queries} training queries, but ln N - 1 must be "
            "above 0; give the number of training queries, 3 or more."
        )
    a, b = PROPENSITIES[constants]
    c = (np.log(train_queries) - 1) * (b + 1) ** a
    return 1 + c * (train_counts + b) ** -a


def psp_parts(
    rows: Int[np.ndarray, "Q w"],
    correct: Bool[np.ndarray, "Q w"],
    true_queries: Int[np.ndarray, " P"],
    true_items: Int[np.ndarray, " P"],
    weights: Float[np.ndarray, " N"],
    k: int,
) -> tuple[Float64[np.ndarray, " Q"], Float64[np.ndarray, " Q"]]:
    """For each query, the weight of the true items among the first k, and the most it could be.

    PSP@k = sum over queries of the first / sum over queries of the second: a ratio of sums, as the
    repository's code computes it, and not a mean of ratios.

    Args:
        rows: retrieved items, best first; -1 where missing.
        correct: whether each is true for its query, repetitions excluded.
        true_queries: query row of each true pair.
        true_items: item row of each true pair.
        weights: inverse propensity of each item.
        k: places that count.
    """
    gained = np.where(correct, weights[np.maximum(rows, 0)], 0.0)[:, :k].sum(axis=1)
    order = np.lexsort((-weights[true_items], true_queries))
    queries, pair_weights = true_queries[order], weights[true_items][order]
    place = np.arange(len(queries)) - np.searchsorted(queries, queries)
    best = np.bincount(
        queries[place < k], weights=pair_weights[place < k], minlength=len(rows)
    ).astype(np.float64)
    return gained, best


def psp(gained: Float[np.ndarray, " Q"], best: Float[np.ndarray, " Q"]) -> float:
    """PSP@k from its parts; NaN when no query has a true item."""
    total = float(best.sum())
    return float(gained.sum()) / total if total > 0 else float("nan")
