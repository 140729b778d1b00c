"""The picture of the paper's set-up: what each arm finds at its best epoch, and at the last."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from grids.ssl_arms import PLAIN
from grids.ssl_gain import popularity
from thresher.jobs.table import Row
from thresher.report.figures import BLUE, INK, QUIET, VERMILION, drawing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BAR, _INCHES = 0.66, 0.36  # height of a bar in rows, and of a row


def paper_bars(found: Mapping[str, Mapping[str, Row]], at: str) -> "Figure":
    """Draw a bar for each arm, its seeds as dots, and where it ends after the last epoch.

    Args:
        found: the rows of "best" and of "last", by name.
        at: the metric, on the test split.
    """
    best, last, key = dict(found["best"]), found["last"], f"test/{at}"
    if PLAIN in best:
        best = {"popularity": popularity(best[PLAIN]), **best}
    with drawing((8.4, 1.3 + _INCHES * len(best))) as figure:
        ax = figure.add_subplot()
        for place, (name, row) in enumerate(best.items()):
            mean = row.spread(key).mean
            if mean is None:
                continue
            colour = BLUE if name.startswith(("RFM", "CFM")) else "#9aa5b1"
            ax.barh(place, 100 * mean, height=_BAR, color=colour)
            dots = [100 * v for run in row.runs.values() if (v := run.get(key)) is not None]
            if name in last:
                ax.plot(dots, [place] * len(dots), ".", color=INK, markersize=5, zorder=5)
                end = 100 * (last[name].spread(key).mean or 0.0)
                ax.plot(end, place, "D", color="white", markeredgecolor=VERMILION, zorder=6)
        if PLAIN in best and (base := best[PLAIN].spread(key).mean):
            ax.axvline(100 * base, color=QUIET, linewidth=1, linestyle=":")
        ax.set_yticks(range(len(best)), list(best))
        ax.set_ylim(len(best) - 0.4, -0.6)
        ax.tick_params(axis="y", length=0, labelcolor=INK)
        ax.set_xlabel(f"{at}, percent; the dotted line is plain at its best epoch", color=QUIET)
        ax.grid(visible=False, axis="y")
        _legend(figure)
    return figure


def _legend(figure: "Figure") -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    end: Any = {"marker": "D", "color": "none", "markerfacecolor": "white"}
    handles = [
        Patch(color=BLUE, label="masked views"),
        Patch(color="#9aa5b1", label="nothing masked"),
        Line2D([], [], marker=".", color=INK, linestyle="none", label="a seed"),
        Line2D([], [], markeredgecolor=VERMILION, label="after the last epoch", **end),
    ]
    options: Any = {"ncols": 4, "frameon": False, "labelcolor": QUIET, "fontsize": 9}
    figure.legend(handles=handles, loc="outside upper left", **options)
