"""The re-ranker."""

import json

import numpy as np
import pytest

from thresher.data.relation import Relation
from thresher.errors import InputError
from thresher.rerank import Reranker, cross_fit
from thresher.rerank.pair_features import compare_candidates, hide
from thresher.rerank.reranker import _loss, fit_and_judge

# The fewest features that `hide` knows how to work out again.
NAMES = (
    "score",
    "other",
    "score, lead",
    "candidates within 0.02",
    "candidates within 0.05",
    "candidates within 0.10",
    "spread of the candidates",
)


def labelled(queries: int, k: int, *, seed: int = 0):
    """Candidates whose score is about 3 where true and 0 elsewhere; some queries have no truth."""
    rng = np.random.default_rng(seed)
    correct = np.arange(k) == rng.integers(0, k + 1, queries)[:, None]
    x = np.zeros((queries, k, len(NAMES)), np.float32)
    x[..., :2] = rng.normal(size=(queries, k, 2))
    x[..., 0] += 3 * correct
    missing = np.zeros((queries, k), bool)
    compare_candidates(x, missing, NAMES)
    return x, correct, missing


def weighed(first: float = 1.0) -> Reranker:
    """A re-ranker with only the first feature, by hand."""
    size = len(NAMES)
    return Reranker(NAMES, np.zeros(size), np.ones(size), np.eye(size)[0] * first, 0.0)


def row(*values: float) -> np.ndarray:
    x = np.zeros((1, len(values), len(NAMES)), np.float32)
    x[0, :, 0] = values
    return x


def fit(x, correct, missing, **options) -> Reranker:
    return Reranker.fit(x, correct, missing, names=NAMES, **options)


def test_probabilities_by_hand():
    p = weighed().probabilities(row(np.log(2), np.log(3)), np.zeros((1, 2), bool))
    # 2 / (1 + 2 + 3), 3 / (1 + 2 + 3): the rest is "none of them"
    np.testing.assert_allclose(p, [[2 / 6, 3 / 6]], rtol=1e-6)


def test_a_twin_halves_the_confidence_and_a_bad_fit_lowers_it():
    none = np.zeros((1, 2), bool)
    alone, twins, bad = (
        weighed().rank(row(*values), none)[1][0, 0]
        for values in ((8.0, -8.0), (8.0, 8.0), (-8.0, -9.0))
    )
    assert alone > 0.99
    assert twins == pytest.approx(alone / 2, rel=1e-3)
    assert bad < 0.01


def test_missing_places_come_last_and_have_no_share():
    missing = np.array([[True, False, False], [True, True, True]])
    x = np.concatenate([row(50.0, -900.0, 1.0), row(1.0, 1.0, 1.0)])
    order, chances = weighed().rank(x, missing)
    assert order[0].tolist() == [2, 1, 0]
    np.testing.assert_allclose(chances[0], [np.e / (1 + np.e), 0, 0], rtol=1e-6)
    assert (chances[1] == 0).all()


def test_ties_keep_the_order_of_the_tower():
    order, _ = weighed().rank(row(1.0, 1.0, 1.0), np.zeros((1, 3), bool))
    assert order.tolist() == [[0, 1, 2]]


def test_huge_odds_stay_finite():
    _, chances = weighed(1e4).rank(row(1.0, -1.0), np.zeros((1, 2), bool))
    assert chances[0].tolist() == [1.0, 0.0]


@pytest.mark.parametrize("k", [1, 3, 20])
def test_fit_finds_the_feature_that_matters(k):
    reranker = fit(*labelled(1500, k))
    x, correct, missing = labelled(2000, k, seed=1)
    order, chances = reranker.rank(x, missing)
    right, confidence = correct[np.arange(2000), order[:, 0]], chances[:, 0]
    assert np.argmax(np.abs(reranker.weights)) == 0
    assert right[confidence > 0.9].mean() > 0.85
    # The confidence is a probability: on average as high as the share of right ones.
    assert confidence.mean() == pytest.approx(right.mean(), abs=0.04)


def test_fit_does_not_look_at_missing_places():
    x, correct, missing = labelled(300, 4)
    padded = np.concatenate([x, np.full((300, 2, len(NAMES)), 77, np.float32)], axis=1)
    more = np.pad(correct, ((0, 0), (0, 2)))
    hole = np.pad(missing, ((0, 0), (0, 2)), constant_values=True)
    one, other = fit(x, correct, missing), fit(padded, more, hole)
    np.testing.assert_allclose(one.weights, other.weights, atol=1e-4)


def test_the_gradient_is_that_of_the_loss():
    x, correct, missing = labelled(12, 3)
    missing[3, 1] = missing[5] = True
    correct &= ~missing
    x = x[..., :4].astype(np.float64)
    true = np.concatenate([correct, ~correct.any(1, keepdims=True)], axis=1)
    rng = np.random.default_rng(3)
    at, weight = rng.normal(size=5), rng.random(12)
    _, gradient = _loss(at, x, missing, true, weight)
    for i, step in enumerate(np.eye(5) * 1e-5):
        high, low = (_loss(at + s, x, missing, true, weight)[0] for s in (step, -step))
        assert gradient[i] == pytest.approx((high - low) / 2e-5, rel=1e-4, abs=1e-5)


