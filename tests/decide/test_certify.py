from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from oracles import binomial
from oracles.traffic import curve, flat, overconfident
from thresher.decide.certify import certify, certify_parts
from thresher.decide.policy import NoThreshold, Policy
from thresher.decide.sequence import Labels, fit_rows, order, passed
from thresher.errors import InputError


def right(count):
    return np.ones(count, np.bool_)


def certified_alone(labels, errors, *, target, confidence):
    """One threshold, given by the fit part, and `labels` accepted labels with `errors` wrong."""
    return certify(
        np.full(labels, 0.5),
        np.arange(labels) >= errors,
        target=target,
        confidence=confidence,
        fit_scores=np.full(50, 0.5),
        fit_correct=right(50),
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
    assert policy.confidence == pytest.approx(confidence)
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
    """A fit part and a certify part on a coarse grid of scores, full of ties."""
    scores, correct = draw(seed)
    scores = np.round(scores * 20) / 20
    return {"fit_scores": scores[:150], "fit_correct": correct[:150]}, scores[150:], correct[150:]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.6, 0.97))
def test_the_order_of_rows_is_irrelevant(seed, target):
    scores, correct = draw(seed, rows=200)
    shuffle = np.random.default_rng(seed + 1).permutation(200)
    one = certify(scores, correct, target=target, confidence=0.9, seed=3)
    two = certify(scores[shuffle], correct[shuffle], target=target, confidence=0.9, seed=3)
    assert one == two


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.6, 0.97))
def test_the_answer_depends_on_the_order_of_scores_alone(seed, target):
    fit, scores, correct = parts(seed)
    one = certify(scores, correct, target=target, confidence=0.9, **fit)
    fit["fit_scores"] = np.exp(fit["fit_scores"])
    two = certify(np.exp(scores), correct, target=target, confidence=0.9, **fit)
    assert type(one) is type(two)
    if isinstance(one, Policy):
        assert (one.accepted, one.errors) == (two.accepted, two.errors)
        assert two.accept_at == np.exp(one.accept_at)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.6, 0.95), st.integers(1, 20))
def test_more_right_answers_above_the_threshold_never_hurt(seed, target, extra):
    fit, scores, correct = parts(seed)
    thresholds, _ = order(
        Labels.of(fit["fit_scores"], fit["fit_correct"]), certify_size=450, target=target, level=0.1
    )
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
    fit, scores, correct = parts(seed)
    policy = certify(scores, correct, target=0.8, confidence=0.9, **fit)
    assert isinstance(policy, Policy)
    accepted = policy.decide(scores)
    assert policy.accepted == accepted.sum()
    assert policy.errors == (~correct[accepted]).sum()
    assert policy.accept_at in fit["fit_scores"]
    assert scores[accepted].min() > scores[~accepted].max(initial=-np.inf)


def test_answers_without_a_candidate_are_never_accepted():
    scores = np.concatenate([np.full(200, -np.inf), np.full(200, -0.5)])
    policy = certify(scores, np.isfinite(scores), target=0.9, confidence=0.9)
    assert isinstance(policy, Policy)
    assert policy.accept_at == -0.5
    assert policy.coverage < 0.6
    nothing = certify(np.full(9, -np.inf), right(9), target=0.9, confidence=0.9)
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


def test_the_split_keeps_groups_together_and_its_share():
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 300, 1_000)
    scores, correct = draw(0, rows=1_000)
    fit = fit_rows(scores, correct, groups=groups, seed=1)
    assert not set(groups[fit]) & set(groups[~fit])
    assert 0.22 < fit.mean() < 0.28
    text = np.asarray([f"g{g:03}" for g in groups])
    np.testing.assert_array_equal(fit, fit_rows(scores, correct, groups=text, seed=1))
    alone = fit_rows(scores, correct, groups=None, seed=np.random.default_rng(1))
    assert alone.sum() == 250


def test_the_smallest_splits():
    for rows in (2, 3, 5):
        fit = fit_rows(np.zeros(rows), right(rows), groups=None, seed=0)
        assert 0 < fit.sum() < rows
    big = np.asarray([0] * 99 + [1])
    for seed in range(5):
        fit = fit_rows(np.zeros(100), right(100), groups=big, seed=seed)
        assert 0 < fit.sum() < 100
    with pytest.raises(InputError, match="cannot be split"):
        certify(np.zeros(1), right(1), target=0.9, confidence=0.9)
    with pytest.raises(InputError, match="3 labels in 1 groups"):
        certify(np.zeros(3), right(3), target=0.9, confidence=0.9, groups=np.zeros(3))


