"""The picture of a grid: how much could be accepted on the raw score, a bar a row."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from thresher.jobs.table import Row
from thresher.report.figures import BLUE, INK, QUIET, VERMILION, drawing, percents

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BAR, _GAP = 0.72, 0.6  # height of a bar and the space between groups, in rows
_INCHES = 0.27  # height of a row


def coverage_bars(rows: Sequence[Row], *, precision: float) -> "Figure":
    """Draw raw coverage as bars with the deviation over seeds, and re-ranked coverage as points.

    Args:
        rows: those of one group stand together, in the order given.
        precision: at which coverage is read, a fraction.
    """
    key = f"coverage@precision={precision:g}"
    places = _places(rows)
    with drawing((8.4, 1.5 + _INCHES * (max(places, default=0.0) + 1))) as figure:
        ax = figure.add_subplot()
        for place, row in zip(places, rows, strict=True):
            _bar(ax, place, row, key)
        ax.set_yticks(places, [row.name for row in rows])
        ax.tick_params(axis="y", length=0, labelcolor=INK)
        ax.set(xlim=(0, 1), ylim=(max(places, default=0.0) + 0.7, -0.7))
        ax.set_xlabel(f"share of queries that can be accepted at a precision of {precision:.0%}")
        ax.grid(visible=False, axis="y")
        percents(ax.xaxis, 0.2)
        _legend(figure)
    return figure


def _places(rows: Sequence[Row]) -> list[float]:
    """Where each row stands, with a gap before each new group."""
    places: list[float] = []
    for number, row in enumerate(rows):
        new = number > 0 and row.group != rows[number - 1].group
        places.append(places[-1] + 1 + _GAP * new if places else 0.0)
    return places


def _bar(ax: "Axes", place: float, row: Row, key: str) -> None:
    raw, reranked = row.spread(f"raw/{key}"), row.spread(key)
    whisker: Any = {"ecolor": INK, "capsize": 3, "elinewidth": 1.2}
    if raw.mean is not None:
        ax.barh(place, raw.mean, height=_BAR, color=BLUE, xerr=raw.deviation, error_kw=whisker)
    if reranked.mean is not None:
        ax.errorbar(
            reranked.mean, place, xerr=reranked.deviation, fmt="D", color=VERMILION, markersize=6,
            markeredgecolor="white", capsize=3, elinewidth=1.2, zorder=5,
        )  # fmt: skip


def _legend(figure: "Figure") -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    point: Any = {"marker": "D", "color": "none", "markerfacecolor": VERMILION, "markersize": 7}
    handles = [
        Patch(color=BLUE, label="raw score of the tower"),
        Line2D([], [], markeredgecolor="none", label="re-ranked", **point),
    ]
    options: Any = {"ncols": 2, "frameon": False, "labelcolor": QUIET}
    figure.legend(handles=handles, loc="outside upper left", **options)
