"""Batches of training pairs, and the columns that stand beside them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Float64, Int, Int64

from thresher.data.relation import Relation
from thresher.errors import InputError

Positives = Literal["every", "one", "rare"]

# The third of the numbers that seed what is drawn beside the order; 1 is that of clustered orders.
_POSITIVES, _MINED = 2, 3


class PairBatch(NamedTuple):
    """One process's share of a batch: query i and its sampled true item i.

    Args:
        query_rows: rows of the queries, the left side.
        item_rows: rows of the items, this process's own columns; the first are the queries' own, in
            their order, and the rest are mined.
        columns: item rows of all processes in rank order, the columns after a gather.
        queries: query rows of all processes in rank order.
    """

    query_rows: Int64[np.ndarray, " B"]
    item_rows: Int64[np.ndarray, " own"]
    columns: Int64[np.ndarray, " C"]
    queries: Int64[np.ndarray, " all"]


class PairSampler:
    """Goes through the true pairs of the training queries in batches, in a new order every epoch.

    Each epoch is one permutation of its pairs, drawn from (seed, epoch) alone. Every process draws
    the same one and takes its part of each slice of batch_size x world pairs, so that the batches
    of N processes, put together, are the batches of one process with N times the batch size. The
    ragged tail that does not fill a slice is left out (another one every epoch): batches have the
    same size on every process, always, which the exchange of vectors between processes needs.

    `pairs` are all training pairs (query row, item row), `steps` the batches of an epoch, `offset`
    the columns that stand before this process's own, and `query_offset` the queries.

    Args:
        relation: all true pairs.
        query_rows: the training queries; those without a true item have no pair and are skipped.
        batch_size: pairs in a batch of one process, 1 or more.
        seed: of the permutations and of everything drawn.
        rank: number of this process, from 0.
        world: number of processes.
        positives: the pairs of an epoch: "every" pair; "one" a query, all its true items equally
            likely; "rare", one a query, an item as likely as it is rare.
        mined: hard items of each query that stand in the batch as further columns.
        rarity: for "rare", how likely each item of the catalogue is, up to a factor; numbers above
            0, such as inverse propensities.

    Memory: 16 bytes a training pair, 8 more with one pair a query, and 24 more while an epoch runs.

    Raises:
        InputError: the sizes are out of range, there are fewer pairs than one slice, or `rarity`
            is missing where it is needed or not one number above 0 for each item.

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
        positives: Positives = "every",
        mined: int = 0,
        rarity: Float[np.ndarray, " N"] | None = None,
    ) -> None:
        if batch_size < 1 or not 0 <= rank < world or mined < 0:
            raise InputError(
                f"batch_size {batch_size}, rank {rank}, world {world}, mined {mined}: a batch has "
                "1 pair or more, the rank is from 0 to world - 1, and mined is 0 or more"
            )
        local = relation.take(query_rows).pairs()
        self.pairs = np.stack([query_rows[local[:, 0]], local[:, 1]], axis=1).astype(np.int64)
        self.query_offset = rank * batch_size
        self.offset = self.query_offset * (1 + mined)
        self._lottery: _Lottery | None = None
        if positives != "every":
            even = np.ones(relation.columns)
            chances = _chances(relation, rarity) if positives == "rare" else even
            self._lottery = _Lottery.of(local[:, 0], chances[local[:, 1]])
        self._shape, self._seed, self._mined = relation.shape, seed, mined
        self._rank, self._world, self._batch_size = rank, world, batch_size
        count = len(self.pairs) if self._lottery is None else len(self._lottery.first)
        self.steps = count // (batch_size * world)
        if not self.steps:
            of = "pairs" if self._lottery is None else "queries with a true item"
            raise InputError(
                f"there are {count} training {of}, fewer than one batch of {batch_size} on "
                f"{world} process(es); lower batch_size or give more pairs"
            )

    def pairs_of(self, number: int) -> Int64[np.ndarray, "P 2"]:
        """The pairs (query row, item row) of one epoch, as an `order` of it numbers them."""
        if self._lottery is None:
            return self.pairs
        generator = np.random.default_rng((self._seed, number, _POSITIVES))
        return self.pairs[self._lottery.draw(generator)]

    def epoch(
        self,
        number: int,
        order: Int[np.ndarray, " P"] | None = None,
        hard: Int64[np.ndarray, "Q m"] | None = None,
    ) -> Iterator[PairBatch]:
        """The batches of one epoch.

        Args:
            number: of the epoch; with the seed, it alone decides the order and whatever is drawn.
            order: an order of `pairs_of(number)` (row numbers, each once) in place of the drawn
                one, such as one that puts pairs that are alike in one batch; the same on every
                process.
            hard: wrong items of every query of the relation, -1 where there are fewer, of which
                each query of a batch draws `mined` different ones as further columns; the same on
                every process. Columns that lack one hold any item, each equally likely, and so do
                all of them without `hard`.

        Raises:
            InputError: `order` is not a permutation of the pairs, or `hard` does not fit the
                relation.
        """
        pairs = self.pairs_of(number)
        if order is None:
            order = np.random.default_rng((self._seed, number)).permutation(len(pairs))
        elif not np.array_equal(np.sort(order), np.arange(len(pairs))):
            raise InputError(
                f"an order of {len(order)} numbers is not a permutation of the {len(pairs)} "
                "training pairs; name each row of `pairs_of` once"
            )
        if hard is None:
            hard = np.empty((self._shape[0], 0), dtype=np.int64)
        elif len(hard) != self._shape[0] or hard.max(initial=-1) >= self._shape[1]:
            raise InputError(
                f"hard items of {len(hard)} queries, up to item row {hard.max(initial=-1)}, do not "
                f"fit {self._shape[0]} queries and {self._shape[1]} items; give a line for each "
                "query of the relation"
            )
        size = self._world * self._batch_size
        for step in range(self.steps):
            rows = order[step * size : (step + 1) * size]
            yield self._batch(pairs[rows], hard, (self._seed, number, _MINED, step))

    def _batch(
        self,
        pairs: Int64[np.ndarray, "all 2"],
        hard: Int64[np.ndarray, "Q m"],
        seed: tuple[int, ...],
    ) -> PairBatch:
        """This process's share of the pairs of all processes."""
        queries, items = pairs.T.copy()
        columns = items.reshape(self._world, -1)
        if self._mined:
            extra = _drawn(hard[queries], self._mined, self._shape[1], np.random.default_rng(seed))
            columns = np.concatenate([columns, extra.reshape(self._world, -1)], axis=1)
        own = slice(self.query_offset, self.query_offset + self._batch_size)
        return PairBatch(
            queries[own].copy(), columns[self._rank].copy(), columns.ravel().copy(), queries
        )


