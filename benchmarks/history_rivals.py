"""What a user would pick instead for the next items of a history, on one split, in one run.

    python benchmarks/history_rivals.py --out runs/history
    python benchmarks/history_rivals.py --out runs/beauty --data FOLDER --protocol last --split test
    python benchmarks/history_rivals.py --out runs/beauty --data FOLDER --speed

Every contender (in `history_contenders`) trains once with each of its likeliest `--settings`, on
the events of the training users alone. The one with the highest recall@50 on validation is shown,
by default on validation too; `--split test` is for the end, and reads answers that were written
when it was fitted. Each fit has a process of its own, and one that was measured before in the same
folder is not run again. `--minutes`, of processor time, is what a contender may train in all,
shared out evenly among its settings: those that learn in rounds (factors, SASRec) stop then, or
earlier once validation has fallen behind three times, and keep their best round. Seconds are of the
chosen setting, on the wall and of the processor, without what judging on validation took.

The folder of `--data` holds events.parquet and items.parquet (`thresher data import sequences`); a
name that is no folder is a set that ships with the package. Items of the history are listed again
unless `--remove-history`; repeated targets count once unless `--count-repeats`. A contender whose
package is missing is left out, with a line that says what to install. All of them at once, best in
a virtual environment of its own (RecTools 0.19 wants NumPy 1, hence an older pyarrow):

    pip install . implicit "rectools[torch]" "pyarrow<23"

RecTools brings pm-implicit, a fork that writes over `implicit`; to measure the original, remove
both and install implicit again. Prints Markdown; writes history-rivals.json. `--speed` prints
training events a second instead: the packages' own epochs, after one to warm up.
"""

import argparse
import importlib
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from history_contenders import CONTENDERS
from history_contenders.task import Score, Task, events_of, recommend
from rivals import missing, slug
from search import memory_mb
from thresher.data.dataset import Dataset, load_dataset
from thresher.data.options import DataOptions
from thresher.data.parts import Part
from thresher.evaluate import evaluate
from thresher.retrieve import Hits

KS = (10, 20, 50, 100, 200, 500)
JUDGED = 2000  # validation users that decide when to stop
CHOSEN_BY = "recall@50"
COLUMNS = (*(f"recall@{k}" for k in KS), "ndcg@50")
FORMS = {name: "{:.4f}" for name in COLUMNS} | {
    "train_seconds": "{:,.1f}",
    "cpu_seconds": "{:,.1f}",
    "peak_mb": "{:,.0f}",
    "settings": "{:.0f}",
}
GIVEN = ("data", "protocol", "spec", "threads", "minutes", "remove_history", "count_repeats")


def load(given: dict[str, Any]) -> Dataset:
    """The histories of a folder, or of a set that ships with the package."""
    folder = Path(given["data"])
    where: dict[str, Any] = {"bundled": given["data"]}
    if folder.is_dir():
        where = {name: folder / f"{name}.parquet" for name in ("events", "items")}
    return load_dataset(DataOptions(**where, protocol=given["protocol"], **given["spec"]))


def measure(
    rows: np.ndarray, part: Part, data: Dataset, repeats: bool, width: int
) -> dict[str, float]:
    """The metrics of lists for these users."""
    return evaluate(
        Hits(rows, np.where(rows < 0, -np.inf, 0).astype(np.float32)),
        part.truth,
        targets=part.targets,
        count_repeats=repeats,
        ks=[k for k in KS if k <= width],
        train_counts=data.item_counts(),
    )


def task_of(data: Dataset, given: dict[str, Any], minutes: float) -> Task:
    """The training users' events, and a judge that reads some of the validation users."""
    items, part = len(data.items), data.part("validation")
    some = part.take(np.random.default_rng(0).permutation(len(part))[:JUDGED])
    histories = some.queries.histories.sequences()

    def judge(score: Score) -> float:
        k = min(50, items)
        rows = recommend(score, histories, items, k, given["remove_history"])
        return measure(rows, some, data, given["count_repeats"], k)[f"recall@{k}"]

    events = events_of(data.part("train"))
    return Task(events, items, given["threads"], minutes, given["seed"], judge)


