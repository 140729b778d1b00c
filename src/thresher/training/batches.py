"""What a step is given: the inputs of some training pairs, and what is true between them."""

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int

from thresher import distributed
from thresher.data.links import LogQ, batch_links, catalogue_links, text_query_links
from thresher.data.parts import Part
from thresher.data.relation import Relation
from thresher.data.sampler import PairBatch, PairSampler, Sampled
from thresher.errors import InputError
from thresher.evaluate.propensity import inverse_propensity
from thresher.towers.inputs import QueryTable
from thresher.towers.labels import LabelTable
from thresher.towers.model import RetrievalModel
from thresher.training.options import MOST, MOST_SHARED, TrainOptions
from thresher.training.views import SPREAD_OUT, VIEWS, ItemViews, itself
from thresher.types import Batch, Inputs, Links, Table

QUERY_ITEM = "query_item"
"""Links between queries and items, which a term reads that names none."""
COLUMNS = 256
"""Own items of a batch that a query is compared with, where a user's queries are read together."""
PROTOTYPE_LINKS = ("query_text", "text_query", "text_minus_prototype")
"""Links that a term may read with label prototypes."""


@dataclass(frozen=True)
class Pairs:
    """What is trained on: prepared queries and items, and which query rows to learn from.

    Args:
        queries: all of them, prepared by the tower.
        items: the catalogue, prepared by the tower; a `LabelTable` when items have vectors of their
            own.
        relation: all true pairs.
        query_rows: which queries to learn from.
        ignored: pairs that are neither true nor negative; none when left out.
        groups: number of the group, such as a user, of each query to learn from; those of one
            group stand together. Each is its own when left out.
        sample_weight: how often each query to learn from is drawn, up to a factor; alike when left
            out.
        views: draws items and makes views of them, for terms that read these.
    """

    queries: Table
    items: Table
    relation: Relation
    query_rows: np.ndarray
    ignored: Relation | None = None
    groups: Int[np.ndarray, " Q"] | None = None
    sample_weight: Float[np.ndarray, " Q"] | None = None
    views: ItemViews | None = None


def pairs_of(model: RetrievalModel, part: Part, *, views: ItemViews | None = None) -> Pairs:
    """What a part of a dataset teaches a model: its queries with a true item, and the catalogue.

    The part speaks of the catalogue of the model's tower; `views` are of its items, for terms that
    read these (`thresher.training.views.views_of`).
    """
    rows = np.flatnonzero(part.truth.counts())
    weight = part.sample_weight
    if weight is not None and (weight[rows] == weight[rows[0]] if len(rows) else weight).all():
        weight = None
    return Pairs(
        model.tower.queries(part.queries),
        model.items(),
        part.truth,
        rows,
        ignored=part.ignored if len(part.ignored.indices) else None,
        groups=None if part.groups is None else part.groups[rows],
        sample_weight=None if weight is None else weight[rows],
        views=views,
    )


