"""The picture of what the features of items tell about each other."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float64

from thresher.evaluate.figures import BLUE, INK, QUIET, drawing
from thresher.evaluate.markup import plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH, _EDGES, _ROW = 8.4, 1.2, 0.5  # inches: of the figure, of what is around cells, of a row
_LETTERS = 24  # of a name
_ALONE = "#eef1f4"  # of the diagonal, which is another quantity
_DARK = 0.6  # share of the highest value from which letters are white


def heat_map(names: Sequence[str], information: Float64[np.ndarray, "k k"]) -> "Figure":
    """Draw how much every two features tell about each other: the more, the darker.

    Args:
        names: of the k features, at least one.
        information: mutual information of every two features in nats; on the diagonal, which is
            not coloured, the entropy of each.
    """
    k = len(names)
    apart = np.ma.masked_where(np.eye(k, dtype=np.bool_), information)
    most = max(float(information[~np.eye(k, dtype=np.bool_)].max(initial=0.0)), 1e-9)
    with drawing((_WIDTH, _EDGES + _ROW * k)) as figure:
        ax = figure.add_subplot()
        lines: Any = {"edgecolors": "white", "linewidth": 2.5}
        ax.pcolormesh(apart, cmap=_blues(), vmin=0, vmax=most, **lines)
        ax.set(xlim=(0, k), ylim=(k, 0), facecolor=_ALONE)
        _name(ax, [plain(name, _LETTERS) for name in names])
        for i, j in np.ndindex(information.shape):
            value = float(information[i, j])
            colour = "white" if i != j and value > _DARK * most else QUIET if i == j else INK
            size: Any = {"fontsize": min(11.0, 110 / k), "ha": "center", "va": "center"}
            ax.text(j + 0.5, i + 0.5, f"{max(value, 0):.2f}", color=colour, **size)
    return figure


def _name(ax: "Axes", names: list[str]) -> None:
    """Writes the features left of the rows and above the columns, slanted where they are long."""
    middles = np.arange(len(names)) + 0.5
    long = len(names) * max(map(len, names)) > 70
    slant: Any = {"rotation": 35, "ha": "left", "rotation_mode": "anchor"} if long else {}
    ax.set_xticks(middles, names, **slant)
    ax.set_yticks(middles, names)
    ax.xaxis.tick_top()
    ax.xaxis.set_label_position("bottom")
    ax.set_xlabel("mutual information of two features in nats; grey: the entropy of one")
    ax.tick_params(length=0, labelcolor=INK)
    ax.grid(visible=False)
    for spine in ax.spines.values():
        spine.set_visible(False)


def _blues() -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("blues", ["#f4f8fb", "#8fc0dd", BLUE, "#00456e"])
