from fractions import Fraction

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from oracles import binomial
from oracles.traffic import curve, flat, overconfident
from thresher.decide.certify import certify
from thresher.decide.policy import NoThreshold, Policy, Promise
from thresher.decide.segments import certify_parts
from thresher.decide.sequence import Labels, draw_clusters, order, passed, selection_rows
from thresher.errors import InputError


def right(count):
    return np.ones(count, np.bool_)


def certified_alone(labels, errors, *, target, confidence):
    """One threshold, given by the fit part, and `labels` accepted labels with `errors` wrong."""
    return certify(
        np.full(50 + labels, 0.5),
        np.concatenate([right(50), np.arange(labels) >= errors]),
        target=target,
        confidence_level=confidence,
        selection=np.arange(50 + labels) < 50,
    )


@pytest.mark.parametrize(
    ("target", "confidence", "needed"),
    [(0.95, 0.95, 59), (0.95, 0.9, 45), (0.98, 0.9, 114), (0.99, 0.9, 230)],
)
def test_labels_without_an_error(target, confidence, needed):
    policy = certified_alone(needed, 0, target=target, confidence=confidence)
    assert isinstance(policy, Policy)
    assert (policy.accept_at, policy.accepted, policy.errors) == (0.5, needed, 0)
    assert policy.lower_bound >= target
    assert policy.confidence_level == pytest.approx(confidence)
    one_less = certified_alone(needed - 1, 0, target=target, confidence=confidence)
    assert isinstance(one_less, NoThreshold)


def test_one_error_needs_93_labels_at_95():
    # .95^n + n * .05 * .95^(n-1): n = 92 gives .0521, n = 93 gives .0500 - 6e-5
    assert isinstance(certified_alone(93, 1, target=0.95, confidence=0.95), Policy)
    assert isinstance(certified_alone(92, 1, target=0.95, confidence=0.95), NoThreshold)


def test_stops_at_the_first_failure_although_a_looser_one_would_pass():
    # .9: 2 of 2 right (1/4); .5: 2 of 3 right (1/2); .1: 9 of 10 right (11/1024)
    scores = np.asarray([0.9, 0.9, 0.5] + [0.1] * 7)
    labels = Labels.of(scores, np.asarray([True, True, False] + [True] * 7))
    assert passed(labels, np.asarray([0.9, 0.5, 0.1]), target=0.5, level=0.3) == 1
    assert passed(labels, np.asarray([0.5, 0.1]), target=0.5, level=0.3) == 0
    assert passed(labels, np.asarray([0.1]), target=0.5, level=0.3) == 1


grades = st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=1, max_size=30)


@given(grades, st.integers(1, 9), st.integers(1, 9))
def test_the_sequence_against_the_oracle(rows, tenths, level):
    scores = [float(s) for s, _ in rows]
    correct = [c for _, c in rows]
    order_ = sorted({-3.0, *scores}, reverse=True)
    expected = binomial.passed(
        scores, correct, order_, Fraction(tenths, 10), Fraction(level, 10) + Fraction(1, 10**9)
    )
    got = passed(
        Labels.of(np.asarray(scores), np.asarray(correct)),
        np.asarray(order_),
        target=tenths / 10,
        level=level / 10 + 1e-9,
    )
    assert got == expected


def draw(seed, rows=600):
    return curve(0.995, 0.4).draw(rows, np.random.default_rng(seed))


