"""From a run's TOML to an artifact: train, index, calibrate."""

import hashlib
import inspect
import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from thresher import distributed
from thresher.artifact import Artifact, Edit
from thresher.calibration import Decision, calibrate, checked
from thresher.catalogue import Catalogue
from thresher.config import Config
from thresher.data.dataset import Dataset, load_dataset
from thresher.data.labelled import Labelled
from thresher.data.tables import make_folder
from thresher.decide.evidence import Known
from thresher.evaluate.evaluation import evaluate
from thresher.losses import LOSSES
from thresher.matcher import Matcher
from thresher.objective import Objective, Term
from thresher.retrieve.exact import Exact
from thresher.towers import Tower, save_tower
from thresher.towers.encode import vectors
from thresher.train.loop import Pairs
from thresher.train.loop import train as run_training


def train(
    config: Config, out: Path, *, resume: bool = False, quiet: bool = False
) -> dict[str, Any] | None:
    """Trains, indexes and calibrates, and puts all of it into one artifact.

    Args:
        config: of the run.
        out: folder of the artifact; one that is there stays usable until the new one is whole.
        resume: go on from the checkpoint of a killed run in the same folder.
        quiet: no progress bars.

    Returns:
        What was done, as JSON values; None on all but the first of several processes.

    Raises:
        InputError: for data or settings that cannot be used.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    distributed.init(os.environ, device=device)
    try:
        data = load_dataset(config.build("data"), config.folder)
        # What calibration would refuse is refused now, not after hours of training.
        checked(Labelled.of(data, data.rows("calibration")), config.build("decide"))
        make_folder(out)
        began = time.perf_counter()
        tower, metrics = _tower(config, data, out, resume=resume, quiet=quiet)
        seconds = time.perf_counter() - began
        if distributed.rank() > 0:
            return None
        artifact, decision = _assemble(config, data, tower, out)
    finally:
        distributed.close()
    for name in ("last", "best"):
        (out / "training" / f"{name}.safetensors").unlink(missing_ok=True)
    return {
        "artifact": str(out),
        "fingerprint": artifact.fingerprint("model", "index"),
        "items": len(data.items),
        "queries": {split: len(data.rows(split)) for split in ("train", "calibration", "test")},
        "seconds": round(seconds, 1),
        "validation": metrics,
        "decision": decision.summary(),
    }


def _tower(
    config: Config, data: Dataset, out: Path, *, resume: bool, quiet: bool
) -> tuple[Tower, Mapping[str, float]]:
    """The trained tower, and how its kept weights did on validation."""
    tower: Tower = config.build("tower")
    item_texts, query_texts = data.item_text(), data.query_text()
    train_rows = data.rows("train")
    tower.start_from([*item_texts, *(query_texts[i] for i in train_rows)])
    if not isinstance(tower, nn.Module):
        return tower, {}
    pairs = Pairs(tower.prepare(query_texts), tower.prepare(item_texts), data.relation, train_rows)
    metrics = run_training(
        tower,
        build_objective(config, cast(int, tower.dim)),
        pairs,
        config.build("train"),
        out / "training",
        validate=_validation(tower, pairs, data),
        resume=resume,
        fingerprint=_fingerprint(config, data),
        quiet=quiet,
    )
    return tower, metrics


def build_objective(config: Config, dim: int) -> Objective:
    """The terms of a run, for vectors of this width."""
    terms = []
    for row in config.objective:
        arguments = dict(row)
        name, kind, links, weight = (arguments.pop(k) for k in ("name", "kind", "links", "weight"))
        if "dim" in inspect.signature(LOSSES[kind]).parameters:
            arguments["dim"] = dim
        terms.append(Term(name, LOSSES[kind](**arguments), links, weight))
    return Objective(terms)


def _validation(tower: nn.Module, pairs: Pairs, data: Dataset) -> Any:
    rows = data.rows("validation")
    if not len(rows):
        return None
    relation = data.relation.take(rows)

    def validate() -> dict[str, float]:
        queries = vectors(tower, pairs.queries.take(torch.from_numpy(rows)))
        index = Exact(vectors(tower, pairs.items))
        hits = index.search(queries, min(10, len(index)))
        found = evaluate(hits, relation, ks=(1, 10))
        return {name: value for name, value in found.items() if np.isfinite(value)}

    return validate


def _fingerprint(config: Config, data: Dataset) -> str:
    """Of everything that decides the weights: settings and training pairs."""
    settings = [dict(config.sections[name]) for name in ("tower", "train")]
    terms = [dict(term) for term in config.objective]
    parts = [settings, terms, data.item_text(), data.query_text()]
    digest = hashlib.sha256(json.dumps(parts).encode())
    digest.update(data.relation.pairs().tobytes() + data.split.tobytes())
    return digest.hexdigest()[:16]


def _assemble(config: Config, data: Dataset, tower: Tower, out: Path) -> tuple[Artifact, Decision]:
    """Writes model, index and decision, and makes them current together."""
    options = config.build("decide")
    catalogue = Catalogue.build(
        data.items, data.item_columns, tower, config.build("index"), known_queries(data)
    )
    edit = Edit(out, fresh=True)
    edit.write("model", lambda folder: _write_model(folder, config, data, tower))
    edit.write("index", catalogue.save)
    decision = calibrate(
        Matcher(tower, catalogue, data.query_columns, options),
        Labelled.of(data, data.rows("calibration")),
        options,
        fitted_on=edit.fingerprint("model", "index"),
    )
    edit.write("decision", decision.save)
    return edit.commit(), decision


def _write_model(folder: Path, config: Config, data: Dataset, tower: Tower) -> None:
    save_tower(tower, folder / "tower")
    (folder / "config.toml").write_text(config.to_toml(), "utf-8")
    settings = {
        "query_columns": list(data.query_columns),
        "item_columns": list(data.item_columns),
        "base": str(config.folder),
        "decide": asdict(config.build("decide")),
    }
    (folder / "settings.json").write_text(json.dumps(settings, indent=2) + "\n", "utf-8")


def known_queries(data: Dataset) -> Known:
    """The training queries and their items."""
    rows = data.rows("train")
    texts, ids = data.query_text(), data.items["id"].to_pylist()
    pairs = data.relation.take(rows).pairs().tolist()
    return Known(tuple(texts[rows[q]] for q, _ in pairs), tuple(ids[item] for _, item in pairs))
