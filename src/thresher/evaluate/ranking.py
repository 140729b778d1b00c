"""How well the retrieved items are ranked, from where the true items stand; one value a query.

A query without a true item cannot be ranked well or badly: its value is NaN, and `mean` leaves it
out. A missing item (-1) is never right, an item listed twice counts where it stands first, and
every place beyond the last column counts as wrong. Scores play no part.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64, Int, Int64

from thresher.data.relation import Relation
from thresher.data.sequences import Sequences
from thresher.errors import InputError

ABSENT = 1 << 40
"""The place of an item that is not in the list: beyond every place that anyone asks for."""

_CELLS = 1 << 22  # places of lists that are compared at a time: 32 MB


@dataclass(frozen=True, eq=False)
class Placed:
    """The true pairs of a search, by query and then by place, and where each item stands.

    Args:
        total: number of queries.
        width: length of the lists.
        queries: query row of each true pair.
        items: its item row.
        places: where the item stands in the list of the query, from 0; `ABSENT` where it does not.
        weights: how often the pair counts in recall.

    Example:
        >>> truth = Relation.from_pairs(np.array([0, 0]), np.array([4, 7]), shape=(1, 9))
        >>> placed = Placed.of(np.array([[2, 7, 4]]), truth)
        >>> placed.places.tolist(), placed.recall(2).tolist(), placed.precision(3).round(2).tolist()
        ([1, 2], [0.5], [0.67])
    """

    total: int
    width: int
    queries: Int64[np.ndarray, " P"]
    items: Int64[np.ndarray, " P"]
    places: Int64[np.ndarray, " P"]
    weights: Float64[np.ndarray, " P"]

    @classmethod
    def of(
        cls, rows: Int[np.ndarray, "Q k"], truth: Relation, repeats: Sequences | None = None
    ) -> "Placed":
        """Find every true item in the list of its query.

        Args:
            rows: retrieved item rows, best first; -1 where missing.
            truth: true items of each query, in the order of the rows.
            repeats: events whose distinct pairs are those of the truth: each pair then counts as
                often as it comes.

        Memory: O(Q + P), and 32 MB. Time: O(P k).

        Raises:
            InputError: lengths differ, or the events hold other pairs than the truth.
        """
        if len(rows) != len(truth):
            raise InputError(
                f"there are hits for {len(rows):,} queries and a truth of {len(truth):,}; search "
                "once for each query of the truth, in its order"
            )
        queries, items = truth.pairs().T
        places = _places(rows, queries, items)
        weights = np.ones(len(queries)) if repeats is None else _events(repeats, truth)
        order = np.lexsort((places, queries))
        pairs = (queries[order], items[order], places[order], weights[order])
        return cls(len(rows), rows.shape[1], *pairs)

    def only(self, kept: Bool[np.ndarray, " P"]) -> "Placed":
        """The same search with some of the true pairs."""
        pairs = (self.queries, self.items, self.places, self.weights)
        return Placed(self.total, self.width, *(column[kept] for column in pairs))

    def counts(self) -> Int64[np.ndarray, " Q"]:
        """How many true items each query has."""
        return np.bincount(self.queries, minlength=self.total)

    def correct(self, k: int) -> Bool[np.ndarray, "Q k"]:
        """Whether each of the first k places holds a true item that did not stand before."""
        found = np.zeros((self.total, min(k, self.width)), np.bool_)
        listed = self.places < found.shape[1]
        found[self.queries[listed], self.places[listed]] = True
        return found

    def first_is_right(self) -> Bool[np.ndarray, " Q"]:
        """Whether the first item of each list is true."""
        found = np.zeros(self.total, np.bool_)
        found[self.queries[self.places == 0]] = True
        return found

    def average(self, values: Float[np.ndarray, " P"]) -> Float64[np.ndarray, " Q"]:
        """The weighted mean of a value of the true pairs of each query."""
        return self._sum(self.weights * values) / _or_nan(self._sum(self.weights))

    def precision(self, k: int) -> Float64[np.ndarray, " Q"]:
        """The share of the first k places that hold a true item.

        P@k = (true items among the first k) / k, also when fewer than k were retrieved or are true.
        Source: Bhatia et al. 2016, the extreme classification repository, "P@k".
        """
        return self._gain(k, 1.0) / np.where(self.counts() > 0, float(k), np.nan)

    def recall(self, k: int) -> Float64[np.ndarray, " Q"]:
        """The share of a query's true items, by weight, among the first k.

        Source: Manning, Raghavan, Schütze, *Introduction to Information Retrieval*, section 8.4;
        weighted by events as in the code of ComiRec (Cen et al., KDD 2020).
        """
        return self.average((self.places < _checked(k)).astype(np.float64))

    def hit(self, k: int) -> Float64[np.ndarray, " Q"]:
        """1 where a true item stands among the first k, else 0."""
        return (self._gain(k, 1.0) > 0) / np.where(self.counts() > 0, 1.0, np.nan)

    def reciprocal_rank(self, k: int) -> Float64[np.ndarray, " Q"]:
        """One over the place of the first true item, 0 when the first k hold none.

        Source: Voorhees, "The TREC-8 question answering track report", 1999.
        """
        first = np.full(self.total, np.inf)
        np.minimum.at(first, self.queries, self.places + 1.0)
        return np.where(first > k, 0.0, 1 / first) / np.where(self.counts() > 0, 1.0, np.nan)

    def ndcg(self, k: int) -> Float64[np.ndarray, " Q"]:
        """How early the true items stand, against the best possible order.

        DCG@k = sum over places i <= k with a true item of 1 / log2(i + 1); nDCG@k divides it by the
        DCG@k of all true items standing first.
        Source: Järvelin and Kekäläinen 2002 (doi:10.1145/582415.582418), with gains 0 and 1.
        """
        ideal = np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(k) + 2.0))])
        best = ideal[np.minimum(self.counts(), k)]
        return self._gain(k, 1 / np.log2(self.places + 2.0)) / _or_nan(best)

    def average_precision(self, k: int) -> Float64[np.ndarray, " Q"]:
        """The precision at the place of each true item, averaged over all true items of the query.

        AP@k = (sum over places i <= k with a true item of P@i) / (true items); its mean is MAP@k.
        Source: trec_eval, "map_cut_k". Differs from libraries that divide by min(true items, k),
        which gives more when a query has more than k true items.
        """
        before = np.arange(len(self.queries)) - np.searchsorted(self.queries, self.queries)
        gained = self._gain(k, (before + 1) / (self.places + 1))
        return gained / _or_nan(self.counts().astype(np.float64))

    def _gain(self, k: int, gains: Float[np.ndarray, " P"] | float) -> Float64[np.ndarray, " Q"]:
        return self._sum((self.places < _checked(k)) * gains)

    def _sum(self, values: Float[np.ndarray, " P"]) -> Float64[np.ndarray, " Q"]:
        total = np.bincount(self.queries, weights=values, minlength=self.total)
        return total.astype(np.float64)  # of no pairs, NumPy returns whole numbers


def mean(values: Float[np.ndarray, " Q"]) -> float:
    """The mean over the queries that have a true item; NaN when none has.

    Example:
        >>> mean(np.array([1.0, np.nan, 0.0]))
        0.5
    """
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def _places(
    rows: Int[np.ndarray, "Q k"], queries: Int64[np.ndarray, " P"], items: Int64[np.ndarray, " P"]
) -> Int64[np.ndarray, " P"]:
    """Where each item stands first in the list of its query; `ABSENT` where it is not."""
    width = rows.shape[1]
    places = np.full(len(queries), ABSENT, dtype=np.int64)
    step = max(1, _CELLS // max(1, width))
    for start in range(0, len(queries) if width else 0, step):
        block = slice(start, start + step)
        same = rows[queries[block]] == items[block, None]
        first = same.argmax(axis=1)
        places[block] = np.where(same.any(axis=1), first, ABSENT)
    return places


def _events(repeats: Sequences, truth: Relation) -> Float64[np.ndarray, " P"]:
    """How often each true pair comes among the events."""
    users = np.repeat(np.arange(len(repeats)), repeats.counts())
    events, known = users * max(truth.columns, 1) + repeats.items, truth.pairs()
    pairs, times = np.unique(events, return_counts=True)
    if not np.array_equal(pairs, known[:, 0] * max(truth.columns, 1) + known[:, 1]):
        raise InputError(
            f"the targets hold {len(pairs):,} distinct pairs and the truth {len(known):,}, or "
            "others; give the truth that the targets make"
        )
    return times.astype(np.float64)


def _checked(k: int) -> int:
    if k < 1:
        raise InputError(f"a metric was asked for at k = {k}; k is a number of places, 1 or more")
    return k


def _or_nan(values: Float[np.ndarray, " Q"]) -> Float64[np.ndarray, " Q"]:
    return np.where(values > 0, values, np.nan)
