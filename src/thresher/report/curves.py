"""The figures of decisions and of lists: precision against coverage, confidences, recall by k."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Float64

from thresher.evaluate.coverage import FLOOR, precision_coverage_curve
from thresher.report.content import Decision, Slice, System
from thresher.report.figures import BLUE, INK, QUIET, VERMILION, drawing, line_style, percents, size
from thresher.report.words import exact_percent, percent, plain, tenths

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Curve = Float64[np.ndarray, "_ 2"]  # coverage and precision, coverage rising

_POINTS = 300  # of a curve: more than the eye resolves, few enough for a small file
_BINS = 40
_STEPS = (0.01, 0.02, 0.05, 0.1, 0.2)
_LETTERS = 36  # of a name


def precision_coverage(
    systems: Sequence[System], decision: Decision | None, *, narrow: bool = False
) -> "Figure":
    """Draw how the precision falls as more is accepted, a curve for each system, and the decision.

    The systems have at least one query each; the last is drawn as the model. The decision gives the
    target line and, when certified, the point with its interval. `narrow` is for a phone, here and
    in all figures.
    """
    test = decision.test if decision and decision.test and decision.test.accepted else None
    with drawing(size(narrow)) as figure:
        ax = figure.add_subplot()
        curves = [_curve(system) for system in systems]
        bottom = _bottom(curves, decision)
        ax.set(xlim=(0, 1), ylim=(bottom, 1 + 0.06 * (1 - bottom)))
        ax.set_xlabel("coverage: share of queries accepted automatically"[: 8 if narrow else None])
        ax.set_ylabel("precision: share of the accepted that is right"[: 9 if narrow else None])
        percents(ax.xaxis, 0.2)
        percents(ax.yaxis, 0.05 if bottom >= 0.65 else 0.1)
        for place, (curve, system) in enumerate(zip(curves, systems, strict=True)):
            style = line_style(place, len(curves))
            ax.plot(*curve.T, label=f"\u200b{plain(system.label, _LETTERS)}", **style)
        if decision is not None:
            target = f"target {exact_percent(decision.target)}"
            dashes: Any = {"color": INK, "linewidth": 1, "linestyle": (0, (4, 3)), "zorder": 2}
            ax.axhline(decision.target, label=target, **dashes)
        if test is not None:
            _point(ax, test)
        _legend(figure, ax, narrow, "lower left")
    return figure


def confidences(decided: System, accept_at: float | None, *, narrow: bool = False) -> "Figure":
    """Draw the confidences of right and of wrong proposals, one above the other.

    `decided` has at least one query; the threshold is None when there is none to draw.
    """
    confidence, correct = _drawn(decided)
    low, high = _span(confidence[np.isfinite(confidence)], accept_at)
    bins = np.linspace(low, high, (_BINS // 2 if narrow else _BINS) + 1)
    parts = ((correct, "right", BLUE), (~correct, "wrong", VERMILION))
    with drawing(size(narrow, wide=(8.4, 3.7))) as figure:
        panels = figure.subplots(2, 1, sharex=True)
        for ax, (rows, word, colour) in zip(panels, parts, strict=True):
            values = confidence[rows]
            ax.hist(np.clip(values, low, high), bins=bins, color=colour, rwidth=0.92)
            ax.set(xlim=(low, high), ylim=(0, max(1.0, 1.05 * ax.get_ylim()[1])))
            ax.grid(visible=False, axis="x")
            ax.locator_params(axis="y", nbins=4, integer=True)
            title = f"{len(values):,} {word}"
            if accept_at is not None and len(values):
                title += f", {percent(float((values >= accept_at).mean()))} of them accepted"
            ax.set_title(title, loc="left", fontsize=11, color=colour, fontweight="bold")
        panels[-1].set_xlabel("confidence of the first proposal")
        if accept_at is not None:
            _threshold(panels, accept_at)
    return figure


def recall_curves(
    systems: Mapping[str, Mapping[int, float]],
    intervals: Mapping[int, tuple[float, float]],
    *,
    narrow: bool = False,
) -> "Figure":
    """Draw recall against k, a curve a system, and the ends of the model's recall as bars.

    Each of at least one system has recall at one k or more; the last is the model.
    """
    places = sorted({k for curve in systems.values() for k in curve})
    highest = max(max(curve.values()) for curve in systems.values())
    top = min(1.02, 1.08 * max([highest, 0.01, *(high for _, high in intervals.values())]))
    with drawing(size(narrow)) as figure:
        ax = figure.add_subplot()
        ax.set(xscale="log", xlim=(places[0] / 1.15, places[-1] * 1.15), ylim=(0, top))
        ax.set_xticks(places, [f"{k:,}" for k in places])
        ax.set_xticks([], minor=True)
        percents(ax.yaxis, next((s for s in _STEPS if top <= 8 * s), _STEPS[-1]))
        ax.set_xlabel("k: length of the list")
        ax.set_ylabel("recall@k")
        for place, (name, curve) in enumerate(systems.items()):
            style = line_style(place, len(systems)) | {"marker": "o", "markersize": 4.5}
            points = [curve[k] for k in sorted(curve)]
            ax.plot(sorted(curve), points, label=f"\u200b{plain(name, _LETTERS)}", **style)
        model = list(systems.values())[-1]
        for k, (low, high) in intervals.items():
            if k in model:
                ax.vlines(k, low, high, color=BLUE, linewidth=11, alpha=0.25, zorder=3)
        if len(systems) > 1:
            _legend(figure, ax, narrow, "best")
    return figure


def _legend(figure: "Figure", ax: "Axes", narrow: bool, place: Any) -> None:
    """Inside the axes, or on a phone below them; the model first, which is drawn last."""
    handles, labels = ax.get_legend_handles_labels()
    own = handles[::-1], labels[::-1]
    legend = figure.legend(*own, loc="outside lower left") if narrow else ax.legend(*own, loc=place)
    for text, label in zip(legend.get_texts(), labels[::-1], strict=True):
        text.set_text(label.removeprefix("\u200b"))  # one that begins with "_" would be left out


def _drawn(system: System) -> tuple[Float[np.ndarray, " Q"], np.ndarray]:
    if system.confidence is None or system.correct is None:
        raise TypeError(f"{system.label} has no confidences to draw")
    return system.confidence, system.correct


def _curve(system: System) -> Curve:
    """The curve from where enough is accepted for a precision to mean something, thinned."""
    curve = precision_coverage_curve(*_drawn(system))
    last = len(curve.accepted) - 1
    enough = max(FLOOR, 0.01 * curve.queries)
    first = max(0, min(int(np.searchsorted(curve.accepted, enough)), last))
    rows = np.unique(np.linspace(first, last, _POINTS).astype(np.int64))
    return np.column_stack([curve.coverage, curve.precision])[rows[(rows >= 0) & (rows <= last)]]


def _bottom(curves: Sequence[Curve], decision: Decision | None) -> float:
    """Lower end of the axis: shows the deciding curve whole, and others as far as they are near."""
    lowest = [float(curve[:, 1].min(initial=1.0)) for curve in curves]
    wanted = [0.9, max(min(lowest), lowest[-1] - 0.15)]
    if decision is not None:
        wanted.append(decision.target - 0.05)
        if decision.test and decision.test.interval is not None:
            wanted.append(max(decision.test.interval[0], decision.target - 0.15))
    return float(max(0.0, np.floor(20 * (min(wanted) - 0.01)) / 20))


def _point(ax: "Axes", test: Slice) -> None:
    if test.coverage is None or test.precision is None or test.interval is None:
        return
    low, high = test.interval
    ax.errorbar(
        test.coverage, test.precision, yerr=[[test.precision - low], [high - test.precision]],
        fmt="o", color=INK, markersize=9, capsize=4, elinewidth=1.6, markerfacecolor=BLUE,
        markeredgecolor="white", markeredgewidth=1.5, zorder=6,
        label=f"certified: {percent(test.coverage)} automated, {tenths(test.precision)} right",
    )  # fmt: skip


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
