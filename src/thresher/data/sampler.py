"""Batches of training pairs, and the columns that stand beside them."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Float64, Int, Int64

from thresher.data.relation import Relation
from thresher.errors import InputError

Positives = Literal["every", "one", "rare"]

# The third of the numbers that seed what is drawn beside the order; 1 is that of clustered orders.
_POSITIVES, _HARD, _SAMPLED = 2, 3, 4


@dataclass(frozen=True, kw_only=True)
class Sampled:
    """Items that are drawn from the whole catalogue into every batch, as further columns.

    `count` items, 1 or more, are drawn for each query of the batch; all queries share them. The
    chances say how likely each item is, up to a factor; InputError unless they are finite numbers
    of 0 or more, one above 0.
    """

    count: int
    chances: Float[np.ndarray, " N"]

    def __post_init__(self) -> None:
        known = np.isfinite(self.chances).all() and (self.chances >= 0).all()
        if self.count < 1 or not known or not self.chances.any():
            raise InputError(
                f"{self.count} items are to be drawn for a query, with {len(self.chances)} chances "
                "of items; give 1 item or more, and finite chances of 0 or more, one above 0"
            )

    def shares(self) -> Float64[np.ndarray, " N"]:
        """The probability of each item in one draw."""
        return self.chances / self.chances.sum(dtype=np.float64)

    def draw(self, queries: int, generator: np.random.Generator) -> Int64[np.ndarray, "q count"]:
        """Items for so many queries, each drawn by itself."""
        tickets = self._below[-1] * generator.random((queries, self.count))
        found = np.searchsorted(self._below, tickets, side="right")
        return found.clip(max=self._last).astype(np.int64)

    # Made once: a batch costs its draws, not the catalogue.
    @cached_property
    def _below(self) -> Float64[np.ndarray, " N"]:
        return np.cumsum(self.chances, dtype=np.float64)

    @cached_property
    def _last(self) -> int:
        """The last item with a chance: a sum may round to what no item has."""
        return int(np.flatnonzero(self.chances)[-1])


class PairBatch(NamedTuple):
    """One process's share of a batch: query i and its sampled true item i.

    Args:
        query_rows: rows of the queries, the left side.
        item_rows: rows of the items, this process's own columns; the first are the queries' own, in
            their order, then hard negatives, then those sampled from the catalogue.
        columns: item rows of all processes in rank order, the columns after a gather.
        queries: query rows of all processes in rank order.
        window_rows: for each of `query_rows` the query whose window of events it reads, up to its
            own last event; itself where it stands alone.
    """

    query_rows: Int64[np.ndarray, " B"]
    item_rows: Int64[np.ndarray, " own"]
    columns: Int64[np.ndarray, " C"]
    queries: Int64[np.ndarray, " all"]
    window_rows: Int64[np.ndarray, " B"]


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
        positives: the pairs of an epoch: "every" pair; "one" a group, all its pairs equally likely;
            "rare", one a group, an item as likely as it is rare.
        hard_negatives: hard items of each query that stand in the batch as further columns.
        sampled: items drawn from the whole catalogue, further columns after those.
        rarity: for "rare", how likely each item of the catalogue is, up to a factor; numbers above
            0, such as inverse propensities.
        groups: number of the group of each training query, such as the histories of one user; those
            of one group stand together in `query_rows`. Each is its own when left out.
        sample_weight: how often each training query is drawn, up to a factor: within its group, or
            with "every" in the whole epoch, where one of twice the mean comes twice. Numbers of 0
            or more; all alike when left out.
        run: with "every", pairs of one group that stand together, next to each other as in
            `query_rows` and from a random place on; the runs are permuted. They read the window of
            the last of them (`PairBatch.window_rows`). Needs `groups` above 1.

    Memory: 16 bytes a training pair, 8 more with one pair a query or with runs, and 24 to 40 more
        while an epoch runs.

    Raises:
        InputError: there are fewer pairs than one slice, or `rarity`, `groups` or `sample_weight`
            do not fit the items and the training queries.
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
        hard_negatives: int = 0,
        sampled: Sampled | None = None,
        rarity: Float[np.ndarray, " N"] | None = None,
        groups: Int[np.ndarray, " Q"] | None = None,
        sample_weight: Float[np.ndarray, " Q"] | None = None,
        run: int = 1,
    ) -> None:
        local = relation.take(query_rows).pairs()
        self.pairs = np.stack([query_rows[local[:, 0]], local[:, 1]], axis=1).astype(np.int64)
        self.query_offset = rank * batch_size
        self.offset = self.query_offset * (1 + hard_negatives + (sampled.count if sampled else 0))
        self._weighted: WeightedSampler | None = None
        if positives != "every" or sample_weight is not None:
            chances = _sample_weight(sample_weight, len(query_rows))[local[:, 0]]
            if positives == "rare":
                chances = chances * _chances(relation, rarity)[local[:, 1]]
            of = _groups(groups, len(query_rows))[local[:, 0]] if positives != "every" else None
            self._weighted = WeightedSampler.of(of, chances)
        self._shape, self._seed, self._run = relation.shape, seed, run
        self._group = np.empty(0, np.int64)
        if run > 1:
            self._group = np.zeros(len(relation), np.int64)
            self._group[query_rows] = _groups(groups, len(query_rows))
        self._hard, self._sampled = hard_negatives, sampled
        self._rank, self._world, self._batch_size = rank, world, batch_size
        count = len(self.pairs) if self._weighted is None else self._weighted.count
        self.steps = count // (batch_size * world)
        if not self.steps:
            of = "pairs" if positives == "every" else "queries with a true item"
            raise InputError(
                f"there are {count} training {of}, fewer than one batch of {batch_size} on "
                f"{world} process(es); lower batch_size or give more pairs"
            )

    def shares(self) -> Float64[np.ndarray, " N"]:
        """The share of each item among the queries' own columns, over all epochs."""
        chances = None if self._weighted is None else self._weighted.chances()
        found = np.bincount(self.pairs[:, 1], chances, minlength=self._shape[1])
        return found / found.sum()

    def pairs_of(self, number: int) -> Int64[np.ndarray, "P 2"]:
        """The pairs (query row, item row) of one epoch, as an `order` of it numbers them."""
        if self._weighted is None:
            return self.pairs
        generator = np.random.default_rng((self._seed, number, _POSITIVES))
        return self.pairs[self._weighted.draw(generator)]

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
                process. It has no runs.
            hard: wrong items of every query of the relation, -1 where there are fewer, of which
                each query of a batch draws `hard_negatives` different ones as further columns; the
                same on every process. Columns that lack one hold any item, each equally likely, and
                so do all of them without `hard`.
        """
        pairs = self.pairs_of(number)
        windows = pairs[:, 0]
        if order is None:
            draw = np.random.default_rng((self._seed, number))
            if self._run > 1:
                order, newest = in_runs(self._group[windows], self._run, draw)
                windows = windows[newest]
            else:
                order = draw.permutation(len(pairs))
        if hard is None:
            hard = np.empty((self._shape[0], 0), dtype=np.int64)
        size = self._world * self._batch_size
        for step in range(self.steps):
            rows = order[step * size : (step + 1) * size]
            yield self._batch(pairs[rows], windows[rows], hard, number, step)

    def _batch(
        self,
        pairs: Int64[np.ndarray, "all 2"],
        windows: Int64[np.ndarray, " all"],
        hard: Int64[np.ndarray, "Q m"],
        *where: int,
    ) -> PairBatch:
        """This process's share of the pairs of all processes; `where` are epoch and step."""
        queries, items = pairs.T.copy()
        extra = [items]
        if self._hard:
            draw = self._generator(_HARD, *where)
            extra.append(_drawn(hard[queries], self._hard, self._shape[1], draw))
        if self._sampled is not None:
            extra.append(self._sampled.draw(len(queries), self._generator(_SAMPLED, *where)))
        columns = np.concatenate([part.reshape(self._world, -1) for part in extra], axis=1)
        own = slice(self.query_offset, self.query_offset + self._batch_size)
        return PairBatch(
            queries[own].copy(),
            columns[self._rank].copy(),
            columns.ravel().copy(),
            queries,
            windows[own].copy(),
        )

    def _generator(self, salt: int, epoch: int, step: int) -> np.random.Generator:
        return np.random.default_rng((self._seed, epoch, salt, step))


