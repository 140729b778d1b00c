"""From waiting requests to decisions: one call of the retriever for all, then one by one."""

import random
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from thresher.decide.policy import KNOWN_TEXT
from thresher.errors import InputError
from thresher.retriever import ACCEPT, REVIEW
from thresher.review import Decided
from thresher.serve.batching import Job
from thresher.serve.live import Live

_HIDDEN = "#"  # before the ids of queries that have none, so that they meet no id of an item


@dataclass(frozen=True)
class Rules:
    """What is in force beside the policy.

    Args:
        audit_rate: share of accepted answers that go to a person all the same.
        threshold: confidence below which nothing is accepted, where the guard tightened it.
        stopped: why nothing is accepted; None where the policy decides.
    """

    audit_rate: float
    threshold: float | None = None
    stopped: str | None = None


def searched(live: Live, jobs: Sequence[Job]) -> list[list[list[dict[str, Any]]]]:
    """The closest items of each query of each request."""
    k = min(max(job.k for job in jobs), len(live.retriever.items))
    found = _by_query(jobs, lambda table: live.retriever.search(table, k), live.searched)
    rows = live.rows(list({one["item_id"] for job in found for query in job for one in query}))
    text = live.retriever.catalogue.item_text
    for one in (one for job in found for query in job for one in query):
        row = rows[one["item_id"]]
        one["item"] = " ".join(str(row[name]) for name in text if row[name] is not None)
    return [
        [[_pick(one, "item_id", "item", "score") for one in query[: job.k]] for query in queries]
        for job, queries in zip(jobs, found, strict=True)
    ]


def matched(live: Live, rules: Rules, jobs: Sequence[Job], at: float) -> list[list[Decided]]:
    """The decision on each query of each request, not logged yet."""
    k = min(max(job.k for job in jobs), len(live.retriever.items))
    known: dict[str, bool] = {}

    def ask(table: pa.Table) -> pa.Table:
        if KNOWN_TEXT in getattr(live.policy, "segments", {}):
            flags = live.retriever.known(live.retriever.as_queries(table))
            if flags is not None:
                known.update(zip(table["id"].to_pylist(), flags.tolist(), strict=True))
        return live.retriever.match(table, k)

    found = _by_query(jobs, ask, live.columns)
    return [
        [
            _decided(
                live,
                rules,
                {"row": row, "place": place, "known": known.get(ranked[0]["query_id"], False)},
                ranked,
                job,
                at,
            )
            for place, (row, ranked) in enumerate(zip(job.rows, queries, strict=True))
        ]
        for job, queries in zip(jobs, found, strict=True)
    ]


def _by_query(
    jobs: Sequence[Job], ask: Any, columns: Sequence[str]
) -> list[list[list[dict[str, Any]]]]:
    """The rows of the answer to each query, in the order of the requests.

    Raises:
        InputError: for a query that lacks one of the columns that are read.
    """
    names, rows = [], []
    for job in jobs:
        _check_columns(job.rows, columns)
        own = [
            str(row["id"]) if "id" in row else f"{_HIDDEN}{uuid.uuid4().hex}" for row in job.rows
        ]
        names.append(own)
        rows += [{**row, "id": name} for row, name in zip(job.rows, own, strict=True)]
    answers: dict[str, list[dict[str, Any]]] = {row["id"]: [] for row in rows}
    if len(answers) < len(rows):
        raise InputError("two queries have the same id; give each its own, or none")
    for one in ask(_table(rows, columns)).to_pylist():
        answers[one["query_id"]].append(one)
    return [[answers[name] for name in own] for own in names]


def _table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> pa.Table:
    """Queries as columns of text, as a file of them would be; lists of numbers stay."""
    return pa.table({name: _column([row[name] for row in rows]) for name in ("id", *columns)})


def _check_columns(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """InputError for a row without a column, whatever the rows of others have."""
    for place, row in enumerate(rows):
        for name in columns:
            if name not in row:
                there = ", ".join(one for one in row if one != "id") or "no columns"
                raise InputError(
                    f"query {str(row.get('id', place))!r} has no column {name!r}; it has {there}; "
                    "give null where the value is not known"
                )


def _column(values: Sequence[Any]) -> pa.Array:
    if any(isinstance(value, list) for value in values):
        try:
            return pa.array(values, pa.list_(pa.float32()))
        except (pa.ArrowException, TypeError):
            raise InputError("a column holds lists of numbers and other values") from None
    return pa.array([None if value is None else str(value) for value in values], pa.string())


def _decided(
    live: Live,
    rules: Rules,
    asked: Mapping[str, Any],
    ranked: Sequence[Mapping[str, Any]],
    job: Job,
    at: float,
) -> Decided:
    first, query = ranked[0], asked["row"]
    threshold, segment = _threshold(live, query, known=asked["known"])
    if rules.threshold is not None:
        threshold = None if threshold is None else max(threshold, rules.threshold)
    sure = first["confidence"]
    accepted = first["decision"] == ACCEPT and rules.stopped is None
    if rules.threshold is not None:
        accepted &= sure is not None and sure >= rules.threshold
    audited = accepted and random.random() < rules.audit_rate  # noqa: S311 - not a secret
    return Decided(
        at=at,
        client=job.client,
        query_id=str(query["id"]) if "id" in query else str(asked["place"]),
        query={name: value for name, value in query.items() if name != "id"},
        item_id=first["item_id"],
        score=_finite(first["score"]),
        confidence=_finite(sure),
        decision=ACCEPT if accepted else REVIEW,
        threshold=None if rules.stopped else threshold,
        segment=segment,
        candidates=[
            {
                **_pick(one, "item_id", "item"),
                "score": _finite(one["score"]),
                "confidence": _finite(one["confidence"]),
            }
            for one in ranked
            if one["item_id"] is not None
        ],
        model=live.model,
        index=live.index,
        policy=live.policy_id,
        audit_probability=rules.audit_rate if accepted else 1.0,
        audited=audited,
    )


def _threshold(
    live: Live, query: Mapping[str, Any], *, known: bool
) -> tuple[float | None, str | None]:
    """The threshold of the query's own segment, and the segment."""
    policy = live.policy
    by = getattr(policy, "by", None)
    segment = None if by is None or query.get(by) is None else str(query[by])
    name = KNOWN_TEXT if known else segment
    own = getattr(policy, "segments", {}).get(name, policy)
    return getattr(own, "accept_at", None), segment


def _pick(one: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: one[name] for name in names}


def _finite(value: float | None) -> float | None:
    return None if value is None or value in (float("inf"), float("-inf")) else float(value)
