"""The picture of a sweep: recall@N against alpha, a panel for each N."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from thresher.report.figures import BLUE, INK, QUIET, VERMILION, drawing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GREEN, ORANGE = "#009E73", "#E69F00"
_COLOURS = {"exp": BLUE, "softplus": VERMILION, "hinge": GREEN, "sigmoid": ORANGE}

Curves = Mapping[int, Mapping[str, Sequence[tuple[float, float]]]]


def alpha_curves(curves: Curves) -> "Figure":
    """Draw a line for each kernel, solid for the Lambda method, with its best alpha marked.

    Args:
        curves: N to the name of a line to its (alpha, recall) points.
    """
    with drawing((3.2 * len(curves), 3.4)) as figure:
        axes = figure.subplots(1, len(curves), squeeze=False)[0]
        for ax, (depth, lines) in zip(axes, curves.items(), strict=True):
            for name, points in lines.items():
                if not points:
                    continue
                colour = _COLOURS.get(name.rsplit(" ", 1)[-1], INK)
                style = "-" if "lambda" in name else ":"
                alphas, recalls = zip(*points, strict=True)
                ax.plot(alphas, recalls, style, color=colour, label=name)
                best = max(points, key=lambda point: point[1])
                ax.plot(*best, "o", color=colour, markersize=5)
            ax.set_title(f"recall@{depth}", fontsize=10, color=INK)
            ax.set_xlabel("alpha", color=QUIET)
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(
            handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=8
        )
    return figure
