"""Intervals by drawing queries again."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thresher.errors import InputError
from thresher.evaluate import bootstrap as module
from thresher.evaluate.bootstrap import bootstrap, bootstrap_coverage, bootstrap_mean
from thresher.evaluate.coverage import precision_coverage_curve


def seeded(seed=0):
    return np.random.default_rng(seed)


def test_the_mean_is_as_wide_as_theory_says():
    # 2,000 values of standard deviation s: the mean's interval is +- 1.96 s / sqrt(2000).
    values = seeded(1).normal(size=2000)
    got = bootstrap_mean(values, generator=seeded(), draws=2000)
    half = 1.96 * values.std() / 2000**0.5
    assert got.value == pytest.approx(values.mean())
    assert got.low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert got.high == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_the_same_seed_gives_the_same_interval_however_it_is_cut(monkeypatch):
    values = seeded(1).normal(size=50)
    whole = bootstrap_mean(values, generator=seeded(), draws=300)
    assert whole == bootstrap_mean(values, generator=seeded(), draws=300)
    assert whole != bootstrap_mean(values, generator=seeded(9), draws=300)
    monkeypatch.setattr(module, "_CELLS", 130)
    assert whole == pytest.approx(bootstrap_mean(values, generator=seeded(), draws=300))


def test_any_metric_agrees_with_the_mean():
    values = seeded(1).normal(size=80)
    any_metric = bootstrap(lambda rows: values[rows].mean(), 80, generator=seeded(), draws=200)
    assert any_metric == pytest.approx(bootstrap_mean(values, generator=seeded(), draws=200))


def test_queries_without_an_item_are_left_out():
    values = np.array([1.0, np.nan, 0.0, np.nan])
    assert bootstrap_mean(values, generator=seeded()).value == 0.5
    assert np.isnan(bootstrap_mean(values[1:2], generator=seeded()).low)


@settings(max_examples=25)
@given(
    seed=st.integers(0, 1000), floor=st.integers(1, 9), precision=st.sampled_from([0.5, 0.8, 1.0])
)
def test_coverage_equals_the_curve_of_each_draw(seed, floor, precision):
    confidence = seeded(seed).normal(size=30).round(1)  # ties, both signs
    right = seeded(seed + 1).random(30) < 0.7

    def coverage(rows):
        # The rows of a draw are places in the order of falling confidence.
        order = np.argsort(-confidence, kind="stable")[rows]
        curve = precision_coverage_curve(confidence[order], right[order])
        return curve.coverage_at(precision, floor=floor)

    slow = bootstrap(coverage, 30, generator=seeded(), draws=8)
    fast = bootstrap_coverage(
        confidence, right, precision=precision, floor=floor, generator=seeded(), draws=8
    )
    assert fast == pytest.approx(slow)


@pytest.mark.parametrize(("queries", "draws", "level"), [(0, 9, 0.9), (9, 0, 0.9), (9, 9, 95.0)])
def test_what_cannot_be_drawn(queries, draws, level):
    with pytest.raises(InputError, match=f"{draws} draws over {queries} queries at level {level}"):
        bootstrap(lambda _: 0.0, queries, generator=seeded(), draws=draws, level=level)