def test_without_right_or_wrong_candidates_there_is_nothing_to_learn():
    x, correct, missing = labelled(50, 3)
    for labels in (np.zeros_like(correct), np.ones_like(correct)):
        with pytest.raises(InputError, match="right and wrong candidates"):
            fit(x, labels, missing)


@pytest.mark.parametrize("absent", [-0.1, 1.0, np.nan])
def test_a_share_out_of_range_is_refused(absent):
    with pytest.raises(InputError, match="absent"):
        fit(*labelled(50, 3), absent=absent)


def test_hidden_items_teach_none_of_them():
    # Every query has its item, so nothing says what a query without one looks like.
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2000, 4, len(NAMES))).astype(np.float32)
    correct = np.tile(np.arange(4) == 0, (2000, 1))
    x[:, 0, 0] += 5
    missing = np.zeros_like(correct)
    compare_candidates(x, missing, NAMES)
    fits = [fit(x, correct, missing, absent=share) for share in (0.0, 0.3)]
    hidden = hide(x, missing, correct, NAMES)
    without = [reranker.rank(hidden, correct)[1][:, 0].mean() for reranker in fits]
    assert without[1] < 0.1 < without[0]
    assert fits[1].rank(x, missing)[1][:, 0].mean() > 0.9


def test_saved_and_loaded(tmp_path):
    reranker = fit(*labelled(200, 3))
    reranker.save(tmp_path / "c.json")
    again = Reranker.load(tmp_path / "c.json")
    x, _, missing = labelled(20, 3, seed=2)
    np.testing.assert_array_equal(reranker.rank(x, missing)[1], again.rank(x, missing)[1])
    assert [f.name for f in tmp_path.iterdir()] == ["c.json"]


@pytest.mark.parametrize("damage", ["text", "length", "missing", "list"])
def test_damaged_files_are_refused(tmp_path, damage):
    path = tmp_path / "c.json"
    weighed().save(path)
    values = json.loads(path.read_text())
    if damage == "length":
        values["weights"].pop()
    elif damage == "missing":
        del values["bias"]
    elif damage == "list":
        values = []
    path.write_text("{" if damage == "text" else json.dumps(values))
    with pytest.raises(InputError, match="thresher calibrate"):
        Reranker.load(path)


def test_other_features_are_refused():
    with pytest.raises(InputError, match="7 features, got 3"):
        weighed().rank(np.zeros((1, 2, 3), np.float32), np.zeros((1, 2), bool))


def crossed(queries: int, *, absent: float = 0.0, clusters=None, hidden=None):
    x, correct, _ = labelled(queries, 4)
    rows = np.tile(np.arange(4), (queries, 1))
    query, item = np.nonzero(correct)
    truth = Relation.from_pairs(query, item, shape=(queries, 4))
    selection = np.arange(queries) < queries // 2
    clusters = np.arange(queries) if clusters is None else clusters
    return cross_fit(
        x,
        rows,
        truth,
        selection=selection,
        clusters=clusters,
        names=NAMES,
        seed=0,
        absent=absent,
        hidden=hidden,
    )


def test_confidences_are_out_of_fold():
    x, correct, missing = labelled(400, 4)
    reranker, confidence, right = crossed(400)
    order, chances = reranker.rank(x, missing)
    own = correct[np.arange(400), order[:, 0]]
    # The part that nothing was fitted on is judged by the re-ranker itself, the other is not.
    np.testing.assert_array_equal(confidence[200:], chances[200:, 0])
    np.testing.assert_array_equal(right[200:], own[200:])
    assert (confidence[:200] != chances[:200, 0]).all()


def test_a_cluster_is_judged_by_a_fit_without_it():
    # One cluster a fold at most: with two, each is judged by a re-ranker of the other alone.
    clusters = np.arange(400) % 2
    x, correct, missing = labelled(400, 4)
    _, confidence, _ = crossed(400, clusters=clusters)
    selection = np.arange(400) < 200
    for own, other in ((0, 1), (1, 0)):
        outside = selection & (clusters == other)
        alone = fit(x[outside], correct[outside], missing[outside])
        inside = selection & (clusters == own)
        np.testing.assert_allclose(
            confidence[inside], alone.rank(x[inside], missing[inside])[1][:, 0], rtol=1e-6
        )


def test_hidden_queries_are_judged_without_their_items():
    hidden = np.random.default_rng(4).random(1000) < 0.4
    _, before, right = crossed(1000, absent=0.4)
    _, after, found = crossed(1000, absent=0.4, hidden=hidden)
    assert right[hidden].mean() > 0.5
    assert not found[hidden].any()
    np.testing.assert_array_equal(found[~hidden], right[~hidden])
    np.testing.assert_array_equal(after[~hidden], before[~hidden])
    assert after[hidden].mean() < before[hidden].mean() / 2


