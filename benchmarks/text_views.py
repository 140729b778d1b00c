"""Self-supervision on the text tower: PriceRunner offers, and products that training never saw.

    python benchmarks/text_views.py --out runs/text_views

Every arm is a softmax over pairs and one term on items alone: two views of an item whose words,
codes or category are hidden (`[views]`), or the items as they are, spread out. The text of a
product is its title and its category in all arms. Its weight is the one of 0.1, 0.3 and 1 with the
best P@1 on the validation split of the first seed. Every seed has its own split; measured is its
test split, and of it the offers of products without an offer in training ("unseen").

Such products are rare ones, which have few offers anywhere. So the same arms, with the same
weights, are trained once more while half of the products, drawn by chance, lose every training
offer: then frequent products are unseen too.

What was measured before is not trained again. Prints Markdown; writes one JSON a model.
"""

import argparse
import json
import shutil
import statistics
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from thresher import jobs
from thresher.artifact import Artifact
from thresher.config import read
from thresher.data.dataset import DataSpec, load_dataset
from thresher.data.split import SPLITS
from thresher.decide.scorers import margin, raw
from thresher.evaluate.coverage import precision_coverage_curve
from thresher.jobs.data import labelled_queries
from thresher.jobs.measure import Measured
from thresher.matcher import Matcher

RUN = """
[tower]
dim = 256

[train]
epochs = 3
batch_size = 512
clustered_from = 1

[[objective]]
kind = "softmax"
"""
DATA = """
[data]
item_text = ["title", "category"]
"""
TERM = """
[[objective]]
kind = "softmax"
name = "ssl"
temperature = 0.1
weight = {weight}
links = "{links}"
"""
WEIGHTS = (0.1, 0.3, 1.0)
HELD_OUT = 0.5
TABLES = ("items", "queries", "pairs")


class Arm(NamedTuple):
    """What sets an arm apart: the links of its term, "" for none, and settings of the run."""

    links: str = ""
    settings: tuple[str, ...] = ()


ARMS: Mapping[str, Arm] = {
    "plain": Arm(),
    "random": Arm("views", ("views.masking=random",)),
    "correlated": Arm("views", ("views.masking=correlated",)),
    "spread out": Arm("spread"),
    "no masking": Arm("views", ("views.masking=none",)),
}
CONFIDENCES = {"raw": raw, "margin": margin}
COLUMNS = {
    "P@1": "raw/P@1",
    "raw C@.95": "raw/C",
    "margin C@.95": "margin/C",
    "P@1 learned": "learned/P@1",
    "learned C@.95": "learned/C",
    "certified": "certified/C",
    "realised": "certified/precision",
}


def cell(out: Path, name: str, weight: float, seed: int, held_out: float = 0) -> dict[str, float]:
    """Trains and measures one arm on one seed, unless that was done before."""
    arm = ARMS[name]
    split = f"{held_out:g}-held-" if held_out else ""
    path = out / f"{split}{name.replace(' ', '-')}-{weight:g}-{seed}.json"
    if not path.exists():
        run = path.with_suffix(".toml")
        term = TERM.format(weight=weight, links=arm.links) if arm.links else ""
        run.write_text(DATA + data(out, seed, held_out) + RUN + term)
        seeds = [f"{section}.seed={seed}" for section in ("data", "tower", "train")]
        work = out / "model"
        shutil.rmtree(work, ignore_errors=True)
        found = jobs.train(read(run, [*seeds, *arm.settings]), work, quiet=True) or {}
        values = {"seconds": found["seconds"], "validation/P@1": found["validation"]["P@1"]}
        path.write_text(json.dumps(values | measured(work), indent=1))
    return json.loads(path.read_text())


def data(out: Path, seed: int, held_out: float) -> str:
    """Lines of `[data]`: what ships, or tables where products have lost their training offers."""
    if not held_out:
        return 'bundled = "pricerunner"\n'
    folder = out / f"{held_out:g}-held-data-{seed}"
    whole = load_dataset(DataSpec(bundled="pricerunner", seed=seed))
    items = len(whole.items)
    lost = np.random.default_rng(seed).permutation(items)[: round(held_out * items)]
    queries, item = whole.relation.pairs().T  # every offer has one product
    gone = np.isin(item, lost) & (whole.split[queries] == SPLITS.index("train"))
    split = pa.array([SPLITS[number] for number in whole.split[queries[~gone]]])
    ids = whole.queries.take(queries[~gone]).append_column("split", split)
    pairs = {"query_id": ids["id"], "item_id": whole.items["id"].take(item[~gone])}
    folder.mkdir(exist_ok=True)
    for table, rows in zip(TABLES, (whole.items, ids, pa.table(pairs)), strict=True):
        pq.write_table(rows, folder / f"{table}.parquet")
    return "".join(f'{table} = "{folder.name}/{table}.parquet"\n' for table in TABLES)


