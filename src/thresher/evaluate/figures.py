"""The two drawn figures of a report: precision against coverage, and where the confidences lie."""

import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Float64

from thresher.evaluate.coverage import FLOOR, precision_coverage_curve
from thresher.evaluate.markup import exact_percent, percent, plain, tenths, text
from thresher.evaluate.placing import roomiest
from thresher.evaluate.summary import Certified, NotCertified, Slice, System

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Curve = Float64[np.ndarray, "_ 2"]  # coverage and precision, coverage rising

# Okabe and Ito's colours, which colour-blind readers tell apart; the deciding system is blue.
BLUE, VERMILION, INK, QUIET = "#0072B2", "#D55E00", "#1f2933", "#5b6672"
_OTHERS: tuple[tuple[str, Any], ...] = (
    ("#7d8791", "solid"),
    ("#B07A00", (0, (5, 2))),
    ("#A0558A", (0, (1.5, 1.5))),
    ("#00805C", (0, (6, 2, 1.5, 2))),
)
_POINTS = 300  # of a curve: more than the eye resolves, few enough for a small file
_BINS = 40
_STYLE: Any = {  # its type differs between versions of matplotlib
    "font.size": 11,
    "axes.labelsize": 10.5,
    "xtick.labelsize": 10.5,
    "ytick.labelsize": 10.5,
    "text.color": INK,
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
    "axes.edgecolor": "#9aa5b1",
    "axes.labelcolor": QUIET,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e8ecf0",
    "grid.linewidth": 0.8,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "svg.fonttype": "none",  # text stays text: it is searchable, and shown in any script
    "svg.hashsalt": "thresher",  # the same report is the same file
}


def precision_coverage(
    systems: Sequence[System], headline: Certified | NotCertified | None
) -> "Figure":
    """Draw how the precision falls as more is accepted, a curve for each system, and the decision.

    Args:
        systems: each with at least one query; the last is drawn as the one that decides.
        headline: gives the target line and, when certified, the point with its interval.
    """
    test = headline.test if isinstance(headline, Certified) and headline.test.accepted else None
    with drawing((8.4, 4.5)) as figure:
        ax = figure.add_subplot()
        curves = [_curve(system) for system in systems]
        bottom = _bottom(curves, headline)
        ax.set(xlim=(0, 1), ylim=(bottom, 1 + 0.06 * (1 - bottom)))
        ax.set_xlabel("share of queries accepted automatically (coverage)")
        ax.set_ylabel("share of the accepted that is right (precision)")
        percents(ax.xaxis, 0.2)
        percents(ax.yaxis, 0.05 if bottom >= 0.65 else 0.1)
        for place, curve in enumerate(curves):
            ax.plot(*curve.T, **_line(place, len(curves)))
        if headline is not None:
            ax.axhline(headline.target, color=INK, linewidth=1, linestyle=(0, (4, 3)), zorder=2)
        if test is not None:
            _point(ax, test)
        figure.canvas.draw()
        figure.set_layout_engine("none")  # the labels are placed in the layout as it is now
        _label(ax, systems, curves, headline, test)
    return figure


def confidences(decided: System, accept_at: float | None) -> "Figure":
    """Draw the confidences of right and of wrong proposals, one above the other.

    Args:
        decided: the system that decides, with at least one query.
        accept_at: the threshold, None when there is none to draw.
    """
    low, high = _span(decided.confidence[np.isfinite(decided.confidence)], accept_at)
    bins = np.linspace(low, high, _BINS + 1)
    parts = ((decided.correct, "right", BLUE), (~decided.correct, "wrong", VERMILION))
    with drawing((8.4, 3.7)) as figure:
        panels = figure.subplots(2, 1, sharex=True)
        for ax, (rows, word, colour) in zip(panels, parts, strict=True):
            values = decided.confidence[rows]
            ax.hist(np.clip(values, low, high), bins=bins, color=colour, rwidth=0.92)
            ax.set(xlim=(low, high), ylim=(0, max(1.0, 1.05 * ax.get_ylim()[1])))
            ax.grid(visible=False, axis="x")
            ax.locator_params(axis="y", nbins=4, integer=True)
            title = f"{len(values):,} {word} proposals"
            if accept_at is not None and len(values):
                title += f", {percent(float((values >= accept_at).mean()))} of them accepted"
            ax.set_title(title, loc="left", fontsize=11, color=colour, fontweight="bold")
        panels[-1].set_xlabel("confidence of the first proposal")
        if accept_at is not None:
            _threshold(panels, accept_at)
    return figure


