"""From histories to an artifact that recommends, and from it to numbers."""

import hashlib
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from thresher import distributed
from thresher.config import Config
from thresher.data.history import History, load_history
from thresher.data.relation import Relation
from thresher.data.sequences import Asked
from thresher.jobs.folder import written_to
from thresher.jobs.next_items import VALIDATED, counted, measured_depths
from thresher.jobs.objective import build_objective
from thresher.list_model import write
from thresher.recommender import Recommender
from thresher.towers import HISTORY
from thresher.towers.histories import Histories
from thresher.towers.history import HistoryTower
from thresher.towers.pair import TwoTower
from thresher.train.batches import Pairs
from thresher.train.loop import train as run_training


def train_histories(
    config: Config, out: Path, *, resume: bool = False, quiet: bool = False
) -> dict[str, Any] | None:
    """Trains on histories and indexes the catalogue; see `thresher.jobs.train`."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    distributed.init(os.environ, device=device)
    try:
        data = load_history(config.build("data"), config.folder)
        began = time.perf_counter()
        with written_to(out):
            tower, metrics = _trained(config, data, out, device, resume=resume, quiet=quiet)
            seconds = time.perf_counter() - began
            if distributed.rank() > 0:
                return None
            index, ranking = config.build("index"), config.build("ranking")
            recommender = Recommender.build(tower, data.items, index, ranking)
            artifact = write(recommender, HISTORY, config, out)
    finally:
        distributed.close()
    for path in (out / "training").rglob("*.safetensors"):
        path.unlink()
    return {
        "artifact": str(out),
        "fingerprint": artifact.fingerprint("model", "index"),
        "items": len(data.items),
        "customers": len(data.train.sequences),
        "examples": len(data.train),
        "asked": {"validation": len(data.validation.users), "test": len(data.test.users)},
        "seconds": round(seconds, 1),
        "validation": metrics,
        "findings": list(data.findings),
    }


def _trained(
    config: Config, data: History, out: Path, device: torch.device, *, resume: bool, quiet: bool
) -> tuple[HistoryTower, dict[str, float]]:
    tower: HistoryTower = config.build("tower")
    options = config.build("train")
    counts = data.counts()
    tower.start_from(data.items, data.text_columns, data.category_columns, counts)
    model = TwoTower(tower).to(device)
    validation = _first(data.validation, VALIDATED)
    depths = measured_depths(config.build("ranking").depths, options.metric, len(data.items))

    def validate() -> Mapping[str, float]:
        index, ranking = config.build("index"), config.build("ranking")
        recommender = Recommender.build(tower, data.items, index, ranking)
        hits = recommender.recommend(validation.histories, max(depths))
        found = counted(hits, validation.targets, counts, ranking, depths)
        return {name: value for name, value in found.items() if np.isfinite(value)}

    metrics = run_training(
        model,
        build_objective(config, tower.dim, interests=tower.interests).to(device),
        _pairs(data, tower),
        options,
        out / "training",
        validate=validate if len(validation.users) else None,
        resume=resume,
        fingerprint=_fingerprint(config, data),
        quiet=quiet,
    )
    return tower, metrics


def _pairs(data: History, tower: HistoryTower) -> Pairs:
    """Each event but a customer's first is a query, whose true item it is."""
    examples = data.train
    relation = Relation(np.arange(len(examples) + 1), examples.items(), len(data.items))
    alike = len(np.unique(examples.weights)) <= 1
    return Pairs(
        Histories.before(examples, tower.longest),
        torch.arange(len(data.items)),
        relation,
        np.arange(len(examples)),
        groups=examples.users,
        often=None if alike else examples.weights.astype(np.float64),
    )


def _first(asked: Asked, count: int) -> Asked:
    rows = np.arange(min(count, len(asked.users)))
    return Asked(asked.users[: len(rows)], asked.histories.take(rows), asked.targets.take(rows))


def _fingerprint(config: Config, data: History) -> str:
    """Of everything that decides the weights: settings, items, and the events of two splits."""
    settings = [dict(config.sections[name]) for name in ("tower", "train", "ranking")]
    terms = [dict(term) for term in config.objective]
    read = ("id", *data.text_columns, *data.category_columns)
    described = [data.items[name].to_pylist() for name in read]
    digest = hashlib.sha256(json.dumps([settings, terms, read, described], default=str).encode())
    train, asked = data.train, data.validation
    for part in (train.sequences, asked.histories, asked.targets):
        digest.update(part.starts.tobytes() + part.items.tobytes())
    digest.update(train.targets.tobytes() + train.weights.tobytes())
    return digest.hexdigest()[:16]