def parts(seed):
    """Answers on a coarse grid of scores, full of ties, and which of them choose thresholds."""
    scores, correct = draw(seed)
    return np.round(scores * 20) / 20, correct, np.arange(600) < 150


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.6, 0.97))
def test_the_order_of_rows_is_irrelevant(seed, target):
    scores, correct = draw(seed, rows=200)
    shuffle = np.random.default_rng(seed + 1).permutation(200)
    one = certify(scores, correct, target=target, confidence_level=0.9, seed=3)
    two = certify(scores[shuffle], correct[shuffle], target=target, confidence_level=0.9, seed=3)
    assert one == two


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.6, 0.97))
def test_the_answer_depends_on_the_order_of_scores_alone(seed, target):
    scores, correct, part = parts(seed)
    one = certify(scores, correct, target=target, selection=part)
    two = certify(np.exp(scores), correct, target=target, selection=part)
    assert type(one) is type(two)
    if isinstance(one, Policy):
        assert (one.accepted, one.errors) == (two.accepted, two.errors)
        assert two.accept_at == np.exp(one.accept_at)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.6, 0.95), st.integers(1, 20))
def test_more_right_answers_above_the_threshold_never_hurt(seed, target, extra):
    scores, correct, part = parts(seed)
    chosen = Labels.of(scores[part], correct[part])
    thresholds, _ = order(chosen, certify_size=450, target=target, level=0.1)
    scores, correct = scores[~part], correct[~part]
    settings_ = {"target": target, "level": 0.1}
    before = passed(Labels.of(scores, correct), thresholds, **settings_)
    if not before:
        return
    more = np.concatenate([scores, np.full(extra, thresholds[before - 1])])
    still = np.concatenate([correct, right(extra)])
    assert passed(Labels.of(more, still), thresholds, **settings_) >= before
    wrong = np.concatenate([correct, ~right(extra)])
    assert passed(Labels.of(more, wrong), thresholds, **settings_) <= before


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_equal_scores_are_accepted_together(seed):
    scores, correct, part = parts(seed)
    policy = certify(scores, correct, target=0.8, selection=part)
    chosen, scores, correct = scores[part], scores[~part], correct[~part]
    assert isinstance(policy, Policy)
    accepted = policy.decide(scores)
    assert policy.accepted == accepted.sum()
    assert policy.errors == (~correct[accepted]).sum()
    assert policy.accept_at in chosen
    assert scores[accepted].min() > scores[~accepted].max(initial=-np.inf)


def test_answers_without_a_candidate_are_never_accepted():
    scores = np.concatenate([np.full(200, -np.inf), np.full(200, -0.5)])
    policy = certify(scores, np.isfinite(scores), target=0.9, confidence_level=0.9)
    assert isinstance(policy, Policy)
    assert policy.accept_at == -0.5
    assert policy.coverage < 0.6
    nothing = certify(np.full(9, -np.inf), right(9), target=0.9, confidence_level=0.9)
    assert isinstance(nothing, NoThreshold)
    assert (nothing.accepted, nothing.more_labels) == (0, None)


def test_order_starts_at_the_most_promising_and_takes_every_looser_score():
    # 100 right at the top, then 100 half right: the most promising takes all of the first 100
    scores = np.arange(200.0)[::-1] - 100
    correct = np.concatenate([right(100), np.arange(100) % 2 == 0])
    fit = Labels.of(scores, correct)
    thresholds, powers = order(fit, certify_size=600, target=0.9, level=0.05)
    assert 0 <= np.count_nonzero(scores >= thresholds[0]) - 90 <= 20
    np.testing.assert_array_equal(thresholds, scores[scores <= thresholds[0]])
    assert powers[0] > 0.99


def test_the_split_keeps_clusters_together_and_its_share():
    rng = np.random.default_rng(0)
    clusters = rng.integers(0, 300, 1_000)
    scores, correct = draw(0, rows=1_000)
    part = selection_rows(scores, correct, clusters, seed=1)
    assert not set(clusters[part]) & set(clusters[~part])
    assert 0.22 < part.mean() < 0.28
    alone = selection_rows(scores, correct, None, seed=np.random.default_rng(1))
    assert alone.sum() == 250


def test_drawn_clusters_are_whole_and_hold_the_share():
    clusters = np.arange(500).repeat(4)
    for share in (0.0, 0.1, 0.3):
        drawn = draw_clusters(clusters, share, seed=0)
        assert drawn.mean() == pytest.approx(share)
        assert (drawn.reshape(500, 4).sum(1) % 4 == 0).all()
    assert not draw_clusters(np.zeros(0, np.int64), 0.5, seed=0).any()


