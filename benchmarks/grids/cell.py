"""Train and measure the run of one cell: `python -m grids.cell FOLDER`."""

import json
import shutil
import statistics
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from thresher.jobs.cells import WORK, Values, measure_cell
from thresher.jobs.compare import train_cell
from thresher.measure import measure


def measured(folder: Path, task: Mapping[str, Any]) -> Values:
    """The numbers of the splits of a task.

    As `thresher evaluate` names them; where the run decides, every number of the tower alone stands
    beside them as `raw/...`.
    """
    model, values = train_cell(folder)
    values["pairs_per_second"] = _rate(folder / WORK)
    for prefix, split in task["splits"].items():
        test = measure(model, model.labelled(split), quiet=True)
        found = test.numbers()
        if test.confidence is not None:
            hits = test.others["raw"][0] if "raw" in test.others else test.hits
            alone = replace(test, hits=hits, confidence=None, accepted={}, others={}).numbers()
            found |= {f"raw/{key}": value for key, value in alone.items()}
        values |= {f"{prefix}{key}": value for key, value in found.items()}
    if not task["keep"]:
        shutil.rmtree(folder / WORK, ignore_errors=True)
    return values


def _rate(artifact: Path) -> float | None:
    """The median of the pairs a second in the log of the training."""
    log = artifact / "training" / "log.jsonl"
    lines: list[dict[str, Any]] = []
    if log.exists():
        lines = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    rates = [line["pairs_per_second"] for line in lines if "pairs_per_second" in line]
    return float(statistics.median(rates)) if rates else None


if __name__ == "__main__":
    measure_cell(measured)