class Batches:
    """Makes the batches of a run, this process's share of each.

    `sampler` draws them, `size` is the pairs of a batch over all processes, and `place` the row of
    each query among those that are learnt from. With `prototypes` of labels items are compared in
    more ways; `read` are the links that the terms of the objective read. InputError for options
    that these pairs, or so many processes, cannot have.
    """

    def __init__(
        self,
        pairs: Pairs,
        options: TrainOptions,
        *,
        prototypes: bool,
        read: Collection[str] = (),
        device: torch.device,
    ) -> None:
        rank, world = distributed.rank(), distributed.world()
        if options.negatives == "catalogue" and world > 1:
            raise InputError(
                f"train.negatives = 'catalogue' trains on one process, and there are {world}; "
                "start one"
            )
        self.pairs, self.options = pairs, options
        self.prototypes, self.device = prototypes, device
        self.run = _run(pairs, options)
        most = MOST_SHARED if self.run > 1 else MOST
        self.size = options.pairs_a_step(_an_epoch(pairs, options), world, most=most)
        self.blocks = 1
        if self.run > 1 and not (options.hard_negatives or prototypes):
            self.blocks = _blocks(self.size, self.size // world)
        counts = pairs.relation.take(pairs.query_rows).item_counts()
        sampled, rarity = _sampled(counts, options), None
        if options.positives == "rare":
            rarity = inverse_propensity(counts, train_queries=len(pairs.query_rows))
        self.sampler = PairSampler(
            pairs.relation,
            pairs.query_rows,
            batch_size=self.size // world,
            seed=options.seed,
            rank=rank,
            world=world,
            positives=options.positives,
            hard_negatives=options.hard_negatives,
            sampled=sampled,
            rarity=rarity,
            groups=pairs.groups,
            sample_weight=pairs.sample_weight,
            run=self.run,
        )
        self.read = {VIEWS, SPREAD_OUT}.intersection(read)
        self.viewed = 0
        if self.read:
            self.viewed = _views(pairs).checked(self.size, world)
        self.log_q: LogQ | None = None
        if options.logq:
            shares, in_batch = self.sampler.shares(), options.in_batch_negatives
            self.log_q = LogQ.expected(shares, sampled, queries=self.size, in_batch=in_batch)
        self.group: np.ndarray | None = None
        if self.run > 1 and pairs.groups is not None:
            self.group = np.zeros(len(pairs.relation), np.int64)
            self.group[pairs.query_rows] = pairs.groups
        self.place = np.full(len(pairs.relation), -1, np.int64)
        self.place[pairs.query_rows] = np.arange(len(pairs.query_rows))

    def of(self, rows: PairBatch, epoch: int, step: int) -> Batch:
        """The inputs of some pairs, and the links between them where the vectors will be.

        Epoch and step, with the seed, decide all else that is drawn.
        """
        relation, ignored = self.pairs.relation, self.pairs.ignored
        queries = self._queries(rows)
        if self.options.negatives == "catalogue":
            links = {QUERY_ITEM: catalogue_links(relation, rows.query_rows, ignored=ignored)}
            items = self.pairs.items[: len(self.pairs.items)]
            return self._batch({"query": queries, "item": items}, links, epoch, step)
        query_item = batch_links(
            relation,
            rows.query_rows,
            rows.columns,
            offset=self.sampler.offset,
            log_q=self.log_q,
            own=len(rows.item_rows),
            in_batch=self.options.in_batch_negatives,
            ignored=ignored,
            groups=None if self.group is None else self.group[rows.queries],
            blocks=self.blocks,
        )
        links = {QUERY_ITEM: query_item}
        if self.prototypes:
            links |= {name: replace(query_item, right=side) for name, side in _VIEWS.items()}
            links["text_query"] = text_query_links(
                relation,
                rows.item_rows,
                rows.queries,
                offset=self.sampler.query_offset,
                own=len(rows.query_rows),
                ignored=ignored,
            )
        return self._batch({"query": queries, "item": self._items(rows)}, links, epoch, step)

    def _batch(
        self, inputs: dict[str, Inputs], links: dict[str, Links], epoch: int, step: int
    ) -> Batch:
        """With items of the whole catalogue beside the pairs, where a term reads them."""
        if self.read:
            views, rank, world = _views(self.pairs), distributed.rank(), distributed.world()
            rows = views.rows(self.viewed, epoch, step, rank, world)
            if VIEWS in self.read:
                inputs["view_a"], inputs["view_b"] = views.two(rows, epoch, step, rank, world)
                links[VIEWS] = itself("view_a", "view_b", len(rows))
            if SPREAD_OUT in self.read:
                inputs["alone"] = views.plain(rows)
                links[SPREAD_OUT] = itself("alone", "alone", len(rows))
        return Batch(inputs, {name: link.to(self.device) for name, link in links.items()})

    def _queries(self, rows: PairBatch) -> Inputs:
        """The queries of a batch; those of one user read one window of events."""
        table, taken = self.pairs.queries, torch.from_numpy(rows.query_rows)
        if not isinstance(table, QueryTable) or self.run == 1:
            return table.take(taken)
        return table.within(taken, torch.from_numpy(rows.window_rows))

    def _items(self, rows: PairBatch) -> Inputs:
        """The columns of a batch; each of the first knows the query that it stands for."""
        table, taken = self.pairs.items, torch.from_numpy(rows.item_rows)
        if not isinstance(table, LabelTable):
            return table.take(taken)
        own = np.full(len(rows.item_rows), -1, np.int64)
        own[: len(rows.query_rows)] = self.place[rows.query_rows]
        return table.taken(taken, torch.from_numpy(own))


# With label prototypes: the links that are those of the items, seen from other vectors of theirs.
_VIEWS = {"query_text": "text", "text_minus_prototype": "text_minus_prototype"}


def _views(pairs: Pairs) -> ItemViews:
    if pairs.views is None:
        raise InputError(
            "a term reads views of items, and these items have none; leave the term out"
        )
    return pairs.views


def _run(pairs: Pairs, options: TrainOptions) -> int:
    """How many pairs of one user a batch keeps together."""
    together = options.positives == "every" and pairs.groups is not None
    return pairs.queries.run if together and isinstance(pairs.queries, QueryTable) else 1


def _blocks(size: int, own: int) -> int:
    """The most blocks of `COLUMNS` columns or more that the pairs of each process fall into."""
    return max(d for d in range(1, max(1, size // COLUMNS) + 1) if own % d == 0)


def _an_epoch(pairs: Pairs, options: TrainOptions) -> int:
    """The pairs of one epoch."""
    counts = pairs.relation.counts()[pairs.query_rows]
    if options.positives == "every":
        return int(counts.sum())
    drawn = np.flatnonzero(counts)
    return len(drawn if pairs.groups is None else np.unique(pairs.groups[drawn]))


def _sampled(counts: np.ndarray, options: TrainOptions) -> Sampled | None:
    if not options.num_sampled_negatives:
        return None
    chances = counts.astype(np.float64) ** options.sampling_power
    return Sampled(count=options.num_sampled_negatives, chances=chances)
