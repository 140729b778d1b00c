"""From tables of features to an artifact that recommends."""

import hashlib
import json
import os
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from thresher import distributed
from thresher.config import Config
from thresher.data.feature_data import FeatureData, load_feature_data
from thresher.data.features import Bag, Counted, Schema
from thresher.data.schema import FeatureOptions
from thresher.feature_recommender import FeatureRecommender, Queries
from thresher.jobs.folder import written_to
from thresher.jobs.next_items import VALIDATED, counted, measured_depths
from thresher.jobs.objective import build_objective
from thresher.list_model import write
from thresher.towers import FEATURES
from thresher.towers.feature_inputs import FeatureTable
from thresher.towers.features import FeatureTower
from thresher.towers.histories import Histories
from thresher.towers.pair import TwoTower
from thresher.train.batches import Pairs
from thresher.train.loop import train as run_training
from thresher.train.views import SPREAD, VIEWS, ItemViews

SEVERAL = ("categories", "words", "text")
"""Kinds of feature with several values, of which views drop some."""


def train_features(
    config: Config, out: Path, *, resume: bool = False, quiet: bool = False
) -> dict[str, Any] | None:
    """Trains on features and indexes the catalogue; see `thresher.jobs.train`."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    distributed.init(os.environ, device=device)
    try:
        data = load_feature_data(config.build("data"), config.folder)
        schema = schema_of(config, data)
        bags = schema.of_items(data.items)
        began = time.perf_counter()
        with written_to(out):
            tower, metrics = _trained(
                config, data, schema, bags, out, device, resume=resume, quiet=quiet
            )
            seconds = time.perf_counter() - began
            if distributed.rank() > 0:
                return None
            index, ranking = config.build("index"), config.build("ranking")
            recommender = FeatureRecommender.build(tower, data.items, bags, index, ranking)
            artifact = write(recommender, FEATURES, config, out)
    finally:
        distributed.close()
    for path in (out / "training").rglob("*.safetensors"):
        path.unlink()
    return {
        "artifact": str(out),
        "fingerprint": artifact.fingerprint("model", "index"),
        "items": len(data.items),
        "examples": len(data.relation.indices),
        "asked": {"validation": len(data.validation), "test": len(data.test)},
        "features": {
            "item": {f.name: f.kind for f in schema.items},
            "query": {f.name: f.kind for f in schema.queries},
        },
        "seconds": round(seconds, 1),
        "validation": metrics,
        "findings": list(data.findings),
    }


def schema_of(config: Config, data: FeatureData) -> Schema:
    """The features of a run's items and queries, fitted to its catalogue and training pairs."""
    queries = None
    if data.queries is not None:
        queries = Counted(data.queries, data.asked_in_training(), data.queries_path)
    items = Counted(data.items, data.counts(), data.items_path)
    options: FeatureOptions = config.build("features")
    if data.itself is not None:  # queries are items: what is told of these holds for both
        options = replace(options, query={**options.item, **options.query})
    return Schema.fitted(items, queries, options, histories=data.examples is not None)


def audit_features(config: Config) -> dict[str, Any]:
    """What a run's data holds and how its columns are read, before anything is trained.

    Returns:
        Sizes, features and findings as JSON values; `lines` is the same for a terminal.

    Raises:
        InputError: for data that cannot be used.
    """
    data = load_feature_data(config.build("data"), config.folder)
    schema = schema_of(config, data)
    bags = schema.of_items(data.items)
    features = []
    for side, own in (("item", schema.items), ("query", schema.queries)):
        for f in own:
            known = {"side": side, "name": f.name, "kind": f.kind, "width": f.width}
            known |= {"table": f.table, "values": len(schema.readers[f.table])}
            if side == "item":
                known["missing"] = int((np.diff(bags[f.name].indptr) == 0).sum())
            features.append(known)
    said = [
        f"{f['side']}: {f['name']} is read as {f['kind']}, {f['values']:,} values with a vector of "
        f"{f['width']}" + (f"; {f['missing']:,} items without" if f.get("missing") else "")
        for f in features
    ]
    sizes = data.sizes()
    return {
        "ok": True,
        **sizes,
        "features": features,
        "findings": list(data.findings),
        "lines": [*data.lines(), *said],
    }


