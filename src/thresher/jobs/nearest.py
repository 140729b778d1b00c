"""The items that a model sees next to an item, by one model or by two."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from thresher.jobs.match import check_top
from thresher.retriever import Retriever


def nearest(
    folder: Path, items: Sequence[str], *, top: int = 10, beside: Path | None = None
) -> dict[str, Any]:
    """List the items whose vectors are closest to those of some items.

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
        model = Retriever.open(path)
        check_top(top, len(model.items) - 1)
        texts = model.catalogue.texts(model.catalogue.rows(items)).to_pylist()
        for name, text in zip(items, texts, strict=True):
            found.setdefault(name, {"id": name, "item": text, "nearest": {}})
            found[name]["nearest"][str(path)] = []
        for row in model.nearest(list(items), top).to_pylist():
            near = {k: row[v] for k, v in (("id", "neighbour_id"), ("item", "neighbour"))}
            found[row["item_id"]]["nearest"][str(path)].append({**near, "score": row["score"]})
    return {"items": list(found.values())}
