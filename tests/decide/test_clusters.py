"""Rows that stand or fall together say less than their number, and no label says how much less."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thresher.decide.certify import certify
from thresher.decide.policy import NoThreshold
from thresher.decide.sequence import WRONG_CLUSTERS, Labels
from thresher.errors import InputError


def labels(sizes, wrong_sizes=()):
    """One cluster of each size, all right, and one of each other size, all wrong; one score."""
    every = [*sizes, *wrong_sizes]
    clusters = np.repeat(np.arange(len(every)), every)
    return Labels.of(np.zeros(sum(every)), clusters < len(sizes), clusters)


def effect(*args):
    return float(labels(*args).effect(np.zeros(1))[0])


def test_without_repeats_every_label_counts():
    assert effect([1] * 7, [1] * 3) == 1
    alone = Labels.of(np.linspace(0, 1, 9), np.ones(9, bool))
    assert alone.effect(alone.scores).tolist() == [1] * 9


def test_equal_clusters_count_as_one_label_each():
    assert effect([20] * 30) == 20
    # wrong clusters as large as the others: (e n + w n^2) / (e + w n) = n
    assert effect([20] * 25, [20] * 5) == 20


def test_hand_computed():
    # sizes 1, 1, 2, 4: K = (1 + 1 + 4 + 16) / 8 = 2.75; s = (1 + 1 + 8 + 64) / 22 = 37/11; without
    # errors the second term is s
    assert effect([1, 1, 2, 4]) == pytest.approx(37 / 11)
    # the cluster of 1 wrong: (1 + w s^2) / (1 + w s); the cluster of 4, as it is seen: 16 / 4
    s, w = 37 / 11, WRONG_CLUSTERS
    assert effect([1, 2, 4], [1]) == pytest.approx((1 + w * s**2) / (1 + w * s))
    assert effect([1, 1, 2], [4]) == 4
    assert effect([1] * 94, [5, 1]) == pytest.approx(26 / 6)  # s = 11/6, so V(w) is 2.3


def test_many_small_errors_bring_it_down_to_kish_and_no_further():
    sizes, small = [10] * 10, [1] * 2_000
    kish = (10 * 100 + 2_000) / 2_100
    assert effect(sizes, small) == pytest.approx(kish)
    assert effect(small, sizes) > 5


def test_each_threshold_has_its_own():
    # Two rows of their own, then two clusters of three rows each.
    scores = np.asarray([0.9, 0.8, *[0.5] * 3, *[0.2] * 3])
    clusters = np.asarray([0, 1, 2, 2, 2, 3, 3, 3])
    got = Labels.of(scores, np.ones(8, bool), clusters)
    thresholds = np.asarray([0.9, 0.8, 0.5, 0.2])
    # the sum of cubes over the sum of squares: 29/11 at three clusters, 56/20 at four
    np.testing.assert_allclose(got.effect(thresholds), [1, 1, 29 / 11, 56 / 20])
    assert got.evidence(thresholds[2:3])["distinct_clusters"] == 3


@given(
    st.lists(
        st.tuples(st.integers(-3, 3), st.booleans(), st.integers(0, 5)), min_size=1, max_size=40
    )
)
def test_the_running_sums_against_a_plain_count(rows):
    scores, correct, clusters = (np.asarray(column) for column in zip(*rows, strict=True))
    got = Labels.of(scores.astype(float), correct, clusters)
    for n in range(len(rows) + 1):
        first = np.argsort(-scores, kind="stable")[:n]
        sizes = np.bincount(clusters[first], minlength=6)
        wrong = np.bincount(clusters[first], weights=~correct[first], minlength=6)
        counts = [got.squares[n], got.cubes[n], got.wrong_squares[n], got.distinct[n]]
        assert counts == [(sizes**2).sum(), (sizes**3).sum(), (wrong**2).sum(), (sizes > 0).sum()]
        assert got.wrong[n] == (~correct[first]).sum()
    threshold = np.asarray([float(scores.min())])
    share = got.evidence(threshold)
    assert 0 < share["effective_labels"] <= share["distinct_clusters"] <= share["accepted"]


def test_all_distinct_is_the_same_as_none():
    rng = np.random.default_rng(0)
    scores, correct = rng.random(500), rng.random(500) < 0.97
    texts = [f"text {n}" for n in range(500)]
    assert certify(scores, correct, target=0.9, clusters=texts) == certify(
        scores, correct, target=0.9
    )


def alike(texts, copies, **arguments):
    """So many texts, all right and with one score."""
    rows = texts * copies
    clusters = np.arange(texts).repeat(copies)
    return certify(np.zeros(rows), np.ones(rows, bool), clusters=clusters, **arguments)


@pytest.mark.parametrize("texts", [15, 59])
def test_labels_of_too_few_distinct_texts_are_refused(texts):
    with pytest.raises(InputError, match=rf"of {texts} distinct clusters.*60 .*label more"):
        alike(texts, 20, target=0.5)
    # without copies each label counts, and the answer says how many more are needed
    assert isinstance(alike(texts, 1, target=0.95), NoThreshold)


@pytest.mark.parametrize("target", [0.5, 0.9, 0.95])
def test_too_few_accepted_distinct_texts_certify_nothing_however_many_copies(target):
    # Of 78 texts 20 choose thresholds and 58 certify.
    answer = alike(78, 20, target=target)
    assert isinstance(answer, NoThreshold)
    assert (answer.errors, answer.distinct_clusters, answer.effective_labels) == (0, 58, 58)
    assert answer.reason.endswith("too few (where clusters repeat 60 distinct ones are the least)")
    assert "of 58 distinct clusters" in answer.sentence()
    assert answer.reachable_precision is None
    # two more certifying texts, each of 20 copies, and a third as many that choose
    assert answer.more_labels[0] >= 2 * 20 * 4 / 3


def test_strict_thresholds_of_few_texts_are_passed_over():
    # Ten texts of twenty copies have the highest score; with all others there are enough.
    clusters = np.concatenate([np.arange(20).repeat(20), 20 + np.arange(400)])
    scores = np.where(clusters < 20, 0.9, 0.1)
    selection = clusters % 2 == 0
    right = np.ones(len(scores), bool)
    policy = certify(scores, right, target=0.5, clusters=clusters, selection=selection)
    assert (policy.accept_at, policy.distinct_clusters) == (0.1, 210)


def test_a_segment_of_few_texts_joins_the_others():
    clusters = np.concatenate([np.arange(80).repeat(20), 80 + np.arange(4_000)])
    names = np.where(clusters < 80, "copies", "single")
    right, scores = np.ones(len(names), bool), np.linspace(0, 1, len(names))
    policy = certify(
        scores, right, target=0.9, clusters=clusters, segments=names, selection=clusters % 2 == 0
    )
    assert set(policy.segments) == {"single"}


def test_many_distinct_texts_certify_with_as_many_copies():
    clusters = np.arange(100).repeat(20)
    policy = certify(np.zeros(2_000), np.ones(2_000, bool), target=0.95, clusters=clusters)
    assert policy.distinct_clusters == policy.effective_labels == 75
