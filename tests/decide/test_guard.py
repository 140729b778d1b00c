"""The guard: it acts on proof, rarely without cause, and falls back on what audits support."""

import math

import numpy as np
import pytest

from thresher.decide.guard import guard, stricter_thresholds
from thresher.decide.monitor import Audits

TARGET = 0.95


def asked(right, scores=None, **options):
    scores = np.linspace(0.5, 1, len(right)) if scores is None else scores
    given = {"target": TARGET, "threshold": 0.5} | options
    return guard(scores, right, np.full(len(right), 0.05), **given)


def first_action(wrong, target=TARGET):
    """Audits until the evidence, asked every ten, reaches 1 / 0.05; None where it never does."""
    audits = Audits()
    for n in range(0, len(wrong), 10):
        audits.add(~wrong[n : n + 10], np.ones(10))
        if audits.log_evidence(target) >= math.log(20):
            return n + 10
    return None


def test_keeps_without_audits_and_with_good_ones() -> None:
    action = asked([])
    assert (action.kind, action.threshold) == ("keep", 0.5)
    assert action.reason == "no accepted answer was audited yet"
    action = asked([True] * 100)
    assert (action.kind, action.threshold) == ("keep", 0.5)
    assert action.live.audits == 100


def test_stops_where_errors_prove_a_fall() -> None:
    action = asked([True] * 20 + [False] * 20, stricter=[0.6, 0.7])
    assert (action.kind, action.threshold) == ("stop", None)
    assert action.reason.startswith("20 of the last 40 audited answers were wrong (50.0%)")


def test_tightens_to_what_the_audits_support() -> None:
    rng = np.random.default_rng(0)
    scores = rng.random(1500)
    right = rng.random(1500) >= np.where(scores < 0.4, 0.3, 0.004)
    # Above 0.2 an error rate of (0.2 * 0.3 + 0.6 * 0.004) / 0.8 = 0.078 is not supported.
    action = asked(right, scores, threshold=0.0, stricter=[0.2, 0.4, 0.6])
    assert (action.kind, action.threshold) == ("tighten", 0.4)
    assert "from 0.4 up they support it" in action.reason
    assert asked(right, scores, threshold=0.0).kind == "stop"  # nothing to fall back on
    assert asked(right, scores, threshold=0.0, stricter=[-1.0]).kind == "stop"


def test_a_threshold_that_fails_ends_the_search() -> None:
    scores = np.r_[np.full(300, 0.9), np.full(40, 0.95), np.full(300, 0.5)]
    right = np.r_[np.ones(300, bool), np.zeros(40, bool), np.arange(300) % 2 == 0]
    # From 0.95 up all are wrong; from 0.9 up 40 of 340. Neither may be chosen, nor a looser one.
    assert asked(right, scores, stricter=[0.95, 0.9, 0.6]).kind == "stop"


def test_an_old_stretch_does_not_hide_a_fall() -> None:
    rng = np.random.default_rng(1)
    wrong = np.r_[rng.random(2000) < 0.03, rng.random(700) < 0.15]
    action = asked(~wrong)
    assert action.kind == "stop"
    assert action.live.upper > TARGET  # the mean over all time is still no evidence
    assert action.recent.upper < TARGET


def test_few_false_alarms_at_the_target() -> None:
    rng = np.random.default_rng(2)
    fired = sum(first_action(rng.random(450) < 0.05) is not None for _ in range(100))
    assert fired <= 5 + 3 * math.sqrt(100 * 0.05 * 0.95)


def test_a_fall_to_90_percent_is_found_in_some_hundred_audits() -> None:
    rng = np.random.default_rng(3)
    found = [first_action(rng.random(1200) < 0.1) for _ in range(30)]
    assert None not in found
    assert np.median(found) < 350


def test_stricter_thresholds_by_hand() -> None:
    # Of 0.5, 0.6, ..., 1.4 (ten accepted) those keep 5, 6, 7, 8 and 9.
    confidence = np.r_[0.1, 0.2, np.arange(5, 15) / 10]
    assert stricter_thresholds(confidence, 0.5) == pytest.approx([1.0, 0.9, 0.8, 0.7, 0.6])
    assert stricter_thresholds([0.1, 0.2], 0.5).tolist() == []
    assert stricter_thresholds([0.7] * 9, 0.7).tolist() == []
