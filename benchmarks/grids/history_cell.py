"""Trains and measures the history run of one cell: `python -m thresher.bench.history_cell FOLDER`.

Reads `run.toml` and `cell.json`, and writes `measured.json` with the numbers of both splits:
`validation/...` to choose by, `test/...` to report.
"""

import json
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from thresher.bench.cell import trained
from thresher.bench.cells import DESCRIBED, MEASURED, WORK, end_with_starter, write_json
from thresher.bench.runs import RUN
from thresher.config import read
from thresher.errors import InputError
from thresher.evaluate.evaluation import as_json
from thresher.jobs.next_items import SPLITS, evaluate_histories


def main() -> None:
    """Measures the cell of the folder named on the command line; exits with 1 where it cannot."""
    end_with_starter()
    try:
        measure(Path(sys.argv[1]))
    except InputError as error:
        sys.exit(str(error))


def measure(
    folder: Path,
    evaluate: Callable[..., Mapping[str, float | None]] = evaluate_histories,
) -> None:
    """Trains what is not trained yet, and writes what it measures.

    Args:
        folder: of the cell.
        evaluate: the numbers of a split of a trained artifact.
    """
    told = json.loads((folder / DESCRIBED).read_text("utf-8"))
    began = time.perf_counter()
    values: dict[str, float | None] = dict(as_json(trained(read(folder / RUN), folder)))
    for split in SPLITS:
        found = evaluate(folder / WORK, split=split, report=False)
        values |= {f"{split}/{key}": value for key, value in found.items()}
    values["total_seconds"] = time.perf_counter() - began
    write_json(folder / MEASURED, {"fingerprint": told["fingerprint"], "values": values})
    shutil.rmtree(folder / WORK, ignore_errors=True)


if __name__ == "__main__":
    main()
