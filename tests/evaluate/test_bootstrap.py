"""Intervals by drawing queries again."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thresher.data.relation import Relation
from thresher.errors import InputError
from thresher.evaluate import bootstrap as module
from thresher.evaluate import intervals
from thresher.evaluate.bootstrap import bootstrap_coverages, bootstrap_means
from thresher.evaluate.coverage import precision_coverage_curve
from thresher.retrieve import Hits


def seeded(seed=0):
    return np.random.default_rng(seed)


def interval_of(values, **options):
    return bootstrap_means(np.asarray(values)[:, None], generator=seeded(), **options)[0]


def drawn(queries, draws):
    """The rows of each draw, from the same generator."""
    return seeded().integers(0, queries, size=(draws, queries))


def test_the_mean_is_as_wide_as_theory_says():
    # 2,000 values of standard deviation s: the mean's interval is +- 1.96 s / sqrt(2000).
    values = seeded(1).normal(size=2000)
    got = interval_of(values, draws=2000)
    half = 1.96 * values.std() / 2000**0.5
    assert got == pytest.approx([values.mean() - half, values.mean() + half], abs=0.1 * half)


def test_the_same_seed_gives_the_same_interval_however_it_is_cut(monkeypatch):
    values = seeded(1).normal(size=(50, 2))
    whole = bootstrap_means(values, generator=seeded(), draws=300)
    assert not np.array_equal(whole, bootstrap_means(values, generator=seeded(9), draws=300))
    monkeypatch.setattr(module, "_CELLS", 130)
    cut = bootstrap_means(values, generator=seeded(), draws=300)
    np.testing.assert_allclose(cut, whole)


def test_means_against_each_draw():
    values = seeded(1).normal(size=(40, 3))
    values[::4, 1] = np.nan
    means = np.array([np.nanmean(values[rows], axis=0) for rows in drawn(40, 9)])
    got = bootstrap_means(values, generator=seeded(), draws=9)
    np.testing.assert_allclose(got, np.quantile(means, [0.025, 0.975], axis=0).T)


def test_queries_without_an_item_are_left_out():
    low, high = interval_of([0.5, np.nan, 0.5, np.nan])
    assert low == high == 0.5
    assert np.isnan(interval_of([np.nan])).all()


@settings(max_examples=25)
@given(
    seed=st.integers(0, 1000), floor=st.integers(1, 9), precision=st.sampled_from([0.5, 0.8, 1.0])
)
def test_coverage_equals_the_curve_of_each_draw(seed, floor, precision):
    confidence = seeded(seed).normal(size=30).round(1)  # ties, both signs
    confidence[3] = -np.inf
    right = seeded(seed + 1).random(30) < 0.7
    order = np.argsort(-confidence, kind="stable")  # rows of a draw are places in this order
    slow = [
        precision_coverage_curve(confidence[order[rows]], right[order[rows]]).coverage_at(
            precision, floor=floor
        )
        for rows in drawn(30, 8)
    ]
    fast = bootstrap_coverages(
        confidence, right, precisions=[precision], floor=floor, generator=seeded(), draws=8
    )[0]
    assert fast == pytest.approx(np.quantile(slow, [0.025, 0.975]))


def test_intervals_of_what_decisions_rest_on():
    hits = Hits(np.arange(60)[:, None] % 2, np.linspace(1, 0, 60)[:, None].astype("f4"))
    truth = Relation.from_pairs(np.arange(60), np.zeros(60, int), shape=(60, 2))
    found = intervals(hits, truth, accepted={0.9: np.arange(60) < 30}, ks=(1, 5))
    assert found.keys() == {"P@1", "recall@1", "certified_coverage@precision=0.9"} | {
        f"coverage@precision={p}" for p in (0.9, 0.95, 0.98, 0.99)
    }
    # 30 of 60 right: half, and 1.96 standard deviations of .0645 to each side
    low, high = found["P@1"]
    assert low == pytest.approx(0.5 - 0.127, abs=0.02)
    assert high == pytest.approx(0.5 + 0.127, abs=0.02)
    assert found == intervals(hits, truth, accepted={0.9: np.arange(60) < 30}, ks=(1, 5))
    assert intervals(hits[:0], truth.take(np.arange(0))) == {}


@pytest.mark.parametrize(("queries", "draws"), [(0, 9), (9, 0)])
def test_what_cannot_be_drawn(queries, draws):
    with pytest.raises(InputError, match=f"{draws} draws over {queries} queries"):
        interval_of(np.zeros(queries), draws=draws)


def test_of_few_queries_no_coverage_is_given():
    few = np.ones(9)
    found = bootstrap_coverages(few, few > 0, precisions=[0.9], generator=seeded(), draws=9)
    assert np.isnan(found).all()
