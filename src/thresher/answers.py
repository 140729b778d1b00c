"""Rows of answers: hits and decisions as tables."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float64, Int64

from thresher.catalogue import Catalogue
from thresher.data.queries import Queries
from thresher.data.tables import require_columns
from thresher.errors import InputError
from thresher.retrieve import Hits

ACCEPT, REVIEW = "accept", "review"
_DECIDED = pa.schema(
    {
        "query_id": pa.string(),
        "query": pa.string(),
        "item_id": pa.string(),
        "item": pa.string(),
        "rank": pa.int32(),
        "score": pa.float32(),
        "confidence": pa.float64(),
        "decision": pa.string(),
        "policy": pa.string(),
    }
)


@dataclass(frozen=True)
class Proposals:
    """Ranked candidates of each query, and the confidence in the first one.

    Args:
        hits: candidates, likeliest first, with the scores of the tower.
        confidence: in the first candidate; higher is more certain; -inf without any.
        tower: the closest items in the tower's own order.
        chances: confidence of each of the first candidates where a re-ranker gives one.
    """

    hits: Hits
    tower: Hits
    confidence: Float64[np.ndarray, " Q"]
    chances: Float64[np.ndarray, "Q c"] | None = None

    @classmethod
    def joined(cls, parts: Sequence["Proposals"]) -> "Proposals":
        """Those of the queries of each part in turn; all alike."""
        chances = [part.chances for part in parts if part.chances is not None]
        return cls(
            Hits.joined(part.hits for part in parts),
            Hits.joined(part.tower for part in parts),
            np.concatenate([part.confidence for part in parts]),
            np.concatenate(chances) if chances else None,
        )


def listed(catalogue: Catalogue, queries: Queries, hits: Hits, who: str) -> pa.Table:
    """A row for each query and place that has an item; `who` names the column of the queries."""
    query, place = np.nonzero(hits.rows >= 0)
    rows = hits.rows[query, place]
    return pa.table(
        {
            who: queries.ids.take(pa.array(query)),
            "item_id": catalogue.ids(rows),
            "rank": pa.array(place + 1, pa.int32()),
            "score": pa.array(hits.scores[query, place]),
            "item": catalogue.texts(rows),
        }
    )


def decided(
    catalogue: Catalogue,
    queries: Queries,
    found: Proposals,
    accepted: Bool[np.ndarray, " Q"],
    k: int,
    *,
    policy: str,
    keep: Sequence[str] = (),
) -> pa.Table:
    """The rows of `Retriever.match`.

    Args:
        catalogue: of the items.
        queries: that were asked.
        found: for them.
        accepted: whether the first candidate of each is accepted.
        k: rows a query at most; one without a candidate still has one.
        policy: the name of the policy that decided.
        keep: columns to carry over.
    """
    rows, texts = found.hits.rows[:, :k], queries.text(catalogue.query_text)
    fate: list[str | None] = [ACCEPT if yes else REVIEW for yes in accepted.tolist()]
    ids = queries.ids
    query, place = np.arange(len(rows)), np.zeros(len(rows), np.int64)
    if k > 1:
        shown = rows >= 0
        shown[:, 0] = True
        query, place = np.nonzero(shown)
        ids, numbers = ids.take(pa.array(query)), query.tolist()
        texts = [texts[q] for q in numbers]
        fate = [None if p else fate[q] for q, p in zip(numbers, place.tolist(), strict=True)]
    confidence = np.full(rows.shape, np.nan)
    if found.chances is not None:
        width = min(k, found.chances.shape[1])
        confidence[:, :width] = found.chances[:, :width]
    confidence[:, 0] = found.confidence
    at = rows[query, place]
    columns = (
        ids,
        pa.array(texts, pa.string()),
        catalogue.ids(at),
        catalogue.texts(at),
        pa.array((place + 1).astype(np.int32)),
        pa.array(found.hits.scores[query, place]),
        pa.array(confidence[query, place], from_pandas=True),
        pa.array(fate, pa.string()),
        pa.array([policy] * len(query), pa.string()),
    )
    table = pa.Table.from_arrays(columns, schema=_DECIDED)
    return _kept(catalogue, table, queries, keep, query, at)


def _kept(
    catalogue: Catalogue,
    table: pa.Table,
    queries: Queries,
    keep: Sequence[str],
    query: Int64[np.ndarray, " n"],
    rows: Int64[np.ndarray, " n"],
) -> pa.Table:
    for name in keep:
        own = name.removeprefix("item.")
        if name.startswith("item."):
            require_columns(catalogue.items, [own], "the catalogue")
            column = catalogue.items[own].take(pa.array(rows, mask=rows < 0))
        else:
            column = queries.values(own).take(pa.array(query))
        if name in table.column_names:
            raise InputError(f"keep names {name!r}, which the answer has already")
        table = table.append_column(name, column)
    return table
