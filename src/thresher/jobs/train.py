"""From a run's TOML to an artifact: train, index, calibrate."""

import hashlib
import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float32
from torch import nn

from thresher import distributed
from thresher.artifact import Artifact, Edit
from thresher.calibration import Decision, calibrate, checked
from thresher.catalogue import Catalogue
from thresher.config import Config
from thresher.data.dataset import Dataset, load_dataset
from thresher.data.labelled import Labelled
from thresher.data.tables import text_of
from thresher.decide.evidence import Known
from thresher.evaluate.evaluation import evaluate
from thresher.family import FEATURES, HISTORY
from thresher.jobs.features import train_features
from thresher.jobs.folder import written_to
from thresher.jobs.histories import train_histories
from thresher.jobs.objective import build_objective
from thresher.matcher import Matcher
from thresher.retrieve import search_without
from thresher.retrieve.exact import Exact
from thresher.towers import Tower, save_tower
from thresher.towers.bags import Bags
from thresher.towers.feature_inputs import FeatureTable
from thresher.towers.known import KnownItems
from thresher.towers.labels import LabelTable
from thresher.towers.pair import TwoTower
from thresher.towers.text import BagTower
from thresher.towers.text_parts import joined, part_information, part_table
from thresher.train.batches import Pairs
from thresher.train.classifiers import Measure, train_classifiers
from thresher.train.loop import train as run_training
from thresher.train.views import SPREAD, VIEWS, ItemViews
from thresher.types import Table

TRAINED_BY = ("tower", "labels", "views", "train", "classifiers")
"""Sections that decide the weights, with the objective and the data."""


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
    if config.family is FEATURES:
        return train_features(config, out, resume=resume, quiet=quiet)
    if config.family is HISTORY:
        return train_histories(config, out, resume=resume, quiet=quiet)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    distributed.init(os.environ, device=device)
    try:
        data = load_dataset(config.build("data"), config.folder)
        # What calibration would refuse is refused now, not after hours of training.
        checked(Labelled.of(data, data.rows("calibration")), config.build("decide"))
        began = time.perf_counter()
        with written_to(out):
            trained = _trained(config, data, out, device, resume=resume, quiet=quiet)
            seconds = time.perf_counter() - began
            if distributed.rank() > 0:
                return None
            artifact, decision = _assemble(config, data, trained, out)
    finally:
        distributed.close()
    for path in (out / "training").rglob("*.safetensors"):
        path.unlink()
    return {
        "artifact": str(out),
        "fingerprint": artifact.fingerprint("model", "index"),
        "items": len(data.items),
        "queries": {split: len(data.rows(split)) for split in ("train", "calibration", "test")},
        "seconds": round(seconds, 1),
        "validation": trained.metrics,
        "decision": decision.summary(),
    }


@dataclass(frozen=True)
class Trained:
    """What training made: the tower, and what it learnt of single items beside it."""

    tower: Tower
    own: KnownItems | None
    metrics: Mapping[str, float]


def _trained(
    config: Config, data: Dataset, out: Path, device: torch.device, *, resume: bool, quiet: bool
) -> Trained:
    """Trains, and says how the weights that are kept did on validation."""
    tower: Tower = config.build("tower")
    item_texts, query_texts = data.item_text(), data.query_text()
    rows = data.rows("train")
    tower.start_from([*item_texts, *(query_texts[i] for i in rows)])
    if not isinstance(tower, nn.Module):
        return Trained(tower, None, {})
    tower.to(device)
    options, items = config.build("train"), tower.prepare(item_texts)
    counts = data.relation.take(rows).item_counts()
    views = _views(config, data, tower, items)
    labels = config.build("labels").build(tower, items, counts, options.seed)
    if labels is not None:
        items = LabelTable(items, torch.arange(len(item_texts)))
    model = TwoTower(tower, labels).to(device)
    queries = tower.prepare(query_texts)
    pairs = Pairs(queries, items, data.relation, rows, data.ignored, views=views)
    measure = _validation(model, pairs, data)
    how: dict[str, Any] = {
        "resume": resume,
        "fingerprint": _fingerprint(config, data),
        "quiet": quiet,
    }
    metrics: Mapping[str, float] = run_training(
        model,
        build_objective(config, cast(int, tower.dim)).to(device),
        pairs,
        options,
        out / "training",
        validate=(lambda: measure(model.vectors(items))) if measure else None,
        **how,
    )
    own = KnownItems(tuple(data.items["id"].to_pylist()), labels)
    second = config.build("classifiers")
    if second.epochs:
        folder = out / "training" / "classifiers"
        classifiers, metrics = train_classifiers(
            model, pairs, second, options, folder, measure=measure, **how
        )
        own = replace(own, classifiers=classifiers, weight=second.weight)
    if labels is not None:
        labels.cpu()  # the tower stays where it encodes fastest
    learnt = labels is not None or own.classifiers is not None
    return Trained(tower, own if learnt else None, metrics)


