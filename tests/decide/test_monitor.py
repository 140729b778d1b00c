"""The live bound: by hand, against a slow oracle, and as a promise in simulation."""

import math

import numpy as np
import pytest
from scipy import stats

from thresher.decide.monitor import (
    EPOCH,
    Audits,
    live_precision,
    log_capital,
    true_precision,
)
from thresher.errors import InputError

ODDS = [0.02 * 1.5**k for k in range(14)]
SHARES = [(1 + abs(math.log(a / 0.75))) ** -1.5 for a in ODDS]


def capital(wrong, weights, error, side):
    """K of the docstring: one bet after another, one loop for each odds ratio."""
    total = 0.0
    for odds, share in zip(ODDS, SHARES, strict=True):
        r = math.exp(side * odds)
        wealth = 1.0
        for x, w in zip(wrong, weights, strict=True):
            wealth *= 1 + (r - 1) / (1 + error * (r - 1)) * w * (x - error)
        total += share / sum(SHARES) * wealth
    return total


def scanned(wrong, weights, level):
    """The interval of error rates that neither side has multiplied by 2 / level, on a grid."""
    kept = [
        e
        for e in np.linspace(0.0025, 0.5025, 201)
        if capital(wrong, weights, e, 1) < 2 / level and capital(wrong, weights, e, -1) < 2 / level
    ]
    return min(kept), max(kept)


def test_nothing_is_known_without_audits() -> None:
    live = live_precision([], [])
    assert (live.lower, live.upper, live.audits) == (pytest.approx(0), pytest.approx(1), 0)
    assert math.isnan(live.estimate)
    audits = Audits()
    assert audits.log_evidence(0.9) == pytest.approx(0.0)
    assert audits.log_support(0.9) == pytest.approx(0.0)


def test_estimate_is_weighted_by_hand() -> None:
    # 8 of 10 right at 0.1, 1 of 2 right at 0.5: (8 / 0.1 + 1 / 0.5) / (10 / 0.1 + 2 / 0.5) = 82/104
    right = [True] * 8 + [False] * 2 + [True, False]
    live = live_precision(right, [0.1] * 10 + [0.5] * 2)
    assert live.estimate == pytest.approx(82 / 104)
    assert live.audits == 12


@pytest.mark.parametrize("weighted", [False, True])
def test_bounds_are_those_of_bets_made_one_by_one(weighted: bool) -> None:
    rng = np.random.default_rng(1)
    wrong = rng.random(60) < 0.15
    probability = rng.choice([0.05, 0.1, 0.25], 60) if weighted else np.full(60, 0.05)
    live = live_precision(~wrong, probability, confidence_level=0.9)
    low, high = scanned(wrong, 0.05 / probability, 0.1)
    assert 1 - live.upper == pytest.approx(low, abs=0.0026)
    assert 1 - live.lower == pytest.approx(high, abs=0.0026)


def test_verdicts_may_come_in_any_portions() -> None:
    rng = np.random.default_rng(2)
    right, probability = rng.random(450) < 0.9, rng.choice([0.2, 0.05, 1.0], 450)
    whole, parts = Audits(least=0.05), Audits(least=0.05)
    whole.add(right, probability)
    for rows in np.array_split(np.arange(450), [1, 7, 200, 201, 399]):
        parts.add(right[rows], probability[rows])
    assert parts.live() == whole.live()
    assert parts.recent() == whole.recent()
    assert np.allclose(parts.evidence(0.95), whole.evidence(0.95))
    assert len(parts) == 450


def test_evidence_starts_again_and_pays_for_it() -> None:
    rng = np.random.default_rng(3)
    wrong = rng.random(2 * EPOCH + 30) < 0.2
    audits = Audits()
    audits.add(~wrong, np.ones(len(wrong)))
    start = (0, EPOCH, 2 * EPOCH)
    own = [capital(wrong[s:], np.ones(len(wrong) - s), 0.05, 1) for s in start]
    share = [1 / 2, 1 / 6, 1 / 12]
    assert np.exp(audits.evidence(0.95)) == pytest.approx(
        [a * b for a, b in zip(own, share, strict=True)]
    )
    total = sum(a * b for a, b in zip(own, share, strict=True)) + 1 / 4
    assert audits.log_evidence(0.95) == pytest.approx(math.log(total))
    assert audits.since(1) == (EPOCH + 30, int(wrong[EPOCH:].sum()))
    recent = scanned(wrong[EPOCH:], np.ones(EPOCH + 30), 0.05 / 6)
    live = audits.recent()
    assert (1 - live.upper, 1 - live.lower) == pytest.approx(recent, abs=0.0026)


