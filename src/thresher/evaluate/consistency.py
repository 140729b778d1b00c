"""Whether one threshold means the same for every class of items.

A global threshold works when every class reaches its operating point at the same score. OPIS
measures how far the classes disagree over the thresholds that matter.
"""

import numpy as np
from jaxtyping import Bool, Float, Float64, Int, Int64

from thresher.errors import InputError

_CELLS = 1 << 22  # pairs, or classes x thresholds, held at a time


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
    step = max(1, _CELLS // (thresholds * max(1, scores.shape[1])))
    utilities = []
    for start in range(0, int(members[-1, 1]) + 1, step):
        some = slice(*np.searchsorted(members[:, 1], (start, start + step)))
        block = members[some] - [0, start]
        utilities.append(_utility(scores, correct, missed, block, grid))
    utility = np.concatenate(utilities)
    return float(1000 * utility.var(axis=0).mean()) if len(utility) > 1 else float("nan")


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
    queries, classes = members.T
    number, steps = int(classes.max(initial=-1)) + 1, len(grid) + 1
    found, right = scores[queries].astype(np.float64), correct[queries]
    # Cell j of a class counts the pairs that reach exactly j of the thresholds; a true item that
    # was not retrieved reaches none.
    cell = classes[:, None] * steps + np.searchsorted(grid, found, side="right")
    true = np.bincount(cell[right], minlength=number * steps).astype(np.float64)
    true[::steps] += np.bincount(classes, weights=missed[queries], minlength=number)
    false = np.bincount(cell[~right & np.isfinite(found)], minlength=number * steps)
    both = np.stack([true, false]).reshape(2, number, steps)
    both = both[:, (both.sum(axis=2) > 0).all(axis=0)]
    reached = np.cumsum(both[:, :, ::-1], axis=2)[:, :, -2::-1] / both.sum(axis=2)[:, :, None]
    sensitivity, specificity = reached[0], 1 - reached[1]
    total = sensitivity + specificity
    return 2 * sensitivity * specificity / np.where(total > 0, total, 1)
