"""The pictures of a grid of arms: what each gains, on data and over a map of made-up data."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from grids.ssl_arms import PLAIN
from grids.ssl_gain import Gain, gain
from grids.ssl_tuning import Tuned
from thresher.report.figures import BLUE, INK, QUIET, VERMILION, drawing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_GREEN, _ORANGE = "#009E73", "#E69F00"
_COLOURS, _MARKS = (VERMILION, _GREEN, _ORANGE), ("s", "^", "o")  # of the kinds of items
_LEAST = 5.0  # percent that an axis, or the colours of a map, reach at least
_ROW, _PLACE = 0.3, 0.62  # inches: of an arm, of a place on a map

Place = tuple[float, float]


def gain_panels(found: Sequence[Tuned], at: str, kinds: Sequence[str]) -> "Figure":
    """Draw the gain of every arm with its interval, a panel for each setting.

    Args:
        found: what the arms came to; two panels stand side by side.
        at: the metric of the gain, on the test split.
        kinds: of the items to find, whose gains in the same metric are smaller marks.
    """
    arms = list(dict.fromkeys(n for of in found for n in of.setting.arms if n != PLAIN))
    wide = min(2, len(found))
    high = -(-len(found) // wide)
    size = 1.6 + 4.4 * wide, 0.9 + high * (0.9 + _ROW * max(1, len(arms)))
    with drawing(size) as figure:
        panels = figure.subplots(high, wide, squeeze=False, sharey=True)
        for ax in panels.flat[len(found) :]:
            ax.set_axis_off()
        for ax, of in zip(panels.flat, found, strict=False):
            _panel(ax, of, arms, at, kinds)
            ax.set_title(of.setting.name, fontsize=10, color=INK)
        for ax in panels[-1]:
            ax.set_xlabel(f"gain in {at} over plain, percent; hollow: beyond", color=QUIET)
        panels[0, 0].set_ylim(len(arms) - 0.4, -0.6)
        panels[0, 0].set_yticks(range(len(arms)), arms)
        _legend(figure, at, kinds)
    return figure


def gain_map(gains: Mapping[tuple[Place, str], Mapping[str, Gain | None]], at: str) -> "Figure":
    """Draw how much each arm gains over a map: blue where it helps, orange where it harms.

    Args:
        gains: (sparsity, correlation) and the panel's name to the gain of each arm.
        at: the metric of the gain, on the test split.
    """
    sides = list(dict.fromkeys(side for _, side in gains))
    arms = list(dict.fromkeys(arm for of in gains.values() for arm in of))
    rows, columns = (sorted({place[axis] for place, _ in gains}) for axis in (0, 1))
    means = [abs(g.mean) for of in gains.values() for g in of.values() if g]
    most = max([_LEAST, *means])
    wide = 1.2 + max(1, len(arms)) * (0.7 + _PLACE * len(columns))
    with drawing((wide, 0.9 + len(sides) * (0.8 + _PLACE * len(rows)))) as figure:
        panels = figure.subplots(
            len(sides), max(1, len(arms)), squeeze=False, sharex=True, sharey=True
        )
        for (i, side), (j, arm) in ((a, b) for a in enumerate(sides) for b in enumerate(arms)):
            values = np.array([[_mean(gains, (r, c), side, arm) for c in columns] for r in rows])
            _squares(panels[i, j], values, most)
            panels[i, j].set_title(f"{arm}, {side}", fontsize=9, color=INK)
        panels[0, 0].set_xticks(np.arange(len(columns)) + 0.5, [f"{c:g}" for c in columns])
        panels[0, 0].set_yticks(np.arange(len(rows)) + 0.5, [f"{r:g}" for r in rows])
        words: Any = {"fontsize": 10, "color": QUIET}
        told = f"correlation of the features; in the squares, gain in {at} over plain, percent"
        figure.supxlabel(told, **words)
        figure.supylabel("training pairs an item", **words)
    return figure


def _panel(ax: "Axes", of: Tuned, arms: Sequence[str], at: str, kinds: Sequence[str]) -> None:
    plain = of.rows.get(PLAIN)
    known = {name: of.rows[name] for name in arms if name in of.rows} if plain else {}
    mains = {
        name: found
        for name, row in known.items()
        if plain and (found := gain(row, plain, f"test/{at}"))
    }
    ends = [value for found in mains.values() for value in found if value is not None]
    reach = 1.15 * max([_LEAST, *map(abs, ends)])
    ax.axvline(0, color=QUIET, linewidth=1)
    for place, name in enumerate(arms):
        for offset, (kind, colour, mark) in enumerate(zip(kinds, _COLOURS, _MARKS, strict=False)):
            found = (
                gain(known[name], plain, f"test/{kind}/{at}") if name in known and plain else None
            )
            if found is None:
                continue
            beyond = abs(found.mean) > reach
            style: Any = {"markerfacecolor": "white" if beyond else colour, "markersize": 4}
            x, y = float(np.clip(found.mean, -reach, reach)), place + 0.16 * (offset - 1) + 0.04
            ax.plot(x, y, mark, color=colour, clip_on=False, **style)
        if name in mains:
            _whisker(ax, place, mains[name])
    ax.set_xlim(-reach, reach)
    ax.tick_params(axis="y", length=0, labelcolor=INK)
    ax.grid(visible=False, axis="y")


def _whisker(ax: "Axes", place: int, found: Gain) -> None:
    if found.low is not None and found.high is not None:
        ax.plot([found.low, found.high], [place, place], color=BLUE, linewidth=1.6)
    ax.plot(found.mean, place, "D", color=BLUE, markersize=7, markeredgecolor="white", zorder=5)


def _legend(figure: "Figure", at: str, kinds: Sequence[str]) -> None:
    from matplotlib.lines import Line2D

    main: Any = {"marker": "D", "color": BLUE, "markersize": 7, "label": f"{at}, 95 % interval"}
    handles = [Line2D([], [], **main)]
    for kind, colour, mark in zip(kinds, _COLOURS, _MARKS, strict=False):
        small: Any = {"marker": mark, "color": colour, "markersize": 5, "linestyle": "none"}
        handles.append(Line2D([], [], label=kind, **small))
    options: Any = {
        "ncols": 2 if len(figure.axes) == 1 else 4,
        "frameon": False,
        "labelcolor": QUIET,
        "fontsize": 8,
    }
    figure.legend(handles=handles, loc="outside upper left", **options)


def _mean(
    gains: Mapping[tuple[Place, str], Mapping[str, Gain | None]], place: Place, side: str, arm: str
) -> float:
    found = gains.get((place, side), {}).get(arm)
    return float("nan") if found is None else found.mean


def _squares(ax: "Axes", values: "np.ndarray", most: float) -> None:
    from matplotlib.colors import LinearSegmentedColormap

    colours = LinearSegmentedColormap.from_list("gain", [VERMILION, "#ffffff", BLUE])
    shown = np.ma.masked_invalid(values)
    ax.pcolormesh(shown, cmap=colours, vmin=-most, vmax=most, edgecolors="white", linewidth=2)
    ax.set(xlim=(0, values.shape[1]), ylim=(values.shape[0], 0), facecolor="#eef1f4")
    for i, j in np.ndindex(values.shape):
        text = "-" if np.isnan(values[i, j]) else f"{values[i, j]:+.0f}"
        dark = abs(values[i, j]) > 0.6 * most
        style: Any = {"ha": "center", "va": "center", "fontsize": 9}
        ax.text(j + 0.5, i + 0.5, text, color="white" if dark else INK, **style)
    ax.tick_params(length=0, labelcolor=INK)
    ax.grid(visible=False)
    for spine in ax.spines.values():
        spine.set_visible(False)