def ever_outside(wrong, truth, level=0.05):
    """The share of runs whose bounds exclude the truth at some time; and of fixed-size bounds."""
    n = np.arange(1, wrong.shape[1] + 1)
    errors = np.cumsum(wrong, axis=1)
    counts = np.stack([n - errors, errors], axis=-1)[..., None, :]
    at = np.broadcast_to(np.asarray(truth, np.float64), errors.shape)
    ours = [log_capital(at, counts, np.ones(1), side=s) >= np.log(2 / level) for s in (1, -1)]
    fixed = np.nan_to_num(stats.beta.ppf(level / 2, errors, n - errors + 1)) > truth
    return (ours[0] | ours[1]).any(axis=1).mean(), fixed.any(axis=1).mean()


def test_bounds_hold_at_all_times_together() -> None:
    rng = np.random.default_rng(4)
    ours, fixed = ever_outside(rng.random((300, 300)) < 0.1, 0.1)
    assert ours <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 300)
    assert fixed > 0.1  # the same runs tell bounds that hold at one time only


def test_bounds_hold_the_mean_of_a_falling_precision() -> None:
    rng = np.random.default_rng(5)
    error = np.r_[np.full(200, 0.01), np.full(200, 0.2)]
    truth = np.cumsum(error) / np.arange(1, 401)
    ours, _ = ever_outside(rng.random((300, 400)) < error, truth)
    assert ours <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 300)


def slices(rng, answers):
    """Audits of traffic that is audited more where it is worse, and its precision."""
    unsure = rng.random(answers) < 0.3
    probability = np.where(unsure, 0.5, 0.1)
    right = rng.random(answers) >= np.where(unsure, 0.2, 0.02)
    drawn = rng.random(answers) < probability
    return right[drawn], probability[drawn], 1 - (0.3 * 0.2 + 0.7 * 0.02)


def test_weights_undo_an_unequal_slice() -> None:
    rng = np.random.default_rng(6)
    outside = plain = 0
    for _ in range(60):
        right, probability, truth = slices(rng, 3000)
        live = live_precision(right, probability)
        outside += not live.lower <= truth <= live.upper
        plain += live_precision(right, np.ones(len(right))).upper < truth
    assert outside <= 0.05 * 60 + 3 * math.sqrt(0.05 * 0.95 * 60)
    assert plain > 40  # without weights the slice looks worse than the traffic


@pytest.mark.slow
@pytest.mark.parametrize("error", [0.01, 0.05, 0.3])
def test_bounds_hold_over_long_times(error: float) -> None:
    rng = np.random.default_rng(7)
    outside = sum(ever_outside(rng.random((50, 3000)) < error, error)[0] * 50 for _ in range(20))
    assert outside <= 1000 * 0.05 + 3 * math.sqrt(1000 * 0.05 * 0.95)


def test_reviewers_errors_by_hand() -> None:
    # e = 0.1, h = 0.1: 0.1 * 0.81 + 0.9 * 0.01 = 0.09 are rejected twice
    assert true_precision(0.91, 0.1) == pytest.approx(0.9)
    assert true_precision(0.8, 0.0) == pytest.approx(0.8)
    assert true_precision(1.0, 0.1) == 1.0


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: live_precision([True], [0.1, 0.2]), "1 verdicts and 2 audit probabilities"),
        (lambda: live_precision([True], [0.1], least=0.2), "from 0.2"),
        (lambda: live_precision([True], [1.5], least=1.0), "to 1"),
        (lambda: live_precision([True], [0.0]), "least audit probability is 0"),
        (lambda: live_precision([True], [0.5], confidence_level=95.0), "strictly between"),
        (lambda: true_precision(0.9, 0.5), "error rate of reviewers"),
        (lambda: Audits().evidence(95.0), "strictly between"),
    ],
)
def test_bad_input_is_one_sentence(call, words: str) -> None:
    with pytest.raises(InputError, match=words):
        call()
