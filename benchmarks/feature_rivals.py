"""What a user would pick instead of towers on features, on one split, in one run.

    python benchmarks/feature_rivals.py --data FOLDER --share 1.0 --share 0.1 --split test
    python benchmarks/feature_rivals.py --data FOLDER --only TF-IDF LightFM --seeds 0 1 2

Cut, exclusion of known items and metrics are those of a features run. The folder of `--data` holds
items.parquet with pairs.parquet, perhaps queries.parquet, or with events.parquet (see
`make_feature_data.py`). `--share` is `data.train_share`; `--spec` any other keys of `[data]` and
`--features` those of `[features]`, as JSON; `--remove-history` is the key of `[recommend]`.

Every contender (in `feature_contenders`) trains with each of its `--settings` on the training
pairs. The one with the highest recall@10 on validation is shown, by default on validation too;
`--split test` is for the end. Of a user, contenders get the events up to the last one that a
features run learns to predict: with a share of 0.1 more than a tenth of the events, as in the
histories of the run. Those that learn in rounds (implicit, LightFM) stop after `--minutes` of
processor time, shared out among the settings, or once validation has fallen behind three times, and
keep their best round. Seconds are of the processor, of the chosen setting, without what judging on
validation took.

A contender whose package is missing is left out, with a line that says what to install. Best in a
virtual environment of its own; `rectools-lightfm` is LightFM in a form that still compiles:

    pip install . implicit rectools-lightfm

Prints Markdown; `--out` writes all numbers as JSON.
"""

import argparse
import json
import statistics
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from feature_contenders import CONTENDERS
from feature_contenders.task import Score, Task, listed, queries_of, train_of, vectors_of
from rivals import missing
from thresher.data.dataset import Dataset, load_dataset
from thresher.data.options import DataOptions
from thresher.data.parts import Part
from thresher.data.relation import Relation
from thresher.evaluate import RecommendOptions, evaluate
from thresher.jobs.train import VALIDATED
from thresher.retrieve import Hits
from thresher.towers.features import FeatureOptions

JUDGED = 1000  # validation queries that decide when to stop
CHOSEN_BY = "recall@10"
FORMS = {
    **dict.fromkeys(("recall@10", "recall@50", "map@10"), "{:.4f}"),
    **dict.fromkeys(("head/recall@10", "tail/recall@10", "unseen/recall@10"), "{:.4f}"),
    "seconds": "{:,.1f}",
}


def load(folder: Path, share: float, seed: int, spec: dict[str, Any]) -> Dataset:
    """The tables of a folder, cut as a features run cuts them."""
    names = ("items", "queries", "pairs", "events")
    there = {n: p for n in names if (p := folder / f"{n}.parquet").exists()}
    return load_dataset(DataOptions(**there, train_share=share, seed=seed, **spec))


def ignored_of(part: Part, items: int, options: RecommendOptions) -> Relation:
    """What is not listed for each."""
    if options.remove_history and part.queries.histories is not None:
        return part.ignored.union(part.queries.histories.sequences().relation(items))
    return part.ignored


def measure(score: Score, part: Part, task: Task, options: RecommendOptions) -> dict[str, float]:
    """The metrics of the lists of these queries."""
    k = max(options.ks)
    rows = listed(score, queries_of(part, task.train), ignored_of(part, task.items, options), k)
    hits = Hits(rows, np.where(rows < 0, -np.inf, 0).astype(np.float32))
    return evaluate(hits, part.truth, targets=part.targets, ks=options.ks, train_counts=task.counts)


def task_of(data: Dataset, arguments: argparse.Namespace, seed: int) -> Task:
    """What every contender gets, with a judge that reads some of the validation queries."""
    options = RecommendOptions(remove_history=arguments.remove_history, ks=(10,))
    some = data.part("validation").first(JUDGED)
    right, left = vectors_of(data, FeatureOptions(**arguments.features))

    def judge(score: Score) -> float:
        return measure(score, some, task, options)[CHOSEN_BY]

    minutes = arguments.minutes / arguments.settings
    train, items = train_of(data), len(data.items)
    counts = data.item_counts()
    task = Task(train, items, counts, right, left, arguments.threads, minutes, seed, judge)
    return task


