"""The grid of the ALC paper on one data set: softmax, + TCM, + ALC, + ALC + TCM, beside TF-IDF.

    python benchmarks/grid.py --out runs/grid [--seeds 0 1 2] [--data FOLDER] [--set train.epochs=4]
    python benchmarks/grid.py --out runs/seeds --run examples/quickstart/quickstart.toml

With `--run`, that one run on every seed in place of the grid. Every cell trains one model on its
own seeded split and measures it on the test split of that seed: with the raw score, with the
margin, and with the learned confidence, certified on the calibration split. A cell that was
measured before is not trained again. Prints Markdown; writes grid.json.
"""

import argparse
import json
import statistics
from pathlib import Path

from thresher import jobs
from thresher.config import read

TERMS = {
    "softmax": ("softmax",),
    "softmax + TCM": ("softmax", "tcm"),
    "softmax + ALC": ("softmax", "alc"),
    "softmax + ALC + TCM": ("softmax", "alc", "tcm"),
}
COLUMNS = {
    "P@1": "raw/P@1",
    "raw C@.95": "raw/coverage@precision=0.95",
    "margin C@.95": "margin/coverage@precision=0.95",
    "P@1 ": "P@1",
    "learned C@.95": "coverage@precision=0.95",
    "certified": "certified_coverage@precision=0.95",
    "realised": "certified_precision@precision=0.95",
}


def cell(name: str, seed: int, arguments: argparse.Namespace) -> dict[str, float]:
    """Trains and measures one cell, unless that was done before."""
    folder = arguments.out / f"{name.replace(' + ', '-').lower()}-{seed}"
    measured = folder / "measured.json"
    if not measured.exists():
        folder.mkdir(parents=True, exist_ok=True)
        run = arguments.run or folder / "run.toml"
        if arguments.run is None:
            terms = "".join(f'[[objective]]\nkind = "{kind}"\n' for kind in TERMS[name])
            run.write_text(f"[data]\n{data_table(arguments.data)}\n{terms}")
        seeds = [f"{key}={seed}" for key in ("data.seed", "tower.seed", "train.seed")]
        jobs.train(read(run, [*seeds, *arguments.set]), folder / "model")
        metrics = jobs.evaluate(folder / "model", report=False)
        measured.write_text(json.dumps(metrics, indent=1))
    return json.loads(measured.read_text())


def data_table(folder: Path | None) -> str:
    """The [data] keys for a folder of three tables, or for the bundled set."""
    if folder is None:
        return 'bundled = "pricerunner"'
    names = ("items", "queries", "pairs")
    return "\n".join(f'{name} = "{(folder / name).resolve()}.parquet"' for name in names)


def spread(values: list[float | None]) -> str:
    """Mean and standard deviation of a cell's seeds."""
    known = [v for v in values if v is not None]
    if not known:
        return "-"
    deviation = statistics.stdev(known) if len(known) > 1 else 0.0
    return f"{statistics.mean(known):.3f} ± {deviation:.3f}"


def main() -> None:
    """Runs what is missing of the grid, then prints all of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--set", action="append", default=[])
    arguments = parser.parse_args()
    names = list(TERMS) if arguments.run is None else [arguments.run.stem]
    found = {name: [cell(name, s, arguments) for s in arguments.seeds] for name in names}
    (arguments.out / "grid.json").write_text(json.dumps(found, indent=1))
    print("| objective | " + " | ".join(COLUMNS) + " |")
    print("|-" * (len(COLUMNS) + 1) + "|")
    every = [m for measured in found.values() for m in measured]
    first = found[names[0]]
    tfidf = [spread([m[f"tfidf/{k}"] for m in first]) for k in ("P@1", "coverage@precision=0.95")]
    print(f"| TF-IDF, no training | {tfidf[0]} | | {tfidf[1]} | | | | |")
    for name, measured in found.items():
        cells = [spread([m[key] for m in measured]) for key in COLUMNS.values()]
        print(f"| {name} | " + " | ".join(cells) + " |")
    print(f"\n{len(every)} cells; mean ± standard deviation over seeds {arguments.seeds}.")


if __name__ == "__main__":
    main()
