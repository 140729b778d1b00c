"""Labels that look wrong, by confidence and by the codes in a query."""

import numpy as np
import pytest

from thresher.data.relation import Relation
from thresher.evaluate.label_errors import LabelConfidence, names_another

# Four queries over items 0 to 9; the last has no true item, the third's is no candidate.
ROWS = np.array([[0, 1, 2], [3, 4, -1], [5, 6, 7], [8, 9, 0]])
CHANCES = np.array([[0.7, 0.2, 0.05], [0.9, 0.05, 0.0], [0.6, 0.3, 0.1], [0.8, 0.05, 0.05]])
TRUTH = Relation.from_pairs(np.array([0, 0, 1, 2]), np.array([0, 2, 4, 1]), shape=(4, 10))


def test_confidence_in_the_label_and_in_another():
    found = LabelConfidence.of(ROWS, CHANCES, TRUTH)
    assert found.labelled.tolist() == [0, 4, 1, -1]
    assert found.own.tolist() == pytest.approx([0.7, 0.05, 0.0, 0.1])
    assert found.other.tolist() == [1, 3, 5, 8]
    assert found.against.tolist() == pytest.approx([0.2, 0.9, 0.6, 0.8])
    # mean confidence in the labels .2125; margins .075, .2, .15
    assert found.suspected().tolist() == [1, 3, 2]


def test_who_is_only_as_unsure_as_usual_is_not_suspected():
    chances = np.array([[0.9, 0.1], [0.9, 0.1], [0.45, 0.55]])
    truth = Relation.from_pairs(np.arange(3), np.zeros(3, np.int64), shape=(3, 2))
    rows = np.tile([0, 1], (3, 1))
    # the last has .55 for another item, below the mean of .9, .9 and .45
    assert LabelConfidence.of(rows, chances, truth).suspected().tolist() == []
    chances[2] = [0.2, 0.8]
    assert LabelConfidence.of(rows, chances, truth).suspected().tolist() == [2]


def test_a_fold_overrules_the_model_that_was_fitted_on_the_query():
    found = LabelConfidence.of(ROWS, CHANCES, TRUTH)
    fold = found.out_of_fold(np.array([0, 1]), np.array([0.8, 0.6]), np.array([False, True]))
    assert fold.own.tolist() == pytest.approx([0.2, 0.6, 0.0, 0.1])
    assert fold.against.tolist() == pytest.approx([0.8, 0.4, 0.6, 0.8])
    assert found.own[0] == 0.7  # the first is as it was


def test_nothing_to_suspect():
    none = Relation.none((0, 3))
    nothing = LabelConfidence.of(np.empty((0, 2), np.int64), np.empty((0, 2)), none)
    assert nothing.suspected().tolist() == []
    alone = Relation.from_pairs(np.array([0]), np.array([0]), shape=(1, 1))
    assert LabelConfidence.of(np.array([[0]]), np.array([[0.1]]), alone).suspected().tolist() == []


def test_planted_errors_come_first():
    """The truth is sampled from the chances, so that only a flipped label is unlikely."""
    rng = np.random.default_rng(0)
    chances = rng.dirichlet([8, 0.3, 0.3, 0.3], 4_000)
    rows = np.tile(np.arange(4), (4_000, 1))
    labels = (rng.uniform(size=(4_000, 1)) > np.cumsum(chances, axis=1)).sum(axis=1).clip(max=3)
    flipped = rng.permutation(4_000)[:120]
    labels[flipped] = 1 + np.argmax(chances[flipped, 1:], axis=1)
    truth = Relation.from_pairs(np.arange(4_000), labels, shape=(4_000, 4))
    found = LabelConfidence.of(rows, chances, truth).suspected()
    planted = np.isin(found, flipped)
    assert planted.sum() >= 0.6 * 120
    assert planted[:60].mean() > planted.mean() > 0.03 * 5


@pytest.mark.parametrize(
    ("query", "proposed", "truth", "expected"),
    [
        ("bosch kin85af30 white", "Bosch KIN85AF30", "Bosch KIN86AF30", True),
        ("bosch kin85af30 white", "Bosch KIN86AF30", "Bosch KIN85AF30", False),
        # each has a number of its own in the query
        ("galaxy s9 64gb", "Galaxy S9 128GB", "Galaxy S8 64GB", False),
        ("galaxy s9", "Galaxy S9 64GB", "Galaxy S9 128GB", False),  # nothing tells them apart
        ("red mug", "Red mug", "Blue mug", False),  # no code, no number
        ("eos 2000 d", "Canon EOS 2000D", None, True),
        ("eos", "Canon EOS 2000D", None, False),
        ("eos", "Canon EOS", None, False),
    ],
)
def test_queries_that_name_another_item(query, proposed, truth, expected):
    assert names_another(query, proposed, truth) is expected
