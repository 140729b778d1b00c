import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from oracles import losses as oracle
from oracles.matchings import links, scored, unit, values
from thresher.errors import InputError
from thresher.losses import ThresholdConsistentMargin
from thresher.types import Matching


def test_the_worked_example_of_four_points_in_two_classes():
    # Unit rows: (0, 1), (.4311, .9023), (1, 0), (.7071, .7071); classes 0, 0, 1, 1.
    # Positives, cosine: 0-1 .9023 (above .9), 2-3 .7071 -> mean violation .9 - .7071 = .1929
    # Negatives: 0-2 0, 0-3 .7071, 1-2 .4311, 1-3 .9429; those from .5 on violate:
    #   (.2071 + .4429) / 2 = .3250
    points = torch.tensor([[0.0, 1.0], [0.43, 0.9], [1.0, 0.0], [0.5, 0.5]], dtype=torch.float64)
    e = F.normalize(points, dim=1)
    own = [(i, i) for i in range(4)]
    m = Matching(e, e, links([(0, 1), (1, 0), (2, 3), (3, 2)], own))
    got = values(ThresholdConsistentMargin().ratios(m))
    assert got == pytest.approx({"pos": 0.1929, "neg": 0.3250}, abs=1e-4)


def test_only_violating_pairs_are_counted_and_a_pair_on_the_margin_is_one():
    # Positive .5 and .9 against .9: violations .4 and 0, both count.
    # Negatives -.5, .25, .75 against .25: violations 0 and .5, the first does not count.
    m = scored([[0.5, -0.5, 0.25], [0.75, 0.9, 0.1]])([(0, 0), (1, 1)])
    parts = ThresholdConsistentMargin(margin_neg=0.25).ratios(m)
    assert (float(parts["pos"].num), float(parts["pos"].den)) == pytest.approx((0.4, 2))
    assert (float(parts["neg"].num), float(parts["neg"].den)) == pytest.approx((0.5, 2))


def test_weights_multiply_the_sums_and_not_the_counts():
    m = scored([[0.5, 0.7]])([(0, 0)])
    parts = ThresholdConsistentMargin(weight_pos=3.0, weight_neg=0.5).ratios(m)
    # 3 * (.9 - .5) and .5 * (.7 - .5), one pair each
    assert values(parts) == pytest.approx({"pos": 1.2, "neg": 0.1})
    assert float(parts["pos"].den) == float(parts["neg"].den) == 1


def test_without_a_violating_pair_sum_and_count_are_zero():
    parts = ThresholdConsistentMargin().ratios(scored([[0.95, -0.2]])([(0, 0)]))
    assert all(float(x) == 0 for ratio in parts.values() for x in ratio)


def test_the_right_side_is_read():
    q = unit(4, 8, seed=0)
    pos = links([(i, i) for i in range(4)])
    loss = ThresholdConsistentMargin(margin_neg=-0.5)
    a, b = (values(loss.ratios(Matching(q, unit(4, 8, seed=s), pos))) for s in (1, 2))
    assert a["pos"] != pytest.approx(b["pos"], rel=1e-3)
    assert a["neg"] != pytest.approx(b["neg"], rel=1e-3)


@given(seed=st.integers(0, 10_000), low=st.floats(-0.9, 0.6), gap=st.floats(0, 0.3))
@settings(max_examples=30, deadline=None)
def test_it_equals_the_loop_over_pairs(seed, low, gap):
    q, c = unit(4, 3, seed=seed), unit(6, 3, seed=seed + 1)
    pos, drop = [(0, 1), (0, 2), (2, 5), (3, 0)], [(0, 3), (2, 2), (1, 1)]
    loss = ThresholdConsistentMargin(margin_pos=low + gap, margin_neg=low)
    parts = loss.ratios(Matching(q, c, links(pos, drop)))
    up, down = oracle.tcm((q @ c.T).tolist(), pos, drop, low + gap, low)
    assert tuple(map(float, parts["pos"])) == pytest.approx(up)
    assert tuple(map(float, parts["neg"])) == pytest.approx(down)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"margin_pos": 0.1, "margin_neg": 0.2}, "margin_neg <= margin_pos"),
        ({"weight_pos": -1.0}, ">= 0"),
        ({"weight_neg": -1.0}, ">= 0"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        ThresholdConsistentMargin(**options)
