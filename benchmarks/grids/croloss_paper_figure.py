"""The picture of the paper's grid: each loss against CE at the published temperature."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from thresher.jobs.table import Spread
from thresher.report.figures import BLUE, INK, QUIET, VERMILION, drawing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Gains = Mapping[str, Mapping[str, Spread]]


def gain_dots(panels: Mapping[int, Gains]) -> "Figure":
    """Draw the gain of each row as a dot with its deviation over seeds, a panel for each N.

    Args:
        panels: N to the groups of rows, from top to bottom, each row with its gain as a fraction;
            all panels have the same rows.
    """
    groups = next(iter(panels.values()))
    count = sum(len(rows) for rows in groups.values())
    with drawing((9.2, 1.6 + 0.3 * (count + len(groups)))) as figure:
        axes = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
        for ax, (depth, gains) in zip(axes, panels.items(), strict=True):
            _panel(ax, gains)
            ax.set_title(f"recall@{depth}", fontsize=11, color=INK)
            ax.set_xlabel("percent above CE at b = 10", color=QUIET)
    return figure


def _panel(ax: Any, gains: Gains) -> None:
    whisker: Any = {"capsize": 3, "elinewidth": 1.3, "markersize": 7}
    place, places, names = 0.0, [], []
    for number, rows in enumerate(gains.values()):
        for name, gain in rows.items():
            if gain.mean is None:
                continue
            colour = VERMILION if name.startswith("CE") else BLUE
            spread = None if gain.deviation is None else 100 * gain.deviation
            ax.errorbar(100 * gain.mean, place, xerr=spread, fmt="o", color=colour, **whisker)
            places.append(place)
            names.append(name)
            place += 1
        if number + 1 < len(gains):
            ax.axhline(place - 0.25, color=QUIET, linewidth=0.6, linestyle=":")
        place += 0.5
    ax.axvline(0, color=INK, linewidth=1.2)
    ax.set_yticks(places, names)
    ax.tick_params(axis="y", length=0, labelcolor=INK)
    ax.set_ylim(place - 1, -0.8)
    ax.grid(visible=False, axis="y")
