"""From a run to a trained model over its catalogue, with a decision where labels are kept apart."""

import difflib
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from thresher import distributed
from thresher.artifact import check_folder
from thresher.catalogue import Catalogue
from thresher.config import Config
from thresher.data.dataset import Dataset, Part, load_dataset
from thresher.decide.known import KnownTexts
from thresher.decision import check_labels, fit_decision
from thresher.errors import InputError
from thresher.evaluate import RecommendOptions, evaluate
from thresher.files import FolderLock, output_folder, sweep
from thresher.jobs.objective import build_objective
from thresher.jobs.out_of_fold import examples_of
from thresher.rerank import Examples
from thresher.retrieve import Hits, build, search_without
from thresher.retriever import Retriever
from thresher.towers import Tower
from thresher.towers.feature_tower import FeatureTower
from thresher.towers.item_embeddings import ItemEmbeddings
from thresher.towers.model import RetrievalModel
from thresher.training.batches import pairs_of
from thresher.training.classifiers import Measure, train_classifiers
from thresher.training.loop import train as run_training
from thresher.training.views import views_of

TRAINED_BY = ("features", "tower", "labels", "views", "train", "classifiers")
"""Sections that decide the weights, with the objective and the data."""
BOOSTS = (0.0, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Repeat boosts that are tried on validation."""
VALIDATED = 10_000
"""Validation queries that are searched after each epoch, at most."""


@dataclass(frozen=True)
class Trained:
    """What training made: the tower, and what it learnt of single items beside it."""

    tower: Tower
    embeddings: ItemEmbeddings | None
    metrics: Mapping[str, float]


def train(
    config: Config,
    out: Path | None = None,
    *,
    data: Dataset | None = None,
    resume: bool = False,
    quiet: bool = False,
) -> tuple[Retriever, dict[str, Any]] | None:
    """Train, index and calibrate, and put all of it into one artifact.

    Args:
        config: of the run.
        out: folder of the artifact; one that is there stays usable until the new one is whole.
            Nothing is kept on disk without it.
        data: of the run, where it is in memory; else read from the files that it names.
        resume: go on from the checkpoint of a killed run in the same folder.
        quiet: no progress bars.

    Returns:
        The model, and what was done as JSON values; None on all but the first of several processes.

    Raises:
        InputError: for data or settings that cannot be used.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    distributed.init(os.environ, device=device)
    try:
        data = load_dataset(config.build("data"), config.folder) if data is None else data
        check(config, data)
        began = time.perf_counter()
        with ExitStack() as stack:
            if out is None:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            else:
                folder = out
                stack.enter_context(output_folder(out))
                _check_folder(out, resume=resume)
                if distributed.rank() == 0:
                    stack.enter_context(FolderLock(out, "train"))
            how: dict[str, Any] = {"device": device, "resume": resume, "quiet": quiet}
            trained = _trained(config, data, folder, **how)
            examples = examples_of(config, data, partial(_fold, config, folder / "training", how))
            seconds = time.perf_counter() - began
            if distributed.rank() > 0:
                return None
            model = _assembled(config, data, trained, examples, out)
            for path in (folder / "training").glob("fold-*"):
                shutil.rmtree(path)
            for path in (folder / "training").rglob("*.safetensors"):
                path.unlink()
            sweep(folder / "training")  # of a run that was killed at its last checkpoint
    finally:
        distributed.close()
    return model, _done(config, data, model, trained, seconds)


def _done(
    config: Config, data: Dataset, model: Retriever, trained: Trained, seconds: float
) -> dict[str, Any]:
    """What training did, as JSON values."""
    schema = model.tower.schema
    return {
        "artifact": None if model.folder is None else str(model.folder),
        **data.sizes(),
        "features": {
            side: {f.name: f.kind for f in features}
            for side, features in (("item", schema.items), ("query", schema.queries))
        },
        "seconds": round(seconds, 1),
        "validation": dict(trained.metrics),
        "reranker_queries": 0 if model.examples is None else len(model.examples),
        "repeat_boost": _boost(config, model),
        "decision": None if model.decision is None else model.decision.summary(),
        "findings": [*data.findings, *_undecided(config, data)],
    }


def _undecided(config: Config, data: Dataset) -> list[str]:
    """What a run that is to certify a threshold lacks for it."""
    if not config.decides or len(data.part("calibration").queries):
        return []
    return [
        "no query is in the split 'calibration', so nothing is certified; put some there, or run "
        "`thresher calibrate` with --queries and --pairs"
    ]


def check(config: Config, data: Dataset) -> None:
    """InputError for what calibration would refuse, now and not after hours of training."""
    if config.decides and len(data.part("calibration").queries):
        check_labels(data.part("calibration"), config.build("decide"), data.query_text)


def _check_folder(out: Path, *, resume: bool) -> None:
    """InputError for a folder of something else, and for nothing to resume."""
    last = list((out / "training").rglob("last.safetensors"))
    if resume and not last:
        raise InputError(
            f"{out} has no checkpoint to resume from; leave out --resume to train from the start"
        )
    check_folder(out)


def _trained(
    config: Config,
    data: Dataset,
    out: Path,
    *,
    device: torch.device,
    resume: bool,
    quiet: bool,
    label: str = "",
) -> Trained:
    """Train, and measure the weights that are kept on validation."""
    tower: Tower = config.build("tower")
    tower.fit(data, config.build("features"))
    tower.describe(data.items)
    if not isinstance(tower, nn.Module):
        return Trained(tower, None, {})
    tower.to(device)
    options = config.build("train")
    labels = config.build("labels").build(tower, tower.items(), data.item_counts(), options.seed)
    model = RetrievalModel(tower, labels).to(device)
    views = views_of(config.build("views"), tower, config.objective, seed=options.seed)
    pairs, items = pairs_of(model, data.part("train"), views=views), model.items()
    measure = _validation(config, model, data)
    how: dict[str, Any] = {
        "resume": resume,
        "fingerprint": _fingerprint(config, data),
        "quiet": quiet,
    }
    metrics: Mapping[str, float] = run_training(
        model,
        build_objective(config, tower.dim, interests=tower.interests).to(device),
        pairs,
        options,
        out / "training",
        validate=(lambda: measure(model.vectors(items))) if measure else None,
        label=label,
        **how,
    )
    if isinstance(tower, FeatureTower):
        tower.quantise()
    embeddings = ItemEmbeddings(tuple(data.items["id"].to_pylist()), labels)
    second = config.build("classifiers")
    if second.epochs:
        classifiers, metrics = train_classifiers(
            model,
            pairs,
            second,
            options,
            out / "training" / "classifiers",
            measure=measure,
            **how,
        )
        embeddings = replace(embeddings, classifiers=classifiers, weight=second.weight)
    if labels is not None:
        labels.cpu()  # the tower stays where it encodes fastest
    learnt = labels is not None or embeddings.classifiers is not None
    return Trained(tower, embeddings if learnt else None, metrics)


def _validation(config: Config, model: RetrievalModel, data: Dataset) -> Measure | None:
    """Measures item vectors on the first validation queries; None without any."""
    part = data.part("validation").first(VALIDATED)
    if not len(part.queries):
        return None
    tower, recommend, metric = model.tower, config.build("recommend"), config.build("train").metric
    queries = tower.queries(part.queries)
    ks = _ks(metric, len(data.items))
    ignored = part.ignored
    if recommend.remove_history and part.queries.histories is not None:
        ignored = ignored.union(part.queries.histories.sequences().relation(len(data.items)))

    measured = partial(_measured, ks=ks, data=data, options=recommend)

    def measure(items: np.ndarray) -> dict[str, float]:
        index = build(items, kind="auto")
        vectors = tower.encode(queries).reshape(-1, tower.dim)

        def search(depth: int) -> Hits:
            return index.search(vectors, depth).merged(tower.interests)

        found = measured(search_without(search, ks[-1], ignored), part)
        return {name: value for name, value in found.items() if np.isfinite(value)}

    _check_metric(metric, measured(Hits.none(1, ks[-1]), part.first(1)), len(data.items))
    return measure


def _measured(
    hits: Hits, part: Part, ks: tuple[int, ...], data: Dataset, options: RecommendOptions
) -> dict[str, float]:
    return evaluate(
        hits,
        part.truth,
        targets=part.targets,
        ks=ks,
        train_counts=data.item_counts(),
        count_repeats=options.count_repeats,
    )


def _check_metric(metric: str, measured: Mapping[str, float], items: int) -> None:
    """InputError for a metric that validation does not measure, now and not after an epoch."""
    if metric not in measured:
        near = difflib.get_close_matches(metric, measured, n=3, cutoff=0.0)
        raise InputError(
            f"train.metric is {metric!r}; give one that validation measures, such as "
            f"{', '.join(near)}, with k of 1 to {items}, the items of the catalogue"
        )


def _ks(metric: str, items: int) -> tuple[int, ...]:
    """Lengths of the lists that validation measures, with the k of a metric such as recall@50."""
    depth = metric.rpartition("@")[2]
    return tuple(k for k in sorted({1, 10, int(depth) if depth.isdecimal() else 10}) if k <= items)


def _fold(
    config: Config, folder: Path, how: Mapping[str, Any], data: Dataset, number: int
) -> Retriever | None:
    """A model of part of the training queries, on the first of several processes."""
    trained = _trained(config, data, folder / f"fold-{number}", label=f"fold {number}, ", **how)
    return None if distributed.rank() else _model(config, data, trained)


def _model(config: Config, data: Dataset, trained: Trained) -> Retriever:
    """The trained model over its catalogue."""
    train = data.part("train").queries
    texts = train.text(data.query_text)
    return Retriever(
        config,
        trained.tower,
        Catalogue.build(data, trained.tower, config, trained.embeddings),
        embeddings=trained.embeddings,
        train_queries=len(train),
        known_texts=KnownTexts.of(texts) if data.query_text else None,
        data=data,
    )


def _assembled(
    config: Config, data: Dataset, trained: Trained, examples: Examples | None, out: Path | None
) -> Retriever:
    """The trained model over its catalogue, calibrated and saved."""
    model = _model(config, data, trained)
    model.examples = examples
    model.config = config.replace(recommend=chosen_boost(model, data))
    if config.decides and len(data.part("calibration").queries):
        model.decision = fit_decision(model, data.part("calibration"), config.build("decide"))
    if out is not None:
        model.write(out)
    return model


def chosen_boost(model: Retriever, data: Dataset) -> dict[str, float]:
    """The repeat boost with the best metric on validation, as a key of `[recommend]`.

    Of equal ones the smallest: where nothing repeats that is 0. Nothing is chosen without
    histories or validation, where a boost is configured, and where histories are removed.
    """
    options, metric = model.config.build("recommend"), model.config.build("train").metric
    part = data.part("validation").first(VALIDATED)
    histories = part.queries.histories
    if options.repeat_boost != "auto" or options.remove_history or histories is None:
        return {}
    if not len(part):
        return {}
    ks = _ks(metric, len(data.items))
    vectors, found = model.hits(part.queries, ks[-1], ignored=part.ignored)
    reached = {}
    for boost in BOOSTS:
        hits = model.raised(part.queries, vectors, found, boost)
        value = _measured(hits, part, ks, data, options)[metric]
        reached[boost] = value if np.isfinite(value) else -np.inf
    return {"repeat_boost": max(BOOSTS, key=reached.__getitem__)}


def _boost(config: Config, model: Retriever) -> float | None:
    """The repeat boost that validation chose; None where it was not asked."""
    given, chosen = (c.sections["recommend"]["repeat_boost"] for c in (config, model.config))
    return None if given == chosen else float(chosen)


def _fingerprint(config: Config, data: Dataset) -> str:
    """Of everything that decides the weights: settings and training data."""
    settings = [dict(config.sections[name]) for name in TRAINED_BY]
    terms = [dict(term) for term in config.objective]
    text = json.dumps([settings, terms, data.fingerprint()], default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
