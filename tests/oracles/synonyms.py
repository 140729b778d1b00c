"""Pairs with a known structure that no text shows: each item's word has a synonym of its own."""

import os
import random
import signal
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from oracles.tables import dataset
from thresher.config import LABELS
from thresher.data.relation import Relation
from thresher.losses import Softmax
from thresher.objective import Objective, Term
from thresher.retrieve.exact import Exact
from thresher.towers.feature_tower import FeatureTower
from thresher.towers.features import FeatureOptions
from thresher.towers.model import RetrievalModel, halves
from thresher.training.batches import pairs_of

ITEMS, QUERIES = 40, 8  # the last two queries of each item are held out


def word(draw):
    return "".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=9))


def made(*, shuffled=False, token_dropout=0.2, dim=16, labels="text"):
    """A model, its pairs, and the held-out query rows."""
    draw = random.Random(1)
    names = [(word(draw), word(draw)) for _ in range(ITEMS)]
    noise = [word(draw) for _ in range(6)]
    queries = [f"{names[i][1]} {draw.choice(noise)}" for i in range(ITEMS) for _ in range(QUERIES)]
    true = np.repeat(np.arange(ITEMS), QUERIES)
    if shuffled:
        true = np.random.default_rng(3).permutation(true)
    torch.manual_seed(0)
    rows = np.arange(len(queries))
    held_out = rows % QUERIES >= QUERIES - 2
    # Two words each: of a lone token the weight has no gradient but rounding, which Adam enlarges.
    texts = [f"{name} {noise[i % 4]}" for i, (name, _) in enumerate(names)]
    pairs = list(zip(rows[~held_out].tolist(), true[~held_out].tolist(), strict=True))
    data = dataset({"title": texts}, {"title": queries}, pairs, text=True)
    tower = FeatureTower(dim=dim, bits=10, ngram_range=(0, 0), token_dropout=token_dropout)
    tower.fit(data, FeatureOptions())
    own = LABELS[labels]().build(tower, tower.items(), data.item_counts(), 0)
    model = RetrievalModel(tower, own)
    learned = pairs_of(model, data.part("train"))
    relation = Relation.from_pairs(rows, true, shape=(len(queries), ITEMS))
    return model, replace(learned, relation=relation), rows[held_out]


def precision(model, pairs, rows):
    """Share of these queries whose closest item is true."""
    hits = Exact(model.vectors(pairs.items)).search(
        model.vectors(pairs.queries.take(torch.from_numpy(rows))), 1
    )
    return float(pairs.relation.take(rows).correct(hits.rows).mean())


@dataclass
class Watched:
    """Softmax that remembers what it saw, and kills its process at a given step."""

    kill_at: int = -1
    seen: list = field(default_factory=list)

    def ratios(self, m):
        self.seen.append(m.links)
        if len(self.seen) == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return Softmax(temperature=0.1).ratios(m)


def goal(loss=None, labels="text"):
    """One term; with label prototypes also one for the text of the items."""
    loss = loss or Softmax(temperature=0.1)
    if labels != "prototype":
        return Objective([Term("main", loss, "query_item")])
    links = ("query_item", "query_text", "text_query")
    return Objective([Term(name, loss, name) for name in links], views=halves)