@dataclass(frozen=True)
class WeightedSampler:
    """Draws pairs: one of each group, or as many as there are.

    `below` are the sums of the chances of all pairs before each pair, and that of all at the end;
    `low` and `high` are the same at the begin and the end of each place to be drawn for. With
    `spread` the places are steps of one row, which share one random number: a pair then comes as
    often as its chance says, rounded up or down.
    """

    low: Float64[np.ndarray, " T"]
    high: Float64[np.ndarray, " T"]
    below: Float64[np.ndarray, " bounds"]
    spread: bool

    @classmethod
    def of(
        cls, groups: Int64[np.ndarray, " P"] | None, chances: Float[np.ndarray, " P"]
    ) -> "WeightedSampler":
        """Of pairs that stand in the order of their groups; without groups, of all of them."""
        below = np.concatenate([[0.0], np.cumsum(chances, dtype=np.float64)])
        if groups is None:
            bounds = np.linspace(0, below[-1], np.count_nonzero(chances) + 1)
            return cls(bounds[:-1], bounds[1:], below, spread=True)
        first = np.flatnonzero(np.diff(groups, prepend=-1))
        low, high = below[first], below[np.append(first[1:], len(groups))[: len(first)]]
        some = high > low
        return cls(low[some], high[some], below, spread=False)

    @property
    def count(self) -> int:
        """How many pairs are drawn."""
        return len(self.low)

    def chances(self) -> Float64[np.ndarray, " P"]:
        """How often each pair is drawn, on average; of all pairs, those never drawn too."""
        own = np.diff(self.below)
        if self.spread:
            return own * (self.count / self.below[-1])
        place = np.searchsorted(self.low, self.below[:-1], side="right") - 1
        return own / (self.high - self.low)[place]

    def draw(self, generator: np.random.Generator) -> Int64[np.ndarray, " T"]:
        """The numbers of the pairs."""
        at = generator.random(1 if self.spread else self.count)
        ticket = self.low + (self.high - self.low) * at
        found = np.searchsorted(self.below, ticket, side="right") - 1
        # A sum may round to its neighbour's.
        last = np.searchsorted(self.below, self.high, side="left") - 1
        first = np.searchsorted(self.below, self.low, side="right") - 1
        return found.clip(first, last)


