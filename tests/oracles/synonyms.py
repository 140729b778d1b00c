"""Pairs with a known structure that no text shows: each item's word has a synonym of its own."""

import os
import random
import signal
from dataclasses import dataclass, field

import numpy as np
import torch

from thresher.data.relation import Relation
from thresher.losses import Softmax
from thresher.objective import Objective, Term
from thresher.retrieve.exact import Exact
from thresher.towers.encode import vectors
from thresher.towers.text import BagTower
from thresher.train.loop import Pairs

ITEMS, ASKED = 40, 8  # the last two queries of each item are held out


def word(draw):
    return "".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=9))


def made(*, shuffled=False, token_dropout=0.2, dim=16):
    """A tower, its pairs, and the held-out query rows."""
    draw = random.Random(1)
    names = [(word(draw), word(draw)) for _ in range(ITEMS)]
    noise = [word(draw) for _ in range(6)]
    queries = [f"{names[i][1]} {draw.choice(noise)}" for i in range(ITEMS) for _ in range(ASKED)]
    true = np.repeat(np.arange(ITEMS), ASKED)
    if shuffled:
        true = np.random.default_rng(3).permutation(true)
    torch.manual_seed(0)
    tower = BagTower(dim=dim, bits=10, longest=0, token_dropout=token_dropout)
    rows = np.arange(len(queries))
    held_out = rows % ASKED >= ASKED - 2
    relation = Relation.from_pairs(rows, true, shape=(len(queries), ITEMS))
    # Two words each: of a lone token the weight has no gradient but rounding, which Adam enlarges.
    texts = [f"{name} {noise[i % 4]}" for i, (name, _) in enumerate(names)]
    pairs = Pairs(tower.prepare(queries), tower.prepare(texts), relation, rows[~held_out])
    return tower, pairs, rows[held_out]


def precision(tower, pairs, rows):
    """Share of these queries whose closest item is true."""
    hits = Exact(vectors(tower, pairs.items)).search(
        vectors(tower, pairs.queries.take(torch.from_numpy(rows))), 1
    )
    return float(pairs.relation.take(rows).correct(hits.rows).mean())


@dataclass
class Watched:
    """Softmax that remembers what it saw, and kills its process at a given step."""

    kill_at: int = -1
    seen: list = field(default_factory=list)

    def __call__(self, m):
        self.seen.append(m.links)
        if len(self.seen) == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return Softmax(temperature=0.1)(m)


def goal(loss=None):
    return Objective([Term("main", loss or Softmax(temperature=0.1), "offered")])
