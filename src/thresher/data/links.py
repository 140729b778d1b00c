"""The links of a batch: what in it is true, what is to be ignored."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int, Int64

from thresher.data.relation import Relation, ranges
from thresher.data.sampler import Sampled
from thresher.errors import InputError
from thresher.types import Links


class LogQ(NamedTuple):
    """How many times each item is expected among the columns of a batch, as a natural logarithm.

    `own` is for a column that is the own item of a query, `sampled` for one that was sampled from
    the catalogue. A factor of all of them has no effect, so it may be any.
    """

    own: Float32[np.ndarray, " N"]
    sampled: Float32[np.ndarray, " N"]

    @classmethod
    def expected(
        cls,
        shares: Float64[np.ndarray, " N"],
        sampled: Sampled | None = None,
        *,
        queries: int,
        in_batch: bool = True,
    ) -> "LogQ":
        """From how batches are drawn.

        Equation, for queries B of all processes with s sampled columns each, p_j the share of item
        j among their own items and u_j its probability in one draw:
            log q_j = log(B (p_j + s u_j))           `in_batch`: own items are negatives of other
            queries log q_j = log(B s u_j), own items 0      where they are not: a query's own item
            is sure
        -inf for an item that is never drawn.

        **Source**: Yi et al., *Sampling-bias-corrected neural modeling for large corpus item
        recommendations*, RecSys 2019, where the probability is estimated from a stream; here it is
        known. The mixture: Yang et al., *Mixed negative sampling for learning two-tower neural
        networks in recommendations*, WWW 2020 companion, section 3.
        """
        drawn = 0.0 * shares if sampled is None else sampled.count * sampled.shares()
        with np.errstate(divide="ignore"):
            if not in_batch:
                sampled_alone = np.log(queries * drawn).astype(np.float32)
                return cls(np.zeros(len(shares), np.float32), sampled_alone)
            both = np.log(queries * (shares + drawn)).astype(np.float32)
            return cls(both, both)

    def of(self, columns: Int[np.ndarray, " own"], queries: int) -> torch.Tensor:
        """For the columns of a process, the first of which are its queries' own items."""
        parts = [self.own[columns[:queries]], self.sampled[columns[queries:]]]
        return torch.from_numpy(np.concatenate(parts))


def batch_links(
    relation: Relation,
    query_rows: Int[np.ndarray, " B"],
    columns: Int[np.ndarray, " C"],
    *,
    offset: int = 0,
    log_q: LogQ | None = None,
    own: int | None = None,
    in_batch: bool = True,
    ignored: Relation | None = None,
    groups: Int[np.ndarray, " all"] | None = None,
    blocks: int = 1,
) -> Links:
    """Which columns of a batch are true for its queries, those of other processes included.

    Query i's positive is its own column, offset + i. Every other column whose item is true for it
    (another true item of the query, or another copy of its own item) or to be ignored is dropped:
    neither positive nor negative. The links already look at the columns of all processes.

    Column numbers are relative to this process's first column (global number minus `offset`, so
    they may be negative or beyond this process's own): `links.shift(offset)`, which the objective
    applies as it gathers the columns, turns them into global numbers. On one process nothing moves.

    Args:
        relation: all true pairs.
        query_rows: the queries of this process.
        columns: the item rows of all processes in rank order; a process's first columns are its
            queries' own, and hard and sampled negatives may follow.
        offset: number of columns before this process's own.
        log_q: how items are sampled, of which the links carry what is of this process's columns.
        own: number of this process's columns; as many as its queries when left out.
        in_batch: whether the own items of other queries are negatives; dropped otherwise.
        ignored: ignored pairs: neither positive nor negative.
        groups: number of the group, such as a user, of each query of all processes in rank order;
            own items of other queries of one's group are dropped.
        blocks: a divisor of the numbers of queries and of columns of each process, see `Links`.

    Memory: O(true and ignored items of the queries + such pairs), never queries x columns.

    Raises:
        InputError: the queries' own columns do not lie within `columns`, or one is not true for its
            query.
    """
    _check_own(relation, query_rows, columns, offset)
    size = len(query_rows)
    width = size if own is None else own
    pairs = _known(relation, ignored, query_rows, columns)
    if blocks > 1:
        pairs = pairs[(pairs[:, 0] - pairs[:, 1]) % blocks == 0]
    if groups is not None:
        alike = _alike(
            groups * blocks + np.arange(len(groups)) % blocks, offset // width * size, size
        )
        alike[:, 1] = alike[:, 1] // size * width + alike[:, 1] % size
        pairs = _distinct(pairs, alike, len(columns))
    if not in_batch:
        # Whatever it is, an own item of another query is dropped.
        owned = np.arange(len(columns)) % width < size
        rows, others = np.arange(size), np.flatnonzero(owned)
        block = np.stack([np.repeat(rows, len(others)), np.tile(others, size)], axis=1)
        pairs = np.concatenate([block, pairs[~owned[pairs[:, 1]]]])
    pairs[:, 1] -= offset
    diagonal = pairs[:, 0] == pairs[:, 1]
    drawn = None if log_q is None else log_q.of(columns[offset : offset + width], size)
    links = _links("query", "item", pairs[diagonal], pairs[~diagonal], drawn)
    return replace(links, blocks=blocks)


