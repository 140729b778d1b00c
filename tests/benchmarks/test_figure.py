"""The figure of coverage."""

from grids.figure import coverage_bars
from thresher.jobs.table import Row


def test_the_figure_draws_what_is_there():
    key = "coverage@precision=0.95"
    runs = {0: {f"raw/{key}": 0.4, key: 0.8}, 1: {f"raw/{key}": 0.6}}
    rows = [Row("a", runs, "one"), Row("b", runs, "two"), Row("lost", {}, "two")]
    figure = coverage_bars(rows, precision=0.95)
    bars = [patch for patch in figure.axes[0].patches]
    assert [round(bar.get_width(), 6) for bar in bars] == [0.5, 0.5]
    # Row centres 0 and 1.6: a new group stands 0.6 rows further down.
    assert [round(bar.get_y() + bar.get_height() / 2, 6) for bar in bars] == [0.0, 1.6]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["a", "b", "lost"]
    coverage_bars([], precision=0.9)
