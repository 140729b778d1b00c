"""One small training problem, whole or cut into the shares of several processes."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import torch
from torch import nn
from torch.nn import functional as F

from oracles.tables import dataset
from thresher.adapters import SentenceTransformersLoss
from thresher.data.histories import Histories
from thresher.data.links import batch_links, text_query_links
from thresher.data.masking import ViewOptions
from thresher.data.parts import Part
from thresher.data.queries import Queries
from thresher.data.relation import Relation
from thresher.data.sampler import PairSampler
from thresher.distributed import average_gradients
from thresher.losses import CROLoss, HardestPairs, Softmax, ThresholdConsistentMargin
from thresher.objective import Objective, Term
from thresher.towers.feature_tower import FeatureTower
from thresher.towers.features import FeatureOptions
from thresher.towers.model import RetrievalModel
from thresher.training.batches import Batches, Pairs, pairs_of
from thresher.training.options import TrainOptions
from thresher.training.views import views_of
from thresher.types import Batch, Links

QUERIES, ITEMS, VIEWS, WIDTH, DIM = 12, 18, 6, 6, 4


class Towers(nn.Module):
    """Two towers with dropout; queries have one, items and their views share the other."""

    def __init__(self, dropout=0.0):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(3)
            self.query, self.item = nn.Linear(WIDTH, DIM), nn.Linear(WIDTH, DIM)
        self.drop = nn.Dropout(dropout)
        self.double()

    def forward(self, name, inputs):
        tower = self.query if name == "query" else self.item
        return F.normalize(self.drop(tower(inputs)), dim=1)


def objective(**options):
    """Every loss at once, one of them with weights of its own, on two kinds of links."""
    return Objective(
        [
            Term("main", Softmax(temperature=0.1), "bought"),
            Term("tcm", ThresholdConsistentMargin(margin_neg=0.3), "bought", weight=0.5),
            Term("alc", HardestPairs(DIM, hardest=3, b1=0.5, b2=0.5), "bought"),
            Term("pool", HardestPairs(DIM, hardest=2, context="pooled"), "bought", weight=0.3),
            Term("ssl", Softmax(temperature=0.2), "same_item", weight=0.3),
        ],
        **options,
    ).double()


def whole():
    """The batch of one process: item 18 rows against 12 queries, and two views of 6 items.

    Some positives and ignored pairs lie far from the diagonal, hence on two processes later.
    """
    draw = torch.Generator().manual_seed(7)
    sizes = {"query": QUERIES, "item": ITEMS, "view_a": VIEWS, "view_b": VIEWS}
    inputs = {
        name: torch.randn(n, WIDTH, generator=draw, dtype=torch.float64)
        for name, n in sizes.items()
    }
    own = [(i, i * ITEMS // QUERIES) for i in range(QUERIES)]
    bought = Links(
        "query",
        "item",
        torch.tensor([*own, (0, 16), (1, 17), (11, 0), (5, 2)]),
        torch.tensor([(0, 1), (2, 14), (7, 1), (10, 5), (11, 16)]),
        -3 * torch.rand(ITEMS, generator=draw, dtype=torch.float64),
    )
    diagonal = torch.arange(VIEWS).repeat(2, 1).T
    same = Links("view_a", "view_b", diagonal, torch.zeros(0, 2, dtype=torch.long))
    return Batch(inputs, {"bought": bought, "same_item": same})


def share(batch, rank, world):
    """The equal share of one process: its rows, and columns relative to its own first one."""

    def cut(x):
        return x.chunk(world)[rank]

    def cut_links(link):
        rows, columns = (len(batch.inputs[side]) // world for side in (link.left, link.right))

        def mine(pairs):
            pairs = pairs[pairs[:, 0] // rows == rank]
            return pairs - torch.tensor([rank * rows, 0])

        link = replace(link, pos=mine(link.pos), ignored=mine(link.ignored)).shift(-rank * columns)
        return link if link.log_q is None else replace(link, log_q=cut(link.log_q))

    return Batch(
        {name: cut(x) for name, x in batch.inputs.items()},
        {name: cut_links(link) for name, link in batch.links.items()},
    )


def mined_share(rank, world):
    """The share of one process in a batch of 12 pairs with 3 mined columns for each, as drawn.

    Items and queries are few and many pairs true or ignored, so that links reach other processes.
    """
    draw = np.random.default_rng(5)
    truth, unclear = draw.random((2, 20, 15)) < np.array([0.3, 0.1])[:, None, None]
    relation, ignored = (
        Relation.from_pairs(*np.nonzero(pairs), shape=pairs.shape) for pairs in (truth, unclear)
    )
    tables = [torch.from_numpy(draw.normal(size=(n, WIDTH))) for n in (20, 15)]
    hard = np.where(truth, -1, draw.integers(0, 15, truth.shape))
    sampler = PairSampler(
        relation,
        np.arange(20),
        batch_size=QUERIES // world,
        seed=2,
        rank=rank,
        world=world,
        positives="one",
        hard_negatives=3,
    )
    rows = next(sampler.epoch(1, None, hard))
    query_item = batch_links(
        relation, rows.query_rows, rows.columns, offset=sampler.offset, ignored=ignored
    )
    text_query = text_query_links(
        relation,
        rows.item_rows,
        rows.queries,
        offset=sampler.query_offset,
        own=len(rows.query_rows),
        ignored=ignored,
    )
    query, item = tables[0][rows.query_rows], tables[1][rows.item_rows]
    return Batch(
        {"query": query, "item": item, "text": item},
        {"query_item": query_item, "text_query": text_query},
    )


def sampled_share(rank, world, *, in_batch):
    """The share of one process in a batch of 12 pairs and 24 sampled columns, as training makes it.

    What of the others a process does not see, such as how often an item is drawn, is in log q.
    """
    draw = np.random.default_rng(6)
    truth, unclear = draw.random((2, 20, 15)) < np.array([0.3, 0.1])[:, None, None]
    relation, ignored = (
        Relation.from_pairs(*np.nonzero(pairs), shape=pairs.shape) for pairs in (truth, unclear)
    )
    tables = [torch.from_numpy(draw.normal(size=(n, WIDTH))) for n in (20, 15)]
    rows = [torch.arange(n) for n in (20, 15)]
    options = TrainOptions(
        batch_size=QUERIES,
        num_sampled_negatives=2,
        sampling_power=0.7,
        logq=True,
        in_batch_negatives=in_batch,
        seed=3,
    )
    pairs = Pairs(*rows, relation, np.arange(20), ignored, sample_weight=draw.random(20) + 0.1)
    batches = Batches(pairs, options, prototypes=False, device=torch.device("cpu"))
    assert batches.sampler.offset == rank * 3 * QUERIES // world
    batch = batches.of(next(batches.sampler.epoch(1)), 1, 0)
    sides = {"query": tables[0], "item": tables[1]}
    return Batch({name: sides[name][batch.inputs[name]] for name in sides}, batch.links)


def featured_data():
    """20 queries, 15 items of some features, and which of them are true."""
    draw = np.random.default_rng(8)
    tables = [
        {
            "shelf": [draw.choice([*"pqrs"], 2).tolist() for _ in range(count)],
            # Of some the size is not known, so that defaults learn too.
            "size": [draw.normal() if n % 3 else None for n in range(count)],
        }
        for count in (15, 20)
    ]
    truth = np.random.default_rng(6).random((20, 15)) < 0.3
    return dataset(*tables, zip(*np.nonzero(truth), strict=True))


class Featured(nn.Module):
    """The tower of features for every input."""

    def __init__(self, dropout=0.0, **options):
        super().__init__()
        self.data = featured_data()
        self.tower = FeatureTower(
            combine="concat", layers=(8,), dim=DIM, dropout=dropout, **options
        )
        self.tower.fit(self.data, FeatureOptions(width=WIDTH, id_min_count=1))

    def forward(self, name, inputs):
        return self.tower(inputs)


def featured_share(masking="correlated"):
    """The share of this process in a batch of 12 pairs and two views of 6 items."""
    towers = Featured()
    views = views_of(
        ViewOptions(masking=masking, value_dropout=0.0, items=VIEWS),
        towers.tower,
        [{"links": "views"}, {"links": "spread_out"}],
        seed=3,
    )
    pairs = pairs_of(RetrievalModel(towers.tower), towers.data.part("train"), views=views)
    options = TrainOptions(batch_size=QUERIES, logq=True, seed=3)
    read = {"query_item", "views", "spread_out"}
    batches = Batches(pairs, options, prototypes=False, read=read, device=torch.device("cpu"))
    return batches.of(next(batches.sampler.epoch(1)), 1, 0)


def featured_objective():
    """The main task, and two views of items, and items beside each other."""
    return Objective(
        [
            Term("main", Softmax(temperature=0.1), "query_item"),
            Term("ssl", Softmax(temperature=0.2), "views", weight=0.3),
            Term("so", Softmax(temperature=0.2), "spread_out", weight=0.2),
        ]
    )


class Read(nn.Module):
    """The tower of histories for every input."""

    def __init__(self):
        super().__init__()
        users = np.repeat(np.arange(5), 7)
        first, last = 7 * users, np.arange(35)
        items = np.random.default_rng(3).integers(0, 9, 35)
        kept = np.flatnonzero(last > first)  # all events but the first of each user
        read = Histories.windows(items, first[kept], last[kept])
        truth = Relation(np.arange(len(kept) + 1), items[kept], 9)
        ids = pa.array([f"u{user}" for user in users[kept]])
        own = Queries(ids, None, None, read)
        self.part = Part(own, truth, Relation.none(truth.shape), None, users[kept])
        self.tower = FeatureTower(dim=DIM, encoder="gru", max_history=6, dropout=0.0)
        data = dataset(
            {"id": [f"i{i}" for i in range(9)]}, None, [(0, i) for i in range(9)], history=[[0]]
        )
        self.tower.fit(data, FeatureOptions(id_min_count=1))

    def forward(self, name, inputs):
        return self.tower(inputs)


def read_share():
    """The share of this process in a batch of 12 positions of users' histories, in two blocks."""
    towers = Read()
    pairs = pairs_of(RetrievalModel(towers.tower), towers.part)
    options = TrainOptions(batch_size=QUERIES, logq=True, seed=3)
    made = Batches(pairs, options, prototypes=False, device=torch.device("cpu"))
    made.blocks = 2
    return made.of(next(made.sampler.epoch(1)), 1, 0)


