import numpy as np
import pytest
from scipy import stats

from oracles.traffic import curve, flat
from thresher.decide.certify import certify
from thresher.decide.policy import KNOWN_TEXT, NoThreshold, Policy, Promise
from thresher.decide.segments import certify_parts
from thresher.decide.sequence import Labels

GOOD, FAIR, BAD, RARE = curve(0.999, 0.9), curve(0.995, 0.5), flat(0.85), curve(0.99, 0.6)
KINDS = {"good": (GOOD, 0.4), "fair": (FAIR, 0.3), "bad": (BAD, 0.1), "rare": (RARE, 0.2)}


def draw(rows, rng):
    names = rng.choice(list(KINDS), rows, p=[share for _, share in KINDS.values()])
    scores, correct = np.empty(rows), np.empty(rows, np.bool_)
    for name, (traffic, _) in KINDS.items():
        here = names == name
        scores[here], correct[here] = traffic.draw(int(here.sum()), rng)
    return scores, correct, names


def remainder_precision(names, threshold):
    """Precision of what several segments accept together at a threshold."""
    shares = np.asarray([KINDS[name][1] for name in names])
    precisions = np.asarray([KINDS[name][0].precision(threshold) for name in names])
    return float(shares @ precisions / shares.sum())  # coverages at a threshold are all equal


def test_own_thresholds_where_they_can_be_afforded():
    scores, correct, names = draw(3_000, np.random.default_rng(0))
    policy = certify(
        scores,
        correct,
        segments=names,
        by="brand",
        target=0.95,
        confidence_level=0.9,
        fitted_on="m",
    )
    assert isinstance(policy, Policy)
    assert "good" in policy.segments
    assert "bad" not in policy.segments
    families = len(policy.segments) + 1
    for own in (policy, *policy.segments.values()):
        assert own.confidence_level == pytest.approx(1 - 0.1 / families)
        assert own.fitted_on == "m"
        assert own.accept_at is None or own.lower_bound >= 0.95
    # the counts are those of the segment, and of all the others together
    labelled = policy.labelled + sum(own.labelled for own in policy.segments.values())
    assert labelled == 2_250
    accepted = policy.decide(scores, names)
    assert accepted[names == "good"].mean() > 0.8


def test_one_segment_is_the_same_as_none():
    scores, correct = FAIR.draw(2_000, np.random.default_rng(1))
    fit = np.arange(2_000) < 500
    one = certify(scores, correct, selection=fit, target=0.9)
    by = certify(scores, correct, segments=["x"] * 2_000, by="s", selection=fit, target=0.9)
    assert isinstance(one, Policy)
    assert isinstance(by, Policy)
    own = by.segments["x"]
    assert (own.accept_at, own.accepted, own.errors) == (one.accept_at, one.accepted, one.errors)
    assert own.confidence_level == one.confidence_level
    assert by.accept_at is None  # no label speaks for segments never seen


def test_small_segments_share_one_threshold():
    rng = np.random.default_rng(2)
    scores, correct = GOOD.draw(2_000, rng)
    names = [f"s{i}" for i in rng.integers(0, 100, 2_000)]
    policy = certify(scores, correct, segments=names, by="s", target=0.9)
    assert isinstance(policy, Policy)
    assert policy.segments == {}
    assert policy.confidence_level == pytest.approx(0.95)
    assert policy.decide(np.asarray([0.4]), ["never seen"]).tolist() == [True]


def test_a_segment_that_was_tested_alone_and_failed_is_reviewed():
    # promising in the fit part, all wrong in the certify part; the others are all right
    names = np.repeat(["a", "b"], 400)
    fit = np.arange(800) % 2 == 0
    correct = fit | (names == "b")
    policy = certify(np.zeros(800), correct, segments=names, by="s", target=0.9, selection=fit)
    assert isinstance(policy, Policy)
    assert policy.segments["a"].accept_at is None
    assert policy.decide(np.ones(3), ["a", "b", "c"]).tolist() == [False, True, False]


