"""What the store takes and gives: plain records, and the two errors beside InputError."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from thresher.errors import InputError

ACCEPT, REVIEW, LABEL = "accept", "review", "label"
KINDS = ("item", "none", "not_sure", "label_wrong", "skip")
ROLES = ("client", "reviewer", "admin")
PERSON = "person"

Kind = Literal["item", "none", "not_sure", "label_wrong", "skip", "undo"]
Reason = Literal["review", "audit", "second", "label"]


class Conflict(ValueError):  # noqa: N818 - as HTTP names it
    """What was asked no longer holds: a case is done, or leased to another reviewer."""


class Unknown(InputError):  # noqa: N818
    """Nothing has this id."""


class Unavailable(RuntimeError):  # noqa: N818
    """The database cannot be used now: it is away, locked, or its disk is full. Nothing changed."""


def new_id() -> str:
    """A random id: 32 hexadecimal digits."""
    return uuid.uuid4().hex


@dataclass(frozen=True, kw_only=True)
class Decided:
    """One answered query, as it is logged.

    Args:
        id: 32 hexadecimal digits.
        at: when it was answered, UTC seconds.
        client: name of the key that asked.
        query_id: id that the client gave, or its number in the request.
        query: columns of the query.
        item_id: first candidate; None without one.
        score: of the first candidate, by the tower.
        confidence: in the first candidate; None where there is none.
        decision: "accept" or "review"; "label" for a suspected label error, which is no traffic.
        threshold: confidence from which answers were accepted; None where all are reviewed.
        segment: value of the policy's segment column.
        candidates: `item_id`, `item`, `score` and `confidence` of each candidate, best first.
        model, index, policy: ids of what decided.
        audit_probability: with which such an answer goes to a person: 1 for review, else the
            audit rate.
        audited: whether an accepted answer was drawn for an audit.
    """

    id: str = field(default_factory=new_id)
    at: float
    client: str = ""
    query_id: str
    query: Mapping[str, Any]
    item_id: str | None
    score: float | None = None
    confidence: float | None = None
    decision: str
    threshold: float | None = None
    segment: str | None = None
    candidates: Sequence[Mapping[str, Any]] = ()
    model: str = ""
    index: str = ""
    policy: str = ""
    audit_probability: float = 1.0
    audited: bool = False


@dataclass(frozen=True, kw_only=True)
class Case:
    """A decision that a person is to look at.

    Args:
        id: 32 hexadecimal digits.
        decision: what was decided.
        reason: "review", "audit" (an accepted answer), "second" (a second opinion), "label" (a
            suspected label error).
        opened_at: UTC seconds.
        leased_to, leased_until: the reviewer who has it, and until when.
        label: the suspected label, an item id; for reason "label" only.
        status: "open" or "done".
    """

    id: str
    decision: Decided
    reason: str
    opened_at: float
    leased_to: str | None = None
    leased_until: float | None = None
    label: str | None = None
    status: str = "open"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One event of a reviewer about a case; never overwritten.

    Args:
        id: 32 hexadecimal digits.
        case_id, decision_id: what it is about.
        at: UTC seconds.
        reviewer: who.
        kind: "item" (with `item_id`), "none" (no item fits), "not_sure", "label_wrong", "skip", or
            "undo" of the event `undoes`.
        item_id: the right item.
        source: "person", or what else judged, such as "rule".
        seconds: that it took.
        undoes: id of the event that is taken back.
    """

    id: str
    case_id: str
    decision_id: str
    at: float
    reviewer: str
    kind: str
    item_id: str | None = None
    source: str = PERSON
    seconds: float | None = None
    undoes: str | None = None


@dataclass(frozen=True)
class Change:
    """The latest change of an item: its row, or None where it was deleted."""

    version: int
    at: float
    item_id: str
    row: Mapping[str, Any] | None


@dataclass(frozen=True)
class Key:
    """An API key, without its secret."""

    id: str
    name: str
    role: str
    created_at: float
    revoked_at: float | None = None


@dataclass(frozen=True)
class Event:
    """A change of a live setting, and why."""

    at: float
    name: str
    value: Any
    reason: str
    by: str


@dataclass(frozen=True)
class Answer:
    """What was answered to a request with an idempotency key."""

    status: int
    body: Any


@dataclass(frozen=True)
class Agreement:
    """How far two people agree on the same cases.

    Cohen's kappa is (p - e) / (1 - e): p the share of cases with equal answers, e the share that
    two people who give each answer as often would share by chance. Answers are "the proposed
    item", each other item, and each kind that names none. None without cases, and where chance
    explains all.

    Source: Cohen, A Coefficient of Agreement for Nominal Scales, 1960.
    """

    cases: int
    observed: float | None
    kappa: float | None