def test_a_saved_reranker_with_trees_says_the_same(tmp_path):
    made = fit(*labelled(400, 4), boosted=True)
    assert made.trees is not None
    made.save(tmp_path / "c.json")
    again = Reranker.load(tmp_path / "c.json")
    x, _, missing = labelled(20, 4, seed=2)
    np.testing.assert_array_equal(made.rank(x, missing)[1], again.rank(x, missing)[1])
    (tmp_path / "trees.safetensors").unlink()
    with pytest.raises(InputError, match="thresher calibrate"):
        Reranker.load(tmp_path / "c.json")


def interacting(queries: int, seed: int):
    """The right candidate is the one whose first two features have the same sign: no sum of them
    says which."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(queries, 3, len(NAMES))).astype(np.float32)
    right = rng.integers(3, size=queries)
    correct = np.arange(3) == right[:, None]
    x[..., 1] = np.abs(x[..., 1]) * np.sign(x[..., 0]) * np.where(correct, 1, -1)
    return x, correct, np.zeros(correct.shape, bool)


def test_trees_find_what_no_sum_of_features_says():
    seen, new = interacting(600, 0), interacting(300, 1)
    for boosted, low, high in ((False, 0.2, 0.6), (True, 0.95, 1.0)):
        order, _ = fit(*seen, boosted=boosted).rank(new[0], new[2])
        right = np.take_along_axis(new[1], order, axis=1)[:, 0].mean()
        assert low <= right <= high, boosted


def test_few_queries_grow_no_trees():
    assert fit(*labelled(200, 4), boosted=True).trees is None


def judged(x, correct, missing, hidden=None, absent=0.0):
    hidden = np.zeros(len(x), bool) if hidden is None else hidden
    return fit_and_judge(x, correct, missing, names=NAMES, absent=absent, hidden=hidden)


@pytest.mark.parametrize(("queries", "absent"), [(200, 0.0), (200, 0.3), (400, 0.0)])
def test_judging_changes_nothing_of_the_fit(queries, absent):
    rows = labelled(queries, 4)
    made, alone = judged(*rows, absent=absent)[0], fit(*rows, absent=absent, boosted=True)
    np.testing.assert_array_equal(made.weights, alone.weights)
    assert (made.trees is None) == (alone.trees is None) == (queries < 300)


def test_a_query_is_judged_by_a_fit_that_has_not_seen_its_truth():
    x, correct, missing = labelled(200, 4)
    _, before, right = judged(x, correct, missing)
    mended = correct.copy()
    mended[7] = ~correct[7]
    _, after, other = judged(x, mended, missing)
    assert after[7] == before[7]
    assert right[7] != other[7]
    assert (after != before).mean() > 0.7  # those of the other folds
    assert 0.6 < right[correct.any(axis=1)].mean() <= 1


def test_what_is_judged_out_of_fold_can_be_hidden():
    x, correct, missing = labelled(1000, 4)
    hidden = np.random.default_rng(4).random(1000) < 0.4
    _, before, right = judged(x, correct, missing, absent=0.4)
    _, after, found = judged(x, correct, missing, hidden, absent=0.4)
    assert right[hidden].mean() > 0.5
    assert not found[hidden].any()
    np.testing.assert_array_equal(after[~hidden], before[~hidden])
    assert after[hidden].mean() < before[hidden].mean() / 2


def test_chances_and_order_are_those_of_the_equation():
    rng = np.random.default_rng(5)
    names = ("a", "b", "c")
    x = rng.normal(size=(40, 7, 3)).astype(np.float32)
    x[:, 3] = x[:, 1]  # equal candidates stay as they stand
    x[0] *= 2000  # chances that cannot be told from 0
    missing = rng.random((40, 7)) < 0.3
    missing[1] = True
    mean, scale, weights = rng.normal(size=3), rng.random(3) + 0.5, rng.normal(size=3)
    reranker = Reranker(names, mean, scale, weights, 0.3)
    order, chances = reranker.rank(x, missing)
    for q in range(40):
        logits = [
            -np.inf if missing[q, j] else 0.3 + sum((x[q, j] - mean) / scale * weights)
            for j in range(7)
        ]
        powers = np.exp(np.array([*logits, 0.0]) - max([*logits, 0.0]))
        p = (powers / powers.sum())[:-1]
        expected = sorted(range(7), key=lambda j: (missing[q, j], -p[j]))
        assert order[q].tolist() == expected
        np.testing.assert_allclose(chances[q], p[expected], rtol=1e-12, atol=1e-300)
    np.testing.assert_array_equal(
        np.take_along_axis(reranker.probabilities(x, missing), order, axis=1), chances
    )
