import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oracles import losses as oracle
from oracles.matchings import links, scored, unit, values
from thresher.errors import InputError
from thresher.losses import PrototypeMargin
from thresher.types import Matching


def test_violations_by_hand():
    # Text above prototype: positives .2 and -.3, margin .1: .3 violates, -.2 does not.
    # Negatives .05, -.4, .3 and a dropped -.9: .1 - .05 = .05, .1 + .4 = .5, .1 - .3 does not.
    m = scored([[0.2, 0.05, -0.4], [0.3, -0.3, -0.9]])([(0, 0), (1, 1)], [(1, 2)])
    parts = PrototypeMargin().ratios(m)
    assert tuple(map(float, parts["pos"])) == pytest.approx((0.15, 1))
    assert tuple(map(float, parts["neg"])) == pytest.approx((0.275, 2))


def test_a_prototype_that_is_its_text_misses_the_margin_on_both_sides():
    q, text = unit(3, 4, seed=0), unit(5, 4, seed=1)
    m = Matching(q, text - text, links([(i, i) for i in range(3)]))
    assert values(PrototypeMargin(margin=0.3).ratios(m)) == pytest.approx(
        {"pos": 0.15, "neg": 0.15}
    )


def test_a_prototype_nearer_to_its_queries_than_its_text_costs_less():
    q, text = unit(4, 4, seed=0), unit(4, 4, seed=1)
    truth = links([(i, i) for i in range(4)])
    # The text's gap to a prototype half way to the query, and to one half way from it.
    nearer, farther = (
        values(PrototypeMargin(margin=2.0).ratios(Matching(q, gap, truth)))["pos"]
        for gap in ((text - q) / 2, (q - text) / 2)
    )
    assert nearer < 1 < farther  # 1 = half the margin


@given(seed=st.integers(0, 10_000), margin=st.floats(0.01, 1.0))
@settings(max_examples=30, deadline=None)
def test_it_equals_the_loop_over_pairs(seed, margin):
    q, gap = unit(4, 3, seed=seed), 0.7 * unit(6, 3, seed=seed + 1)
    pos, drop = [(3, 0), (0, 1), (0, 2), (2, 5)], [(0, 3), (2, 2), (1, 1)]
    parts = PrototypeMargin(margin=margin).ratios(Matching(q, gap, links(pos, drop)))
    up, down = oracle.prototype((q @ gap.T).tolist(), pos, drop, margin)
    assert tuple(map(float, parts["pos"])) == pytest.approx(up)
    assert tuple(map(float, parts["neg"])) == pytest.approx(down)


@pytest.mark.parametrize("margin", [0.0, -0.1, math.nan, math.inf])
def test_a_margin_that_is_not_above_zero_is_refused(margin):
    with pytest.raises(InputError, match=r"margin of prototype is .*give a number above 0"):
        PrototypeMargin(margin=margin)