def clocks() -> np.ndarray:
    """Seconds on the wall, and of this process on all processors."""
    return np.array([time.perf_counter(), time.process_time()])


def fit(given: dict[str, Any], cell: Path) -> None:
    """Fit one contender with one setting in this process; measure it, and write its answers."""
    data = load(given)
    task = task_of(data, given, given["minutes"] / given["share"])
    judged = np.zeros(2)

    def judge(score: Score) -> float:
        begun = clocks()
        value = task.judge(score)
        judged[:] += clocks() - begun
        return value

    contender = CONTENDERS[given["contender"]]
    for module in contender.modules:
        importlib.import_module(module)  # not a part of training
    begun = clocks()
    score = contender.fit(replace(task, judge=judge), **given["setting"])
    seconds, of_processor = clocks() - begun - judged
    width = min(max(KS), task.items)
    answers = {}
    for name in ("validation", "test"):
        histories = data.part(name).queries.histories.sequences()
        answers[name] = recommend(score, histories, task.items, width, given["remove_history"])
    np.save(cell / "test.npy", answers["test"].astype(np.int32))
    found = measure(
        answers["validation"], data.part("validation"), data, given["count_repeats"], width
    )
    found |= {"train_seconds": seconds, "cpu_seconds": of_processor, "peak_mb": memory_mb("VmHWM")}
    (cell / "measured.json").write_text(json.dumps(found, indent=1))


def race(given: dict[str, Any], cell: Path) -> None:
    """Training events a second of one contender, in this process."""
    events, train = CONTENDERS[given["contender"]].rounds(task_of(load(given), given, 1e4))
    begun = clocks()
    train(1)
    epochs = int(np.clip(5 / (clocks() - begun)[0], 1, 20))
    begun = clocks()
    train(epochs)
    rate, of_processor = events * epochs / (clocks() - begun)
    found = {"events": events, "epochs": epochs, "rate": rate, "cpu_rate": of_processor}
    (cell / "measured.json").write_text(json.dumps(found, indent=1))


def done(name: str, cell: Path, given: dict[str, Any]) -> dict[str, Any] | None:
    """The numbers of one cell, from a process of its own unless the same was done before."""
    given = {"contender": name, **given}
    request = json.dumps(given, indent=1, default=str)
    known = (cell / "measured.json").exists() and (cell / "given.json").read_text() == request
    if not known:
        cell.mkdir(parents=True, exist_ok=True)
        (cell / "measured.json").unlink(missing_ok=True)
        (cell / "given.json").write_text(request)
        threads = {
            f"{lib}_NUM_THREADS": str(given["threads"]) for lib in ("OMP", "OPENBLAS", "MKL")
        }
        with (cell / "log.txt").open("w") as log:
            ended = subprocess.run(
                [sys.executable, __file__, "--cell", str(cell)],
                env=os.environ | threads,
                stdout=log,
                stderr=subprocess.STDOUT,
                check=False,
            )
        if ended.returncode:
            print(f"{name} failed; see {cell / 'log.txt'}", file=sys.stderr)
            return None
    return {"cell": str(cell), **given, **json.loads((cell / "measured.json").read_text())}


def compare(names: list[str], arguments: argparse.Namespace) -> dict[str, list[dict[str, Any]]]:
    """Every contender with every seed: the numbers of its best setting."""
    common = {key: getattr(arguments, key) for key in GIVEN}
    data = load(common) if arguments.split == "test" else None
    report: dict[str, list[dict[str, Any]]] = {}
    for name in names:
        settings = CONTENDERS[name].settings[: arguments.settings]
        for seed in arguments.seeds:
            fits = []
            for number, setting in enumerate(settings):
                given = {**common, "seed": seed, "setting": setting, "share": len(settings)}
                cell = arguments.out / "cells" / f"{slug(name)}-{seed}-{number}"
                fits.append(done(name, cell, given))
            fits = [f for f in fits if f is not None]
            if not fits:
                continue
            best = max(fits, key=lambda f: f[CHOSEN_BY]) | {"settings": len(fits)}
            if data is not None:
                rows = np.load(Path(best["cell"]) / "test.npy").astype(np.int64)
                repeats = arguments.count_repeats
                best |= measure(rows, data.part("test"), data, repeats, rows.shape[1])
            report.setdefault(name, []).append(best)
    return report


