"""What a service remembers: decisions, cases for people, verdicts, changed items, keys."""

from thresher.review.records import (
    Agreement,
    Answer,
    Case,
    Change,
    Conflict,
    Decided,
    Event,
    Key,
    Unavailable,
    Unknown,
    Verdict,
)
from thresher.review.store import Store

__all__ = [
    "Agreement",
    "Answer",
    "Case",
    "Change",
    "Conflict",
    "Decided",
    "Event",
    "Key",
    "Store",
    "Unavailable",
    "Unknown",
    "Verdict",
]
