"""A report as one page of HTML that needs nothing else: no network, no script, no other file.

`report.html` stands alone, figures inside. `report.json` holds every number of it, the texts whole.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup

from thresher.errors import InputError
from thresher.evaluate.coverage import precision_coverage_curve
from thresher.evaluate.evaluation import PRECISIONS
from thresher.files import aside
from thresher.report import curves, item_figures, words
from thresher.report.content import Candidate, Report, Slice, System
from thresher.report.environment import environment
from thresher.report.figures import to_png, to_svg
from thresher.report.words import csv_link

KINDS = ("unseen", "rare", "frequent", "head", "tail", "no item")
"""Slices of items and queries in every evaluation."""
SHOWN = 20  # cases of a list, at most; the file to download has more
DOWNLOADED = 2_000  # cases of a file to download, at most; report.json has them all
BARS = 30  # values of a column, at most


def write_report(report: Report, folder: Path) -> Path:
    """Write `report.html`, whose path it returns, and `report.json` into a folder, both or neither.

    A report that is there is replaced. InputError where the folder cannot be written to.
    """
    page, numbers = render(report), json.dumps(_plain(report), indent=2, allow_nan=False)
    with aside(folder) as part:
        part.mkdir()
        (part / "report.json").write_text(numbers + "\n", "utf-8")
        (part / "report.html").write_text(page, "utf-8")
    return folder / "report.html"


def save_figure(report: Report, path: Path) -> None:
    """Write the figure of precision against coverage as a PNG of less than 100 kB.

    InputError where the report has no system with a query, or the file cannot be written.
    """
    systems = list(report.curves().values())
    if not systems:
        raise InputError(
            "the report has no curve to draw; give it at least one system with at least one query"
        )
    to_png(curves.precision_coverage(systems, report.decision), path)


def render(report: Report) -> str:
    """The page of a report, every text in it escaped."""
    template = _environment().get_template("report.html.j2")
    return template.render(r=report, figures=_figures(report), **_tables(report))


@cache
def _environment() -> jinja2.Environment:
    filters = (
        words.percent, words.exact_percent, words.tenths, words.number, words.whole,
        words.interval, words.compared, words.meaning, words.counted,
    )  # fmt: skip
    return environment("thresher.report", filters, _inert)


def _inert(value: Any) -> Any:
    """Any text but that of a link to a file without what cannot be encoded or is endless."""
    if isinstance(value, Markup) or not isinstance(value, str) or value.startswith("data:text/csv"):
        return value
    return words.plain(value)


def _figures(report: Report) -> dict[str, Markup | None]:
    """The drawings of the parts that are there."""
    parts = ("curves", "confidences", "recall", "information", "map")
    found: dict[str, Markup | None] = dict.fromkeys(parts)
    drawn = list(report.curves().values())
    accept_at = report.decision.accept_at if report.decision else None
    if drawn:
        draw = partial(curves.precision_coverage, drawn, report.decision)
        found["curves"] = _svg(draw, "curves", "Precision against coverage")
        draw = partial(curves.confidences, drawn[-1], accept_at)
        found["confidences"] = _svg(draw, "confidence", "Confidences of right and wrong proposals")
    if len(report.ks()) > 1:
        given = report.intervals
        ends = {k: given[f"recall@{k}"] for k in report.ks() if f"recall@{k}" in given}
        draw = partial(curves.recall_curves, dict(_recalls(report)), ends)
        found["recall"] = _svg(draw, "recall", "Recall against the length of the list")
    if report.information is not None:
        draw = partial(item_figures.heat_map, *report.information)
        found["information"] = _svg(draw, "information", "Mutual information of item features")
    if report.item_map is not None and len(report.item_map[1]):
        draw = partial(item_figures.scattered_items, *report.item_map)
        found["map"] = _svg(draw, "map", "A map of the items")
    return found


def _svg(draw: Any, name: str, label: str) -> Markup:
    return to_svg(lambda narrow: draw(narrow=narrow), name=name, label=label)


def _recalls(report: Report) -> Iterator[tuple[str, dict[int, float]]]:
    """Recall by k of each system that has some, the model last."""
    systems = report.systems or {"": System("model")}
    for prefix, system in systems.items():
        curve = {k: _value(report, prefix, f"recall@{k}") for k in report.ks()}
        known = {k: value for k, value in curve.items() if value is not None}
        if known:
            yield system.label, known


def _value(report: Report, prefix: str, name: str) -> float | None:
    value = report.metrics.get(f"{prefix}/{name}" if prefix else name)
    return None if value is None or not math.isfinite(value) else value


def _tables(report: Report) -> dict[str, Any]:
    """What the templates list, ready to be shown."""
    ks = report.ks()
    headline = next((k for k in ks if k >= 10), ks[-1] if ks else 0)
    slices = [name for name in KINDS if report.metrics.get(f"{name}/queries")]
    by = [n.removesuffix("/queries") for n in report.metrics if _is_of(report.by, n)]
    return {
        "levels": PRECISIONS,
        "value": partial(_value, report),
        "ks": ks,
        "k": headline,
        "few": sorted({headline, *ks[-1:]} - {0, 1}),
        "slices": [(name, _slice(report, name)) for name in slices],
        "bars": _bars(report, by),
        "bars_in_all": len(by),
        "by_k": _by_k(report),
        "by_names": [f"{name}@{headline}" for name in _by_k(report)],
        "single": [n for n in report.metrics if "/" not in n and (not _at_k(n) or n == "P@1")],
        "shown": SHOWN,
        "files": _files(report),
        "one_item_each": _one_item_each(report),
    }


def _is_of(by: str | None, name: str) -> bool:
    return by is not None and name.startswith(f"{by}=") and name.endswith("/queries")


def _slice(report: Report, name: str) -> Slice | None:
    if report.decision is None or report.decision.refused:
        return None
    return Slice.of(name, report.metrics, report.decision.target, prefix=f"{name}/")


def _bars(report: Report, names: Sequence[str]) -> list[tuple[str, Slice | None]]:
    """The largest slices of the column, the most automated first."""
    queries = {name: report.metrics[f"{name}/queries"] or 0 for name in names}
    largest = sorted(names, key=lambda name: -queries[name])[:BARS]
    found = [(name.partition("=")[2], _slice(report, name)) for name in largest]
    return sorted(found, key=lambda pair: -((pair[1].coverage or 0) if pair[1] else 0))


def _by_k(report: Report) -> dict[str, list[float | None]]:
    """The metrics that are known at some k, a row each."""
    names = dict.fromkeys(
        name.partition("@")[0]
        for name in report.metrics
        if "/" not in name and _at_k(name) and name != "P@1"
    )
    found = {name: [_value(report, "", f"{name}@{k}") for k in report.ks()] for name in names}
    if report.ks()[:1] == [1] and "precision" in found:
        found["precision"][0] = _value(report, "", "P@1")
    return found


def _at_k(name: str) -> bool:
    return name.partition("@")[2].isdecimal()


def _one_item_each(report: Report) -> bool:
    queries, empty, targets = (
        report.metrics.get(name) for name in ("queries", "queries_without_item", "targets")
    )
    return None not in (queries, targets) and (queries or 0) - (empty or 0) == targets


def _files(report: Report) -> dict[str, str]:
    """The lists that a reader may take along, as links."""
    head = ["query_id", "query", "item_id", "item"]
    mistakes = [
        [*_pair(m.query), *_pair(m.proposed), *_pair(m.truth), m.confidence, m.suspect]
        for m in report.mistakes[:DOWNLOADED]
    ]
    reviewed = [
        [*_pair(r.query), *_two(r.candidates), r.confidence, "" if r.right is None else r.right + 1]
        for r in report.reviewed[:DOWNLOADED]
    ]
    more = ["true_item_id", "true_item", "confidence", "label_looks_wrong"]
    second = ["second_item_id", "second_item", "confidence", "true_candidate"]
    return {
        "mistakes": csv_link([[*head, *more], *mistakes]),
        "review": csv_link([[*head, *second], *reviewed]),
        "numbers": csv_link([["metric", "value"], *report.metrics.items()]),
    }


def _pair(item: Candidate | None) -> tuple[str, str]:
    return ("", "") if item is None else (item.id, item.text)


def _two(candidates: Sequence[Candidate]) -> list[str]:
    return [part for item in [*candidates, None, None][:2] for part in _pair(item)]


def _plain(value: Any) -> Any:
    """A report in the types of JSON: a number that is none becomes null."""
    if isinstance(value, System):
        return _system(value)
    if is_dataclass(value) and not isinstance(value, type):
        own = {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
        if isinstance(value, Slice):
            more = ("coverage", "precision", "interval")
            own |= {name: _plain(getattr(value, name)) for name in more}
        return own
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _system(system: System) -> dict[str, Any]:
    if system.confidence is None or system.correct is None:
        return {"label": system.label}
    curve = precision_coverage_curve(system.confidence, system.correct)
    coverage = {f"{level:g}": _plain(curve.coverage_at(level)) for level in PRECISIONS}
    own = {"queries": len(system.correct), "coverage_at": coverage, "aurc": _plain(curve.aurc())}
    return {"label": system.label, **own}
