"""What Thresher takes, beside a peer or a floor: one table, in some ten minutes on two free cores.

    python benchmarks/bench.py                       make bench: the table, and bench.json in --out
    python benchmarks/bench.py --sizes 10000 100000 1000000
    python benchmarks/bench.py --record              the same, kept by commit in the documentation

Ours and the peer take turns, so that a ratio holds beside other work; times by themselves hold on a
free machine alone. A row whose peer is not installed says so. Growth: as many items as training
pairs, 2,000 queries, and a process a command.
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
from argparse import Namespace
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from memory import measured, process, shop

ROOT = Path(__file__).parents[1]
HISTORY = ROOT / "docs" / "bench" / "history.jsonl"
PAGE = ROOT / "docs" / "guides" / "measured.md"
FIGURE = ROOT / "docs" / "images" / "growth.png"
QUERIES, PRODUCTS = 2000, 1500
COMMANDS = ("train", "index", "calibrate", "match")
Row = dict[str, Any]


def row(what: str, ours: float, unit: str, target: str, **more: Any) -> Row:
    """One line of the table; `peer` and its `value`, where there is one, give the ratio."""
    value = more.get("value")
    ratio = None if value is None else round(ours / value, 3)
    return (
        {"what": what, "ours": round(ours, 3), "unit": unit, "target": target}
        | more
        | {"ratio": ratio}
    )


def missing(*packages: str) -> str:
    """Which of these are not installed, as a peer that could not be run; empty for none."""
    gone = [name for name in packages if importlib.util.find_spec(name) is None]
    return f"not installed: {', '.join(gone)}" if gone else ""


def of_one(given: Namespace) -> Iterator[Row]:
    """One offer, and many."""
    from match import measure, offers, one_by_one
    from thresher.retriever import Retriever

    model = Retriever.open(given.artifact)
    many = len(model.items)
    spent = one_by_one(model, offers(200)["title"].to_pylist())
    for q, target in (("p50", "1 ms above search"), ("p99", "3 ms")):
        own, floor = (spent[f"{call}, wall"][q] for call in ("match", "search"))
        what = f"match of one offer among {many:,}, {q}"
        yield row(what, own, "ms", target, peer="our search alone", value=floor)
    seconds = measure(given.artifact, offers(given.offers))["all"]
    each, target = 1e5 * seconds / given.offers, "6 times faster than 58 s"
    yield row("match of 100,000 offers, from fewer", each, "s", target)


def of_search(given: Namespace) -> Iterator[Row]:
    """Exact search."""
    from search import ENGINES, compare

    sizes = {"queries": 2048, "items": 131_072, "dimensions": 256, "k": 10}
    found = compare(Namespace(**sizes, threads=given.threads))
    flat, own = (found["seconds"][name][1] for name in ENGINES)
    what = "2,048 queries against 131,072 items, exact, processor time"
    yield row(what, own, "s", "1.1 times", peer=f"faiss {version('faiss-cpu')} flat", value=flat)


def of_training(given: Namespace) -> Iterator[Row]:
    """Pairs a second."""
    import torch

    import training

    torch.set_num_threads(given.threads)
    folder = training.bundled("pricerunner")
    files = {name: folder / f"{name}.parquet" for name in ("items", "queries", "pairs")}
    data = training.load_dataset(training.DataOptions(**files))
    options = {"epochs": 1, "batch_size": 512, "dim": 256, "peer_learning_rate": 0.2}
    asked = Namespace(**options, rounds=given.rounds)
    gone = missing("sentence_transformers", "datasets", "accelerate")
    if gone:
        spent = []
        for terms in (["softmax"], ["softmax", "alc", "tcm"]):
            began = time.perf_counter()
            training.ours(data, asked, terms)
            spent.append(time.perf_counter() - began)
        pairs = len(data.part("train").truth.pairs())
        yield row("training, softmax", pairs / spent[0], "pairs/s", "3 times", peer=gone)
        ratio = spent[1] / spent[0]
    else:
        found = training.measure(data, asked)
        rates = {name: statistics.median(one["pairs_per_second"]) for name, one in found.items()}
        own, peer, full = (rates[name] for name in training.RUNS)
        right = " and ".join(f"{found[name]['P@1']:.3f}" for name in training.RUNS[:2])
        named = f"StaticEmbedding, sentence-transformers {version('sentence-transformers')}"
        what = f"training, softmax (P@1 {right} after one epoch)"
        yield row(what, own, "pairs/s", "3 times", peer=named, value=peer)
        ratio = own / full
    what = "training with softmax, ALC and TCM"
    yield row(what, ratio, "times", "1.5 times", peer="softmax alone", value=1.0)


def of_histories(given: Namespace) -> Iterator[Row]:
    """Events a second of the mean tower, all of training counted."""
    run = ROOT / "examples" / "histories" / "run.toml"
    line = ["train", run, "--out", given.work / "histories", "--set", "train.epochs=1", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "thresher", *map(str, line), "--quiet"],
        check=True,
        stdout=subprocess.PIPE,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    peer = missing("rectools") or "RecTools: see benchmarks/history_rivals.py"
    rate = found["training_pairs"] / found["seconds"]
    yield row("histories, mean tower", rate, "events/s", "10 times SASRec", peer=peer)


def of_shell(given: Namespace) -> Iterator[Row]:
    """A command, from the shell."""
    offers = given.work / "five.csv"
    lines = (ROOT / "examples" / "quickstart" / "offers.csv").read_text("utf-8").splitlines()
    offers.write_text("\n".join(lines[:6]) + "\n", "utf-8")
    libraries = "import numpy, pyarrow.parquet, scipy.sparse, numba, faiss"
    runs: dict[str, Callable[[], dict[str, float]]] = {
        "match": lambda: measured("match", given.artifact, "--queries", offers),
        "libraries": lambda: process([sys.executable, "-c", libraries]),
        "help": lambda: process([sys.executable, "-m", "thresher", "--help"]),
        "python": lambda: process([sys.executable, "-c", "pass"]),
    }
    spent: dict[str, list[dict[str, float]]] = {name: [] for name in runs}
    for _ in range(given.rounds):
        for name, run in runs.items():
            spent[name].append(run())

    def middle(name: str, key: str) -> float:
        return statistics.median(one[key] for one in spent[name])

    for key, unit, target in (("seconds", "s", "2 s"), ("processor", "s of processor time", "")):
        floor = {"peer": "importing the libraries", "value": middle("libraries", key)}
        yield row("thresher match, five offers", middle("match", key), unit, target, **floor)
    floor = {"peer": "importing the libraries", "value": 1e3 * middle("libraries", "peak_gb")}
    peak = 1e3 * middle("match", "peak_gb")
    yield row("thresher match, five offers, peak", peak, "MB", "400 MB", **floor)
    floor = {"peer": "python alone", "value": middle("python", "processor")}
    unit = "s of processor time"
    yield row("thresher --help", middle("help", "processor"), unit, "0.2 s", **floor)


def of_artifact(given: Namespace) -> Iterator[Row]:
    """Bytes of an artifact of 1,500 products, which the epochs do not change."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from thresher.artifact import PARTS, Artifact
    from thresher.data.bundled import bundled
    from thresher.data.tables import read_table, write_table
    from thresher.files import size

    names = ("items", "queries", "pairs")
    items, queries, pairs = (read_table(bundled("pricerunner") / f"{n}.parquet") for n in names)
    kept = np.sort(np.random.default_rng(0).choice(len(items), PRODUCTS, replace=False))
    items = items.take(pa.array(kept))
    pairs = pairs.filter(pc.is_in(pairs["item_id"], value_set=items["id"].combine_chunks()))
    queries = queries.filter(pc.is_in(queries["id"], value_set=pairs["query_id"].combine_chunks()))
    folder = given.work / "products"
    for name, table in zip(names, (items, queries, pairs), strict=True):
        write_table(table, folder / f"{name}.parquet")
    lines = [f'{name} = "{name}.parquet"' for name in names]
    (folder / "run.toml").write_text("\n".join(["[data]", *lines]), "utf-8")
    measured("train", folder / "run.toml", "--out", folder / "m", "--set", "train.epochs=1")
    artifact = Artifact.open(folder / "m")
    whole = sum(size(artifact.part(part)) for part in PARTS if artifact.has(part)) / 1e6
    yield row(f"artifact of {PRODUCTS:,} products", whole, "MB", "10 MB")


