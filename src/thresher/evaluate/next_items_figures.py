"""The pictures of a history run: how much more is found as the list grows, and its items."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float64, Int64

from thresher.evaluate.figures import BLUE, QUIET, drawing, percents
from thresher.evaluate.markup import plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Curve = Mapping[int, float]  # recall by size of the list, at least one
Heights = Float64[np.ndarray, " systems"]
Points = Float64[np.ndarray, "n 2"]
Rows = Int64[np.ndarray, " rows"]

_GAP = 0.058  # least distance of two names, as a share of the height
_STEPS = (0.01, 0.02, 0.05, 0.1, 0.2)
_LETTERS = 30  # of a name: more would leave no room for the curves
_LEADER: Any = {  # from the left edge of a name to the end of its curve
    "arrowstyle": "-", "color": QUIET, "linewidth": 0.6, "alpha": 0.6, "relpos": (0, 0.5),
}  # fmt: skip
_OTHERS: tuple[tuple[str, Any], ...] = (
    ("#7d8791", "solid"),
    ("#B07A00", (0, (5, 2))),
    ("#A0558A", (0, (1.5, 1.5))),
    ("#00805C", (0, (6, 2, 1.5, 2))),
)
_REST = ("#c3cad1", "o")
_GROUPS = (  # no two alike for colour-blind readers: neighbours in colour differ in shape
    ("#0072B2", "o"), ("#D55E00", "^"), ("#009E73", "s"), ("#E69F00", "o"),
    ("#CC79A7", "D"), ("#56B4E9", "^"), ("#7A4B2A", "s"), ("#1f2933", "o"),
)  # fmt: skip


def recall_curves(
    systems: Mapping[str, Curve], intervals: Mapping[int, tuple[float, float]], sought: str
) -> "Figure":
    """Draw recall against N, a curve a system, its name at its end.

    Args:
        systems: at least one, each with recall at one N or more; the last is the model.
        intervals: ends of the model's recall at some N, drawn as bars.
        sought: what recall is a share of, such as "what users take next".
    """
    places = sorted({k for curve in systems.values() for k in curve})
    highest = max(max(curve.values()) for curve in systems.values())
    top = 1.06 * max([highest, 0.01, *(high for _, high in intervals.values())])
    styles = _styles(len(systems))
    with drawing((8.4, 4.5)) as figure:
        ax = figure.add_subplot()
        ax.set(xscale="log", xlim=(places[0] / 1.12, places[-1] * 1.06), ylim=(0, top))
        ax.set_xticks(places, [f"{k:,}" for k in places])
        ax.set_xticks([], minor=True)
        percents(ax.yaxis, next((s for s in _STEPS if top <= 8 * s), _STEPS[-1]))
        ax.set_xlabel("items listed (N)")
        ax.set_ylabel(f"share of {sought} that is listed (recall@N)")
        for curve, style in zip(systems.values(), styles, strict=True):
            ax.plot(sorted(curve), [curve[k] for k in sorted(curve)], marker="o", **style)
        model = list(systems.values())[-1]
        for k, (low, high) in intervals.items():
            if k in model:
                ax.vlines(k, low, high, color=BLUE, linewidth=11, alpha=0.25, zorder=3)
        _name(ax, systems, styles, top)
    return figure


def _styles(systems: int) -> list[dict[str, Any]]:
    others = [_OTHERS[place % len(_OTHERS)] for place in range(systems - 1)]
    thin: Any = {"linewidth": 1.6, "markersize": 4, "zorder": 3}
    styles = [{"color": colour, "linestyle": dashes} | thin for colour, dashes in others]
    return [*styles, {"color": BLUE, "linewidth": 2.6, "markersize": 6, "zorder": 4}]


def _name(
    ax: "Axes", systems: Mapping[str, Curve], styles: Sequence[dict[str, Any]], top: float
) -> None:
    """Writes each name right of the axes, at the height where its curve ends."""
    ends = np.array([curve[max(curve)] / top for curve in systems.values()])
    for name, end, height, style in zip(systems, ends, apart(ends), styles, strict=True):
        ax.annotate(
            plain(name, _LETTERS), (1.0, end), (1.035, height),
            xycoords="axes fraction", textcoords="axes fraction", va="center",
            color=style["color"], fontweight="bold" if style["color"] == BLUE else "normal",
            annotation_clip=False, arrowprops=_LEADER,
        )  # fmt: skip


def apart(heights: Heights, gap: float = _GAP) -> Heights:
    """The same heights, moved as little as keeps all `gap` apart and between 0 and 1.

    Example:
        >>> apart(np.array([0.5, 0.5, 0.1]), gap=0.2).round(2).tolist()
        [0.4, 0.6, 0.1]
    """
    from sklearn.isotonic import isotonic_regression  # slow to import, rarely needed

    order = np.argsort(heights, kind="stable")
    # Less the gaps below them, heights that keep their order need only not fall, and the nearest
    # numbers that do not fall are the isotonic regression.
    steps = gap * np.arange(len(heights))
    nearest = isotonic_regression(heights[order] - steps)
    moved = np.empty(len(heights))
    moved[order] = np.clip(nearest, 0, max(0.0, 1 - steps[-1])) + steps
    return moved


def scattered_items(coordinates: Points, labels: Sequence[str]) -> "Figure":
    """Draw items as points, the most frequent labels each in a colour and a shape.

    Args:
        coordinates: where each item stands, as `item_map` returns them.
        labels: what each item is, such as its category; "" where that is not known. All but the
            eight most frequent are drawn as one, in grey.
    """
    size = float(np.clip(170 / np.sqrt(max(len(labels), 1)), 4.5, 9))
    names, handles = [], []
    with drawing((8.4, 5.4)) as figure:
        ax = figure.add_subplot()
        ax.set(xticks=[], yticks=[], aspect="equal", adjustable="datalim")
        ax.spines[:].set_visible(False)
        for place, (name, rows, (colour, shape)) in enumerate(_groups(labels)):
            style: Any = {"color": colour, "marker": shape, "markersize": size}
            style |= {"linestyle": "none", "markeredgecolor": "white", "markeredgewidth": 0.4}
            over = 1 if colour == _REST[0] else 2 + place  # the smaller a group, the more on top
            handles += ax.plot(*coordinates[rows].T, zorder=over, **style)
            names.append(f"{plain(name, _LETTERS)} ({len(rows):,})")
        key: Any = {"frameon": False, "fontsize": 9.5, "markerscale": 7 / size}
        legend = figure.legend(handles, [""] * len(handles), loc="outside right upper", **key)
        for line, name in zip(legend.get_texts(), names, strict=True):
            line.set_text(name)  # a label that begins with "_" would be left out
    return figure


def _groups(labels: Sequence[str]) -> list[tuple[str, Rows, tuple[str, str]]]:
    """Name, rows and style of each group, by size; then of the rest, where there is one."""
    often = [name for name, _ in Counter(filter(None, labels)).most_common(len(_GROUPS))]
    known = [(name, np.flatnonzero([of == name for of in labels])) for name in often]
    rest = np.flatnonzero([of not in often for of in labels])
    groups = [(*group, style) for group, style in zip(known, _GROUPS, strict=False)]
    return [*groups, ("other", rest, _REST)] if len(rest) else groups
