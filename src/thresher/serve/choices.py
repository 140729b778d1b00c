"""What a reviewer chose to see: it travels in the address, so that a page can be loaded again."""

from dataclasses import dataclass, replace
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Depends, Query

from thresher.review.reviews import ORDERS

QUEUES = {
    "review": "To review",
    "audit": "Audits",
    "second": "Second opinions",
    "label": "Suspected label errors",
}
UNDOS = 20  # cases that can be taken back, one after the other


@dataclass(frozen=True)
class Choice:
    """What a reviewer chose to see; it travels in the address.

    Args:
        queue: reason of the cases; None for any.
        order: "uncertainty" or "age".
        segment: of the cases; None for any.
        scores: whether scores are shown.
        trail: cases that were judged, the latest last, to be taken back.
    """

    queue: str | None = None
    order: str = ORDERS[0]
    segment: str | None = None
    scores: bool = False
    trail: tuple[str, ...] = ()

    def address(self, path: str, **changes: Any) -> str:
        """A page with this choice, or a changed one."""
        new = replace(self, **changes)
        given = {
            "queue": new.queue,
            "order": new.order if new.order != ORDERS[0] else None,
            "segment": new.segment,
            "scores": "1" if new.scores else None,
            "trail": ",".join(new.trail[-UNDOS:]),
        }
        query = urlencode({name: value for name, value in given.items() if value})
        return f"{path}?{query}" if query else path


def choice(
    queue: str = "",
    order: str = "",
    segment: str = "",
    scores: str = "",
    trail: Annotated[str, Query(max_length=2000)] = "",
) -> Choice:
    """What the address says that a reviewer wants to see."""
    return Choice(
        queue if queue in QUEUES else None,
        order if order in ORDERS else ORDERS[0],
        segment or None,
        bool(scores),
        tuple(name for name in trail.split(",") if name),
    )


Chosen = Annotated[Choice, Depends(choice)]
