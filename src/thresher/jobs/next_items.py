"""From an artifact that recommends to numbers and a report."""

import json
from collections.abc import Sized
from functools import partial
from pathlib import Path

import numpy as np

from thresher.artifact import Artifact
from thresher.config import Config, read
from thresher.data.history import History, load_history
from thresher.data.relation import Relation
from thresher.data.sequences import Asked, Sequences
from thresher.errors import InputError
from thresher.evaluate.bootstrap import bootstrap_mean
from thresher.evaluate.evaluation import as_json
from thresher.evaluate.next_items import next_items, per_user_recall
from thresher.evaluate.next_items_page import NextItemsReport, write_next_items
from thresher.evaluate.options import RankingOptions
from thresher.recommender import BLOCK, Recommender
from thresher.retrieve import Hits, search_without

SPLITS = ("validation", "test")
VALIDATED = 10_000
"""Customers that are asked after each epoch, at most."""
METRICS = (
    *("recall", "hit_rate", "ndcg", "map", "catalogue_coverage"),
    *("unseen/recall", "rare/recall", "frequent/recall", "head/recall", "tail/recall"),
)
"""What may choose the weights that are kept, at a depth."""


def check_asked(asked: Sized, split: str) -> None:
    """InputError for a split in which nobody is asked."""
    if not len(asked):
        raise InputError(
            f"nobody is asked in the split {split!r}; give it a share in [data] shares, or rows in "
            "the column `split` of the pairs"
        )


def evaluate_histories(
    folder: Path, *, split: str = "test", report: bool = True
) -> dict[str, float | None]:
    """Asks the artifact for the next items of customers whose next items are known.

    Args:
        folder: the artifact.
        split: of the data that it was trained on.
        report: whether to write `report/`.

    Returns:
        A flat table of numbers; `popularity/metric` are those of listing the items that stand most
        often in training.

    Raises:
        InputError: for a damaged artifact, data that moved away, or another split.
    """
    if split not in SPLITS:
        raise InputError(f"histories are measured on {' or '.join(SPLITS)}, got {split!r}")
    artifact, recommender = Artifact.open(folder), Recommender.open(folder)
    model = artifact.part("model")
    config = read(model / "config.toml")
    base = json.loads((model / "settings.json").read_text("utf-8"))["base"]
    data = load_history(config.build("data"), base)
    asked: Asked = getattr(data, split)
    check_asked(asked, split)
    depths = recommender.depths()
    hits = recommender.recommend(asked.histories, max(depths))
    options, counts = recommender.options, data.counts()
    removed = Relation.none((len(asked), len(data.items)))
    if options.remove_history:
        removed = asked.histories.relation(len(data.items))
    same = popular(counts, removed, max(depths))
    metrics = counted(hits, asked.targets, counts, options, depths)
    listed = counted(same, asked.targets, counts, options, depths)
    if report:
        page = NextItemsReport(
            title=_title(config, base),
            systems={"popularity": listed, "model": metrics},
            intervals=intervals(hits, asked.targets, options, depths),
            facts=_facts(data, asked),
            findings=data.findings,
            settings=_settings(config, artifact, split),
        )
        write_next_items(page, folder / "report")
    return as_json(metrics | {f"popularity/{key}": value for key, value in listed.items()})


def measured_depths(depths: tuple[int, ...], metric: str, items: int) -> tuple[int, ...]:
    """What is measured after an epoch: not deeper than the metric that chooses needs."""
    name, _, depth = metric.rpartition("@")
    if name not in METRICS or not depth.isdecimal() or not 1 <= int(depth) <= items:
        raise InputError(
            f"train.metric is {metric!r}; give one of {', '.join(METRICS)} at a depth of 1 to "
            f"{items}, the items that there are, such as 'recall@{min(50, items)}'"
        )
    return tuple(sorted({int(depth), *(d for d in depths if d <= int(depth))}))


def counted(
    hits: Hits, targets: Sequences, counts: np.ndarray, options: RankingOptions, ks: tuple[int, ...]
) -> dict[str, float]:
    """The metrics of lists, against what came next."""
    return next_items(
        hits.rows,
        targets.starts,
        targets.items,
        ks=ks,
        repeats=options.repeats,
        train_counts=counts,
    )


def popular(counts: np.ndarray, removed: Relation, k: int) -> Hits:
    """The same list for everybody, the items that stand most often in training, less some each.

    Args:
        counts: training events of each item.
        removed: what is not listed, a row for each list.
        k: places of a list.
    """
    order = np.argsort(-counts, kind="stable")
    scores = counts[order].astype(np.float32)

    def listed(users: int, depth: int) -> Hits:
        shape = users, depth
        return Hits(np.broadcast_to(order[:depth], shape), np.broadcast_to(scores[:depth], shape))

    if not len(removed.indices):
        return listed(len(removed), k)
    blocks = np.array_split(np.arange(len(removed)), -(-len(removed) // BLOCK))
    return Hits.joined(
        search_without(partial(listed, len(rows)), k, removed.take(rows)) for rows in blocks
    )


def intervals(
    hits: Hits, targets: Sequences, options: RankingOptions, ks: tuple[int, ...]
) -> dict[str, tuple[float, float]]:
    """95 % bootstrap intervals of the recall, over customers."""
    each = per_user_recall(hits.rows, targets.starts, targets.items, ks=ks, repeats=options.repeats)
    generator = np.random.default_rng(0)
    found = [bootstrap_mean(column, generator=generator) for column in each.T]
    return {f"recall@{k}": (f.low, f.high) for k, f in zip(ks, found, strict=True)}


def _title(config: Config, base: str) -> str:
    data = config.sections["data"]
    return str(data["bundled"] or Path(base, data["events"]).resolve().parent.name)


def _facts(data: History, asked: Asked) -> dict[str, str]:
    numbers = {
        "customers learnt from": len(data.train.sequences),
        "events learnt from": len(data.train.sequences.items),
        "items": len(data.items),
        "items never in training": int((data.counts() == 0).sum()),
        "customers asked": len(asked),
        "events to foretell": len(asked.targets.items),
    }
    return {name: f"{number:,}" for name, number in numbers.items()}


def _settings(config: Config, artifact: Artifact, split: str) -> dict[str, str]:
    data, tower = config.sections["data"], config.sections["tower"]
    ranking = config.sections["ranking"]
    return {
        "protocol": f"{data['protocol']}, split {split}",
        "history": "removed from the lists" if ranking["remove_history"] else "may be listed",
        "repeated targets": "count each time" if ranking["repeats"] else "count once",
        "tower": f"{tower['encoder']}, {tower['dim']} numbers",
        "objective": ", ".join(str(term["name"]) for term in config.objective),
        "model and index": artifact.fingerprint("model", "index"),
    }