def of_service(given: Namespace) -> Iterator[Row]:
    """Requests a second."""
    what = "thresher serve, 16 clients"
    gone = missing("fastapi", "uvicorn", "sqlalchemy")
    if gone:
        yield {"what": what, "ours": None, "unit": "", "target": "", "peer": gone, "ratio": None}
        return
    from serve import compare, titles

    found = {name: one for name, _, one in compare(given.artifact, titles(400), [16])}
    own, peer = found["thresher serve"]["rate"], found["encode + FAISS only"]["rate"]
    named = f"encode + FAISS on FastAPI {version('fastapi')}"
    yield row(what, own, "requests/s", "", peer=named, value=peer)


def growth(given: Namespace) -> dict[str, Any]:
    """Processor time and peak of the commands by size, and the fitted exponents."""
    found: dict[str, dict[str, dict[str, float]]] = {name: {} for name in COMMANDS}
    for size in given.sizes:
        folder = given.work / str(size)
        shop(folder, size, seed=size)
        for name in ("queries", "pairs"):
            lines = (folder / f"{name}.csv").read_text("utf-8").splitlines()[: QUERIES + 1]
            (folder / f"some-{name}.csv").write_text("\n".join(lines) + "\n", "utf-8")
        model, asked = folder / "model", ("--queries", folder / "some-queries.csv")
        true = (*asked, "--pairs", folder / "some-pairs.csv", "--target", 0.9)
        lines_of = {
            "train": ("train", folder / "run.toml", "--out", model, "--set", "decide.folds=0"),
            "index": ("index", model, "--items", folder / "items.csv"),
            "calibrate": ("calibrate", model, *true),
            "match": ("match", model, *asked, "--out", folder / "decisions.csv"),
        }
        for name, line in lines_of.items():
            found[name][str(size)] = measured(*line)
            print(f"{size:>9,} {name:<10} {found[name][str(size)]}", flush=True)
    exponents = {
        f"{name}, {key}": round(float(slope(given.sizes, [one[key] for one in by.values()])), 2)
        for name, by in found.items()
        for key in ("processor", "peak_gb")
        if len(by) > 1
    }
    return {"sizes": found, "exponents": exponents}


