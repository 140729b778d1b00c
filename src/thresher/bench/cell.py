"""Trains and measures the run of one cell: `python -m thresher.bench.cell FOLDER`.

Reads `run.toml` and `cell.json`, and writes `measured.json`. Training goes on from a checkpoint
that lies there, and is not repeated when only the measuring is missing.
"""

import json
import shutil
import statistics
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from thresher import jobs
from thresher.artifact import Artifact
from thresher.bench.cells import (
    DESCRIBED,
    MEASURED,
    TRAINED,
    WORK,
    end_with_starter,
    write_json,
)
from thresher.bench.runs import RUN
from thresher.config import Config, read
from thresher.data.dataset import load_dataset
from thresher.data.labelled import Labelled
from thresher.decide.scorers import margin
from thresher.errors import InputError
from thresher.evaluate.coverage import precision_coverage_curve
from thresher.evaluate.evaluation import PRECISIONS, as_json, evaluate
from thresher.jobs.data import labelled_queries
from thresher.jobs.measure import BASELINE_QUERIES, DEPTH, Measured
from thresher.matcher import Matcher
from thresher.retrieve import search_without
from thresher.retrieve.sparse import SparseExact
from thresher.towers.tfidf import TfIdf

# What the learned confidence ranks first is another list, so its precision has its own name.
_DECIDED = ("P@1", "aurc", *(f"coverage@precision={p:g}" for p in PRECISIONS))


def main() -> None:
    """Measures the cell of the folder named on the command line; exits with 1 where it cannot."""
    end_with_starter()
    try:
        measure(Path(sys.argv[1]))
    except InputError as error:
        sys.exit(str(error))


def measure(folder: Path) -> None:
    """Trains what is not trained yet, and writes what it measures."""
    told = json.loads((folder / DESCRIBED).read_text("utf-8"))
    config = read(folder / RUN)
    began = time.perf_counter()
    if told["kind"] == "tfidf":
        values = baseline(config, told["split"])
    else:
        values = {**trained(config, folder), **measured(folder / WORK, told["split"])}
    values["total_seconds"] = time.perf_counter() - began
    found = {"fingerprint": told["fingerprint"], "values": as_json(values)}
    write_json(folder / MEASURED, found)
    if not told["keep"]:
        shutil.rmtree(folder / WORK, ignore_errors=True)


def trained(config: Config, folder: Path) -> dict[str, float]:
    """Trains the model of a cell unless it is there, and says how fast that was."""
    note, work = folder / TRAINED, folder / WORK
    if not note.exists():
        resumed = (work / "training" / "last.safetensors").exists()
        result = jobs.train(config, work, resume=True, quiet=True) or {}
        # The seconds before training was killed are not known any more.
        seconds = None if resumed else result.get("seconds")
        write_json(note, {"seconds": seconds, "pairs_per_second": _rate(work)})
    values: Mapping[str, float | None] = json.loads(note.read_text("utf-8"))
    return {key: np.nan if value is None else float(value) for key, value in values.items()}


def measured(artifact: Path, split: str) -> dict[str, float]:
    """The numbers of a trained model: of the tower alone, and of what decides.

    `raw/...` is the tower's own order with its score as confidence; `margin/...` the same order
    with the lead over the second; `learned/...` the order and confidence of the learned one;
    `certified_...` what the calibration split certifies for the one that decides.
    """
    opened, matcher = Artifact.open(artifact), Matcher.open(artifact)
    test = Measured.of(opened, matcher, labelled_queries(opened, matcher, {}, split=split))
    alone = test.alone()
    values = {f"raw/{key}": value for key, value in alone.items()}
    right = test.labelled.relation.correct(test.tower.rows[:, :1])[:, 0]
    values |= _of_confidence("margin", margin(test.tower.scores), right)
    decided = test.metrics()
    if matcher.learned is not None:
        values |= {f"learned/{key}": decided[key] for key in _DECIDED}
    return values | {key: value for key, value in decided.items() if key.startswith("certified")}


def baseline(config: Config, split: str) -> dict[str, float]:
    """Character TF-IDF on the same queries, the first 10,000 of them: what needs no training."""
    data = load_dataset(config.build("data"), config.folder)
    train = data.rows("train")
    queries = Labelled.of(data, data.rows(split)[:BASELINE_QUERIES])
    items, texts = data.item_text(), data.query_text()
    tower = TfIdf()
    tower.start_from([*items, *(texts[row] for row in train)])
    index, vectors = SparseExact(tower.encode(items)), tower.encode(queries.texts)
    depth = min(DEPTH, len(index))
    hits = search_without(lambda k: index.search(vectors, k), depth, queries.ignored)
    found = evaluate(
        hits,
        queries.relation,
        train_counts=np.bincount(data.relation.take(train).indices, minlength=len(items)),
        train_queries=len(train),
        constants=config.build("data").propensity,
    )
    right = queries.relation.correct(hits.rows[:, :1])[:, 0]
    values = {f"raw/{key}": value for key, value in found.items()}
    return values | _of_confidence("margin", margin(hits.scores), right)


def _of_confidence(name: str, confidence: np.ndarray, right: np.ndarray) -> dict[str, float]:
    curve = precision_coverage_curve(confidence, right)
    found = {f"coverage@precision={p:g}": curve.coverage_at(p) for p in PRECISIONS}
    return {f"{name}/{key}": value for key, value in {"aurc": curve.aurc(), **found}.items()}


def _rate(artifact: Path) -> float | None:
    """The median of the pairs a second that the log of the training notes."""
    log = artifact / "training" / "log.jsonl"
    lines: list[dict[str, Any]] = []
    if log.exists():
        lines = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    rates = [line["pairs_per_second"] for line in lines if "pairs_per_second" in line]
    return float(statistics.median(rates)) if rates else None


if __name__ == "__main__":
    main()
