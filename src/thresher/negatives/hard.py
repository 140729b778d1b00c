"""Hard negatives: the items that a search finds for a query and that are not true for it."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, Int64

from thresher.data.relation import Relation
from thresher.errors import InputError

_QUERIES = 65536  # searched at a time


@runtime_checkable
class Found(Protocol):
    """What a search returns, of which only the rows matter here."""

    @property
    def rows(self) -> Int64[np.ndarray, "Q k"]:
        """Rows of the nearest items, best first; -1 where one is missing."""


Search = Callable[[Float32[np.ndarray, "Q D"], int], Found]
"""The k nearest items of each query, such as the `search` of an index."""


def hard_negatives(
    queries: Float32[np.ndarray, "Q D"],
    search: Search,
    relation: Relation,
    *,
    depth: int,
    ignored: Relation | None = None,
) -> Int64[np.ndarray, "Q m"]:
    """The nearest wrong items of each query: what the model takes for the truth right now.

    Of the `depth` items that the search finds in the index of all items, those that are true for
    the query or to be ignored leave; the others move up, in their order. There is a vector for each
    query of `relation` and of `ignored`.

    Returns:
        Item rows, nearest first, -1 where fewer are left; as wide as `depth`, or as the catalogue.

    Memory: 8 bytes x queries x depth, and the results of a search for 65,536 queries.

    Raises:
        InputError: the vectors are not one a query, or depth is below 1.
    """
    if any(len(queries) != len(r) for r in (relation, ignored) if r is not None):
        raise InputError(
            f"{len(queries)} query vectors do not fit the {len(relation)} queries of the relation "
            "or those of the ignored pairs; give one vector a query, and take the same queries of "
            "each relation"
        )
    if depth < 1:
        raise InputError(
            f"the depth of the search for hard negatives is {depth} items; give 1 or more"
        )
    hard = np.full((len(queries), min(depth, relation.columns)), -1, dtype=np.int64)
    for start in range(0, len(queries), _QUERIES):
        at = np.arange(start, min(start + _QUERIES, len(queries)))
        rows = search(queries[at], hard.shape[1]).rows
        right = relation.correct(rows, queries=at)
        if ignored is not None:
            right |= ignored.correct(rows, queries=at)
        left = np.where(right, -1, rows)
        moved = np.argsort(left < 0, axis=1, kind="stable")
        hard[at] = np.take_along_axis(left, moved, axis=1)
    return hard