def gradient(p):
    """Of a parameter as a list; None where there is none."""
    return None if p.grad is None else p.grad.to_dense().tolist()


def mined_objective():
    """Losses in both directions; neither depends on the order of the columns."""
    return Objective(
        [
            Term("main", Softmax(temperature=0.1), "query_item"),
            Term("tcm", ThresholdConsistentMargin(margin_neg=0.3), "query_item", weight=0.5),
            Term("back", Softmax(temperature=0.2), "text_query", weight=0.7),
        ]
    ).double()


def sampled_objective():
    """Losses that compare a query with every column, corrected for how often that is drawn."""
    return Objective(
        [
            Term("main", Softmax(temperature=0.3), "query_item"),
            Term("cro", CROLoss(temperature=0.3, rank_kernel="sigmoid"), "query_item", weight=0.5),
        ]
    ).double()


class Encoder(nn.Module):
    """What a sentence-transformers model is to a loss."""

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(4)
            self.layer = nn.Linear(WIDTH, DIM)

    def forward(self, features):
        return {"sentence_embedding": self.layer(features["x"])}


def adapted(rank, world):
    """The gradients of an adapter on this process's anchors, positives and hard negatives.

    Those of the model are to be averaged by the trainer; those of the head are already.
    """
    loss = SentenceTransformersLoss(
        Encoder(), [Softmax(), HardestPairs(hardest=3), (ThresholdConsistentMargin(), 0.5)]
    )
    draw = torch.Generator().manual_seed(9)
    columns = [torch.randn(QUERIES, WIDTH, generator=draw) for _ in range(3)]
    labels = torch.arange(QUERIES) % 5  # equal ones lie on different processes
    loss([{"x": x.chunk(world)[rank]} for x in columns], labels.chunk(world)[rank]).backward()
    average_gradients(loss.model.parameters())
    return {
        "logs": loss.objective.logs,
        "gradients": [p.grad.tolist() for p in loss.parameters()],
    }


def parameters(towers, goal):
    return [*towers.parameters(), *goal.parameters()]