def test_the_smallest_splits():
    for rows in (2, 3, 5):
        part = selection_rows(np.zeros(rows), right(rows), None, seed=0)
        assert 0 < part.sum() < rows
    big = np.asarray([0] * 99 + [1])
    for seed in range(5):
        part = selection_rows(np.zeros(100), right(100), big, seed=seed)
        assert 0 < part.sum() < 100
    with pytest.raises(InputError, match="1 labels in 1 clusters cannot be split"):
        certify(np.zeros(1), right(1), target=0.9)


def test_what_is_reachable_and_how_many_labels_are_missing():
    scores, correct = curve(0.995, 0.4).draw(1_200, np.random.default_rng(5))
    answer = certify(scores, correct, target=0.985, confidence_level=0.95)
    assert isinstance(answer, NoThreshold)
    assert answer.reachable_precision in {0.9, 0.925, 0.95, 0.96, 0.97, 0.98}
    assert 0.1 < answer.reachable_coverage < 0.9
    low, high = answer.more_labels
    assert low > 5
    assert high is None or high > low
    assert answer.labelled == 900


def test_no_number_of_labels_helps_a_score_that_says_nothing():
    scores, correct = flat(0.79).draw(3_000, np.random.default_rng(0))
    answer = certify(scores, correct, target=0.9, confidence_level=0.99)
    assert isinstance(answer, NoThreshold)
    assert answer.more_labels is None
    assert answer.reachable_precision == 0.7
    assert answer.reachable_coverage > 0.9


def test_the_number_of_missing_labels_by_hand():
    # 30 right accepted of 40 that certify, 60 of 80 that choose, no error. At the target .95 and
    # the level .1 it takes 45 right labels (.95^45 = .0994). At best the precision is 1: 15 more
    # accepted, and 40 / 30 labels give one: 20. At worst it is .1^(1/90) = .9747: of 154 more the
    # five errors that 184 forgive are not exceeded with a chance of .804 (154 * 4/3 = 205); between
    # 155 and 178 the chance falls below .8, and steps of 3 % may miss 154: 179 * 4/3 = 239.
    scores = np.repeat([0.5, -0.5, 0.5, -0.5], [30, 10, 60, 20])
    part = np.arange(120) >= 40
    answer = certify(scores, scores > 0, target=0.95, confidence_level=0.9, selection=part)
    assert isinstance(answer, NoThreshold)
    low, high = answer.more_labels
    assert low == 20
    assert 205 <= high <= 239 * 1.04
    assert (answer.reachable_precision, answer.reachable_coverage) == (0.925, 0.75)


@pytest.mark.usefixtures("types_unchecked")
def test_the_number_of_missing_labels_is_between_the_two_told():
    traffic, rng = curve(0.995, 0.4), np.random.default_rng(0)
    settled, told = {"from": 0, "to": 0}, 0
    while told < 30:
        scores, correct = traffic.draw(500, rng)
        answer = certify(scores, correct, target=0.95)
        if (
            isinstance(answer, NoThreshold)
            and 0 < ((answer.more_labels or (0, 0))[1] or 0) < 60_000
        ):
            told += 1
            for name, count in zip(settled, answer.more_labels, strict=True):
                more, truth = traffic.draw(count, rng)
                again = certify(
                    np.concatenate([scores, more]), np.concatenate([correct, truth]), target=0.95
                )
                settled[name] += isinstance(again, Policy)
    assert settled["from"] / told < 0.75
    assert settled["to"] / told > 0.6