def in_runs(
    groups: Int64[np.ndarray, " P"], max_length: int, generator: np.random.Generator
) -> tuple[Int64[np.ndarray, " P"], Int64[np.ndarray, " P"]]:
    """An order that keeps pairs of one group together, and the last pair of each pair's run.

    Pairs of a group stand next to each other. Each group is cut into runs of `max_length` pairs
    from a random place on; the runs are permuted.

    Example:
        >>> order, last = in_runs(np.array([0, 0, 0, 1]), 3, np.random.default_rng(1))
        >>> order, last
        (array([3, 0, 1, 2]), array([1, 1, 2, 3]))
    """
    new = np.diff(groups, prepend=groups[:1] - 1) != 0
    first = np.flatnonzero(new)
    of = np.cumsum(new) - 1
    place = np.arange(len(groups)) - first[of] + generator.integers(0, max_length, len(first))[of]
    new |= place % max_length == 0
    run = np.cumsum(new) - 1
    ends = np.append(np.flatnonzero(new)[1:], len(groups)) - 1
    order = np.argsort(generator.permutation(len(ends))[run], kind="stable")
    return order, ends[run]


def _groups(groups: Int[np.ndarray, " Q"] | None, queries: int) -> Int64[np.ndarray, " Q"]:
    if groups is None:
        return np.arange(queries)
    runs = np.cumsum(np.diff(groups, prepend=groups[:1] - 1) != 0) - 1
    if len(np.unique(runs)) != len(np.unique(groups)):
        raise InputError(
            f"groups of {queries} training queries do not stand together; put the queries of one "
            "group next to each other"
        )
    return runs.astype(np.int64)


def _sample_weight(weight: Float[np.ndarray, " Q"] | None, queries: int) -> Float[np.ndarray, " Q"]:
    if weight is None:
        return np.ones(queries)
    if not (np.isfinite(weight) & (weight >= 0)).all() or not weight.any():
        raise InputError(
            f"the sample_weight of {queries} training queries has numbers that are not all "
            "finite and 0 or more, or none of them above 0; give one such number a query"
        )
    return weight


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
