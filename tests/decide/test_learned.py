"""The learned confidence."""

import json

import numpy as np
import pytest

from thresher.decide.evidence import NAMES
from thresher.decide.learned import Learned, _loss
from thresher.errors import InputError


def signs(queries: int, k: int, *, seed: int = 0):
    """Candidates whose first sign is about 2 where true and 0 elsewhere; some have no truth."""
    rng = np.random.default_rng(seed)
    correct = np.arange(k) == rng.integers(0, k + 1, queries)[:, None]
    x = rng.normal(size=(queries, k, len(NAMES))).astype(np.float32)
    x[..., 0] += 3 * correct
    return x, correct, np.zeros((queries, k), bool)


def weighed(**weights: float) -> Learned:
    """A confidence with only the first sign, by hand."""
    w = np.zeros(len(NAMES))
    w[0] = weights.get("first", 1.0)
    size = len(NAMES)
    return Learned(NAMES, np.zeros(size), np.ones(size), w, weights.get("bias", 0.0))


def row(*values: float) -> np.ndarray:
    x = np.zeros((1, len(values), len(NAMES)), np.float32)
    x[0, :, 0] = values
    return x


def test_probabilities_by_hand():
    p = weighed().probabilities(row(np.log(2), np.log(3)), np.zeros((1, 2), bool))
    # 2 / (1 + 2 + 3), 3 / (1 + 2 + 3): the rest is "none of them"
    np.testing.assert_allclose(p, [[2 / 6, 3 / 6]], rtol=1e-6)


def test_a_twin_halves_the_confidence_and_a_bad_fit_lowers_it():
    none = np.zeros((1, 2), bool)
    _, alone = weighed().rank(row(8.0, -8.0), none)
    _, twins = weighed().rank(row(8.0, 8.0), none)
    _, bad = weighed().rank(row(-8.0, -9.0), none)
    assert alone > 0.99
    assert twins == pytest.approx(alone / 2, rel=1e-3)
    assert bad < 0.01


def test_missing_places_come_last_and_have_no_share():
    missing = np.array([[True, False, False], [True, True, True]])
    x = np.concatenate([row(50.0, -900.0, 1.0), row(1.0, 1.0, 1.0)])
    order, confidence = weighed().rank(x, missing)
    assert order[0].tolist() == [2, 1, 0]
    assert confidence[0] == pytest.approx(np.e / (1 + np.e), rel=1e-6)
    assert confidence[1] == 0


def test_ties_keep_the_order_of_the_tower():
    order, _ = weighed().rank(row(1.0, 1.0, 1.0), np.zeros((1, 3), bool))
    assert order.tolist() == [[0, 1, 2]]


def test_huge_odds_stay_finite():
    _, confidence = weighed(first=1e4).rank(row(1.0, -1.0), np.zeros((1, 2), bool))
    assert confidence == 1.0


@pytest.mark.parametrize("k", [1, 3, 20])
def test_fit_finds_the_sign_that_matters(k):
    learned = Learned.fit(*signs(1500, k))
    x, correct, missing = signs(2000, k, seed=1)
    order, confidence = learned.rank(x, missing)
    right = correct[np.arange(2000), order[:, 0]]
    assert np.argmax(np.abs(learned.weights)) == 0
    assert right[confidence > 0.9].mean() > 0.85
    # The confidence is a probability: on average as high as the share of right ones.
    assert confidence.mean() == pytest.approx(right.mean(), abs=0.04)


def test_fit_does_not_look_at_missing_places():
    x, correct, missing = signs(300, 4)
    padded = np.concatenate([x, np.full((300, 2, len(NAMES)), 77, np.float32)], axis=1)
    more = np.pad(correct, ((0, 0), (0, 2)))
    hole = np.pad(missing, ((0, 0), (0, 2)), constant_values=True)
    one, other = Learned.fit(x, correct, missing), Learned.fit(padded, more, hole)
    np.testing.assert_allclose(one.weights, other.weights, atol=1e-4)


def test_the_gradient_is_that_of_the_loss():
    x, correct, missing = signs(12, 3)
    missing[3, 1] = missing[5] = True
    correct &= ~missing
    x = x[..., :4].astype(np.float64)
    true = np.concatenate([correct, ~correct.any(1, keepdims=True)], axis=1)
    at = np.random.default_rng(3).normal(size=5)
    _, gradient = _loss(at, x, missing, true)
    for i, step in enumerate(np.eye(5) * 1e-5):
        high, low = (_loss(at + s, x, missing, true)[0] for s in (step, -step))
        assert gradient[i] == pytest.approx((high - low) / 2e-5, rel=1e-4, abs=1e-5)


def test_without_right_or_wrong_candidates_there_is_nothing_to_learn():
    x, correct, missing = signs(50, 3)
    for labels in (np.zeros_like(correct), np.ones_like(correct)):
        with pytest.raises(InputError, match="right and wrong candidates"):
            Learned.fit(x, labels, missing)


def test_saved_and_loaded(tmp_path):
    learned = Learned.fit(*signs(200, 3))
    learned.save(tmp_path / "c.json")
    again = Learned.load(tmp_path / "c.json")
    x, _, missing = signs(20, 3, seed=2)
    np.testing.assert_array_equal(learned.rank(x, missing)[1], again.rank(x, missing)[1])
    assert [f.name for f in tmp_path.iterdir()] == ["c.json"]


@pytest.mark.parametrize("damage", ["text", "names", "length", "missing"])
def test_damaged_files_are_refused(tmp_path, damage):
    path = tmp_path / "c.json"
    weighed().save(path)
    values = json.loads(path.read_text())
    if damage == "names":
        values["names"][0] = "luck"
    elif damage == "length":
        values["weights"].pop()
    else:
        del values["bias"]
    path.write_text("{" if damage == "text" else json.dumps(values))
    with pytest.raises(InputError, match="thresher calibrate"):
        Learned.load(path)