def test_any_kind_of_column_is_read():
    scores, correct = draw(3)
    texts = [f"t{i // 2:03}" for i in range(600)]
    expected = certify(scores, correct, target=0.9, clusters=np.arange(600) // 2)
    kinds = [list, pd.Series, pl.Series, pa.array, lambda x: pa.chunked_array([pa.array(x)])]
    for kind in kinds:
        got = certify(kind(scores), kind(correct), target=0.9, clusters=kind(texts))
        assert got.accepted == expected.accepted
        assert got.accept_at == expected.accept_at
    ones = certify(scores, correct.astype(int), target=0.9, clusters=texts)
    assert ones.accept_at == expected.accept_at


def test_several_targets_share_the_level():
    scores, correct = draw(4, rows=4_000)
    answers = certify(scores, correct, target=[0.8, 0.9])
    assert list(answers) == [0.8, 0.9]
    for target, policy in answers.items():
        alone = certify(scores, correct, target=target, confidence_level=0.975)
        assert policy.accept_at == alone.accept_at
        assert policy.confidence_level == pytest.approx(0.975)


def test_what_the_answer_is_for_is_kept():
    scores, correct = draw(4, rows=4_000)
    for target in (0.8, 0.999):
        answer = certify(
            scores, correct, target=target, absent=0.1, label_uses=3, fitted_on="model"
        )
        assert (answer.absent, answer.label_uses, answer.fitted_on) == (0.1, 3, "model")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target": 95.0}, "write 0.95 for 95 %"),
        ({"clusters": np.arange(9) // 2}, "9 labels are of 5 distinct clusters"),
        ({"target": [0.9, 95.0]}, "write 0.95 for 95 %"),
        ({"target": []}, "no target"),
        ({"confidence_level": 1.0}, "confidence level is 1.0"),
        ({"selection": np.zeros(9, bool)}, "selection of 0 of 9 rows"),
        ({"selection": np.zeros(3, bool)}, "of 3 rows for 9 scores"),
        ({"clusters": ["the same"] * 9}, "all 9 rows are in one cluster"),
        ({"clusters": [None] * 9}, "cluster of row 1 is missing; give every row one"),
        ({"clusters": ["a"] * 8 + [np.nan]}, "cluster of row 9 is missing"),
        ({"clusters": np.r_[np.arange(8.0), np.nan]}, "cluster of row 9 is missing"),
        ({"clusters": pa.array(["a"] * 8 + [None])}, "cluster of row 9 is missing"),
        ({"clusters": pd.Series(["a"] * 8 + [pd.NA])}, "cluster of row 9 is missing"),
        ({"clusters": ["None"] * 9}, "one cluster, 'None', and say"),
        ({"clusters": np.full(9, 1.5)}, r"one cluster, 1\.5, and say"),
        ({"clusters": 3}, "1 clusters for 9 rows"),
        ({"selection": True}, "of 1 rows for 9 scores"),
        ({"seed": -1}, "the seed is -1; give a whole number that is 0 or more"),
        ({"clusters": [1, 2]}, "2 clusters for 9 rows"),
        ({"segments": ["a", "b"]}, "2 segments for 9 rows"),
        ({"scores": np.zeros(8)}, "8 scores and 9 labels"),
        ({"scores": ["high"] * 9}, r"scores are not numbers \(.*: 'high'\)"),
        ({"scores": np.zeros((9, 1))}, r"shape \(9, 1\)"),
        ({"scores": [0.5] * 7 + [np.nan] * 2}, "2 of 9 scores are not numbers"),
        ({"correct": [1] * 8 + [2]}, "a label is 2"),
        ({"correct": [True] * 8 + [None]}, "a label is None"),
        ({"correct": np.ones((9, 1), bool)}, r"labels of shape \(9, 1\)"),
        ({"correct": pd.array([True] * 8 + [pd.NA], "boolean")}, "a label is <NA>"),
        ({"correct": np.ma.array([1] * 9, mask=[1] + [0] * 8)}, "1 of 9 labels are masked"),
        ({"scores": np.ma.array([0.5] * 9, mask=[1] + [0] * 8)}, "1 of 9 scores are masked"),
        ({"scores": [10**400] * 9}, "scores are not numbers"),
        ({"scores": np.zeros(9, complex)}, "they are of type complex128"),
        ({"scores": np.zeros(9, "M8[s]")}, "they are of type datetime64"),
        ({"selection": "abc"}, "selection of values of type <U3 for 9 scores"),
        ({"selection": [None] * 9}, "selection of values of type object for 9 scores"),
        ({"segments": np.zeros((9, 2))}, "got 9 x 2 segments for 9 rows"),
        ({"segments": [["a"]] * 9}, r"a segment is \['a'\]; give one text or number"),
        ({"absent": 1.0}, "absent is 1"),
        ({"absent": 10.0}, "write 0.1 for 10 %"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(change, message):
    given = {"scores": np.zeros(9), "correct": right(9), "target": 0.9} | change
    with pytest.raises(InputError, match=message):
        certify(given.pop("scores"), given.pop("correct"), **given)


def test_a_cluster_lies_on_one_side():
    clusters = np.arange(240) // 3
    with pytest.raises(InputError, match="keep equal clusters"):
        certify(
            np.zeros(240),
            right(240),
            target=0.9,
            selection=np.arange(240) < 100,
            clusters=clusters,
        )


@pytest.mark.usefixtures("types_unchecked")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target": "0.95"}, "the target precision is '0.95'; give a number between 0 and 1"),
        ({"target": None}, "the target precision is None; give a number between 0 and 1"),
        ({"target": [0.9, True]}, "the target precision is True; give a number between 0 and 1"),
        ({"confidence_level": "high"}, "the confidence level is 'high'; give a number between"),
        ({"absent": "few"}, "absent is 'few'; give the share of queries without an item, as 0.1"),
        ({"label_uses": "often"}, "label_uses is 'often'; it counts from 1"),
    ],
)
def test_what_is_no_number_is_refused(change, message):
    given = {"target": 0.9} | change
    with pytest.raises(InputError, match=message):
        certify(np.zeros(9), right(9), **given)


def naive(scores, correct, target):
    """The loosest threshold whose precision on all the labels is the target, of 50 or more."""
    labels = Labels.of(scores, correct)
    thresholds = np.unique(scores)[::-1]
    accepted, errors = labels.counts(thresholds)
    good = np.flatnonzero((errors <= (1 - target) * accepted) & (accepted >= 50))
    return thresholds[good[-1]] if len(good) else None


@pytest.mark.usefixtures("types_unchecked")
@pytest.mark.parametrize(
    ("traffic", "rows", "target", "confidence", "least_found"),
    [
        (curve(0.995, 0.4), 800, 0.95, 0.95, 0.5),
        (overconfident(0.93), 800, 0.95, 0.9, 0.1),
        (flat(0.8999), 300, 0.9, 0.9, 0.02),
    ],
    ids=["curve", "overconfident", "flat, just too low"],
)
def test_the_promise_is_broken_no_more_often_than_allowed(
    traffic, rows, target, confidence, least_found
):
    rng = np.random.default_rng(2024)
    draws, found, broken, naively_broken = 1_000, 0, 0, 0
    for _ in range(draws):
        scores, correct = traffic.draw(rows, rng)
        fit, rest = Labels.of(*traffic.draw(rows // 4, rng)), Labels.of(scores, correct)
        answer = certify_parts(fit, rest, Promise(target, confidence))
        if answer.accept_at is not None:
            found += 1
            broken += traffic.precision(answer.accept_at) <= target
        threshold = naive(scores, correct, target)
        naively_broken += threshold is not None and traffic.precision(threshold) <= target
    # a rule that breaks its promise with exactly 1 - confidence exceeds this once in 1,000 runs
    allowed = stats.binom.ppf(0.999, draws, 1 - confidence)
    assert broken <= allowed
    assert found >= least_found * draws
    assert naively_broken > 3 * allowed
