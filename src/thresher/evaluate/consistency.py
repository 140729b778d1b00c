"""Whether one threshold means the same for every class of items.

A global threshold works when every class reaches its operating point at the same score. OPIS
measures how far the classes disagree over the thresholds that matter.
"""

import numpy as np
from jaxtyping import Bool, Float, Float64, Int, Int64

from thresher.errors import InputError

_CELLS = 1 << 22  # pairs or class x threshold cells held at a time


def opis(
    scores: Float[np.ndarray, "Q w"],
    correct: Bool[np.ndarray, "Q w"],
    missed: Int[np.ndarray, " Q"],
    members: Int[np.ndarray, "M 2"],
    *,
    false_accepts: tuple[float, float] = (0.01, 0.1),
    thresholds: int = 100,
) -> float:
    """How unequally one threshold treats the classes: 0 when all agree, multiplied by 1,000.

    U_i(d) = harmonic mean of class i's specificity (false pairs that score below d) and
    sensitivity (true pairs that score d or above);
    OPIS = 1000 x mean over d and over classes i of (U_i(d) - mean_i U_i(d))^2,
    d in even steps from the score that 10 % of all false pairs reach to the score of 1 %.
    Source: Zhang et al., ICLR 2024 (arXiv:2307.04047). Differs (reconstructed for retrieval, where
    the full matrix of pairs is not at hand): the pairs are those retrieved, so the false ones are
    hard, and a true item that was not retrieved scores below every threshold.

    Args:
        scores: of the retrieved items; -inf where missing.
        correct: whether each is true for its query.
        missed: true items of each query that were not retrieved.
        members: pairs (query row, class number from 0); a query may belong to several classes.
        false_accepts: the range of the global rate of false accepts, low and high.
        thresholds: number of steps.

    Returns: NaN when fewer than two classes have both true and false pairs.

    Memory: O(members), and 4M pairs and 4M classes x thresholds at a time: about 0.3 GB.

    Raises:
        InputError: the range is not 0 < low < high < 1.
    """
    low, high = false_accepts
    if not 0 < low < high < 1 or thresholds < 1:
        raise InputError(
            f"OPIS was asked for at false-accept rates {low} to {high} in {thresholds} steps; give "
            "0 < low < high < 1 and at least one step"
        )
    own = np.unique(members[:, 0])
    false = scores[own][~correct[own] & np.isfinite(scores[own])]
    if not len(false):
        return float("nan")
    first, last = np.quantile(false.astype(np.float64), [1 - high, 1 - low])
    grid = np.linspace(first, last, thresholds)
    members = members[np.argsort(members[:, 1], kind="stable")]
    number, total, squares = 0, np.zeros(thresholds), np.zeros(thresholds)
    for start in range(0, int(members[-1, 1]) + 1, max(1, _CELLS // thresholds)):
        block = start, start + max(1, _CELLS // thresholds)
        part = members[slice(*np.searchsorted(members[:, 1], block))] - [0, start]
        utility = _utility(scores, correct, missed, part, grid)
        number += len(utility)
        total += utility.sum(axis=0)
        squares += (utility**2).sum(axis=0)
    if number < 2:
        return float("nan")
    return float(1000 * (squares / number - (total / number) ** 2).mean())


def members_of_items(
    true_queries: Int[np.ndarray, " P"], true_items: Int[np.ndarray, " P"]
) -> Int64[np.ndarray, "M 2"]:
    """Classes that are items: every item that is true for two queries or more."""
    _, inverse, counts = np.unique(true_items, return_inverse=True, return_counts=True)
    kept = counts[inverse] >= 2
    _, classes = np.unique(true_items[kept], return_inverse=True)
    return np.stack([true_queries[kept], classes], axis=1).astype(np.int64)


def _utility(
    scores: Float[np.ndarray, "Q w"],
    correct: Bool[np.ndarray, "Q w"],
    missed: Int[np.ndarray, " Q"],
    members: Int[np.ndarray, "M 2"],
    grid: Float64[np.ndarray, " T"],
) -> Float64[np.ndarray, "C T"]:
    """U_i(d) of each class that has both true and false pairs."""
    if not len(members):
        return np.empty((0, len(grid)))
    queries, classes = members[:, 0], members[:, 1]
    number, steps = int(classes.max()) + 1, len(grid) + 1
    true, false = np.zeros((2, number * steps), dtype=np.int64)
    step = max(1, _CELLS // max(1, scores.shape[1]))
    for start in range(0, len(members), step):
        some = slice(start, start + step)
        found, right = scores[queries[some]].astype(np.float64), correct[queries[some]]
        # Cell j of a class counts the pairs that reach exactly j of the thresholds.
        cell = classes[some, None] * steps + np.searchsorted(grid, found, side="right")
        true += np.bincount(cell[right], minlength=number * steps)
        false += np.bincount(cell[~right & np.isfinite(found)], minlength=number * steps)
    # A true item that was not retrieved reaches none.
    true[::steps] += np.bincount(classes, weights=missed[queries], minlength=number).astype(int)
    true, false = true.reshape(number, steps), false.reshape(number, steps)
    usable = (true.sum(axis=1) > 0) & (false.sum(axis=1) > 0)
    sensitivity, accepted = (
        np.cumsum(side[usable][:, ::-1], axis=1)[:, -2::-1] / side[usable].sum(axis=1)[:, None]
        for side in (true, false)
    )
    specificity = 1 - accepted
    both = sensitivity + specificity
    return 2 * sensitivity * specificity / np.where(both > 0, both, 1)
