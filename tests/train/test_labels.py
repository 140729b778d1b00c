"""Items with vectors of their own: they learn, resume exactly, and are built as they are told."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from oracles.synonyms import ITEMS, Watched, goal, made, precision
from oracles.tables import dataset
from thresher.data.relation import Relation
from thresher.errors import InputError
from thresher.towers.feature_tower import FeatureTower
from thresher.towers.features import FeatureOptions
from thresher.train.labels import Prototype, Shared, TextLabels
from thresher.train.loop import train
from thresher.train.options import TrainOptions

OPTIONS = TrainOptions(
    epochs=3, batch_size=24, cluster_from_epoch=1, cluster_size=6, hard_negatives=2, positives="one"
)


def trained(folder, options, labels, loss=None, **more):
    model, pairs, held_out = made(labels=labels, dim=32)
    train(model, goal(loss, labels), pairs, options, folder, **more)
    return model, pairs, held_out


class Stopped(Exception):
    """As if the process were killed."""


class Stops(Watched):
    def __call__(self, m):
        if len(self.seen) + 1 == self.kill_at:
            raise Stopped
        return super().__call__(m)


# With prototypes three terms see each step: call 3 * 23 is in the third epoch (10 steps each).
@pytest.mark.parametrize(
    ("labels", "call"), [("text", 14), ("text", 23), ("shared", 23), ("prototype", 69)]
)
def test_a_run_that_was_stopped_ends_as_an_unbroken_one(tmp_path, labels, call):
    options = replace(OPTIONS, checkpoint_steps=2)
    unbroken, _, _ = trained(tmp_path / "a", options, labels)
    with pytest.raises(Stopped):
        trained(tmp_path / "b", options, labels, Stops(kill_at=call))
    resumed, _, _ = trained(tmp_path / "b", options, labels, resume=True)
    want, got = unbroken.state_dict(), resumed.state_dict()
    assert want.keys() == got.keys()
    assert all(torch.equal(want[name], got[name]) for name in want)


@pytest.mark.parametrize("labels", ["text", "shared", "prototype"])
def test_what_is_true_is_learnt(tmp_path, labels):
    options = replace(OPTIONS, epochs=30, batch_size=40, learning_rate=0.03, positives="every")
    model, pairs, held_out = trained(tmp_path, options, labels)
    assert precision(model, pairs, held_out) > 0.85


def test_every_query_is_taken_once_an_epoch_where_one_positive_is_drawn(tmp_path):
    watched = Watched()
    trained(tmp_path, replace(OPTIONS, epochs=1, hard_negatives=0), "text", watched)
    assert len(watched.seen) == 240 // 24
    # 24 queries, one column each.
    assert all(links.pos.tolist() == [[i, i] for i in range(24)] for links in watched.seen)


def test_hard_negatives_are_further_columns_and_never_a_query_s_own(tmp_path):
    watched = Watched()
    shapes = []

    def seen(m):
        shapes.append((len(m.left), len(m.right)))
        return watched(m)

    trained(tmp_path, replace(OPTIONS, epochs=2), "text", seen)
    # Before the first epoch there are no weights to search with: extra columns are drawn blindly.
    assert shapes == [(24, 72)] * 20
    for links in watched.seen:
        assert links.pos[:, 1].max() == 23


def test_all_items_as_columns(tmp_path):
    watched = Watched()
    trained(tmp_path, replace(OPTIONS, hard_negatives=0, negatives="catalogue"), "text", watched)
    for links in watched.seen:
        assert len(links.pos) == 24
        assert links.pos[:, 1].max() < ITEMS
        assert len(links.drop) == 0


def test_rare_items_are_drawn_more_often(tmp_path):
    model, pairs, _ = made()
    # Every query of item 0 is also one of item 1, which others have too.
    rows = np.concatenate([pairs.relation.pairs(), [[q, 1] for q in range(6)]])
    relation = Relation.from_pairs(rows[:, 0], rows[:, 1], shape=pairs.relation.shape)
    watched = Watched()
    options = replace(OPTIONS, epochs=1, hard_negatives=0, positives="rare", batch_size=24)
    train(model, goal(watched), replace(pairs, relation=relation), options, tmp_path)
    assert len(watched.seen) == 10


def test_shared_vectors_are_half_as_many_as_items_unless_said():
    tower, texts = FeatureTower(dim=8, bits=8), {"title": [f"item {i}" for i in range(10)]}
    tower.fit(dataset(texts, texts, [(0, 0)], text=True), FeatureOptions())
    items, counts = tower.items(), np.arange(10)
    made_labels = Shared(private=2).build(tower, items, counts, 0)
    # Five clusters of two, and a vector of their own for items 9 and 8.
    assert len(made_labels.places) == 10
    assert len(made_labels.table) <= 7
    assert len(set(made_labels.places[8:].tolist()) & set(made_labels.places[:8].tolist())) == 0
    with pytest.raises(InputError, match="asks for 11 clusters of 10 items; give 10 or fewer"):
        Shared(shared=11).build(tower, items, counts, 0)
    assert TextLabels().build(tower, items, counts, 0) is None
    assert len(Prototype().build(tower, items, counts, 0).free) == 10


@pytest.mark.parametrize("wrong", [{"shared": 0}, {"private": -1}])
def test_sizes_out_of_range(wrong):
    with pytest.raises(InputError, match="give 1 or more shared and 0 or more private"):
        Shared(**wrong)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"hard_negatives": -1}, r"train\.hard_negatives must be 0 or more, got -1"),
        (
            {"hard_negatives": 1, "negatives": "catalogue"},
            r"add nothing to train\.negatives = 'catalogue'",
        ),
        ({"hard_negatives": 1, "logq": True}, r"set it to false with train\.hard_negatives"),
        ({"cluster_growth": 0.5}, "cluster_size and cluster_growth must be at least 1"),
    ],
)
def test_options_that_contradict(wrong, says):
    with pytest.raises(InputError, match=says):
        TrainOptions(**wrong)


def test_clusters_grow_to_their_last_size():
    options = TrainOptions(epochs=5, cluster_from_epoch=2, cluster_size=64, cluster_growth=2.0)
    assert [options.cluster_size_at(e) for e in range(5)] == [None, None, 16, 32, 64]
    never = replace(options, cluster_from_epoch=-1)
    assert [never.cluster_size_at(e) for e in range(5)] == [None] * 5
