"""A vector for each item beside a tower at rest: it learns what the tower did not."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from oracles.synonyms import made
from thresher.retrieve import Exact
from thresher.towers.item_embeddings import fused
from thresher.training.classifiers import ClassifierOptions, train_classifiers
from thresher.training.options import TrainOptions

HOW = TrainOptions(batch_size=40, cluster_from_epoch=0, cluster_size=6, hard_negatives=2)
OPTIONS = ClassifierOptions(epochs=10, learning_rate=0.3)


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """An untrained model, what it was before, its pairs, and what classifiers of it learn."""
    model, pairs, held_out = made(dim=32)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    measured = []

    def measure(vectors):
        measured.append(vectors)
        return {"P@1": float(len(measured))}

    folder = tmp_path_factory.mktemp("classifiers")
    found = train_classifiers(model, pairs, OPTIONS, HOW, folder, measure=measure, quiet=True)
    return model, before, pairs, held_out, measured, found


def precision(items, model, pairs, rows):
    """Share of these queries whose closest item is true."""
    hits = Exact(items).search(model.vectors(pairs.queries.take(torch.from_numpy(rows))), 1)
    return float(pairs.relation.take(rows).correct(hits.rows).mean())


def test_it_learns_what_the_texts_do_not_say_and_leaves_the_tower_alone(learned):
    model, before, pairs, held_out, _, (vectors, _) = learned
    assert precision(model.vectors(pairs.items), model, pairs, held_out) < 0.15
    # Of 40 items chance finds 1 in 40; queries of an untrained tower are not all told apart.
    assert precision(vectors, model, pairs, held_out) > 0.6
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    after = model.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_fused_vectors_are_measured_after_each_epoch(learned):
    model, _, pairs, _, measured, (vectors, metrics) = learned
    # Ten epochs, and once more the best weights, which are the last.
    assert metrics == {"P@1": 11.0}
    assert len(measured) == 11
    own = model.vectors(pairs.items)
    np.testing.assert_allclose(measured[-1], 0.5 * own + 0.5 * vectors, atol=1e-6)
    assert np.array_equal(measured[-1], fused(own, vectors, 0.5))


def test_it_begins_at_the_items_own_vectors(tmp_path):
    model, pairs, _ = made()
    still = replace(OPTIONS, epochs=1, learning_rate=1e-12)
    vectors, metrics = train_classifiers(model, pairs, still, HOW, tmp_path, quiet=True)
    np.testing.assert_allclose(vectors, model.vectors(pairs.items), atol=1e-6)
    assert metrics == {}
