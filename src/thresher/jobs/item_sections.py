"""What a report shows of the items themselves: their features, a map, and neighbours."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float64, Int64
from scipy import sparse

from thresher.data.values import entries
from thresher.evaluate.item_map import item_map
from thresher.report import Candidate

MAPPED = 1_500
"""Items on the map, at most."""
SHOWN, NEAREST = 3, 5
"""Items of each kind whose neighbours are shown, and how many of those."""
ENCODED = 50_000
"""Items that are encoded again, at most, to show the neighbours before training."""


def information_of(model: Any) -> tuple[tuple[str, ...], Float64[np.ndarray, "k k"]] | None:
    """The names of the item features and what they tell of each other; None of a single one."""
    from thresher.towers.item_parts import Divides  # which imports torch

    if not isinstance(model.tower, Divides) or len(model.tower.schema.items) < 2:
        return None
    parts = model.tower.parts(masked=False)
    return tuple(parts.table.bags), parts.information()


def map_of(model: Any, *, lists: bool) -> tuple[Float64[np.ndarray, "n 2"], Sequence[str]] | None:
    """Some of the items in two dimensions, by category where there is one; None of sparse vectors.

    Args:
        model: its schema names the categories.
        lists: whether to draw items without categories too.
    """
    features = model.tower.schema.items
    columns = [f.name for f in features if f.kind in ("categories", "category")]
    rows = np.sort(np.random.default_rng(0).permutation(len(model.items))[:MAPPED])
    if not (columns or lists) or sparse.issparse(vectors := model.catalogue.vectors(rows)):
        return None
    labels = _labels(model.items[columns[0]], columns[0]) if columns else [""] * len(model.items)
    return item_map(np.asarray(vectors, np.float32)), [labels[row] for row in rows]


def neighbours_of(model: Any) -> list[tuple[Candidate, dict[str, list[Candidate]]]]:
    """The neighbours of items of which much, little and nothing was learned, and before training.

    Those before training need the training data and a catalogue that is not too large.
    """
    counts, items = model.catalogue.train_counts, len(model.items)
    order = np.argsort(-counts, kind="stable")
    seen = order[counts[order] > 0]
    rows = [*seen[:SHOWN], *seen[len(seen) // 2 :][:SHOWN], *order[len(seen) :][:SHOWN]]
    shown = np.array(list(dict.fromkeys(rows)), np.int64)
    top = min(NEAREST + 1, items)
    near = {
        "after training": model.catalogue.index.search(model.catalogue.vectors(shown), top).rows
    }
    if model.data is not None and model.tower.trained and items <= ENCODED:
        start = model.config.build("tower")
        start.fit(model.data, model.config.build("features"))
        start.describe(model.items)
        before = np.asarray(start.encode(start.items()), np.float32)
        best = np.argsort(-(before[shown] @ before.T), axis=1, kind="stable")[:, :top]
        near = {"before training": best, **near}
    found = []
    for at, (row, item) in enumerate(zip(shown, _candidates(model, shown), strict=True)):
        named = Candidate(item.id, f"{item.text or item.id} ({counts[row]:,} training pairs)")
        others = {name: [r for r in rows[at] if r not in (row, -1)] for name, rows in near.items()}
        lists = {n: _candidates(model, np.array(r[:NEAREST], np.int64)) for n, r in others.items()}
        found.append((named, lists))
    return found


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
