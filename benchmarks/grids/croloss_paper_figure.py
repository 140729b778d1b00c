"""The picture of the paper's grid: recall against 1 / T of two losses, a panel for each N."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from grids.paper_training import START
from thresher.report.figures import BLUE, INK, QUIET, VERMILION, drawing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLOURS = (VERMILION, BLUE)

Curves = Mapping[int, Mapping[str, Sequence[tuple[float, float]]]]


def temperature_curves(curves: Curves) -> "Figure":
    """Draw a line for each loss, its best b as a large point, and the published b as a dotted line.

    Args:
        curves: N to the name of a loss to its (b, recall) points, ascending; recall is a fraction.
    """
    with drawing((4.2 * len(curves), 3.4)) as figure:
        axes = figure.subplots(1, len(curves), squeeze=False)[0]
        for ax, (depth, lines) in zip(axes, curves.items(), strict=True):
            for colour, (name, points) in zip(_COLOURS, lines.items(), strict=False):
                if not points:
                    continue
                bs, recalls = zip(*[(b, 100 * recall) for b, recall in points], strict=True)
                ax.plot(bs, recalls, "-o", color=colour, markersize=3.5, label=name)
                best = max(zip(bs, recalls, strict=True), key=lambda point: point[1])
                ax.plot(*best, "o", color=colour, markersize=9)
            ax.axvline(START, color=QUIET, linestyle=":", linewidth=1.3)
            ax.set_xscale("log")
            ticks = sorted({b for points in lines.values() for b, _ in points})
            ax.set_xticks(ticks, [f"{b:g}" for b in ticks])
            ax.minorticks_off()
            ax.set_title(f"recall@{depth}, percent", fontsize=10, color=INK)
            ax.set_xlabel("b = 1 / temperature (dotted: published)", color=QUIET)
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=2, frameon=False)
    return figure