def _views(config: Config, data: Dataset, tower: Tower, items: Table) -> ItemViews | None:
    """What a run's terms on views draw: the parts of an item's text; None where none reads any."""
    read = {term["links"] for term in config.objective}
    if not read.intersection((VIEWS, SPREAD)):
        return None
    options, tokens = config.build("views"), cast(BagTower, tower).tokens
    # Without a view nothing is hidden, and an item stays the bag that it is everywhere else.
    table, told = FeatureTable("item", {"text": cast(Bags, items)}), None
    if VIEWS in read:
        columns = {name: text_of(data.items, [name]) for name in data.item_columns}
        table = part_table(columns, tokens)
        if options.masking == "correlated":
            told = part_information(columns, tokens)
    return ItemViews(
        table,
        options,
        ids=(),
        several=tuple(table.bags),
        information=told,
        seed=config.build("train").seed,
        masked=VIEWS in read,
        joined=joined,
    )


def _validation(model: TwoTower, pairs: Pairs, data: Dataset) -> Measure | None:
    """Measures item vectors on the validation split; None without one."""
    rows = data.rows("validation")
    if not len(rows):
        return None
    relation, ignored = data.relation.take(rows), data.ignored.take(rows)
    queries = pairs.queries.take(torch.from_numpy(rows))

    def measure(items: Float32[np.ndarray, "N D"]) -> dict[str, float]:
        index, vectors = Exact(items), model.vectors(queries)
        k = min(10, len(index))
        hits = search_without(lambda n: index.search(vectors, n), k, ignored)
        found = evaluate(hits, relation, ks=(1, 10))
        return {name: value for name, value in found.items() if np.isfinite(value)}

    return measure


def _fingerprint(config: Config, data: Dataset) -> str:
    """Of everything that decides the weights: settings and training pairs."""
    settings = [dict(config.sections[name]) for name in TRAINED_BY]
    terms = [dict(term) for term in config.objective]
    parts = [settings, terms, data.item_text(), data.query_text()]
    digest = hashlib.sha256(json.dumps(parts).encode())
    for relation in (data.relation, data.ignored):
        digest.update(relation.pairs().tobytes())
    digest.update(data.split.tobytes())
    return digest.hexdigest()[:16]


def _assemble(
    config: Config, data: Dataset, trained: Trained, out: Path
) -> tuple[Artifact, Decision]:
    """Writes model, index and decision, and makes them current together."""
    options, tower = config.build("decide"), trained.tower
    catalogue = Catalogue.build(
        data.items,
        data.item_columns,
        tower,
        config.build("index"),
        known_queries(data),
        trained.own,
    )
    edit = Edit(out, fresh=True)
    edit.write("model", lambda folder: _write_model(folder, config, data, trained))
    edit.write("index", catalogue.save)
    decision = calibrate(
        Matcher(tower, catalogue, data.query_columns, options),
        Labelled.of(data, data.rows("calibration")),
        options,
        fitted_on=edit.fingerprint("model", "index"),
    )
    edit.write("decision", decision.save)
    return edit.commit(), decision


def _write_model(folder: Path, config: Config, data: Dataset, trained: Trained) -> None:
    save_tower(trained.tower, folder / "tower")
    if trained.own is not None:
        trained.own.save(folder / "items")
    (folder / "config.toml").write_text(config.to_toml(), "utf-8")
    settings = {
        "query_columns": list(data.query_columns),
        "item_columns": list(data.item_columns),
        "base": str(config.folder),
        "train_queries": len(data.rows("train")),
        "decide": asdict(config.build("decide")),
    }
    (folder / "settings.json").write_text(json.dumps(settings, indent=2) + "\n", "utf-8")


def known_queries(data: Dataset) -> Known:
    """The training queries and their items."""
    rows = data.rows("train")
    texts, ids = data.query_text(), data.items["id"].to_pylist()
    pairs = data.relation.take(rows).pairs().tolist()
    return Known(tuple(texts[rows[q]] for q, _ in pairs), tuple(ids[item] for _, item in pairs))
