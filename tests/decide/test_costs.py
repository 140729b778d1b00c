"""Costs of targets: by hand, by brute force over thresholds, and refusals."""

from dataclasses import replace

import numpy as np
import pytest

from thresher.decide.costs import Prices, costs
from thresher.errors import InputError

PRICES = Prices(minutes_per_review=3.0, wage=20.0, cost_per_error=12.0)  # a review costs 1


def test_five_answers_by_hand() -> None:
    # Of 1,000 queries each answer stands for 200. Wrong: the one at 0.7 and the one at 0.5.
    found = costs([0.9, 0.8, 0.7, 0.6, 0.5], [True, True, False, True, False], PRICES)
    strict, loose = found.at(0.95), found.at(0.8)
    assert (strict.threshold, strict.accepted, strict.errors) == (0.8, 400, 0)
    assert (strict.reviews, strict.hours, strict.cost) == (600, 30, 600)
    # 3 of 4 are right down to 0.6: not 0.8, so the threshold stays.
    assert loose.threshold == 0.8
    three_of_four = costs(
        [0.9, 0.8, 0.7, 0.6, 0.5], [True, True, False, True, False], PRICES, targets=[0.75, 0.95]
    )
    assert three_of_four.at(0.75).threshold == 0.6
    assert three_of_four.at(0.75).cost == pytest.approx(200 + 200 * 12)
    assert three_of_four.saved(0.75, 0.95) == pytest.approx(2000)
    assert three_of_four.recommended == 0.95


def test_cheap_errors_recommend_a_low_target_and_dear_ones_a_high_one() -> None:
    rng = np.random.default_rng(0)
    scores = rng.random(4000)
    right = rng.random(4000) < 0.6 + 0.4 * scores
    cheap, dear = (
        costs(scores, right, Prices(minutes_per_review=3.0, wage=20.0, cost_per_error=c))
        for c in (2.0, 200.0)
    )
    assert cheap.recommended < 0.9 < dear.recommended
    assert "would cost" in dear.sentence()
    assert [one.cost for one in dear.targets] == sorted(
        (o.cost for o in dear.targets), reverse=True
    )


@pytest.mark.parametrize("target", [0.8, 0.9, 0.97])
def test_thresholds_are_the_loosest_of_all(target: float) -> None:
    rng = np.random.default_rng(1)
    scores, weights = rng.integers(0, 40, 300) / 40, rng.choice([1.0, 20.0], 300)
    right = rng.random(300) < 0.7 + 0.3 * scores
    found = costs(scores, right, PRICES, weights=weights, targets=[target])
    good = [
        t
        for t in sorted(set(scores))
        if (weights * right)[scores >= t].sum() >= target * weights[scores >= t].sum()
    ]
    one = found.at(target)
    assert one.threshold == (good[0] if good else None)
    if good:
        above = scores >= good[0]
        assert one.accepted == pytest.approx(1000 * weights[above].sum() / weights.sum())
        assert one.errors == pytest.approx(1000 * (weights * ~right)[above].sum() / weights.sum())


def test_answers_without_a_candidate_are_reviewed() -> None:
    found = costs([-np.inf, 0.9], [False, True], PRICES)
    assert found.at(0.8).accepted == 500
    found = costs([0.9], [False], PRICES)
    assert (found.at(0.8).threshold, found.at(0.8).reviews) == (None, 1000)


def test_equal_costs_recommend_the_strictest() -> None:
    free = Prices(minutes_per_review=0.0, wage=20.0, cost_per_error=0.0)
    assert costs([0.9, 0.1], [True, False], free).recommended == 0.99


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: replace(PRICES, minutes_per_review=-1.0), "minutes_per_review is -1"),
        (lambda: replace(PRICES, cost_per_error=float("nan")), "cost_per_error is nan"),
        (lambda: costs([], [], PRICES), "got 0 scores"),
        (lambda: costs([0.1], [True, False], PRICES), "1 scores, 2 labels"),
    ],
)
def test_bad_input_is_one_sentence(call, words: str) -> None:
    with pytest.raises(InputError, match=words):
        call()


@pytest.mark.parametrize("many", [7, 11, 13, 49])
def test_accepting_all_leaves_no_reviews_rather_than_less_than_none(many: int) -> None:
    found = costs(np.linspace(1, 0.5, many), np.ones(many, bool), PRICES).at(0.95)
    assert 0 <= found.hours <= found.reviews < 1e-9
