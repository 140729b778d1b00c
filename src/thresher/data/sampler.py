"""Batches of training pairs, and the links of each batch: what in it is true."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, Int, Int64

from thresher.data.relation import Relation
from thresher.errors import InputError
from thresher.types import Links


class PairBatch(NamedTuple):
    """One process's share of a batch: query i and its sampled true item i.

    Args:
        query_rows: rows of the queries, the left side.
        item_rows: rows of the items, this process's own columns.
        columns: item rows of all processes in rank order, the columns after a gather.
    """

    query_rows: Int64[np.ndarray, " B"]
    item_rows: Int64[np.ndarray, " B"]
    columns: Int64[np.ndarray, " C"]


class PairSampler:
    """Goes through all true pairs of the training queries in batches, in a new order every epoch.

    Each epoch is one permutation of the pairs, drawn from (seed, epoch) alone. Every process draws
    the same one and takes its part of each slice of batch_size x world pairs, so that the batches
    of N processes, put together, are the batches of one process with N times the batch size. The
    ragged tail that does not fill a slice is left out (another one every epoch): batches have the
    same size on every process, always, which the exchange of vectors between processes needs.

    `pairs` are the training pairs (query row, item row), `steps` the batches of an epoch, and
    `offset` the number of columns that stand before this process's own.

    Args:
        relation: all true pairs.
        query_rows: the training queries; those without a true item have no pair and are skipped.
        batch_size: pairs in a batch of one process, 1 or more.
        seed: of the permutations.
        rank: number of this process, from 0.
        world: number of processes.

    Memory: 16 bytes a training pair, and 8 more while an epoch runs.

    Raises:
        InputError: the sizes are out of range, or there are fewer pairs than one slice.

    Example:
        >>> sampler = PairSampler(data.relation, data.rows("train"), batch_size=256, seed=0)
        >>> batch = next(sampler.epoch(0))
        >>> links = batch_links(
        ...     data.relation, batch.query_rows, batch.columns, offset=sampler.offset
        ... )
        >>> links.pos.shape
        torch.Size([256, 2])
    """

    def __init__(
        self,
        relation: Relation,
        query_rows: Int[np.ndarray, " Q"],
        *,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        if batch_size < 1 or not 0 <= rank < world:
            raise InputError(
                f"batch_size {batch_size}, rank {rank}, world {world}: a batch has 1 pair or more, "
                "and the rank is from 0 to world - 1"
            )
        local = relation.take(query_rows).pairs()
        self.pairs = np.stack([query_rows[local[:, 0]], local[:, 1]], axis=1).astype(np.int64)
        self.offset = rank * batch_size
        self._batch_size = batch_size
        self._slice = batch_size * world
        self._seed = seed
        if len(self.pairs) < self._slice:
            raise InputError(
                f"there are {len(self.pairs)} training pairs, fewer than one batch of {batch_size} "
                f"on {world} process(es); lower batch_size or give more pairs"
            )
        self.steps = len(self.pairs) // self._slice

    @property
    def pair_items(self) -> Int64[np.ndarray, " P"]:
        """The item row of each training pair, in the order that `order` numbers them."""
        return self.pairs[:, 1]

    def epoch(self, number: int, order: Int[np.ndarray, " P"] | None = None) -> Iterator[PairBatch]:
        """The batches of one epoch.

        Args:
            number: of the epoch; with the seed, it alone decides the order.
            order: an order of `self.pairs` (row numbers, each once) in place of the drawn one, such
                as one that puts pairs of similar items in one batch; the same on every process.

        Raises:
            InputError: `order` is not a permutation of the pairs.
        """
        if order is None:
            order = np.random.default_rng((self._seed, number)).permutation(len(self.pairs))
        elif not np.array_equal(np.sort(order), np.arange(len(self.pairs))):
            raise InputError(
                f"an order of {len(order)} numbers is not a permutation of the {len(self.pairs)} "
                "training pairs; name each row of `pairs` once"
            )
        for start in range(0, self.steps * self._slice, self._slice):
            pairs = self.pairs[order[start : start + self._slice]]
            own = pairs[self.offset : self.offset + self._batch_size]
            yield PairBatch(own[:, 0].copy(), own[:, 1].copy(), pairs[:, 1].copy())


def batch_links(
    relation: Relation,
    query_rows: Int[np.ndarray, " B"],
    columns: Int[np.ndarray, " C"],
    *,
    offset: int = 0,
    item_log_q: Float32[np.ndarray, " N"] | None = None,
) -> Links:
    """Which columns of a batch are true for its queries, those of other processes included.

    Query i's positive is its own column, offset + i. Every other column whose item is true for it
    (another true item of the query, or another copy of its own item) is dropped: neither positive
    nor negative. The links already look at the columns of all processes.

    Column numbers are relative to this process's first column (global number minus `offset`, so
    they may be negative or beyond this process's own): `links.shift(offset)`, which the objective
    applies as it gathers the columns, turns them into global numbers. On one process nothing moves.

    Args:
        relation: all true pairs.
        query_rows: the queries of this process.
        columns: the item rows of all processes in rank order.
        offset: number of columns before this process's own.
        item_log_q: natural log of the probability with which each item of the catalogue is sampled;
            the links carry it for this process's own columns, to be gathered with them.

    Memory: O(true items of the queries + true pairs in the batch), never queries x columns.

    Raises:
        InputError: this process's columns do not lie within `columns`, or a query's own column is
            not true for it.
    """
    size = len(query_rows)
    if not 0 <= offset <= len(columns) - size:
        raise InputError(
            f"{size} queries from column {offset} on do not fit in {len(columns)} columns; "
            "every query has a column of its own"
        )
    own = columns[offset : offset + size]
    if not relation.contains(query_rows, own).all():
        raise InputError(
            "the own column of a query is not one of its true items; give `columns` in the order "
            "of the queries, and the `offset` of this process"
        )
    pairs = relation.among(query_rows, columns)
    pairs[:, 1] -= offset
    diagonal = pairs[:, 0] == pairs[:, 1]
    log_q = None if item_log_q is None else torch.from_numpy(item_log_q[own])
    return Links(
        left="query",
        right="item",
        pos=torch.from_numpy(pairs[diagonal]),
        drop=torch.from_numpy(pairs[~diagonal]),
        log_q=log_q,
    )


def item_log_q(relation: Relation, query_rows: Int[np.ndarray, " Q"]) -> Float32[np.ndarray, " N"]:
    """How likely each item is to be a column of a training batch, as a natural logarithm.

    Equation: log q_j = log(training pairs of item j / training pairs); -inf for an item without
    any, which is never a column.

    **Source**: Yi et al. 2019, "Sampling-bias-corrected neural modeling", section 4, where the
    probability is estimated from a stream; here the pairs are counted.

    Args:
        relation: all true pairs.
        query_rows: the training queries.
    """
    counts = relation.take(query_rows).item_counts()
    with np.errstate(divide="ignore"):
        return np.log(counts / max(counts.sum(), 1)).astype(np.float32)
