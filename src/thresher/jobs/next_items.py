"""From an artifact that recommends to numbers and a report."""

import json
from functools import partial
from pathlib import Path

import numpy as np

from thresher.artifact import Artifact
from thresher.config import Config, read
from thresher.data.history import History, load_history
from thresher.data.sequences import Asked
from thresher.errors import InputError
from thresher.evaluate.bootstrap import bootstrap_mean
from thresher.evaluate.evaluation import as_json
from thresher.evaluate.next_items import next_items, per_user_recall
from thresher.evaluate.next_items_page import NextItemsReport, write_next_items
from thresher.recommender import BLOCK, Recommender
from thresher.retrieve import Hits, search_without

SPLITS = ("validation", "test")


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
    if not len(asked):
        raise InputError(f"nobody is asked in the split {split!r}; give it a share in [data]")
    depths = recommender.depths()
    hits = recommender.recommend(asked.histories, max(depths))
    popular = _popular(recommender, data, asked, max(depths))
    metrics = _counted(hits, asked, data, recommender, depths)
    listed = _counted(popular, asked, data, recommender, depths)
    if report:
        intervals = _intervals(hits, asked, recommender, depths)
        page = NextItemsReport(
            title=_title(config, base),
            systems={"popularity": listed, "model": metrics},
            intervals=intervals,
            facts=_facts(data, asked),
            findings=data.findings,
            settings=_settings(config, artifact, split),
        )
        write_next_items(page, folder / "report")
    return as_json(metrics | {f"popularity/{key}": value for key, value in listed.items()})


def _counted(
    hits: Hits, asked: Asked, data: History, recommender: Recommender, depths: tuple[int, ...]
) -> dict[str, float]:
    return next_items(
        hits.rows,
        asked.targets.starts,
        asked.targets.items,
        ks=depths,
        repeats=recommender.options.repeats,
        train_counts=data.counts(),
    )


def _popular(recommender: Recommender, data: History, asked: Asked, k: int) -> Hits:
    """The same list for everybody, less each one's own history where that is removed."""
    counts = data.counts()
    order = np.argsort(-counts, kind="stable")
    scores = counts[order].astype(np.float32)

    def listed(users: int, depth: int) -> Hits:
        shape = users, depth
        return Hits(np.broadcast_to(order[:depth], shape), np.broadcast_to(scores[:depth], shape))

    if not recommender.options.remove_history:
        return listed(len(asked), k)
    removed = asked.histories.relation(len(order))
    blocks = np.array_split(np.arange(len(asked)), -(-len(asked) // BLOCK))
    return Hits.joined(
        search_without(partial(listed, len(rows)), k, removed.take(rows)) for rows in blocks
    )


def _intervals(
    hits: Hits, asked: Asked, recommender: Recommender, depths: tuple[int, ...]
) -> dict[str, tuple[float, float]]:
    """95 % bootstrap intervals of the recall, over customers."""
    each = per_user_recall(
        hits.rows,
        asked.targets.starts,
        asked.targets.items,
        ks=depths,
        repeats=recommender.options.repeats,
    )
    generator = np.random.default_rng(0)
    found = [bootstrap_mean(column, generator=generator) for column in each.T]
    return {f"recall@{k}": (f.low, f.high) for k, f in zip(depths, found, strict=True)}


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
