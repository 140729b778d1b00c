"""From an artifact and labelled queries to numbers and a report."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from thresher.artifact import Artifact
from thresher.catalogue import Catalogue
from thresher.config import read
from thresher.errors import InputError
from thresher.evaluate.coverage import precision_coverage_curve
from thresher.evaluate.evaluation import PRECISIONS, as_json
from thresher.evaluate.report import write_report
from thresher.evaluate.summary import System
from thresher.family import FEATURES, HISTORY
from thresher.jobs.data import labelled_queries, load_data
from thresher.jobs.feature_lists import evaluate_features
from thresher.jobs.measure import Measured
from thresher.jobs.next_items import evaluate_histories
from thresher.jobs.report import report_of
from thresher.matcher import Matcher
from thresher.towers.known import KnownItems

# Shares of the catalogue that the report takes away, to show what the policy does then.
REMOVED = (0.1, 0.3)


def evaluate(
    folder: Path,
    *,
    files: Mapping[str, Path] | None = None,
    split: str = "test",
    remove_items: float = 0.0,
    by: str | None = None,
    report: bool = True,
) -> dict[str, float | None]:
    """Measures an artifact, and writes the report into it.

    Args:
        folder: the artifact.
        files: `queries` and `pairs`, and perhaps `items`, in place of its own.
        split: of its own data, when no files are given.
        remove_items: share of the products to take out of the catalogue first; their queries have
            no item then, and accepting one is an error.
        by: column of the queries whose values are measured one by one.
        report: whether to write `report/`.

    Returns:
        A flat table of numbers; those of a slice are named `slice/metric`, those of what the
        decision is compared with `tfidf/metric`, `raw/metric`, `margin/metric`; null where a number
        is not defined.

    Raises:
        InputError: for a damaged artifact, or data that cannot be used.
    """
    if not 0 <= remove_items < 1:
        raise InputError(f"the share of products to remove must lie in [0, 1), got {remove_items}")
    artifact = Artifact.open(folder)
    family = read(artifact.part("model") / "config.toml").family
    if family in (HISTORY, FEATURES):
        if files or remove_items or by:
            raise InputError(
                f"an artifact of a {family.name} run is measured on its own data; leave out the "
                "files, --open-catalogue and --by"
            )
        measure = evaluate_histories if family is HISTORY else evaluate_features
        return measure(folder, split=split, report=report)
    matcher = Matcher.open(folder)
    files = dict(files or {})
    if "items" in files:
        matcher = _over(matcher, artifact, load_data(artifact, files).items)
    labelled = labelled_queries(artifact, matcher, files, split=split)
    items = len(matcher.catalogue.items)
    allow = _kept(items, remove_items) if remove_items else None
    test = Measured.of(artifact, matcher, labelled, allow=allow)
    metrics = test.metrics()
    if allow is not None:
        metrics["items"] = float(allow.sum())
    systems = test.systems()
    decided = next(reversed(systems))
    metrics |= _compared({k: v for k, v in systems.items() if k != decided})
    slices = test.frequency() | (test.column(by) if by else {})
    metrics |= test.of_slices(slices)
    if report:
        opened = {
            share: Measured.of(artifact, matcher, labelled, allow=_kept(items, share))
            for share in REMOVED
            if not remove_items
        }
        shown = report_of(
            artifact, test, metrics, systems, opened, by=by, source=_source(files, split)
        )
        write_report(shown, folder / "report")
    return as_json(metrics)


def _source(files: Mapping[str, Path], split: str) -> str | None:
    """What the queries are; None for the artifact's own test split, which nothing has seen."""
    if files:
        return f"queries of {', '.join(path.name for path in files.values())}"
    return None if split == "test" else f"queries of the split {split!r}"


def _compared(systems: Mapping[str, System]) -> dict[str, float]:
    """P@1, coverage and AURC of each system, under its name."""
    found = {}
    for name, system in systems.items():
        curve = precision_coverage_curve(system.confidence, system.correct)
        found[f"{name}/P@1"] = float(system.correct.mean())
        for precision in PRECISIONS:
            found[f"{name}/coverage@precision={precision:g}"] = curve.coverage_at(precision)
        found[f"{name}/aurc"] = curve.aurc()
    return found


def _over(matcher: Matcher, artifact: Artifact, items: Any) -> Matcher:
    """The same model and decision over another catalogue, for measuring only."""
    old, model = matcher.catalogue, artifact.part("model")
    options, own = read(model / "config.toml").build("index"), KnownItems.load(model / "items")
    known = old.evidence.known
    built = Catalogue.build(items, old.columns, matcher.tower, options, known, own)
    return replace(matcher, catalogue=built)


def _kept(items: int, share: float) -> np.ndarray:
    """Which items stay when a share of them, the same every time, is taken away."""
    allow = np.ones(items, bool)
    allow[np.random.default_rng(0).permutation(items)[: round(share * items)]] = False
    return allow
