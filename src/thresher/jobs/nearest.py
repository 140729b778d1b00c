"""What a model of features sees next to an item, for the terminal and for the report."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from thresher.config import Config
from thresher.data.findings import examples_of
from thresher.data.tables import text_of
from thresher.data.values import entries
from thresher.errors import InputError
from thresher.evaluate.item_map import item_map
from thresher.evaluate.item_sections import Information, ItemMap, Neighbours
from thresher.feature_recommender import FeatureRecommender
from thresher.towers.encode import vectors
from thresher.towers.feature_inputs import FeatureTable
from thresher.towers.features import FeatureTower

MAPPED = 1_500
"""Items on the map of a report, at most."""
SHOWN, NEAREST = 3, 5
"""Items of each kind whose neighbours a report shows, and how many."""


def nearest(
    folder: Path, items: Sequence[str], *, top: int = 10, beside: Path | None = None
) -> dict[str, Any]:
    """The items whose vectors are nearest to those of some items, by one model or by two.

    Args:
        folder: the artifact.
        items: ids of items.
        top: neighbours an item.
        beside: another artifact over the same items, such as one without self-supervision.

    Returns:
        For each item its id, text and, by the path of an artifact, its neighbours.

    Raises:
        InputError: for an unknown id, or more neighbours than there are.
    """
    found: dict[str, dict[str, Any]] = {}
    for path in (folder, *([beside] if beside else [])):
        recommender = FeatureRecommender.open(path)
        recommender.checked(top + 1)
        ids = recommender.items["id"].combine_chunks()
        rows = pc.index_in(pa.array(list(items), pa.string()), value_set=ids)
        if rows.null_count:
            strange = [name for name, row in zip(items, rows, strict=True) if not row.is_valid]
            raise InputError(
                f"{path} has no item {', '.join(map(repr, examples_of(strange)))}; its ids are "
                f"such as {ids[0].as_py()!r}"
            )
        texts = texts_of(recommender)
        of = rows.to_numpy().astype(np.int64)
        for name, row, near in zip(items, of, _near(recommender, of, top), strict=True):
            own = found.setdefault(name, {"id": name, "item": texts[row], "nearest": {}})
            own["nearest"][str(path)] = [
                {"id": ids[int(r)].as_py(), "item": texts[r], "score": float(s)} for r, s in near
            ]
    return {"items": list(found.values())}


def information_of(recommender: FeatureRecommender) -> Information | None:
    """The names of the item features and what they tell of each other; None of a single one."""
    features = recommender.schema.items
    if len(features) < 2:
        return None
    told = recommender.schema.information(recommender.bags)
    return tuple(f.name for f in features), told


def map_of(recommender: FeatureRecommender) -> ItemMap | None:
    """Some of the items in two dimensions, by category where there is one."""
    columns = [f.name for f in recommender.schema.items if f.kind in ("categories", "category")]
    labels = _labels(recommender.items[columns[0]], columns[0]) if columns else None
    count = len(recommender.items)
    rows = np.sort(np.random.default_rng(0).permutation(count)[:MAPPED])
    own = FeatureTable.of("item", {n: bag[rows] for n, bag in recommender.bags.items()})
    said = [labels[row] if labels else "" for row in rows]
    return item_map(vectors(recommender.tower, own)), said


def before_and_after(
    recommender: FeatureRecommender, config: Config, counts: np.ndarray
) -> Neighbours:
    """The neighbours of items of which much, little and nothing was learnt, and before training."""
    start: FeatureTower = config.build("tower")
    start.start_from(recommender.schema)
    before = FeatureRecommender.build(
        start, recommender.items, recommender.bags, config.build("index"), recommender.options
    )
    order = np.argsort(-counts, kind="stable")
    seen = order[counts[order] > 0]
    kinds = (seen[:SHOWN], seen[len(seen) // 2 :][:SHOWN], order[len(seen) :][:SHOWN])
    rows = np.concatenate(kinds)
    texts, top = texts_of(recommender), min(NEAREST, len(recommender.items) - 1)
    ids = recommender.items["id"].to_pylist()
    lists = zip(rows, _near(before, rows, top), _near(recommender, rows, top), strict=True)
    return [
        (
            f"{texts[row] or ids[row]} ({counts[row]:,} training pairs)",
            {
                "before training": [texts[r] or ids[r] for r, _ in early],
                "after": [texts[r] or ids[r] for r, _ in late],
            },
        )
        for row, early, late in lists
    ]


def texts_of(recommender: FeatureRecommender) -> list[str]:
    """What items are called: their words, or nothing."""
    columns = [f.name for f in recommender.schema.items if f.kind in ("words", "text")]
    return text_of(recommender.items, columns[:1])


def _near(
    recommender: FeatureRecommender, rows: np.ndarray, top: int
) -> list[list[tuple[int, float]]]:
    """The nearest other items of some items, with their scores."""
    own = FeatureTable.of("item", {n: bag[rows] for n, bag in recommender.bags.items()})
    hits = recommender.index.search(vectors(recommender.tower, own), top + 1)
    found = []
    for row, near, scores in zip(rows, hits.rows, hits.scores, strict=True):
        pairs = zip(near.tolist(), scores.tolist(), strict=True)
        found.append([(r, score) for r, score in pairs if r not in (row, -1)][:top])
    return found


def _labels(column: pa.ChunkedArray, name: str) -> list[str]:
    """For each item, of its categories the most frequent that at most half of the items have."""
    rows, values = entries(column, "categories", name)
    encoded = values.dictionary_encode()
    places, names = encoded.indices.to_numpy(), encoded.dictionary.to_pylist()
    often = np.bincount(places, minlength=len(names))
    often[often > len(column) / 2] = 0
    labels, best = [""] * len(column), np.zeros(len(column), np.int64)
    for row, place in zip(rows.tolist(), places.tolist(), strict=True):
        if often[place] > best[row]:
            labels[row], best[row] = names[place], often[place]
    return labels