def to_svg(figure: "Figure", *, name: str, label: str) -> str:
    """A figure as an SVG element to set into a page, with ids that no other figure has.

    Args:
        figure: what to draw.
        name: prefix of the ids, unique in the page.
        label: what a screen reader says.
    """
    out = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with _style():
        figure.savefig(out, format="svg", metadata=nothing)
    svg = out.getvalue()
    head, body = svg[svg.index("<svg") :].split(">", 1)
    head = re.sub(r' (width|height)="[^"]*"', "", head)
    body = re.sub(r'(<[^<>]*? id="|href="#|url\(#)', rf"\g<1>{name}-", body)
    return f'{head} role="img" aria-label="{text(label)}">{body}'


def to_png(figure: "Figure", path: Path) -> None:
    """Writes a figure as a PNG, 1,260 pixels wide."""
    from PIL import Image  # matplotlib itself requires it

    out = io.BytesIO()
    with _style():
        figure.savefig(out, format="png", dpi=150)
    # A palette makes the file a quarter as large, and nobody sees it in so few colours.
    Image.open(out).convert("RGB").quantize(128).save(path, format="PNG", optimize=True)


@contextmanager
def drawing(size: tuple[float, float]) -> "Iterator[Figure]":
    """An empty figure in the style of all figures, this many inches wide and high."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # slow to import, rarely needed
    from matplotlib.figure import Figure

    with _style():
        figure = Figure(figsize=size, layout="constrained", facecolor="white")
        FigureCanvasAgg(figure)
        yield figure


@contextmanager
def _style() -> Iterator[None]:
    from matplotlib import rc_context

    with rc_context(_STYLE), warnings.catch_warnings():
        # Only the font that measures lacks the glyph: the page uses the reader's own fonts.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from")
        yield


def _curve(system: System) -> Curve:
    """The curve from where enough is accepted for a precision to mean something, thinned."""
    curve = precision_coverage_curve(system.confidence, system.correct)
    last = len(curve.accepted) - 1
    enough = max(FLOOR, 0.01 * curve.queries)
    first = min(int(np.searchsorted(curve.accepted, enough)), last)
    rows = np.unique(np.linspace(first, last, _POINTS).astype(np.int64))
    return np.column_stack([curve.coverage, curve.precision])[rows]


def _bottom(curves: Sequence[Curve], headline: Certified | NotCertified | None) -> float:
    """Lower end of the axis: shows the deciding curve whole, and others as far as they are near."""
    lowest = [float(curve[:, 1].min()) for curve in curves]
    wanted = [0.9, max(min(lowest), lowest[-1] - 0.15)]
    if headline is not None:
        wanted.append(headline.target - 0.05)
    if isinstance(headline, Certified) and headline.test.interval is not None:
        wanted.append(max(headline.test.interval[0], headline.target - 0.15))
    return float(max(0.0, np.floor(20 * (min(wanted) - 0.01)) / 20))


def _line(place: int, systems: int) -> dict[str, Any]:
    if place == systems - 1:
        return {"color": BLUE, "linewidth": 2.6, "zorder": 4}
    colour, dashes = _OTHERS[place % len(_OTHERS)]
    return {"color": colour, "linewidth": 1.6, "linestyle": dashes, "zorder": 3}


def _point(ax: "Axes", test: Slice) -> None:
    if test.coverage is None or test.precision is None or test.interval is None:
        return
    low, high = test.interval
    ax.errorbar(
        test.coverage, test.precision, yerr=[[test.precision - low], [high - test.precision]],
        fmt="o", color=INK, markersize=9, capsize=4, elinewidth=1.6, markerfacecolor=BLUE,
        markeredgecolor="white", markeredgewidth=1.5, zorder=6,
    )  # fmt: skip


def _label(
    ax: "Axes",
    systems: Sequence[System],
    curves: Sequence[Curve],
    headline: Certified | NotCertified | None,
    test: Slice | None,
) -> None:
    """Writes what each line and the point are beside them, where there is most room."""
    named = [
        (
            curve,
            plain(system.name, 40),
            _line(place, len(systems))["color"],
            place == len(systems) - 1,
        )
        for place, (curve, system) in enumerate(zip(curves, systems, strict=True))
    ]
    if headline is not None:
        flat = np.array([[0.0, headline.target], [1.0, headline.target]])
        named.insert(0, (flat, f"target {exact_percent(headline.target)}", INK, False))
    if test is not None and test.coverage is not None and test.precision is not None:
        result = f"{percent(test.coverage)} automated,\n{tenths(test.precision)} right"
        named.append((np.array([[test.coverage, test.precision]]), result, INK, True))
    paths = [ax.transData.transform(_dense(curve)) for curve, *_ in named]
    canvas: Any = ax.figure.canvas
    frame = ax.get_window_extent().get_points() + np.array([[5, 5], [-5, -5]])
    taken: list[np.ndarray] = []
    for place, (_, name, colour, strong) in reversed(list(enumerate(named))):
        label = ax.text(0, 0, name, color=colour, va="bottom", zorder=7)
        label.set_fontweight("bold" if strong else "normal")
        label.set_bbox({"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.5})
        size = np.diff(label.get_window_extent(canvas.get_renderer()).get_points(), axis=0)[0]
        others = paths[:place] + paths[place + 1 :]
        corner, align = roomiest(size, paths[place][::4], others, frame=frame, taken=taken)
        from_left = {"left": 0.0, "center": 0.5, "right": 1.0}[align] * size[0]
        label.set_horizontalalignment(align)
        x, y = ax.transData.inverted().transform(corner + np.array([from_left, 0.0]))
        label.set_position((float(x), float(y)))
        taken.append(np.array([corner, corner + size]))


def _dense(curve: Curve) -> Float64[np.ndarray, "R 2"]:
    """The curve at even steps of coverage, so that no straight piece is without points."""
    x = np.linspace(curve[0, 0], curve[-1, 0], _POINTS)
    return np.column_stack([x, np.interp(x, *curve.T)])


def _span(shown: Float[np.ndarray, " _"], accept_at: float | None) -> tuple[float, float]:
    """Ends of the confidence axis: 0 to 1 for fractions, else without the outermost 0.5 %."""
    marked = [] if accept_at is None else [accept_at]
    ends = [float(end) for end in np.quantile(shown, [0.005, 0.995])] if len(shown) else []
    if not ends or (shown.min() >= 0 and 0.5 < shown.max() <= 1):
        ends = [0.0, 1.0]
    low, high = min([*ends, *marked]), max([*ends, *marked])
    if (low, high) == (0.0, 1.0):
        return low, high
    margin = 0.02 * (high - low) or 0.02 * max(abs(high), 1.0)
    return low - margin, high + margin


def _threshold(panels: Sequence["Axes"], accept_at: float) -> None:
    for ax in panels:
        ax.axvline(accept_at, color=INK, linewidth=1.2)
    for words, align, shift in (
        ("\N{LEFTWARDS ARROW} to a person", "right", -6),
        ("accepted \N{RIGHTWARDS ARROW}", "left", 6),
    ):
        panels[0].annotate(
            words, (accept_at, 1), (shift, -2), xycoords=("data", "axes fraction"), ha=align,
            textcoords="offset points", va="top", fontsize=10, color=QUIET,
        )  # fmt: skip


def percents(axis: Any, step: float) -> None:
    """Labels an axis of fractions in per cent, with a tick at every step."""
    from matplotlib.ticker import MultipleLocator, PercentFormatter

    axis.set_major_locator(MultipleLocator(step))
    axis.set_major_formatter(PercentFormatter(1, decimals=0, symbol="\N{NO-BREAK SPACE}%"))
