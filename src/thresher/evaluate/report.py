"""Write what was found as one page that anyone can open, and as numbers that a machine can read.

`report.html` stands alone: no network, no script, figures inside. `report.json` holds every
number of it, the texts whole.
"""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from thresher.errors import InputError
from thresher.evaluate import figures
from thresher.evaluate.coverage import precision_coverage_curve
from thresher.evaluate.page import LEVELS, render
from thresher.evaluate.summary import (
    Certified,
    Mistake,
    NotCertified,
    OpenCatalogue,
    Report,
    Reviewed,
    Slice,
    System,
    count_slices,
)
from thresher.evaluate.written import write_pages

__all__ = [
    "Certified",
    "Mistake",
    "NotCertified",
    "OpenCatalogue",
    "Report",
    "Reviewed",
    "Slice",
    "System",
    "count_slices",
    "save_figure",
    "write_report",
]


def write_report(report: Report, folder: Path) -> Path:
    """Write `report.html` and `report.json` into a folder, each whole or not at all.

    Args:
        report: what to show.
        folder: made when it is missing; a report in it is replaced.

    Returns:
        The path of `report.html`.
    """
    return write_pages(folder, page=render(report), numbers=_plain(report))


def save_figure(report: Report, path: Path) -> None:
    """Write the figure of precision against coverage as a PNG of less than 100 kB.

    Args:
        report: its systems and headline are drawn.
        path: the file, replaced when it exists.

    Raises:
        InputError: the report has no system with a query to draw.
    """
    systems = [system for system in report.systems if len(system.correct)]
    if not systems:
        raise InputError(
            "The report has no curve to draw; give it at least one system with at least one query."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.part")
    figures.to_png(figures.precision_coverage(systems, report.headline), aside)
    os.replace(aside, path)


def _plain(value: Any) -> Any:
    """A report in the types of JSON: a number that is none becomes null."""
    if isinstance(value, System):
        return _system(value)
    if is_dataclass(value):
        own = {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
        return own | (_derived(value) if isinstance(value, Slice) else {})
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _derived(part: Slice) -> dict[str, Any]:
    return {"coverage": part.coverage, "precision": part.precision, "interval": part.interval}


def _system(system: System) -> dict[str, Any]:
    curve = precision_coverage_curve(system.confidence, system.correct)
    return {
        "name": system.name,
        "queries": len(system.correct),
        "p_at_1": _plain(float(system.correct.mean())) if len(system.correct) else None,
        "coverage_at": {f"{level:.2f}": curve.coverage_at(level) for level in LEVELS},
        "aurc": _plain(curve.aurc()),
    }
