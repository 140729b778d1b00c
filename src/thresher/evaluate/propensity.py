"""Precision that counts a rare item for more, because rare true items are the ones left unlabelled.

An item seen often in training is easily found and nearly always labelled; a rare one is often
true without being listed. Propensity scoring weighs each hit by one over the estimated probability
that a true pair was listed at all.
"""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Float64, Int

from thresher.errors import InputError
from thresher.evaluate.ranking import Placed

PROPENSITIES: Mapping[str, tuple[float, float]] = {
    "amazon": (0.6, 2.6),
    "wikipedia": (0.5, 0.4),
    "other": (0.55, 1.5),
}
"""The constants A and B of the data sets they were estimated on; "other" for every other set."""
FEWEST_QUERIES = 3
"""Training queries from which a propensity is defined: ln N - 1 must be above 0."""


def inverse_propensity(
    train_counts: Int[np.ndarray, " N"], *, train_queries: int, constants: str = "other"
) -> Float64[np.ndarray, " N"]:
    """How much a hit on each item weighs: the rarer in training, the more.

    1 / p_l = 1 + C (N_l + B)^-A, C = (ln N - 1) (B + 1)^A, for N training queries, N_l of which
    have item l.
    Source: Jain, Prabhu, Varma 2016 (doi:10.1145/2939672.2939756); the constants are those of the
    extreme classification repository.

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
            f"the propensity constants {constants!r} are unknown; use one of "
            f"{', '.join(PROPENSITIES)}"
        )
    if train_queries < FEWEST_QUERIES:
        raise InputError(
            f"propensities were asked for with {train_queries} training queries, but ln N - 1 must "
            f"be above 0; give the number of training queries, {FEWEST_QUERIES} or more"
        )
    a, b = PROPENSITIES[constants]
    c = (np.log(train_queries) - 1) * (b + 1) ** a
    return 1 + c * (train_counts + b) ** -a


def psp(placed: Placed, weights: Float[np.ndarray, " N"], k: int) -> float:
    """The weight of the true items among the first k of all queries, over the most it could be.

    PSP@k = sum over queries of the weights of the hits / sum over queries of the k greatest weights
    of their true items: a ratio of sums, as the repository's code computes it, not a mean of
    ratios.

    Args:
        placed: where the true items stand.
        weights: inverse propensity of each item.
        k: places that count.

    Returns:
        NaN when no query has a true item.
    """
    own = weights[placed.items]
    order = np.lexsort((-own, placed.queries))
    rank = np.arange(len(order)) - np.searchsorted(placed.queries, placed.queries)
    best = float(own[order][rank < k].sum())
    return float(own[placed.places < k].sum()) / best if best > 0 else float("nan")
