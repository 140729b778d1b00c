"""The figures of items: what their features tell about each other, and a map of them."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float64, Int64

from thresher.report.figures import BLUE, DARK_INK, INK, QUIET, drawing, size
from thresher.report.words import plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Rows = Int64[np.ndarray, " rows"]

_EDGES, _ROW = 1.2, 0.5  # inches: of what is around the cells, of a row
_LETTERS = 24  # of a name
_ALONE = "#eef1f4"  # of the diagonal, which is another quantity
_DARK = 0.5  # share of the highest value from which letters are white
_REST = ("#aab4be", "o")
_GROUPS = (  # no two alike for colour-blind readers: neighbours in colour differ in shape
    (BLUE, "o"), ("#d55e01", "^"), ("#009e73", "s"), ("#e69f00", "o"),
    ("#cc79a7", "D"), ("#56b4e9", "^"), ("#7a4b2a", "s"), (INK, "o"),
)  # fmt: skip


def heat_map(
    names: Sequence[str], information: Float64[np.ndarray, "k k"], *, narrow: bool = False
) -> "Figure":
    """Draw how much every two features tell about each other, in nats: the more, the darker.

    There is at least one feature. On the diagonal, which is not coloured, is the entropy of each.
    """
    k = len(names)
    apart = np.ma.masked_where(np.eye(k, dtype=np.bool_), information)
    most = max(float(information[~np.eye(k, dtype=np.bool_)].max(initial=0.0)), 1e-9)
    with drawing((size(narrow)[0], _EDGES + _ROW * k)) as figure:
        ax = figure.add_subplot()
        lines: Any = {"edgecolors": "white", "linewidth": 2.5}
        ax.pcolormesh(apart, cmap=_blues(), vmin=0, vmax=most, **lines)
        ax.set(xlim=(0, k), ylim=(k, 0), facecolor=_ALONE)
        _name(ax, [plain(name, _LETTERS // 2 if narrow else _LETTERS) for name in names], narrow)
        for i, j in np.ndindex(information.shape):
            value = float(information[i, j])
            colour = "#fffffe" if i != j and value > _DARK * most else DARK_INK
            style: Any = {"fontsize": min(11.0, (60 if narrow else 110) / k)}
            style |= {"ha": "center", "va": "center", "color": colour}
            ax.text(j + 0.5, i + 0.5, f"{max(value, 0):.2f}", **style)
    return figure


def scattered_items(
    coordinates: Float64[np.ndarray, "n 2"], labels: Sequence[str], *, narrow: bool = False
) -> "Figure":
    """Draw items as points, the eight most frequent labels each in a colour and a shape.

    `coordinates` are those of `item_map`; a label is what an item is, such as its category, ""
    where that is not known. All others are drawn as one, in grey.
    """
    diameter = float(np.clip(170 / np.sqrt(max(len(labels), 1)), 4.5, 9)) * (0.7 if narrow else 1)
    names, handles = [], []
    with drawing((4.4, 6.0) if narrow else (8.4, 5.4)) as figure:
        ax = figure.add_subplot()
        ax.set(xticks=[], yticks=[], aspect="equal", adjustable="datalim")
        ax.spines[:].set_visible(False)
        for place, (name, rows, (colour, shape)) in enumerate(_groups(labels)):
            style: Any = {"color": colour, "marker": shape, "markersize": diameter}
            style |= {"linestyle": "none", "markeredgecolor": "white", "markeredgewidth": 0.4}
            over = 1 if colour == _REST[0] else 2 + place  # the smaller a group, the more on top
            handles += ax.plot(*coordinates[rows].T, zorder=over, **style)
            names.append(f"{plain(name, _LETTERS)} ({len(rows):,})")
        if not any(labels):
            return figure
        key: Any = {"fontsize": 9.5, "markerscale": 7 / diameter}
        key["loc"] = "outside lower left" if narrow else "outside right upper"
        legend = figure.legend(handles, [""] * len(handles), **key)
        for line, name in zip(legend.get_texts(), names, strict=True):
            line.set_text(name)  # a label that begins with "_" would be left out
    return figure


def _name(ax: "Axes", names: list[str], narrow: bool) -> None:
    """Write the features left of the rows and above the columns, slanted where they are long."""
    middles = np.arange(len(names)) + 0.5
    long = len(names) * max(map(len, names)) > (30 if narrow else 70)
    slant: Any = {"rotation": 35, "ha": "left", "rotation_mode": "anchor"} if long else {}
    ax.set_xticks(middles, names, **slant)
    ax.set_yticks(middles, names)
    ax.xaxis.tick_top()
    ax.tick_params(length=0, labelcolor=QUIET)
    ax.grid(visible=False)
    for spine in ax.spines.values():
        spine.set_visible(False)


def _blues() -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("blues", ["#f4f8fb", "#8fc0dd", BLUE, "#00456e"])


def _groups(labels: Sequence[str]) -> list[tuple[str, Rows, tuple[str, str]]]:
    """Name, rows and style of each group, by size; then of the rest, where there is one."""
    often = [name for name, _ in Counter(filter(None, labels)).most_common(len(_GROUPS))]
    known = [(name, np.flatnonzero([of == name for of in labels])) for name in often]
    rest = np.flatnonzero([of not in often for of in labels])
    groups = [(*group, style) for group, style in zip(known, _GROUPS, strict=False)]
    return [*groups, ("other", rest, _REST)] if len(rest) else groups
