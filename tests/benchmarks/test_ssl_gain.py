"""Gains over the plain tower, paired by seed, and the table and pictures of them."""

import math

import pytest

from grids.runs import Base
from grids.ssl_figure import gain_map, gain_panels
from grids.ssl_gain import Gain, gain, markdown, popularity, said
from grids.ssl_tuning import Setting, Tuned
from thresher.jobs.table import Column, Row
from thresher.report.figures import BLUE


def row(name, *values, key="test/recall@10"):
    return Row(name, {seed: {key: value} for seed, value in enumerate(values)})


def test_a_gain_is_paired_by_seed():
    plain = row("plain", 0.1, 0.2, 0.4)
    found = gain(row("CFM", 0.11, 0.22, 0.52), plain, "test/recall@10")
    # gains 10, 10 and 30: mean 50 / 3 = 16.67, sd sqrt((44.4 + 44.4 + 177.8) / 2) = 11.547,
    # t(.975, 2) = 4.3027: half 4.3027 * 11.547 / sqrt 3 = 28.684; the means alone say 21.4
    assert found.mean == pytest.approx(50 / 3)
    assert (found.low, found.high) == pytest.approx((-12.018, 45.351), abs=1e-3)
    # t(.975, 1) = 12.706; gains -50 and 0: sd 35.355, half 12.706 * 35.355 / sqrt 2 = 317.66
    two = gain(row("FD", 0.05, 0.2), plain, "test/recall@10")
    assert two == pytest.approx((-25, -342.66, 292.66), abs=0.01)


def test_a_gain_needs_a_seed_that_both_have():
    plain = row("plain", 0.1, 0.0, None, 0.2)
    arm = Row("FD", {seed: {"test/recall@10": 0.3} for seed in (1, 2, 7)})
    assert gain(arm, plain, "test/recall@10") is None
    arm.runs[0] = {"test/recall@10": 0.05}
    assert gain(arm, plain, "test/recall@10") == Gain(pytest.approx(-50), None, None)
    assert gain(arm, plain, "test/map@10") is None


def test_gains_are_written_with_their_signs():
    assert said(Gain(6.14, -1.0, 13.2)) == "+6.1 (-1.0 to +13.2)"
    assert said(Gain(-3.0, None, None)) == "-3.0"
    assert said(None) == "-"


def test_the_table_has_popularity_first_and_the_gain_last():
    both = {"test/recall@10": 0.2, "test/popularity/recall@10": 0.05, "test/popularity@10": 3.0}
    plain = Row("plain", {0: both, 1: both})
    assert popularity(plain).runs == {seed: {"test/recall@10": 0.05} for seed in (0, 1)}
    shown = [Column("recall@10", "test/recall@10", "percent"), Column("none", "test/none")]
    lines = markdown({"plain": plain, "FD": row("FD", 0.3)}, shown, "recall@10", seeds=2)
    assert lines.splitlines() == [
        "| | recall@10 | gain in recall@10 (95 % interval) |",
        "|-|-|-|",
        "| popularity | 5.00 ± 0.00 | - |",
        "| plain | 20.00 ± 0.00 | - |",
        "| FD (1 of 2 seeds) | 30.00 | +50.0 |",
    ]


# The pictures.


def tuned(name, **rows):
    arms = dict.fromkeys(("plain", "FD", "CFM"), dict)
    return Tuned(Setting(name, Base(name, {}), {}, arms), rows, {})


def test_panels_show_every_gain_and_keep_marks_inside():
    def both(main, tail):
        values = {"test/recall@10": main, "test/tail/recall@10": tail}
        return {0: values, 1: values}

    plain, better = Row("plain", both(0.2, 0.1)), Row("CFM", both(0.22, 0.3))
    found = [tuned("a", plain=plain, CFM=better), tuned("b", CFM=better), tuned("c", plain=plain)]
    figure = gain_panels(found, "recall@10", ("head", "tail"))
    first, second, third, empty = figure.axes
    assert [ax.get_title() for ax in figure.axes] == ["a", "b", "c", ""]
    assert [t.get_text() for t in first.get_yticklabels()] == ["FD", "CFM"]
    marks = {line.get_marker(): line for line in first.lines if line.get_marker() in "D^s"}
    assert set(marks) == {"D", "^"}
    assert marks["D"].get_color() == BLUE
    assert marks["D"].get_xdata()[0] == pytest.approx(10)
    # the tail gains 200 %, which is beyond: 1.15 times the longest end, 10 %
    assert marks["^"].get_xdata()[0] == pytest.approx(11.5)
    assert marks["^"].get_markerfacecolor() == "white"
    assert len(second.lines) == len(third.lines) == 1  # the line at 0 alone
    assert not empty.axison


def test_a_map_has_a_panel_for_each_arm_and_side():
    found = {
        ((s, c), side): {"FD": Gain(s * c, None, None), "CFM": None}
        for s in (10.0, 2.0)
        for c in (0.0, 0.5)
        for side in ("with logQ", "without logQ")
    }
    figure = gain_map(found, "recall@10")
    titles = [ax.get_title() for ax in figure.axes]
    assert titles == [f"{a}, {s}" for s in ("with logQ", "without logQ") for a in ("FD", "CFM")]
    first, second = figure.axes[:2]
    # rows from sparse to dense: 2 * 0, 2 * .5, 10 * 0, 10 * .5
    assert [t.get_text() for t in first.texts] == ["+0", "+1", "+0", "+5"]
    assert [t.get_text() for t in second.texts] == ["-"] * 4
    assert [t.get_text() for t in first.get_yticklabels()] == ["2", "10"]
    assert math.isclose(first.collections[0].get_clim()[1], 5)