def test_rows_without_any_segment_share_one_threshold():
    scores, correct = GOOD.draw(1_000, np.random.default_rng(3))
    policy = certify(scores, correct, segments=[None] * 1_000, by="s", target=0.9)
    assert isinstance(policy, Policy)
    assert (policy.by, policy.segments) == (None, {})
    assert policy.accept_at == certify(scores, correct, target=0.9).accept_at


@pytest.mark.parametrize(("share", "apart"), [(0.3, True), (0.02, False)])
def test_known_texts_are_certified_by_themselves_or_reviewed(share, apart):
    rng = np.random.default_rng(5)
    scores, correct = GOOD.draw(3_000, rng)
    known = rng.random(3_000) < share
    names = np.where(known, KNOWN_TEXT, rng.choice(["a", "b"], 3_000))
    for segments, tests in ((np.where(known, KNOWN_TEXT, None), 1), (names, 2)):
        policy = certify(scores, correct, segments=segments, by="s", target=0.95)
        assert isinstance(policy, Policy)
        own = policy.segments[KNOWN_TEXT]
        assert (own.accept_at is not None) == apart
        assert policy.share(KNOWN_TEXT) == pytest.approx(share, abs=0.02)
        # reviewed texts cost the others no level
        assert own.confidence_level == pytest.approx(1 - 0.05 / (tests + apart))


def test_known_texts_never_join_the_others():
    # All known texts are wrong; the others are all right.
    names = np.repeat([KNOWN_TEXT, ""], 400)
    fit = np.arange(800) % 2 == 0
    settings = {"segments": names, "target": 0.9, "selection": fit}
    policy = certify(np.zeros(800), names == "", **settings)
    assert (policy.accept_at, policy.accepted, policy.labelled) == (0.0, 200, 200)
    assert policy.segments[KNOWN_TEXT].accept_at is None
    assert policy.confidence_level == 0.95
    assert policy.by is None


def test_nothing_certified_is_explained():
    scores, correct = BAD.draw(1_000, np.random.default_rng(4))
    names = ["a", "b"] * 500
    answer = certify(scores, correct, segments=names, target=0.95, confidence_level=0.9)
    assert isinstance(answer, NoThreshold)
    assert answer.reachable_precision == 0.8
    assert answer.labelled == 750


def broken_promises(policy, target):
    """How many of the thresholds of a policy are false, for the traffic of this file."""
    own = {n: p.accept_at for n, p in policy.segments.items() if p.accept_at is not None}
    false = sum(KINDS[name][0].precision(t) <= target for name, t in own.items())
    others = [name for name in KINDS if name not in policy.segments]
    if others and policy.accept_at is not None:
        false += remainder_precision(others, policy.accept_at) <= target
    return false


def test_all_promises_hold_together_as_often_as_promised():
    rng = np.random.default_rng(2025)
    draws, target, confidence = 200, 0.92, 0.8
    found = own = broken = pooled = naive = 0
    for _ in range(draws):
        scores, correct, names = draw(1_500, rng)
        policy = certify(
            scores,
            correct,
            segments=names,
            by="s",
            target=target,
            confidence_level=confidence,
            seed=rng,
        )
        if isinstance(policy, Policy):
            found += 1
            own += bool(policy.segments)
            pooled += policy.accept_at is not None
            broken += broken_promises(policy, target) > 0
        # one threshold for all traffic does not keep the promise in each segment
        fit, rest = Labels.of(scores[:375], correct[:375]), Labels.of(scores[375:], correct[375:])
        one = certify_parts(fit, rest, Promise(target, confidence))
        if one.accept_at is not None:
            naive += any(t.precision(one.accept_at) <= target for t, _ in KINDS.values())
    allowed = stats.binom.ppf(0.999, draws, 1 - confidence)
    assert broken <= allowed
    assert found > 0.9 * draws
    assert own > 0.9 * draws
    assert pooled > 0.05 * draws
    assert naive > allowed