def slope(sizes: list[int], values: list[float]) -> float:
    """The exponent b of values = a sizes^b, by least squares of the logarithms."""
    return np.polyfit(np.log(sizes), np.log(np.maximum(values, 1e-9)), 1)[0]


def table(rows: list[Row]) -> str:
    """The rows in Markdown."""
    lines = ["| what | ours | peer or floor | ratio | target |", "|-|-:|-|-:|-|"]
    for one in rows:
        ours = "" if one["ours"] is None else f"{one['ours']:,.4g} {one['unit']}"
        value = f": {one['value']:,.4g}" if one.get("value") is not None else ""
        ratio = "" if one["ratio"] is None else f"{one['ratio']:.2f}"
        peer = f"{one.get('peer', '')}{value}"
        lines.append(f"| {one['what']} | {ours} | {peer} | {ratio} | {one['target']} |")
    return "\n".join(lines)


def figure(found: dict[str, Any], path: Path) -> None:
    """Time and memory by size, on logarithmic axes."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    shown, axes = pyplot.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
    for axis, key, label in zip(
        axes, ("processor", "peak_gb"), ("processor time, s", "peak memory, GB"), strict=True
    ):
        for name, by in found["sizes"].items():
            exponent = found["exponents"].get(f"{name}, {key}")
            said = name if exponent is None else f"{name}, size^{exponent}"
            axis.loglog(list(map(int, by)), [one[key] for one in by.values()], "o-", label=said)
        axis.set(xlabel="items and training pairs", ylabel=label)
        axis.legend(fontsize=7)
    path.parent.mkdir(parents=True, exist_ok=True)
    shown.savefig(path, dpi=110)


PARTS_OF: dict[str, Callable[[Namespace], Iterator[Row]]] = {
    "shell": of_shell,
    "one": of_one,
    "artifact": of_artifact,
    "service": of_service,
    "search": of_search,
    "histories": of_histories,
    "training": of_training,
}


def keep(out: Path, report: dict[str, Any]) -> None:
    """Write what there is so far: the next part may be stopped."""
    (out / "bench.json").write_text(json.dumps(report, indent=1) + "\n", "utf-8")


def record(report: dict[str, Any]) -> None:
    """Append the report to the history, and write the page again."""
    HISTORY.parent.mkdir(parents=True, exist_ok=True)
    with HISTORY.open("a", encoding="utf-8") as file:
        file.write(json.dumps(report) + "\n")
    figure(report["growth"], FIGURE)
    PAGE.write_text(page([json.loads(line) for line in HISTORY.open(encoding="utf-8")]), "utf-8")


def page(history: list[dict[str, Any]]) -> str:
    """The page of the history, from its first line to its last."""
    last = history[-1]
    known = {one["what"]: one["unit"] for report in history for one in report["rows"]}
    heads = [f"{report['commit']}, {report['day']}" for report in history]
    lines = [f"| what | {' | '.join(heads)} |", "|-|" + "-|" * len(heads)]
    for what, unit in known.items():
        cells = []
        for report in history:
            one = next((o for o in report["rows"] if (o["what"], o["unit"]) == (what, unit)), None)
            text = "" if one is None or one["ours"] is None else f"{one['ours']:,.4g} {unit}"
            cells.append(text + (f" ({one['ratio']:.2f})" if one and one["ratio"] else ""))
        lines.append(f"| {what} | {' | '.join(cells)} |")
    powers = ", ".join(f"{name} {value}" for name, value in last["growth"]["exponents"].items())
    return "\n".join(
        [
            "# Measured by commit",
            "",
            "`python benchmarks/bench.py --record` writes this page, `make bench` measures alone. "
            "Ours and the peer take turns: read ratios; times hold on a free machine only.",
            "",
            f"## The last one: {last['commit']}, {last['day']}",
            "",
            f"{last['note']}".strip() or "On a free machine.",
            "",
            table(last["rows"]),
            "",
            f"Growth with the number of items and training pairs, exponents: {powers}.",
            "",
            "![Time and memory by size](../images/growth.png)",
            "",
            "## All of them",
            "",
            "Ours, and in brackets the ratio to the peer or floor.",
            "",
            *lines,
            "",
        ]
    )


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--artifact", type=Path, default=ROOT / "runs" / "quickstart")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "bench")
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--offers", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--parts", nargs="+", choices=list(PARTS_OF), default=list(PARTS_OF))
    parser.add_argument("--note", default="", help="a sentence on the machine, for the page")
    parser.add_argument("--record", action="store_true", help="keep it in the documentation")
    given = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(given.threads)
    git = ["git", "-C", str(ROOT), "rev-parse", "--short=7", "HEAD"]
    report: dict[str, Any] = {
        "commit": subprocess.run(git, stdout=subprocess.PIPE, text=True).stdout.strip(),
        "day": time.strftime("%Y-%m-%d"),
        "note": given.note,
        "threads": given.threads,
        "rows": [],
        "growth": {"sizes": {}, "exponents": {}},
    }
    given.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        given.work = Path(place)
        if not (given.artifact / "manifest.json").exists():
            given.artifact, run = given.out / "model", ROOT / "examples/quickstart/quickstart.toml"
            measured("train", run, "--out", given.artifact, "--set", "train.epochs=1")
        for part in map(PARTS_OF.__getitem__, given.parts):
            began = time.perf_counter()
            rows = list(part(given))
            report["rows"] += rows
            keep(given.out, report)
            print(table(rows), f"\n{time.perf_counter() - began:.0f} s\n", sep="\n", flush=True)
        report["growth"] = growth(given)
    keep(given.out, report)
    figure(report["growth"], given.out / "growth.png")
    print(table(report["rows"]))
    print("exponents:", report["growth"]["exponents"])
    if given.record:
        record(report)


if __name__ == "__main__":
    main()
