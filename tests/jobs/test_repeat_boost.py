"""The repeat boost that validation chooses."""

from types import SimpleNamespace

import numpy as np
import pytest

from oracles.retriever import part_of
from thresher.data.histories import Histories
from thresher.data.relation import Relation
from thresher.data.sequences import Sequences
from thresher.evaluate import RecommendOptions
from thresher.jobs.train import chosen_boost
from thresher.retrieve import Hits

USERS, ITEMS = 12, 6
# User u had item u % 3, scored 0.5; items 3, 4 and 5 are scored 0.65, 0.6 and 0.55.
HAD = np.arange(USERS) % 3
SCORES = np.tile(np.array([0.1, 0.1, 0.1, 0.65, 0.6, 0.55], np.float32), (USERS, 1))
SCORES[np.arange(USERS), HAD] = 0.5


class Lister:
    """Lists by the scores above."""

    def __init__(self, metric="P@1", **options):
        recommend, train = RecommendOptions(**options), SimpleNamespace(metric=metric)
        sections = {"recommend": recommend, "train": train}
        self.config = SimpleNamespace(build=sections.__getitem__)

    def hits(self, queries, k, *, ignored):
        rows = np.argsort(-SCORES, axis=1, kind="stable")[:, :k]
        return None, Hits(rows, np.take_along_axis(SCORES, rows, axis=1))

    def raised(self, queries, vectors, hits, boost):
        had = queries.histories.sequences().relation(ITEMS)
        return hits.raised(had, lambda q, i: SCORES[q, i], boost)


def data(taken, *, histories=True, users=USERS):
    """Validation users who take these items next."""
    had = Histories.of(Sequences(np.arange(USERS + 1), HAD.astype(np.int64)))
    truth = Relation.from_pairs(np.arange(USERS), np.array(taken), shape=(USERS, ITEMS))
    part = part_of(truth, [""] * USERS, histories=had if histories else None)
    counts = np.ones(ITEMS, np.int64)
    return SimpleNamespace(
        part=lambda name: {"validation": part.first(users)}[name],
        items=range(ITEMS),
        item_counts=lambda: counts,
    )


def test_the_smallest_of_the_best_is_taken():
    # 0.5 and the boost must pass 0.65
    assert chosen_boost(Lister(), data(HAD)) == {"repeat_boost": 0.2}
    # and 0.55, to be among the first three
    assert chosen_boost(Lister("recall@3"), data(HAD)) == {"repeat_boost": 0.1}


def test_where_nothing_repeats_there_is_no_boost():
    assert chosen_boost(Lister(), data(np.full(USERS, 3))) == {"repeat_boost": 0.0}
    assert chosen_boost(Lister("recall@3"), data(HAD // 3 + 5)) == {"repeat_boost": 0.0}


@pytest.mark.parametrize("options", [{"repeat_boost": 0.0}, {"remove_history": True}])
def test_what_is_configured_stays(options):
    assert chosen_boost(Lister(**options), data(HAD)) == {}


def test_without_histories_or_validation_nothing_is_chosen():
    assert chosen_boost(Lister(), data(HAD, histories=False)) == {}
    assert chosen_boost(Lister(), data(HAD, users=0)) == {}
