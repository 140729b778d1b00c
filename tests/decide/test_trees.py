import io
import time

import numpy as np
import pytest
from sklearn.ensemble import GradientBoostingClassifier

from thresher.decide.trees import Trees, fit_trees
from thresher.errors import InputError

SETTINGS = {"trees": 30, "depth": 4, "learning_rate": 0.1, "subsample": 0.5, "max_features": 3}


def data(rows, *, seed, integers=False):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(rows, 6))
    if integers:  # values that stand exactly on thresholds
        features = np.round(features * 2) / 3
    chance = 1 / (1 + np.exp(-2 * features[:, 0] - features[:, 1] * features[:, 2]))
    return features.astype(np.float32), rng.random(rows) < chance


@pytest.fixture(scope="module")
def trees():
    return fit_trees(*data(1_000, seed=0), **SETTINGS, seed=5)


@pytest.mark.parametrize("integers", [False, True])
def test_equals_scikit_learn(integers):
    features, correct = data(1_500, seed=1, integers=integers)
    ours = fit_trees(features, correct, **SETTINGS, seed=5)
    theirs = GradientBoostingClassifier(
        n_estimators=30, max_depth=4, learning_rate=0.1, subsample=0.5, max_features=3,
        random_state=5,
    ).fit(features, correct)  # fmt: skip
    # 20,000 rows are more than one block; the fitted rows stand on thresholds
    fresh = np.concatenate([features, data(20_000, seed=2, integers=integers)[0]])
    expected = theirs.predict_proba(fresh)[:, 1]
    assert expected.std() > 0.1
    np.testing.assert_allclose(ours.predict(fresh), expected, atol=1e-6)


def test_a_value_next_to_a_threshold_goes_to_the_right_side():
    # the midpoint of two neighbouring float32 is no float32: rounded up it would let both go left
    above = np.nextafter(np.float32(100), np.float32(200))
    features = np.asarray([[100.0]] * 20 + [[above]] * 20, np.float32)
    correct = np.arange(40) >= 20
    ours = fit_trees(
        features, correct, trees=5, depth=1, learning_rate=0.5, subsample=1.0, max_features=1
    )
    low, high = ours.predict(features[[0, -1]])
    assert low < 0.2 < 0.8 < high


def test_a_stump_by_hand():
    stump = Trees(
        feature=np.asarray([1, -1, -1], np.int32),
        threshold=np.asarray([0.5, 0, 0], np.float32),
        left=np.asarray([1, -1, -1], np.int32),
        right=np.asarray([2, -1, -1], np.int32),
        value=np.asarray([0, -np.log(2), np.log(2)]),
        roots=np.asarray([0, 0]),
        prior=0.0,
        columns=2,
    )
    # two equal trees: odds 1/4 on the left (0.5 included), 4 on the right
    got = stump.predict(np.asarray([[9, 0.5], [9, 0.75]], np.float32))
    np.testing.assert_allclose(got, [0.2, 0.8])


def test_round_trip_through_a_file(trees):
    file = io.BytesIO()
    np.savez(file, **trees.to_arrays())
    file.seek(0)
    with np.load(file, allow_pickle=False) as arrays:
        again = Trees.from_arrays(dict(arrays))
    features = data(100, seed=3)[0]
    np.testing.assert_array_equal(again.predict(features), trees.predict(features))


def test_same_seed_same_trees(trees):
    again = fit_trees(*data(1_000, seed=0), **SETTINGS, seed=5).to_arrays()
    for name, array in trees.to_arrays().items():
        np.testing.assert_array_equal(again[name], array)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("left", lambda x: np.zeros_like(x)),  # a cycle
        ("right", lambda x: x + len(x)),
        ("feature", lambda x: x + 6),
        ("roots", lambda x: x - 1),
        ("value", lambda x: x * np.nan),
        ("threshold", lambda x: x.astype(np.float64)),
        ("value", lambda x: x[:-1]),
        ("columns", lambda x: np.concatenate([x, x])),
    ],
)
def test_damaged_arrays_are_refused(trees, name, change):
    arrays = trees.to_arrays()
    with pytest.raises(InputError, match="fit the confidence again"):
        Trees.from_arrays(arrays | {name: change(arrays[name])})


def test_missing_and_unknown_arrays_are_refused(trees):
    arrays = trees.to_arrays()
    with pytest.raises(InputError, match="stored as"):
        Trees.from_arrays(arrays | {"extra": arrays["left"]})
    del arrays["left"]
    with pytest.raises(InputError, match="stored as"):
        Trees.from_arrays(arrays)


def test_features_that_cannot_be_used_are_refused(trees):
    with pytest.raises(InputError, match="fitted on 6"):
        trees.predict(np.zeros((2, 5)))
    for bad in (np.nan, np.inf, 1e300):
        with pytest.raises(InputError, match="1 features are missing or too large"):
            trees.predict(np.asarray([[bad, 0, 0, 0, 0, 0]]))


def test_labels_that_teach_nothing_are_refused():
    features, correct = data(50, seed=0)
    with pytest.raises(InputError, match="equal"):
        fit_trees(features, np.ones_like(correct))


def test_many_rows_are_fast(trees):
    features = np.random.default_rng(0).normal(size=(100_000, 6)).astype(np.float32)
    start = time.perf_counter()
    trees.predict(features)
    # about 0.1 s; single rows through 30 trees in plain Python would take minutes
    assert time.perf_counter() - start < 5
