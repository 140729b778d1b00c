"""From an artifact and labelled queries to a certified policy in it."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from thresher.artifact import Artifact, Edit
from thresher.calibration import calibrate as fit_decision
from thresher.files import FolderLock
from thresher.jobs.data import labelled_queries
from thresher.matcher import Matcher


def calibrate(
    folder: Path,
    *,
    target: float | None = None,
    confidence_level: float | None = None,
    by: str | None = None,
    files: Mapping[str, Path] | None = None,
) -> dict[str, Any]:
    """Fits confidence and threshold anew and puts them into the artifact.

    Args:
        folder: the artifact.
        target: precision to certify; else as trained.
        confidence_level: probability with which it holds; else as trained.
        by: column of the queries whose values get a threshold each; none for one threshold.
        files: `queries` and `pairs` of your own in place of the calibration split.

    Returns:
        What was found, as JSON values; `certified` is the answer.

    Raises:
        InputError: for a damaged artifact, or labels that cannot be used.
    """
    artifact = Artifact.open(folder)
    matcher = Matcher.open(folder, decision=False)
    trained = matcher.options
    options = replace(
        trained,
        by=by,
        target=trained.target if target is None else target,
        confidence_level=trained.confidence_level if confidence_level is None else confidence_level,
    )
    labelled = labelled_queries(artifact, matcher, files or {}, split="calibration")
    decision = fit_decision(
        matcher, labelled, options, fitted_on=artifact.fingerprint("model", "index")
    )
    with FolderLock(folder, "thresher calibrate"):
        edit = Edit(folder)
        edit.write("decision", decision.save)
        edit.commit()
    return {"artifact": str(folder), **decision.summary()}
