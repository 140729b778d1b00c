"""How a service runs: limits, the audit rate, when a changed catalogue ends accepting."""

import math
from dataclasses import dataclass

from thresher.checks import above_0, are_numbers
from thresher.errors import InputError
from thresher.serve.guarding import check_webhook

CHANGED_SHARE = 0.01


@dataclass(frozen=True, kw_only=True)
class ServiceOptions:
    """Settings of a service that hold from its start.

    Args:
        audit_rate: share of accepted answers that a person sees all the same.
        second_opinion: share of cases that a second person judges; when left out, what the
            database has from before, else 0.05.
        top: candidates that are logged and shown to reviewers.
        max_batch: queries that are answered together at most.
        max_waiting: queries that may wait; beyond, requests get 429.
        max_rows: queries or items in one request.
        max_body: bytes of one request.
        max_changed_items: items changed since certification beyond which nothing is accepted; 1 %
            of the certified catalogue when left out.
        lease_seconds: after which a case that nobody judged is free again.
        webhook: URL to notify when the service tightens the threshold or stops accepting.

    Raises:
        InputError: for a value outside its range.
    """

    audit_rate: float = 0.02
    second_opinion: float | None = None
    top: int = 5
    max_batch: int = 64
    max_waiting: int = 2000
    max_rows: int = 1000
    max_body: int = 4_000_000
    max_changed_items: int | None = None
    lease_seconds: float = 600.0
    webhook: str | None = None

    def __post_init__(self) -> None:
        for name in ("audit_rate", "second_opinion"):
            share = getattr(self, name)
            if share is not None and not (are_numbers(share) and 0 <= share <= 1):
                raise InputError(f"{name} is {share!r}; give a share from 0 to 1, such as 0.02")
        for name in ("top", "max_batch", "max_waiting", "max_rows", "max_body", "lease_seconds"):
            above_0(name, getattr(self, name), 100)
        check_webhook(self.webhook)
        most = self.max_changed_items
        if most is not None and not (are_numbers(most, whole=True) and most >= 0):
            raise InputError(f"max_changed_items is {most!r}; give a whole number, 0 or more")

    def changed_limit(self, items: int) -> int:
        """Items that may have changed in a certified catalogue of so many."""
        given = self.max_changed_items
        return math.ceil(items * CHANGED_SHARE) if given is None else given