def _alike(groups: Int[np.ndarray, " all"], first: int, size: int) -> Int64[np.ndarray, "E 2"]:
    """The pairs (i, j) where query first + i and query j are of one group, of `size` queries i."""
    order = np.argsort(groups, kind="stable")
    mine = groups[first : first + size]
    low = np.searchsorted(groups, mine, side="left", sorter=order)
    times = np.searchsorted(groups, mine, side="right", sorter=order) - low
    return np.stack([np.repeat(np.arange(size), times), order[ranges(low, times)]], axis=1)


def _check_own(
    relation: Relation,
    query_rows: Int[np.ndarray, " B"],
    columns: Int[np.ndarray, " C"],
    offset: int,
) -> None:
    size = len(query_rows)
    if not 0 <= offset <= len(columns) - size:
        raise InputError(
            f"{size} queries from column {offset} on do not fit in {len(columns)} columns; "
            "every query has a column of its own"
        )
    if not relation.contains(query_rows, columns[offset : offset + size]).all():
        raise InputError(
            "the own column of a query is not one of its true items; give `columns` in the order "
            "of the queries, and the `offset` of this process"
        )


def text_query_links(
    relation: Relation,
    item_rows: Int[np.ndarray, " own"],
    queries: Int[np.ndarray, " all"],
    *,
    offset: int = 0,
    own: int | None = None,
    ignored: Relation | None = None,
) -> Links:
    """Which queries of a batch an item is true for: the links of `batch_links`, seen from items.

    Item i's positive is its own query, offset + i. Every other query for which the item is true or
    to be ignored is dropped. `item_rows` are those of this process: the items of its queries, as
    many as `own` or all, then hard negatives, which have no query of their own, hence no positive.
    `queries` are the rows of those of all processes in rank order; `offset` and the numbers of
    queries are relative to this process's first, as those of columns are in `batch_links`.

    Memory: O(true and ignored items of all queries + such pairs in the batch).

    Raises:
        InputError: this process's queries do not lie within `queries` or outnumber its items, or an
            item is not true for its own query.
    """
    size = len(item_rows) if own is None else own
    if not (0 <= size <= len(item_rows) and 0 <= offset <= len(queries) - size):
        raise InputError(
            f"{size} queries from {offset} on do not fit in {len(queries)} queries and "
            f"{len(item_rows)} items; every query has an item of its own"
        )
    if not relation.contains(queries[offset : offset + size], item_rows[:size]).all():
        raise InputError(
            "an item is not true for its own query; give `item_rows` in the order of the queries, "
            "and the `offset` of this process"
        )
    pairs = _known(relation, ignored, queries, item_rows)[:, ::-1]
    pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))] - [0, offset]
    positive = (pairs[:, 0] == pairs[:, 1]) & (pairs[:, 0] < size)
    return _links("text", "query", pairs[positive], pairs[~positive])


def catalogue_links(
    relation: Relation, query_rows: Int[np.ndarray, " B"], *, ignored: Relation | None = None
) -> Links:
    """The links of queries to the whole catalogue: column j is item j.

    Every true pair is a positive, and a pair of `ignored` that is not true is dropped.

    Memory: O(true and ignored items of the queries).
    """
    true = relation.take(query_rows)
    pairs = true.pairs()
    drop = pairs[:0] if ignored is None else ignored.take(query_rows).pairs()
    return _links("query", "item", pairs, drop[~true.contains(drop[:, 0], drop[:, 1])])


def _known(
    relation: Relation,
    ignored: Relation | None,
    query_rows: Int[np.ndarray, " left"],
    item_rows: Int[np.ndarray, " right"],
) -> Int64[np.ndarray, "E 2"]:
    """The pairs (i, j) of a batch that are no negatives, by i and then by j."""
    true = relation.among(query_rows, item_rows)
    if ignored is None:
        return true
    return _distinct(true, ignored.among(query_rows, item_rows), len(item_rows))


def _distinct(
    first: Int64[np.ndarray, "E 2"], second: Int64[np.ndarray, "X 2"], columns: int
) -> Int64[np.ndarray, "F 2"]:
    """The pairs of both, each once, by i and then by j."""
    both = np.concatenate([first, second])
    # One number a pair sorts many times faster than rows of two, and here faster than np.unique.
    keys = np.sort(both[:, 0] * columns + both[:, 1])
    keys = keys[np.diff(keys, prepend=-1) > 0]
    return np.stack(np.divmod(keys, max(columns, 1)), axis=1)


def _links(
    left: str,
    right: str,
    pos: Int64[np.ndarray, "E 2"],
    drop: Int64[np.ndarray, "X 2"],
    log_q: torch.Tensor | None = None,
) -> Links:
    return Links(left, right, torch.from_numpy(pos), torch.from_numpy(drop), log_q)
