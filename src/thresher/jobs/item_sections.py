"""What a report shows of the items themselves: their features, a map, and neighbours."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float64, Int64

from thresher.data.values import entries
from thresher.evaluate.item_map import item_map
from thresher.report import Candidate

MAPPED = 1_500
"""Items on the map, at most."""
SHOWN, NEAREST = 3, 5
"""Items of each kind whose neighbours are shown, and how many of those."""


def information_of(model: Any) -> tuple[tuple[str, ...], Float64[np.ndarray, "k k"]] | None:
    """The names of the item features and what they tell of each other; None of a single one."""
    features = model.tower.schema.items
    if len(features) < 2:
        return None
    told = model.tower.schema.information(model.tower.items())
    return tuple(feature.name for feature in features), told


def map_of(model: Any, *, lists: bool) -> tuple[Float64[np.ndarray, "n 2"], Sequence[str]] | None:
    """Some of the items in two dimensions, by category where there is one.

    Args:
        model: its schema names the categories.
        lists: whether to draw items without categories too.
    """
    features = model.tower.schema.items
    columns = [f.name for f in features if f.kind in ("categories", "category")]
    if not (columns or lists):
        return None
    labels = _labels(model.items[columns[0]], columns[0]) if columns else [""] * len(model.items)
    rows = np.sort(np.random.default_rng(0).permutation(len(model.items))[:MAPPED])
    vectors = np.asarray(model.catalogue.vectors(rows), np.float32)
    return item_map(vectors), [labels[row] for row in rows]


def neighbours_of(model: Any) -> list[tuple[Candidate, dict[str, list[Candidate]]]]:
    """The neighbours of items of which much, little and nothing was learned, and before training.

    Of a model whose training data is gone only those after it are shown.
    """
    counts = model.catalogue.train_counts
    order = np.argsort(-counts, kind="stable")
    seen = order[counts[order] > 0]
    kinds = (seen[:SHOWN], seen[len(seen) // 2 :][:SHOWN], order[len(seen) :][:SHOWN])
    rows = np.unique(np.concatenate(kinds))
    rows = rows[np.argsort(-counts[rows], kind="stable")]
    vectors = {"after training": _all_vectors(model)}
    if model.data is not None and model.tower.trained:
        start = model.config.build("tower")
        start.fit(model.data, model.config.build("features"))
        start.describe(model.items)
        before = np.asarray(start.encode(start.items()), np.float32)
        vectors = {"before training": before, **vectors}
    near = {name: _nearest(found, rows) for name, found in vectors.items()}
    shown = []
    for at, row in enumerate(rows):
        (item,) = _candidates(model, np.array([row]))
        named = Candidate(item.id, f"{item.text or item.id} ({counts[row]:,} training pairs)")
        lists = {name: _candidates(model, found[at]) for name, found in near.items()}
        shown.append((named, lists))
    return shown


def _all_vectors(model: Any) -> np.ndarray:
    return np.asarray(model.catalogue.vectors(np.arange(len(model.items))), np.float32)


def _nearest(vectors: np.ndarray, rows: Int64[np.ndarray, " R"]) -> list[Int64[np.ndarray, " n"]]:
    scores = vectors[rows] @ vectors.T
    scores[np.arange(len(rows)), rows] = -np.inf
    top = min(NEAREST, len(vectors) - 1)
    return [np.argsort(-line, kind="stable")[:top].astype(np.int64) for line in scores]


def _candidates(model: Any, rows: Int64[np.ndarray, " n"]) -> list[Candidate]:
    ids, texts = model.catalogue.ids(rows), model.catalogue.texts(rows)
    pairs = zip(ids.to_pylist(), texts.to_pylist(), strict=True)
    return [Candidate(i, text or "") for i, text in pairs]


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
