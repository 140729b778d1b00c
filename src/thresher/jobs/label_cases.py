"""Labels that look wrong, as cases in a queue of their own."""

import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from thresher.jobs.reviews import open_store
from thresher.retriever import Retriever

TOP = 5
"""Candidates that a reviewer sees beside the item of the label."""
_MOST = 1_000_000
_SUSPECTS = uuid.UUID("7d5b5f2a-5f0e-4c55-9d39-5b3c0a8f6f11")


def open_cases(model: Retriever, suspects: pa.Table, database: str | Path) -> int:
    """Open a case for each suspected label; one that ever had a case gets no other.

    Args:
        model: of whose data they are labels.
        suspects: as `suspected_labels` lists them, the most suspicious first.
        database: the review database.

    Returns:
        How many cases are new.

    Raises:
        InputError: there is no such database.
    """
    with open_store(database) as store:
        from thresher.review import Decided

        seen = {one.id for one in store.decisions(decision="label", limit=_MOST)}
        rows = [(name, row) for row in suspects.to_pylist() if (name := _id(row)) not in seen]
        shown = _shown(model, [row for _, row in rows])
        decided = [
            Decided(
                id=name,
                at=time.time(),
                query_id=row["query_id"],
                item_id=row["proposed_id"],
                confidence=row["proposed_confidence"],
                decision="label",
                model=model.fingerprint,
                **shown[row["query_id"]],
            )
            for name, row in rows
        ]
        store.log(decided, labels=[row["item_id"] for _, row in rows])
    return len(decided)


def _id(row: Mapping[str, Any]) -> str:
    """The same for the same label, whichever model doubts it."""
    return uuid.uuid5(_SUSPECTS, f"{row['query_id']}\0{row['item_id'] or ''}").hex


def _shown(model: Retriever, rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The columns and the candidates of each query, by its id."""
    found: dict[str, dict[str, Any]] = {}
    depth = min(TOP, len(model.items))
    for split in dict.fromkeys(row["split"] for row in rows):
        part = model.labelled(split)
        own = {row["query_id"] for row in rows if row["split"] == split}
        at = [n for n, name in enumerate(part.queries.ids.to_pylist()) if name in own]
        queries = part.queries.take(np.array(at))
        for name, row in zip(queries.ids.to_pylist(), queries.aligned().to_pylist(), strict=True):
            columns = {k: v for k, v in row.items() if k not in ("id", "split")}
            found[name] = {"query": columns, "candidates": []}
        for one in model.match(queries, depth).to_pylist():
            if one["item_id"] is not None:
                kept = {key: one[key] for key in ("item_id", "item", "score", "confidence")}
                found[one["query_id"]]["candidates"].append(kept)
    return found
