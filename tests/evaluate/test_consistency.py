"""OPIS: zero when the classes agree, by hand, and against a slow loop."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracles import coverage as oracle
from thresher.errors import InputError
from thresher.evaluate import consistency
from thresher.evaluate.consistency import members_of_items, opis


def shifted(by):
    """Two classes of 20 queries, a true and a false item each; class 1 scores `by` higher."""
    false = np.concatenate([np.linspace(-1, 0, 20), np.linspace(-1, 0, 20) + by])
    scores = np.stack([false + 0.5, false], axis=1)
    correct = np.tile([True, False], (40, 1))
    return (
        scores,
        correct,
        np.zeros(40, dtype=int),
        np.stack([np.arange(40), np.arange(40) // 20], 1),
    )


def test_classes_that_agree():
    assert opis(*shifted(0.0)) == pytest.approx(0)


def test_disagreement_grows_with_the_shift():
    values = [opis(*shifted(by)) for by in (0.0, 0.1, 0.3)]
    assert values == sorted(values)
    assert values[2] > 10


def test_by_hand():
    # False scores 0, .1, ..., .9 in both classes; class 0's true item scores 2, class 1's -1.
    # d runs over a range inside [.8, .9]: the two quantiles of 20 scores 0, 0, .1, .1, ..., .9, .9
    # are at place 19 x .9 = 17.1 -> .8 + .1 x .1 = .81 and at 19 x .99 = 18.81 -> .9.
    # With one threshold d = .81: specificity .9 in both, sensitivity 1 and 0.
    # U_0 = 2 x .9 / 1.9 = .947368, U_1 = 0: variance = .473684^2 = .224377, x 1000.
    scores = np.concatenate([np.tile(np.arange(10) / 10, (2, 1)), [[2], [-1]]], axis=1)
    correct = np.tile(np.arange(11) == 10, (2, 1))
    members = np.array([[0, 0], [1, 1]])
    got = opis(scores, correct, np.zeros(2, dtype=int), members, thresholds=1)
    assert got == pytest.approx(224.377, abs=1e-3)
    # A true item that was not retrieved at all counts the same as one below every threshold.
    correct[1, 10], scores[1, 10] = False, -np.inf
    assert opis(scores, correct, np.array([0, 1]), members, thresholds=1) == pytest.approx(
        224.377, abs=1e-3
    )


@given(st.data())
def test_against_a_slow_loop(data):
    seed = data.draw(st.integers(0, 10_000))
    generator = np.random.default_rng(seed)
    queries, width, number = 30, 4, data.draw(st.integers(2, 5))
    scores = generator.normal(size=(queries, width)).round(1)
    correct = generator.random((queries, width)) < 0.3
    missed = generator.integers(0, 2, queries)
    members = np.stack([np.arange(queries), generator.integers(0, number, queries)], axis=1)
    true = [[] for _ in range(number)]
    false = [[] for _ in range(number)]
    for q, c in members.tolist():
        true[c] += scores[q][correct[q]].tolist() + [-np.inf] * int(missed[q])
        false[c] += scores[q][~correct[q]].tolist()
    kept = [c for c in range(number) if true[c] and false[c]]
    grid = np.linspace(*np.quantile(scores[~correct], [0.9, 0.99]), 7)
    got = opis(scores, correct, missed, members, thresholds=7)
    if len(kept) < 2:
        assert np.isnan(got)
    else:
        expected = oracle.opis([true[c] for c in kept], [false[c] for c in kept], grid)
        assert got == pytest.approx(expected, abs=1e-9)


def test_blocks_change_nothing(monkeypatch):
    generator = np.random.default_rng(2)
    case = (
        generator.normal(size=(60, 5)),
        generator.random((60, 5)) < 0.3,
        generator.integers(0, 2, 60),
        np.stack([generator.integers(0, 60, 90), generator.integers(0, 9, 90)], axis=1),
    )
    whole = opis(*case)
    monkeypatch.setattr(consistency, "_CELLS", 200)
    assert opis(*case) == pytest.approx(whole)
    assert whole > 0


def test_members():
    # Item 4 is true for queries 0 and 2, item 7 for query 1 alone.
    assert members_of_items(np.array([0, 1, 2]), np.array([4, 7, 4])).tolist() == [[0, 0], [2, 0]]


def test_nothing_to_compare():
    scores, correct, missed, members = shifted(0.1)
    assert np.isnan(opis(scores, correct, missed, members[:0]))
    assert np.isnan(opis(scores, correct, missed, members[:20]))  # one class
    assert np.isnan(opis(scores, np.ones_like(correct), missed, members))


def test_a_range_that_is_none():
    with pytest.raises(InputError, match=r"rates 0\.2 to 0\.1"):
        opis(*shifted(0.1), false_accepts=(0.2, 0.1))