def _trained(
    config: Config,
    data: FeatureData,
    schema: Schema,
    bags: Mapping[str, Bag],
    out: Path,
    device: torch.device,
    *,
    resume: bool,
    quiet: bool,
) -> tuple[FeatureTower, dict[str, float]]:
    tower: FeatureTower = config.build("tower")
    options, ranking = config.build("train"), config.build("ranking")
    tower.start_from(schema)
    model = TwoTower(tower).to(device)
    validation = data.validation.first(VALIDATED)
    depths = measured_depths(ranking.depths, options.metric, len(data.items))
    queries = Queries(schema, data.items, bags)
    asked = queries.of_asking(data.queries, validation)

    def validate() -> Mapping[str, float]:
        index = config.build("index")
        recommender = FeatureRecommender.build(tower, data.items, bags, index, ranking)
        hits = recommender.recommend(validation, asked, max(depths))
        found = counted(hits, validation.targets, data.counts(), ranking, depths)
        return {name: value for name, value in found.items() if np.isfinite(value)}

    metrics = run_training(
        model,
        build_objective(config, tower.dim).to(device),
        pairs_of(config, data, schema, bags),
        options,
        out / "training",
        validate=validate if len(validation) else None,
        resume=resume,
        fingerprint=_fingerprint(config, data),
        quiet=quiet,
    )
    return tower, metrics


def pairs_of(config: Config, data: FeatureData, schema: Schema, bags: Mapping[str, Bag]) -> Pairs:
    """Each training query, its true items, and views of items where a term reads them."""
    queries, examples = Queries(schema, data.items, bags), data.examples
    histories = None if examples is None else Histories.before(examples, schema.longest)
    often = None
    if examples is not None and len(np.unique(examples.weights)) > 1:
        often = examples.weights.astype(np.float64)
    return Pairs(
        queries.of(data.queries, data.rows, histories),
        FeatureTable.of("item", bags),
        data.relation,
        np.flatnonzero(data.relation.counts()),
        ignored=data.itself,
        groups=None if examples is None else examples.users,
        often=often,
        views=views_of(config, schema, bags),
    )


def views_of(config: Config, schema: Schema, bags: Mapping[str, Bag]) -> ItemViews | None:
    """What a run's terms on views draw; None where no term reads any."""
    read = {term["links"] for term in config.objective}
    if not read.intersection((VIEWS, SPREAD)):
        return None
    options = config.build("views")
    told = None
    if VIEWS in read and options.masking == "correlated":
        told = schema.information(bags)
    return ItemViews(
        FeatureTable.of("item", bags),
        options,
        ids=[f.name for f in schema.items if f.kind == "id"],
        several=[f.name for f in schema.items if f.kind in SEVERAL],
        information=told,
        seed=config.build("train").seed,
        masked=VIEWS in read,
    )


def _fingerprint(config: Config, data: FeatureData) -> str:
    """Of everything that decides the weights: settings, features and training pairs."""
    names = ("features", "tower", "views", "train", "ranking")
    settings = [dict(config.sections[name]) for name in names]
    terms = [dict(term) for term in config.objective]
    digest = hashlib.sha256(json.dumps([settings, terms], default=str).encode())
    for table in (data.items, data.queries):
        if table is not None:
            digest.update(_content(table))
    digest.update(data.relation.pairs().tobytes())
    if data.examples is not None:
        digest.update(data.examples.sequences.items.tobytes() + data.examples.targets.tobytes())
    digest.update(data.validation.targets.items.tobytes())
    return digest.hexdigest()[:16]


def _content(table: pa.Table) -> bytes:
    """A digest of a table, block by block."""
    digest = hashlib.sha256(str(table.schema.remove_metadata()).encode())
    for block in table.to_batches(max_chunksize=65_536):
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, block.schema) as stream:
            stream.write_batch(block)
        digest.update(sink.getvalue())
    return digest.digest()