def tried(
    name: str, setting: dict[str, Any], task: Task, validate: Any
) -> tuple[dict[str, Any], Score]:
    """One contender with one setting: its numbers on validation, and what it scores with."""
    judged = 0.0

    def judge(score: Score) -> float:
        nonlocal judged
        begun = time.process_time()
        value = task.judge(score)
        judged += time.process_time() - begun
        return value

    begun = time.process_time()
    score = CONTENDERS[name].fit(replace(task, judge=judge), **setting)
    seconds = time.process_time() - begun - judged
    return {"setting": setting, "seconds": seconds, **validate(score)}, score


def compare(
    data: Dataset, arguments: argparse.Namespace, names: list[str], seed: int
) -> dict[str, dict[str, Any]]:
    """The numbers of every contender's best setting."""
    task = task_of(data, arguments, seed)
    options = RecommendOptions(remove_history=arguments.remove_history, ks=(10, 50))
    validation = data.part("validation").first(VALIDATED)

    def validate(score: Score) -> dict[str, float]:
        return measure(score, validation, task, options)

    report = {}
    for name in names:
        best: dict[str, Any] = {CHOSEN_BY: -1.0}
        for setting in CONTENDERS[name].settings[: arguments.settings]:
            found, score = tried(name, dict(setting), task, validate)
            if found[CHOSEN_BY] > best[CHOSEN_BY]:
                best, kept = found, score
        if arguments.split == "test":
            best |= measure(kept, data.part("test"), task, options)
        report[name] = best
    return report


def table(runs: list[dict[str, dict[str, Any]]]) -> str:
    """Markdown: the mean of each number over the seeds, and its standard deviation."""
    lines = ["| | " + " | ".join(FORMS) + " |", "|-" + "|-:" * len(FORMS) + "|"]
    for name in runs[0]:
        cells = []
        for key, form in FORMS.items():
            values = [run[name][key] for run in runs]
            cell = form.format(statistics.mean(values))
            if len(values) > 1:
                cell += " ± " + form.format(statistics.stdev(values))
            cells.append(cell)
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def parsed() -> argparse.Namespace:
    """The arguments of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--share", type=float, action="append", help="of the training pairs")
    parser.add_argument("--only", nargs="+", choices=tuple(CONTENDERS), default=list(CONTENDERS))
    parser.add_argument("--spec", type=json.loads, default={}, help="other keys of [data], as JSON")
    parser.add_argument(
        "--features", type=json.loads, default={}, help="keys of [features], as JSON"
    )
    parser.add_argument("--split", choices=("validation", "test"), default="validation")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=2, help="of training, a contender")
    parser.add_argument("--settings", type=int, default=3, help="of each, the so many likeliest")
    parser.add_argument("--remove-history", action="store_true")
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


def main() -> None:
    """Read the arguments; print a table for each share, write the same as JSON."""
    arguments, names, report = parsed(), [], {}
    for name in arguments.only:
        if missing(CONTENDERS[name]):
            print(f"{name} is left out: pip install {CONTENDERS[name].install}")
        else:
            names.append(name)
    for share in arguments.share or [1.0]:
        runs = []
        for seed in arguments.seeds:
            data = load(arguments.data, share, seed, arguments.spec)
            runs.append(compare(data, arguments, names, seed))
        report[str(share)] = runs
        pairs = len(data.part("train").truth.indices)
        print(
            f"\n{arguments.data.name}, {share:.0%} of the training pairs ({pairs:,}), on ", end=""
        )
        print(f"{arguments.split}:\n\n{table(runs)}\n")
        for name in names:
            chosen = dict.fromkeys(json.dumps(run[name]["setting"]) for run in runs)
            print(f"- {name}: {', '.join(chosen)}")
        if arguments.out:
            arguments.out.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
