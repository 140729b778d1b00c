"""Who is true for whom: every true (query, item) pair, stored as compressed rows."""

from dataclasses import dataclass
from functools import cached_property
from typing import SupportsIndex

import numpy as np
from jaxtyping import Bool, Int, Int64
from scipy import sparse

from thresher.errors import InputError


@dataclass(frozen=True)
class Relation:
    """The true items of every query: the one place that knows what is true.

    Losses, hard negatives and metrics ask it which pairs are true; none compares texts or ids.

    Args:
        indptr: where the items of query q begin and end, `indices[indptr[q]:indptr[q + 1]]`.
        indices: the true items of all queries in turn; ascending and unique within a query.
        columns: number of items in the catalogue.

    Memory: 8 bytes a pair and a query; another 8 a pair once `contains` has been asked.
    """

    indptr: Int64[np.ndarray, " bounds"]
    indices: Int64[np.ndarray, " P"]
    columns: int

    @classmethod
    def from_pairs(
        cls,
        query_rows: Int[np.ndarray, " P"],
        item_rows: Int[np.ndarray, " P"],
        *,
        shape: tuple[int, int],
    ) -> "Relation":
        """Build the relation of a shape (queries, items) from pairs in any order; each counts once.

        InputError where a row number lies outside the shape.

        Example:
            >>> r = Relation.from_pairs(np.array([0, 0]), np.array([2, 1]), shape=(2, 3))
            >>> r.items_of(0), r.items_of(1)
            (array([1, 2]), array([], dtype=int64))
        """
        queries, columns = shape
        for name, rows, size in (("query", query_rows, queries), ("item", item_rows, columns)):
            if rows.size and (rows.min() < 0 or rows.max() >= size):
                raise InputError(
                    f"pairs name {name} rows {rows.min()} to {rows.max()}, but there are {size} "
                    f"{name} rows, numbered from 0; correct the pairs or the shape"
                )
        keys = np.unique(query_rows.astype(np.int64) * max(columns, 1) + item_rows)
        rows, indices = np.divmod(keys, max(columns, 1))
        return cls(bounds(np.bincount(rows, minlength=queries)), indices, columns)

    @classmethod
    def none(cls, shape: tuple[int, int]) -> "Relation":
        """The relation without a pair, of so many queries and items."""
        queries, columns = shape
        return cls(np.zeros(queries + 1, np.int64), np.empty(0, np.int64), columns)

    def __len__(self) -> int:
        """Number of queries."""
        return len(self.indptr) - 1

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of queries and items."""
        return len(self), self.columns

    def items_of(self, row: SupportsIndex) -> Int64[np.ndarray, " items"]:
        """The true items of one query, ascending."""
        at = range(len(self))[row]
        return self.indices[self.indptr[at] : self.indptr[at + 1]]

    def counts(self) -> Int64[np.ndarray, " Q"]:
        """How many true items each query has."""
        return np.diff(self.indptr)

    def item_counts(self) -> Int64[np.ndarray, " N"]:
        """For how many queries each item is true."""
        return np.bincount(self.indices, minlength=self.columns).astype(np.int64)

    def pairs(self) -> Int64[np.ndarray, "P 2"]:
        """All pairs (query row, item row), by query and then by item."""
        return np.stack([np.repeat(np.arange(len(self)), self.counts()), self.indices], axis=1)

    def matrix(self) -> sparse.csr_matrix:
        """The same as a boolean SciPy matrix, queries x items."""
        ones = np.ones(len(self.indices), dtype=bool)
        return sparse.csr_matrix((ones, self.indices, self.indptr), shape=self.shape)

    def contains(
        self, query_rows: Int[np.ndarray, "*shape"], item_rows: Int[np.ndarray, "*shape"]
    ) -> Bool[np.ndarray, "*shape"]:
        """Whether each pair is true, elementwise; an item outside the catalogue (-1) is false.

        Memory: O(pairs asked); each costs a binary search in all pairs.
        """
        inside = (item_rows >= 0) & (item_rows < self.columns)
        if not len(self._keys):
            return np.zeros_like(inside)
        asked = query_rows.astype(np.int64) * max(self.columns, 1) + item_rows
        at = np.searchsorted(self._keys, asked).clip(max=len(self._keys) - 1)
        return inside & (self._keys[at] == asked)

    def correct(
        self, rows: Int[np.ndarray, "R k"], *, queries: Int[np.ndarray, " R"] | None = None
    ) -> Bool[np.ndarray, "R k"]:
        """Whether each retrieved item is true for its query; a missing item (-1) is not.

        `queries` has the query row of each line; all queries in order when left out. InputError
        where it is, and there is not one line a query.
        """
        if queries is None:
            if len(rows) != len(self):
                raise InputError(
                    f"{len(rows)} lines of results for {len(self)} queries; "
                    "name the query row of each line with `queries`"
                )
            queries = np.arange(len(self))
        return self.contains(np.broadcast_to(queries[:, None], rows.shape), rows)

    def among(
        self, query_rows: Int[np.ndarray, " left"], item_rows: Int[np.ndarray, " right"]
    ) -> Int64[np.ndarray, "E 2"]:
        """The true pairs (i, j) of a batch: item_rows[j] is true for query_rows[i].

        Rows may repeat; every repetition gives its own pair. Sorted by i, then j.

        Memory: O(true items of the queries + pairs found); never queries x items.
        """
        mine, items = self._flat(query_rows)
        order = np.argsort(item_rows, kind="stable")
        ordered = item_rows[order]
        first = np.searchsorted(ordered, items, side="left")
        times = np.searchsorted(ordered, items, side="right") - first
        left = np.repeat(mine, times)
        right = order[ranges(first, times)]
        by = np.lexsort((right, left))
        return np.stack([left[by], right[by]], axis=1).astype(np.int64)

    def take(self, query_rows: Int[np.ndarray, " R"]) -> "Relation":
        """The relation of these queries, in this order, repeats allowed; items as before."""
        mine, items = self._flat(query_rows)
        counts = np.bincount(mine, minlength=len(query_rows))
        return Relation(bounds(counts), items, self.columns)

    def without(self, other: "Relation") -> "Relation":
        """The pairs that are not in another relation; InputError for one of another shape."""
        self._check_shape(other, "taken from")
        pairs = self.pairs()
        left = pairs[~other.contains(pairs[:, 0], pairs[:, 1])]
        return Relation.from_pairs(*left.T, shape=self.shape) if len(other.indices) else self

    def union(self, other: "Relation") -> "Relation":
        """The pairs of both relations; InputError for one of another shape."""
        self._check_shape(other, "added to")
        if not len(other.indices):
            return self
        pairs = np.concatenate([self.pairs(), other.pairs()])
        return Relation.from_pairs(*pairs.T, shape=self.shape)

    def _check_shape(self, other: "Relation", how: str) -> None:
        if other.shape != self.shape:
            raise InputError(
                f"pairs of {other.shape} queries and items cannot be {how} pairs of "
                f"{self.shape}; give two relations of the same shape"
            )

    @cached_property
    def _keys(self) -> Int64[np.ndarray, " P"]:
        pairs = self.pairs()
        return pairs[:, 0] * max(self.columns, 1) + pairs[:, 1]

    def _flat(
        self, query_rows: Int[np.ndarray, " R"]
    ) -> tuple[Int64[np.ndarray, " F"], Int64[np.ndarray, " F"]]:
        """For the items of these queries in turn: place in `query_rows`, and item row."""
        starts = self.indptr[query_rows]
        counts = self.indptr[query_rows + 1] - starts
        places = np.repeat(np.arange(len(query_rows)), counts)
        return places, self.indices[ranges(starts, counts)]


def bounds(counts: Int[np.ndarray, " R"]) -> Int64[np.ndarray, " bounds"]:
    """Where each of consecutive lists of these lengths begins, and where the last one ends."""
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def ranges(starts: Int[np.ndarray, " R"], counts: Int[np.ndarray, " R"]) -> Int64[np.ndarray, " F"]:
    """starts[0], starts[0] + 1, ... (counts[0] of them), starts[1], ... without a Python loop."""
    before = np.cumsum(counts) - counts
    return np.arange(counts.sum(), dtype=np.int64) + np.repeat(starts - before, counts)
