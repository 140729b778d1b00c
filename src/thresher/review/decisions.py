"""Decisions are logged, with the cases that they open for people, in one transaction."""

import math
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

import sqlalchemy as sa

from thresher.review.database import Database
from thresher.review.records import ACCEPT, LABEL, REVIEW, Answer, Decided, Unknown, new_id
from thresher.review.schema import answers as answers_table
from thresher.review.schema import cases, decisions

COLUMNS = [decisions.c[part.name] for part in fields(Decided)]
FAR = 1e300  # the distance of a decision without a confidence: it comes last


class Decisions:
    """The part of the store that holds decisions."""

    database: Database
    clock: Callable[[], float]

    def log(
        self,
        decided: Sequence[Decided],
        *,
        labels: Sequence[str | None] = (),
        answers: Sequence[tuple[str, str, Answer]] = (),
    ) -> None:
        """Keep decisions, and open a case for each one to review, to audit, or with a label.

        Args:
            decided: what was decided; "label" for suspected label errors.
            labels: the suspected label of each, for decisions "label".
            answers: client, idempotency key and answer of requests, remembered in the same
                transaction.
        """
        if not decided and not answers:
            return
        rows = [_row(one) for one in decided]
        given = labels or [None] * len(decided)
        opened = [
            open_case(one, reason, self.clock(), label)
            for one, label in zip(decided, given, strict=True)
            if (reason := _reason(one)) is not None
        ]
        with self.database.write("decisions") as connection:
            if rows:
                connection.execute(sa.insert(decisions), rows)
            if opened:
                connection.execute(sa.insert(cases), opened)
            for client, key, answer in answers:
                remember(connection, client, key, answer, self.clock())

    def decisions(
        self,
        after: str | None = None,
        limit: int = 100,
        decision: str | None = None,
        *,
        newest: bool = False,
    ) -> list[Decided]:
        """Decisions in the order of the log; traffic alone unless `decision` is "label".

        Args:
            after: id of the last one seen.
            limit: most to return.
            decision: "accept", "review" or "label".
            newest: the latest first, and with `after` the ones before it.
        """
        query = sa.select(*COLUMNS).limit(limit)
        number = decisions.c.number
        query = query.order_by(number.desc() if newest else number)
        kept = decisions.c.decision == decision
        query = query.where(decisions.c.decision != LABEL if decision is None else kept)
        with self.database.read() as connection:
            if after is not None:
                own = sa.select(number).where(decisions.c.id == after)
                seen = connection.scalar(own)
                if seen is None:
                    raise Unknown(f"there is no decision {after!r}; give the id of one")
                query = query.where(number < seen if newest else number > seen)
            return [Decided(**row) for row in connection.execute(query).mappings()]

    def decision(self, decision_id: str) -> Decided:
        """One decision; Unknown for an unknown id."""
        with self.database.read() as connection:
            row = connection.execute(sa.select(*COLUMNS).where(decisions.c.id == decision_id))
            found = row.mappings().one_or_none()
        if found is None:
            raise Unknown(f"there is no decision {decision_id!r}; give the id of one")
        return Decided(**found)


def _reason(one: Decided) -> str | None:
    if one.decision == ACCEPT:
        return "audit" if one.audited else None
    return "label" if one.decision == LABEL else REVIEW


def _row(one: Decided) -> dict[str, Any]:
    row = {part.name: getattr(one, part.name) for part in fields(Decided)}
    row["candidates"], row["query"] = list(one.candidates), dict(one.query)
    for name in ("score", "confidence", "threshold"):
        row[name] = _finite(row[name])
    return row


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def open_case(one: Decided, reason: str, at: float, label: str | None = None) -> dict[str, Any]:
    """The row of a new case; the distance from the threshold orders cases by uncertainty."""
    confidence, threshold = _finite(one.confidence), _finite(one.threshold)
    bar = 0.5 if threshold is None else threshold
    return {
        "id": new_id(),
        "decision_id": one.id,
        "reason": reason,
        "opened_at": at,
        "status": "open",
        "label": label,
        "segment": one.segment,
        "distance": FAR if confidence is None else abs(confidence - bar),
    }


def remember(connection: sa.Connection, client: str, key: str, answer: Answer, at: float) -> None:
    """Keep the answer of a request that was claimed by its idempotency key."""
    connection.execute(
        sa.update(answers_table)
        .where(answers_table.c.client == client, answers_table.c.key == key)
        .values(status=answer.status, body=answer.body, at=at)
    )
