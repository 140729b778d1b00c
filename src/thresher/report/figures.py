"""The style of all figures, and how one becomes part of a page that is light, dark, wide or narrow.

A drawing is a function of the width class: the page holds both drawings and shows the one that
fits, so that letters keep their size on a phone. Colours of the style become variables of the page.
"""

import io
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from thresher.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's colours, which colour-blind readers tell apart; the model is blue.
BLUE, VERMILION, INK, QUIET = "#0072b2", "#d55e00", "#1f2933", "#5b6672"
DARK_INK = "#1f2934"  # on a coloured ground, which stays as it is on a dark page
OTHERS: tuple[tuple[str, Any], ...] = (
    ("#7d8791", "solid"),
    ("#b07a00", (0, (5, 2))),
    ("#a0558a", (0, (1.5, 1.5))),
    ("#00805c", (0, (6, 2, 1.5, 2))),
)
_AXIS, _GRID, _PAGE = "#9aa5b1", "#e8ecf0", "#ffffff"
_VARIABLES = {
    BLUE: "--blue", VERMILION: "--wrong", INK: "--ink", QUIET: "--quiet", _AXIS: "--axis",
    _GRID: "--grid", _PAGE: "--page",
}  # fmt: skip
_STYLE: Any = {  # its type differs between versions of matplotlib
    "font.size": 11,
    "axes.labelsize": 10.5,
    "xtick.labelsize": 10.5,
    "ytick.labelsize": 10.5,
    "legend.fontsize": 10.5,
    "legend.frameon": False,
    "text.color": INK,
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
    "axes.edgecolor": _AXIS,
    "axes.labelcolor": QUIET,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _GRID,
    "grid.linewidth": 0.8,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "svg.fonttype": "none",  # text stays text: it is searchable, and shown in any script
    "svg.hashsalt": "thresher",  # the same report is the same file
}

Draw = Callable[[bool], "Figure"]


def to_svg(draw: Draw, *, name: str, label: str) -> Markup:
    """A drawing as SVG elements to set into a page, one for wide and one for narrow screens.

    `draw` is told whether it is the narrow one; `name` is the prefix of its ids, unique in the
    page, and `label` what a screen reader says.
    """
    drawn = [
        f'<div class="{kind}">{_svg(draw(narrow), f"{name}-{kind}", label)}</div>'
        for kind, narrow in (("wide", False), ("narrow", True))
    ]
    return Markup("".join(drawn))  # noqa: S704  matplotlib escapes texts, and `_svg` the label


def to_png(figure: "Figure", path: Path) -> None:
    """Write a figure as a PNG, 1,260 pixels wide."""
    from PIL import Image  # matplotlib itself requires it

    out = io.BytesIO()
    with _style():
        figure.savefig(out, format="png", dpi=150)
    # A palette makes the file a quarter as large, and nobody sees it in so few colours.
    with atomic_write(path, "wb") as file:
        Image.open(out).convert("RGB").quantize(128).save(file, format="PNG", optimize=True)


@contextmanager
def drawing(size: tuple[float, float]) -> "Iterator[Figure]":
    """An empty figure in the style of all figures, this many inches wide and high."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # slow to import, rarely needed
    from matplotlib.figure import Figure

    with _style():
        figure = Figure(figsize=size, layout="constrained", facecolor=_PAGE)
        FigureCanvasAgg(figure)
        yield figure


def size(narrow: bool, *, wide: tuple[float, float] = (8.4, 4.5)) -> tuple[float, float]:
    """Inches of a drawing: on a phone nearly as high as wide."""
    return (4.4, 0.9 * wide[1]) if narrow else wide


def percents(axis: Any, step: float) -> None:
    """Label an axis of fractions in per cent, with a tick at every step."""
    from matplotlib.ticker import MultipleLocator, PercentFormatter

    axis.set_major_locator(MultipleLocator(step))
    axis.set_major_formatter(PercentFormatter(1, decimals=0, symbol="\N{NO-BREAK SPACE}%"))


def line_style(place: int, systems: int) -> dict[str, Any]:
    """How the curve of a system is drawn; the last one is the model.

    Counted from the end, so that a system looks the same where those before it have no curve.
    """
    if place == systems - 1:
        return {"color": BLUE, "linewidth": 2.6, "zorder": 4}
    colour, dashes = OTHERS[(systems - 2 - place) % len(OTHERS)]
    return {"color": colour, "linewidth": 1.6, "linestyle": dashes, "zorder": 3}


def _svg(figure: "Figure", name: str, label: str) -> str:
    out = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with _style():
        figure.savefig(out, format="svg", metadata=nothing)
    svg = out.getvalue()
    head, body = svg[svg.index("<svg") :].split(">", 1)
    head = re.sub(r' (width|height)="[^"]*"', "", head)
    body = re.sub(r'(<[^<>]*? id="|href="#|url\(#)', rf"\g<1>{name}-", body)
    body = re.sub(r"(?<=: )#[0-9a-f]{6}(?=[;\"])", _variable, body)
    return f'{head} role="img" aria-label="{escape(label)}">{body}'


def _variable(colour: re.Match[str]) -> str:
    name = _VARIABLES.get(colour[0])
    return f"var({name})" if name else colour[0]


@contextmanager
def _style() -> Iterator[None]:
    from matplotlib import rc_context

    with rc_context(_STYLE), warnings.catch_warnings():
        # Only the font that measures lacks the glyph: the page uses the reader's own fonts.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from")
        yield
