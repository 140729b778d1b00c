"""Match 100,000 offers end to end, stage by stage: rows a second; and one offer at a time.

    python benchmarks/match.py ARTIFACT
    python benchmarks/match.py ARTIFACT --rows 20000 --threads 1
    python benchmarks/match.py ARTIFACT --one        500 offers by themselves, in turn

ARTIFACT is the folder of a calibrated run on texts. The offers are titles of the bundled
set, repeated, each time with two neighbouring letters swapped somewhere, so that hardly any two are
equal. A stage's time is measured inside one ordinary run of `thresher match`. Of one offer the
processor time of the thread is shown too, which other work on the machine changes less.
"""

import argparse
import contextlib
import json
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import torch

from thresher.data.bundled import bundled
from thresher.data.tables import read_table, write_table
from thresher.jobs.match import match
from thresher.rerank import PairFeatures
from thresher.retriever import Retriever
from thresher.towers.feature_tower import FeatureTower


def offers(rows: int, seed: int = 0) -> pa.Table:
    """Titles of the bundled set, with swapped letters."""
    titles = read_table(bundled("pricerunner") / "queries.parquet")["title"].to_pylist()
    draw = np.random.default_rng(seed)
    made = []
    for number in range(rows):
        title = titles[number % len(titles)]
        at = int(draw.integers(max(len(title) - 1, 1)))
        made.append(title[:at] + title[at : at + 2][::-1] + title[at + 2 :])
    return pa.table({"id": [str(i) for i in range(rows)], "title": made})


def timed(spent: dict[str, float], name: str, call):
    """The same call, its seconds added to those of the stage."""

    def run(*args, **options):
        begun = time.perf_counter()
        try:
            return call(*args, **options)
        finally:
            spent[name] += time.perf_counter() - begun

    return run


def measure(artifact: Path, table: pa.Table) -> dict[str, float]:
    """Seconds of each stage of one run."""
    spent: dict[str, float] = defaultdict(float)
    calls = {
        "open": (Retriever, "open"),
        "decide": (Retriever, "decide"),
        "tokenise": (FeatureTower, "queries"),
        "encode": (FeatureTower, "encode"),
        "search": (type(Retriever.open(artifact).catalogue.index), "search"),
        "pair features": (PairFeatures, "read"),
    }
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        write_table(table, Path(folder) / "offers.parquet")
        for name, (owner, method) in calls.items():
            call = timed(spent, name, getattr(owner, method))
            stack.enter_context(patch.object(owner, method, call))
        begun = time.perf_counter()
        match(artifact, Path(folder) / "offers.parquet", Path(folder) / "out.parquet", quiet=True)
        whole = time.perf_counter() - begun
    stages = ("tokenise", "encode", "search", "pair features")
    inside = sum(spent[stage] for stage in stages)
    return {
        "open the artifact": spent["open"],
        **{stage: spent[stage] for stage in stages},
        "decide": spent["decide"] - inside,
        "read and write": whole - spent["open"] - spent["decide"],
        "all": whole,
    }


def one_by_one(model: Retriever, texts: list[str]) -> dict[str, dict[str, float]]:
    """Milliseconds of a call with one text: encode, search (which encodes), match."""
    calls = {"encode": model.encode, "search": model.search, "match": model.match}
    clocks = {"wall": time.perf_counter, "processor": time.thread_time}
    spent: dict[tuple[str, str], list[float]] = defaultdict(list)
    for call in calls.values():
        call(texts[0])  # compiles, and reads what is mapped into memory
    for text in texts:
        for name, call in calls.items():
            begun = {clock: now() for clock, now in clocks.items()}
            call(text)
            for clock, now in clocks.items():
                spent[name, clock].append(1000 * (now() - begun[clock]))
    return {
        f"{name}, {clock}": {f"p{q}": round(float(np.percentile(times, q)), 2) for q in (50, 99)}
        for (name, clock), times in spent.items()
    }


def main() -> None:
    """Read the arguments; print a table, then the same as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--one", action="store_true", help="one offer a call")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.one:
        texts = offers(500)["title"].to_pylist()
        found = one_by_one(Retriever.open(arguments.artifact), texts)
        print("| ms | p50 | p99 |\n|-|-:|-:|")
        for name, times in found.items():
            print(f"| {name} | {times['p50']:.2f} | {times['p99']:.2f} |")
        print(json.dumps({"threads": arguments.threads, "one": found}))
        return
    seconds = measure(arguments.artifact, offers(arguments.rows))
    print("| stage | seconds | rows/s |\n|-|-:|-:|")
    for stage, spent in seconds.items():
        print(f"| {stage} | {spent:.2f} | {arguments.rows / max(spent, 1e-9):,.0f} |")
    print(json.dumps({"rows": arguments.rows, "threads": arguments.threads, "seconds": seconds}))


if __name__ == "__main__":
    main()
