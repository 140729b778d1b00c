"""What a search returns: for each query, the nearest items and how near they are."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Bool, Float32, Int64

from thresher.data.relation import Relation
from thresher.errors import InputError


@final
@dataclass(frozen=True, eq=False)
class Hits:
    """The retrieved items of each query, best first, with their scores.

    Rows are row numbers in the catalogue, scores inner products, higher is closer; -1 and -inf
    where fewer than k items could be returned. InputError where the two differ in shape.

    Example:
        >>> hits = Hits(np.array([[4, 2], [0, -1]]), np.array([[0.9, -0.1], [0.3, -np.inf]], "f4"))
        >>> len(hits), hits.top(1).rows.tolist(), hits[1:].rows.tolist()
        (2, [[4], [0]], [[0, -1]])
    """

    rows: Int64[np.ndarray, "Q k"]
    scores: Float32[np.ndarray, "Q k"]

    def __post_init__(self) -> None:
        if self.rows.shape != self.scores.shape:
            raise InputError(
                f"rows are {self.rows.shape} and scores {self.scores.shape}; give two arrays of "
                "one shape"
            )

    def __len__(self) -> int:
        """Number of queries."""
        return len(self.rows)

    def __getitem__(self, rows: slice | np.ndarray) -> "Hits":
        """The hits of some of the queries: a slice, row numbers, or a boolean mask."""
        return Hits(self.rows[rows], self.scores[rows])

    @classmethod
    def none(cls, queries: int, k: int) -> "Hits":
        """Hits without an item."""
        return cls(np.full((queries, k), -1, np.int64), np.full((queries, k), -np.inf, np.float32))

    @classmethod
    def joined(cls, parts: Iterable["Hits"]) -> "Hits":
        """The hits of the queries of each part in turn; at least one part, all of one width."""
        rows, scores = zip(*((part.rows, part.scores) for part in parts), strict=True)
        return cls(np.concatenate(rows), np.concatenate(scores))

    def top(self, k: int) -> "Hits":
        """The best k items of each query; InputError unless k is 1 to the number retrieved."""
        width = self.rows.shape[1]
        if not 1 <= k <= width:
            raise InputError(
                f"k is {k}, but these hits hold {width} items a query; give 1 to {width}, or "
                "search again with a larger k"
            )
        return Hits(self.rows[:, :k], self.scores[:, :k])

    def followed(self, others: "Hits", first: int) -> "Hits":
        """These hits, and behind them others from a place on that are not among them.

        Args:
            others: hits of the same queries.
            first: the place in them to go on from.
        """
        tail = others.rows[:, first:]
        if not tail.shape[1]:
            return self
        gone = tail < 0
        for place in range(self.rows.shape[1]):
            gone |= tail == self.rows[:, place : place + 1]
        rows = np.concatenate([self.rows, np.where(gone, -1, tail)], axis=1)
        scores = np.concatenate(
            [self.scores, np.where(gone, np.float32(-np.inf), others.scores[:, first:])], axis=1
        )
        order = np.argsort(rows < 0, axis=1, kind="stable")
        return Hits(*(np.take_along_axis(x, order, axis=1) for x in (rows, scores)))

    def padded(self, k: int) -> "Hits":
        """The best k items of each query, with row -1 where there are fewer."""
        more = max(0, k - self.rows.shape[1])
        rows = np.pad(self.rows, ((0, 0), (0, more)), constant_values=-1)
        scores = np.pad(self.scores, ((0, 0), (0, more)), constant_values=-np.inf)
        return Hits(rows, scores).top(k)

    def raised(
        self,
        had: Relation,
        scores: Callable[[Int64[np.ndarray, " p"], Int64[np.ndarray, " p"]], np.ndarray],
        boost: float,
    ) -> "Hits":
        """The same with the items that a query had, whose `scores` of pairs are raised by `boost`.

        `had` has one row a query of the hits. As many items a query as before, best first.
        """
        query, item = had.pairs().T
        k, place = self.rows.shape[1], np.arange(len(item)) - had.indptr[query]
        width = max(k, int(had.counts().max(initial=0)))
        both = [self.padded(width), Hits.none(len(self), width)]
        both[1].rows[query, place] = item
        both[1].scores[query, place] = scores(query, item) + boost
        rows = np.stack([found.rows for found in both], axis=1).reshape(-1, width)
        best = np.stack([found.scores for found in both], axis=1).reshape(-1, width)
        return Hits(rows, best).merged(2).top(k)

    def merged(self, lists: int) -> "Hits":
        """One list of each `lists` that follow each other: every item once, with its best score.

        As many items a query as each list holds, best first; of equal scores those of the first
        list come first. A query has several searches where a user has several interests.

        Example:
            >>> hits = Hits(np.array([[4, 2], [2, 0]]), np.array([[0.9, 0.1], [0.8, 0.3]], "f4"))
            >>> hits.merged(2).rows.tolist()
            [[4, 2]]
        """
        if lists == 1:
            return self
        k = self.rows.shape[1]
        rows, scores = self.rows.reshape(-1, lists * k), self.scores.reshape(-1, lists * k)
        best = np.argsort(-scores, axis=1, kind="stable")
        rows, scores = (np.take_along_axis(x, best, axis=1) for x in (rows, scores))
        order = np.argsort(rows, axis=1, kind="stable")
        equal = np.diff(np.take_along_axis(rows, order, axis=1), axis=1, prepend=-2) == 0
        repeated = np.zeros_like(equal)
        np.put_along_axis(repeated, order, equal, axis=1)
        return Hits(rows, scores)._left(repeated, k)

    def without(self, ignored: Relation, k: int) -> "Hits":
        """The best k items of each query that are not ignored for it; -1 where there are fewer.

        The order of the others stays. Hits that hold as many items more than k as a query has
        ignored ones lose nothing: `search_without` asks for that many. InputError where k is out of
        range, or `ignored` has not one row a query of the hits.
        """
        return self._left(ignored.correct(self.rows), k)

    def _left(self, gone: Bool[np.ndarray, "Q k"], k: int) -> "Hits":
        """The best k of those that are not gone, in their order; -1 where there are fewer."""
        order = np.argsort(gone, axis=1, kind="stable")
        each = (gone, self.rows, self.scores)
        gone, rows, scores = (np.take_along_axis(x, order, axis=1) for x in each)
        scores = np.where(gone, -np.inf, scores).astype(np.float32)
        return Hits(np.where(gone, -1, rows), scores).top(k)


def search_without(search: Callable[[int], Hits], k: int, ignored: Relation | None) -> Hits:
    """The best k items of each query, as if its ignored ones were not in the catalogue.

    The search goes deeper by the most items that any of the queries ignores, so that k are left:
    `search` gives the hits of all queries at a depth, `lambda depth: index.search(vectors, depth)`.
    `ignored` has one row a query, in the order of the hits; None to search as it is.

    Example:
        >>> found = Hits(np.array([[4, 2, 0]]), np.array([[0.9, 0.5, -0.1]], "f4"))
        >>> ignored = Relation.from_pairs(np.array([0]), np.array([4]), shape=(1, 5))
        >>> search_without(lambda depth: found.top(depth), 2, ignored).rows.tolist()
        [[2, 0]]
    """
    if ignored is None or not len(ignored.indices):
        return search(k)
    deeper = k + int(ignored.counts().max())
    return search(min(deeper, ignored.columns)).without(ignored, k)