@dataclass(frozen=True)
class _Lottery:
    """Draws one pair of each query.

    Args:
        first: the first pair of each query.
        last: its last pair.
        below: sum of the chances of all pairs before each pair, and the sum of all at the end.
    """

    first: Int64[np.ndarray, " T"]
    last: Int64[np.ndarray, " T"]
    below: Float64[np.ndarray, " bounds"]

    @classmethod
    def of(cls, queries: Int64[np.ndarray, " P"], chances: Float[np.ndarray, " P"]) -> "_Lottery":
        """Of pairs that stand in the order of their queries."""
        first = np.flatnonzero(np.diff(queries, prepend=-1))
        last = np.append(first[1:], len(queries))[: len(first)] - 1
        return cls(first, last, np.concatenate([[0.0], np.cumsum(chances, dtype=np.float64)]))

    def draw(self, generator: np.random.Generator) -> Int64[np.ndarray, " T"]:
        """One pair of each query."""
        low, high = self.below[self.first], self.below[self.last + 1]
        ticket = low + (high - low) * generator.random(len(low))
        at = np.searchsorted(self.below, ticket, side="right") - 1
        return at.clip(self.first, self.last)  # a sum may round to its neighbour's


def _chances(relation: Relation, rarity: Float[np.ndarray, " N"] | None) -> Float[np.ndarray, " N"]:
    if rarity is None or len(rarity) != relation.columns:
        given = "none" if rarity is None else len(rarity)
        raise InputError(
            f'positives "rare" need the rarity of each of {relation.columns} items, but there are '
            f"{given}; give one number an item, such as its inverse propensity"
        )
    wrong = np.flatnonzero(~(np.isfinite(rarity) & (rarity > 0)))
    if len(wrong):
        raise InputError(
            f"the rarity of item row {wrong[0]} is {rarity[wrong[0]]}; give each item a finite "
            "number above 0"
        )
    return rarity


def _drawn(
    hard: Int64[np.ndarray, "all m"], count: int, items: int, generator: np.random.Generator
) -> Int64[np.ndarray, "all count"]:
    """Some hard items of each query, each at most once, and any items where they run out."""
    keys = np.where(hard < 0, 2, generator.random(hard.shape))
    some = np.take_along_axis(hard, np.argsort(keys, axis=1)[:, :count], axis=1)
    drawn = generator.integers(0, items, (len(hard), count))
    drawn[:, : some.shape[1]] = np.where(some < 0, drawn[:, : some.shape[1]], some)
    return drawn