def measured(folder: Path) -> dict[str, float]:
    """The numbers of a model on its test split: of all queries, and of the unseen ones."""
    artifact, matcher = Artifact.open(folder), Matcher.open(folder)
    test = Measured.of(artifact, matcher, labelled_queries(artifact, matcher, {}, split="test"))
    everyone = np.ones(len(test.correct), bool)
    values = {}
    for part, rows in (("all", everyone), ("unseen", test.frequency()["unseen"])):
        right = test.labelled.relation.correct(test.tower.rows[:, :1])[:, 0][rows]
        accepted = test.accepted[rows]
        certain = test.correct[rows][accepted]
        values |= {
            f"{part}/queries": float(rows.sum()),
            f"{part}/raw/P@1": float(right.mean()),
            f"{part}/learned/P@1": float(test.correct[rows].mean()),
            f"{part}/learned/C": at_95(test.found.confidence[rows], test.correct[rows]),
            f"{part}/certified/C": float(accepted.mean()),
            f"{part}/certified/precision": float(certain.mean()) if len(certain) else np.nan,
        }
        for confidence, of in CONFIDENCES.items():
            values[f"{part}/{confidence}/C"] = at_95(of(test.tower.scores[rows]), right)
    return values


def at_95(confidence: np.ndarray, right: np.ndarray) -> float:
    """The share of queries that may be accepted at 95 % precision."""
    return precision_coverage_curve(confidence, right).coverage_at(0.95)


def spread(values: Iterable[float], form: str = ".3f") -> str:
    """Mean and standard deviation over the seeds."""
    known = list(values)
    deviation = statistics.stdev(known) if len(known) > 1 else 0.0
    return f"{statistics.mean(known):{form}} ± {deviation:.3f}"


def tables(found: Mapping[str, list[dict[str, float]]]) -> None:
    """Prints, of all queries and of the unseen ones, each arm and how far it is from its plain."""
    for part in ("all", "unseen"):
        count = statistics.mean(m[f"{part}/queries"] for m in found["plain"])
        print(f"\n{part}, {count:.0f} queries a seed\n")
        print(f"| {part} | " + " | ".join(COLUMNS) + " |")
        print("|-" * (len(COLUMNS) + 1) + "|")
        for name, runs in found.items():
            cells = [spread(m[f"{part}/{key}"] for m in runs) for key in COLUMNS.values()]
            print(f"| {name} | " + " | ".join(cells) + " |")
        print(f"\n{part}, difference from plain on the same seed\n")
        print(f"| {part} | " + " | ".join(COLUMNS) + " |")
        print("|-" * (len(COLUMNS) + 1) + "|")
        for name, runs in found.items():
            if name == "plain":
                continue
            pairs = list(zip(runs, found["plain"], strict=True))
            keys = [f"{part}/{key}" for key in COLUMNS.values()]
            cells = [spread((m[key] - p[key] for m, p in pairs), "+.3f") for key in keys]
            print(f"| {name} | " + " | ".join(cells) + " |")


def main() -> None:
    """Chooses the weights, runs what is missing, and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments = parser.parse_args()
    out, seeds = arguments.out, arguments.seeds
    out.mkdir(parents=True, exist_ok=True)
    best = {}
    for name, arm in ARMS.items():
        weights = WEIGHTS if arm.links else (0.0,)
        tried = {w: cell(out, name, w, seeds[0])["validation/P@1"] for w in weights}
        best[name] = max(tried, key=tried.__getitem__)
        told = ", ".join(f"{weight:g}: {value:.3f}" for weight, value in tried.items())
        print(f"- {name}: P@1 on validation by weight {told}", flush=True)
    for held_out in (0, HELD_OUT):
        print(f"\n{held_out:.0%} of the products have lost their training offers", flush=True)
        found = {
            f"{name}, weight {weight:g}" if weight else name: [
                cell(out, name, weight, seed, held_out) for seed in seeds
            ]
            for name, weight in best.items()
        }
        tables(found)


if __name__ == "__main__":
    main()
