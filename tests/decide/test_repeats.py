"""How much less the labels of repeated queries say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thresher.decide.certify import certify
from thresher.decide.policy import Policy
from thresher.decide.repeats import design_effect


def test_six_titles_that_stand_twice():
    # m = 6 groups of 2 with e = 2, 2, 0, 0, 0, 0 errors: p = 4/12, sum (e - 2p)^2 =
    # 2 (2 - 2/3)^2 + 4 (2/3)^2 = 16/3; v = 6/5 * 16/3 / 144 = 2/45; p(1-p)/12 = 1/54;
    # effect = 2/45 * 54 = 2.4
    correct = np.array([False, False, True, True, True, True]).repeat(2)
    assert design_effect(correct, np.arange(6).repeat(2)) == pytest.approx(2.4)


def test_groups_that_disagree_inside_count_no_less():
    # One right and one wrong in every group: the groups do not differ at all.
    assert design_effect(np.array([True, False] * 5), np.arange(5).repeat(2)) == 1


@given(st.integers(2, 200), st.integers(0, 10**6))
@settings(max_examples=50, deadline=None)
def test_it_is_never_below_one_and_ignores_names_and_order(rows, seed):
    rng = np.random.default_rng(seed)
    correct, groups = rng.random(rows) < 0.9, rng.integers(0, rows, rows)
    order = rng.permutation(rows)
    effect = design_effect(correct, groups)
    assert effect >= 1
    names = np.array([f"title {g}" for g in groups])
    assert design_effect(correct[order], names[order]) == pytest.approx(effect)


def test_without_errors_or_with_one_group_nothing_is_told():
    assert design_effect(np.ones(9, bool), np.arange(9)) == 1
    assert design_effect(np.array([True, False, True]), np.zeros(3, int)) == 1


def test_the_promise_holds_where_every_query_stands_four_times():
    """It is broken no more often than it may be; without the effect, more often."""
    rng = np.random.default_rng(0)
    broken = {True: 0, False: 0}
    draws, target, confidence = 300, 0.9, 0.9
    for _ in range(draws):
        # Whatever the threshold, the precision is .89: every policy breaks the promise.
        scores, correct = rng.random(600).repeat(4), (rng.random(600) < 0.89).repeat(4)
        groups = np.arange(600).repeat(4)
        fit = np.arange(2400) < 800
        effect = design_effect(correct, groups)
        for counted in (True, False):
            answer = certify(
                scores[~fit],
                correct[~fit],
                target=target,
                confidence=confidence,
                fit_scores=scores[fit],
                fit_correct=correct[fit],
                design_effect=effect if counted else 1.0,
            )
            broken[counted] += isinstance(answer, Policy)
    # Binom(300, .1) exceeds 41 with a probability of 2 %.
    assert broken[True] <= 41 < broken[False]
