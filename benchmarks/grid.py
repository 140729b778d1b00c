"""One run on several seeds: the spread of its numbers, beside TF-IDF.

    python benchmarks/grid.py --out runs/seeds --run examples/quickstart/quickstart.toml

Every seed trains one model on its own split and measures it on the test split of that seed: with
the raw score, with the margin, and with the learned confidence, certified on the calibration split.
A seed that was measured before is not trained again. Prints Markdown; writes grid.json. Grids of
backbones and losses are `thresher bench alc`.
"""

import argparse
import json
import statistics
from pathlib import Path

from thresher import jobs
from thresher.config import read

COLUMNS = {
    "P@1": "raw/P@1",
    "raw C@.95": "raw/coverage@precision=0.95",
    "margin C@.95": "margin/coverage@precision=0.95",
    "P@1 ": "P@1",
    "learned C@.95": "coverage@precision=0.95",
    "certified": "certified_coverage@precision=0.95",
    "realised": "certified_precision@precision=0.95",
}


def measured(seed: int, arguments: argparse.Namespace) -> dict[str, float]:
    """Trains and measures one seed, unless that was done before."""
    folder = arguments.out / f"{arguments.run.stem}-{seed}"
    path = folder / "measured.json"
    if not path.exists():
        seeds = [f"{key}={seed}" for key in ("data.seed", "tower.seed", "train.seed")]
        jobs.train(read(arguments.run, [*seeds, *arguments.set]), folder / "model")
        metrics = jobs.evaluate(folder / "model", report=False)
        path.write_text(json.dumps(metrics, indent=1))
    return json.loads(path.read_text())


def spread(values: list[float | None]) -> str:
    """Mean and standard deviation over the seeds."""
    known = [v for v in values if v is not None]
    if not known:
        return "-"
    deviation = statistics.stdev(known) if len(known) > 1 else 0.0
    return f"{statistics.mean(known):.3f} ± {deviation:.3f}"


def main() -> None:
    """Runs the seeds that are missing, then prints all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--set", action="append", default=[])
    arguments = parser.parse_args()
    name = arguments.run.stem
    found = [measured(seed, arguments) for seed in arguments.seeds]
    (arguments.out / "grid.json").write_text(json.dumps({name: found}, indent=1))
    print("| run | " + " | ".join(COLUMNS) + " |")
    print("|-" * (len(COLUMNS) + 1) + "|")
    tfidf = [spread([m[f"tfidf/{k}"] for m in found]) for k in ("P@1", "coverage@precision=0.95")]
    print(f"| TF-IDF, no training | {tfidf[0]} | | {tfidf[1]} | | | | |")
    cells = [spread([m[key] for m in found]) for key in COLUMNS.values()]
    print(f"| {name} | " + " | ".join(cells) + " |")
    print(f"\nmean ± standard deviation over seeds {arguments.seeds}.")


if __name__ == "__main__":
    main()