def races(names: list[str], arguments: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Training events a second of every contender that learns in rounds."""
    common = {key: getattr(arguments, key) for key in GIVEN} | {"seed": 0, "speed": True}
    report = {}
    for name in names:
        if CONTENDERS[name].rounds is not None:
            found = done(name, arguments.out / "cells" / f"{slug(name)}-speed", common)
            report |= {name: found} if found else {}
    return report


def table(report: dict[str, list[dict[str, Any]]]) -> str:
    """Markdown: the mean of each number over the seeds, and its standard deviation."""
    lines = ["| | " + " | ".join(FORMS) + " |", "|-" + "|-:" * len(FORMS) + "|"]
    for name, runs in report.items():
        cells = []
        for key, form in FORMS.items():
            values = [run[key] for run in runs if run.get(key) is not None]
            cell = form.format(statistics.mean(values)) if values else ""
            if len(values) > 1:
                cell += " ± " + form.format(statistics.stdev(values))
            cells.append(cell)
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def show(report: dict[str, list[dict[str, Any]]], split: str) -> None:
    """Print the table and the chosen settings."""
    print(f"On {split}:\n\n{table(report)}\n")
    for name, runs in report.items():
        chosen = dict.fromkeys(json.dumps(run["setting"]) for run in runs)
        print(f"- {name}: {', '.join(chosen)}")


def parsed() -> argparse.Namespace:
    """The arguments of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path)
    parser.add_argument("--data", default="online-retail", help="a folder, or a set's name")
    parser.add_argument("--only", nargs="+", choices=tuple(CONTENDERS), default=list(CONTENDERS))
    parser.add_argument("--protocol", choices=("users", "last", "time"), default="users")
    parser.add_argument("--spec", type=json.loads, default={}, help="other keys of [data], as JSON")
    parser.add_argument("--split", choices=("validation", "test"), default="validation")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=2, help="of training, a contender")
    parser.add_argument("--settings", type=int, default=3, help="of each, the so many likeliest")
    parser.add_argument("--remove-history", action="store_true")
    parser.add_argument("--count-repeats", action="store_true")
    parser.add_argument("--speed", action="store_true", help="events a second, nothing else")
    parser.add_argument("--cell", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.cell is None and arguments.out is None:
        parser.error("--out FOLDER is needed")
    return arguments


def main() -> None:
    """Read the arguments; print a table, write the same as JSON."""
    arguments = parsed()
    if arguments.cell:
        given = json.loads((arguments.cell / "given.json").read_text())
        (race if given.get("speed") else fit)(given, arguments.cell)
        return
    names = []
    for name in arguments.only:
        if missing(CONTENDERS[name]):
            print(f"{name} is left out: pip install {CONTENDERS[name].install}")
        else:
            names.append(name)
    if arguments.speed:
        report = races(names, arguments)
        print("| | events an epoch | events/s | events/CPU s |\n|-|-:|-:|-:|")
        for name, found in report.items():
            numbers = [found[key] for key in ("events", "rate", "cpu_rate")]
            print(f"| {name} | " + " | ".join(f"{number:,.0f}" for number in numbers) + " |")
        (arguments.out / "history-speed.json").write_text(json.dumps(report, indent=1))
        return
    report = compare(names, arguments)
    (arguments.out / "history-rivals.json").write_text(json.dumps(report, indent=1))
    show(report, arguments.split)


if __name__ == "__main__":
    main()