def test_what_is_reachable_and_how_many_labels_are_missing():
    scores, correct = curve(0.995, 0.4).draw(1_200, np.random.default_rng(5))
    answer = certify(scores, correct, target=0.985, confidence=0.95)
    assert isinstance(answer, NoThreshold)
    assert answer.reachable_precision in {0.9, 0.925, 0.95, 0.96, 0.97, 0.98}
    assert 0.1 < answer.reachable_coverage < 0.9
    assert answer.more_labels > 50
    assert answer.labelled == 900


def test_no_number_of_labels_helps_a_score_that_says_nothing():
    scores, correct = flat(0.79).draw(3_000, np.random.default_rng(0))
    answer = certify(scores, correct, target=0.9, confidence=0.99)
    assert isinstance(answer, NoThreshold)
    assert answer.more_labels is None
    assert answer.reachable_precision == 0.7
    assert answer.reachable_coverage > 0.9


def test_the_number_of_missing_labels_by_hand():
    # 30 accepted of 40 in the certify part, 60 of 80 in the fit part, no error: the cautious rate
    # of errors is (0 + 1) / (90 + 10) = .01. At target .9 and level .1: 38 accepted forgive one
    # error (P(at most 1 of 38) = .0954) and none before 38, but 22 forgive none (.9^22 = .098).
    # So 30 right labels pass at .9; at .95 (needs 45): cautious rate 1 / 110; 15 more right labels
    # have probability (109 / 110)^15 = .87 > .8. Coverage is 3/4: 15 / .75 = 20.
    fit = {"fit_scores": np.repeat([0.5, -0.5], [60, 20]), "fit_correct": right(80)}
    fit["fit_correct"][60:] = False
    scores, correct = np.repeat([0.5, -0.5], [30, 10]), np.arange(40) < 30
    answer = certify(scores, correct, target=0.95, confidence=0.9, **fit)
    assert isinstance(answer, NoThreshold)
    assert answer.more_labels == 20
    assert (answer.reachable_precision, answer.reachable_coverage) == (0.925, 0.75)


def test_more_labels_do_settle_it_about_as_often_as_promised():
    traffic, rng = curve(0.995, 0.4), np.random.default_rng(0)
    settled = asked = 0
    while asked < 60:
        scores, correct = traffic.draw(500, rng)
        answer = certify(scores, correct, target=0.95, confidence=0.95)
        if isinstance(answer, NoThreshold) and answer.more_labels is not None:
            asked += 1
            more, truth = traffic.draw(answer.more_labels, rng)
            again = certify(
                np.concatenate([scores, more]),
                np.concatenate([correct, truth]),
                target=0.95,
                confidence=0.95,
            )
            settled += isinstance(again, Policy)
    assert settled / asked > 0.5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target": 95.0}, "write 0.95 for 95 %"),
        ({"confidence": 1.0}, "confidence is 1.0"),
        ({"fit_scores": np.zeros(3)}, "Only one"),
        ({"fit_scores": np.zeros(0), "fit_correct": right(0)}, "0 labels to fit on"),
        (
            {"fit_scores": np.zeros(3), "fit_correct": right(3), "groups": np.zeros(9)},
            "leave out one",
        ),
    ],
)
def test_inputs_that_do_not_fit_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        certify(np.zeros(9), right(9), **({"target": 0.9, "confidence": 0.9} | change))


def test_scores_that_are_not_numbers_are_refused():
    scores = np.asarray([0.5, np.nan, 0.25, np.nan, 0.1, 0.2, 0.3, 0.4])
    fit = {"fit_scores": np.zeros(3), "fit_correct": right(3)}
    with pytest.raises(InputError, match="2 of 8 scores"):
        certify(scores, right(8), target=0.9, confidence=0.9, **fit)


def naive(scores, correct, target):
    """The loosest threshold whose precision on all the labels is the target, of 50 or more."""
    labels = Labels.of(scores, correct)
    thresholds = labels.candidates()
    accepted, errors = labels.counts(thresholds)
    good = np.flatnonzero((errors <= (1 - target) * accepted) & (accepted >= 50))
    return thresholds[good[-1]] if len(good) else None


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
        answer = certify_parts(fit, rest, target=target, level=1 - confidence, fitted_on="")
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
