"""The picture of a deployer's table: how much each score accepts, by objective and precision."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from thresher.jobs.table import Row
from thresher.report.figures import BLUE, INK, QUIET, VERMILION, drawing, percents

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MARKS = (("o", "#9aa5b1"), ("s", BLUE), ("D", VERMILION))  # of the scores, in their order
_INCHES = 0.42  # height of a row


def score_panels(
    rows: Sequence[Row], scores: Mapping[str, str], targets: Sequence[float]
) -> "Figure":
    """Draw a panel for each precision, a line for each objective, a mark for each score.

    Args:
        rows: of the objectives.
        scores: title to the prefix of its values.
        targets: precisions, fractions.
    """
    with drawing((8.8, 1.5 + _INCHES * len(rows))) as figure:
        panels = figure.subplots(1, len(targets), sharey=True, squeeze=False)[0]
        for ax, target in zip(panels, targets, strict=True):
            key = f"coverage@precision={target:g}"
            for place, row in enumerate(rows):
                means = [row.spread(f"{kind}{key}").mean for kind in scores.values()]
                known = [mean for mean in means if mean is not None]
                if known:
                    span = [min(known), max(known)]
                    ax.plot(span, [place, place], color="#cbd2d9", linewidth=3, zorder=1)
                for mean, (mark, colour) in zip(means, _MARKS, strict=True):
                    if mean is not None:
                        ax.plot(mean, place, mark, color=colour, markersize=8, zorder=5)
            ax.set_title(f"precision {target:.0%}", fontsize=10, color=INK)
            ax.set(xlim=(-0.03, 1), ylim=(len(rows) - 0.5, -0.5))
            ax.grid(visible=False, axis="y")
            ax.tick_params(axis="y", length=0, labelcolor=INK)
            percents(ax.xaxis, 0.5)
        panels[0].set_yticks(range(len(rows)), [row.name for row in rows])
        panels[len(panels) // 2].set_xlabel("queries that can be accepted", color=QUIET)
        _legend(figure, list(scores))
    return figure


def _legend(figure: "Figure", titles: Sequence[str]) -> None:
    from matplotlib.lines import Line2D

    words = {"raw": "raw score", "margin": "margin over the second", "re-ranked": "re-ranker"}
    handles = []
    for title, (mark, colour) in zip(titles, _MARKS, strict=True):
        style: Any = {"marker": mark, "color": colour, "linestyle": "none", "markersize": 8}
        handles.append(Line2D([], [], label=words.get(title, title), **style))
    options: Any = {"ncols": 3, "frameon": False, "labelcolor": QUIET}
    figure.legend(handles=handles, loc="outside upper left", **options)
