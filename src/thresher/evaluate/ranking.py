"""How well the retrieved items are ranked: one value a query, the mean apart.

Every metric takes `correct`, whether each retrieved item is true for its query, best first
(`once(hits.rows, relation.correct(hits.rows))`), and `counts`, how many true items each query has.
A query without a true item cannot be ranked well or badly: its value is NaN, and `mean` leaves it
out. A missing item (-1) counts as wrong, and so does every place beyond the last column. Scores
play no part: negative ones are as good as any.
"""

import numpy as np
from jaxtyping import Bool, Float, Float64, Int

from thresher.errors import InputError


def once(rows: Int[np.ndarray, "Q k"], correct: Bool[np.ndarray, "Q k"]) -> Bool[np.ndarray, "Q k"]:
    """`correct` where an item stands for the first time in its line; a repetition earns nothing.

    Memory: O(Q k).
    """
    order = np.argsort(rows, axis=1, kind="stable")
    ordered = np.take_along_axis(rows, order, axis=1)
    repeated = np.zeros_like(correct)
    again = np.zeros_like(correct)
    again[:, 1:] = ordered[:, 1:] == ordered[:, :-1]
    np.put_along_axis(repeated, order, again, axis=1)
    return correct & ~repeated


def precision_at(
    correct: Bool[np.ndarray, "Q w"], counts: Int[np.ndarray, " Q"], k: int
) -> Float64[np.ndarray, " Q"]:
    """The share of the first k places that hold a true item.

    P@k = (true items among the first k) / k, also when fewer than k were retrieved or are true.
    **Source**: the extreme classification repository (Bhatia et al. 2016), "P@k".

    Example:
        >>> precision_at(np.array([[True, False, True]]), np.array([2]), 2)
        array([0.5])
    """
    return _ranked(correct, k).sum(axis=1) / k + _absent(counts)


def recall_at(
    correct: Bool[np.ndarray, "Q w"], counts: Int[np.ndarray, " Q"], k: int
) -> Float64[np.ndarray, " Q"]:
    """The share of a query's true items that stand among the first k.

    recall@k = (true items among the first k) / (true items).
    **Source**: Manning, Raghavan, Schütze, *Introduction to Information Retrieval*, section 8.4.
    """
    return _ranked(correct, k).sum(axis=1) / _known(counts)


def reciprocal_rank_at(
    correct: Bool[np.ndarray, "Q w"], counts: Int[np.ndarray, " Q"], k: int
) -> Float64[np.ndarray, " Q"]:
    """One over the place of the first true item, 0 when the first k hold none.

    **Source**: Voorhees, "The TREC-8 question answering track report", 1999.
    """
    hit = _ranked(correct, k)
    return (hit / _places(hit)).max(axis=1, initial=0.0) + _absent(counts)


def ndcg_at(
    correct: Bool[np.ndarray, "Q w"], counts: Int[np.ndarray, " Q"], k: int
) -> Float64[np.ndarray, " Q"]:
    """How early the true items stand, against the best possible order.

    DCG@k = sum over places i <= k with a true item of 1 / log2(i + 1); nDCG@k divides it by the
    DCG@k of all true items standing first.
    **Source**: Järvelin and Kekäläinen 2002 (doi:10.1145/582415.582418), with gains 0 and 1.
    """
    hit = _ranked(correct, k)
    gained = (hit / np.log2(_places(hit) + 1)).sum(axis=1)
    ideal = np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(1, k + 1) + 1))])
    best = ideal[np.minimum(counts, k)]
    return gained / np.where(best > 0, best, np.nan)


def average_precision_at(
    correct: Bool[np.ndarray, "Q w"], counts: Int[np.ndarray, " Q"], k: int
) -> Float64[np.ndarray, " Q"]:
    """The precision at the place of each true item, averaged over all true items of the query.

    AP@k = (sum over places i <= k with a true item of P@i) / (true items); its mean is MAP@k.
    **Source**: trec_eval, "map_cut_k". **Differs** from libraries that divide by min(true items,
    k), which gives more when a query has more than k true items.
    """
    hit = _ranked(correct, k)
    precision = np.cumsum(hit, axis=1) / _places(hit)
    return np.where(hit, precision, 0.0).sum(axis=1) / _known(counts)


def mean(values: Float[np.ndarray, " Q"]) -> float:
    """The mean over the queries that have a true item; NaN when none has.

    Example:
        >>> mean(np.array([1.0, np.nan, 0.0]))
        0.5
    """
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def _ranked(correct: Bool[np.ndarray, "Q w"], k: int) -> Bool[np.ndarray, "Q k"]:
    if k < 1:
        raise InputError(f"A metric was asked at k = {k}; k is a number of places, 1 or more.")
    return correct[:, :k]


def _places(hit: Bool[np.ndarray, "Q k"]) -> Float64[np.ndarray, " k"]:
    return np.arange(1, hit.shape[1] + 1, dtype=np.float64)


def _known(counts: Int[np.ndarray, " Q"]) -> Float64[np.ndarray, " Q"]:
    """The number of true items, NaN instead of 0."""
    return np.where(counts > 0, counts, np.nan)


def _absent(counts: Int[np.ndarray, " Q"]) -> Float64[np.ndarray, " Q"]:
    """NaN to add where there is no true item, 0 elsewhere."""
    return np.where(counts > 0, 0.0, np.nan)
