"""Concurrent requests are answered together: all that wait when a batch begins are in it.

One thread encodes, searches and decides; it waits for nobody, so a lone request is answered at
once. A second thread writes the log, one transaction for all that wait, while the first is at the
next batch. A request is answered when its decisions are on the disk.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

T = TypeVar("T", bound="Sized")


class Busy(RuntimeError):  # noqa: N818 - as HTTP names it
    """More queries wait than may; `seconds` says when to try again."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"too many queries wait; try again in {seconds} s")
        self.seconds = seconds


class Sized(Protocol):
    """What a batch is made of."""

    @property
    def size(self) -> int:
        """Queries in it."""


@dataclass
class Job:
    """Queries of one request, to be answered together with others.

    Args:
        kind: "match" or "search".
        rows: columns of each query.
        k: candidates a query.
        client: name of the key.
        finish: makes the answer of a request, and what to remember of it.
        future: becomes the answer.
    """

    kind: str
    rows: Sequence[dict[str, Any]]
    k: int
    client: str = ""
    finish: Callable[[Any], Any] | None = None
    future: "Future[Any]" = field(default_factory=Future)

    @property
    def size(self) -> int:
        """Queries in it."""
        return len(self.rows)


class Worker(Generic[T]):
    """One thread that takes all that wait, up to a number of queries, and runs them together.

    Args:
        name: of the thread.
        run: what is done with a batch; it does not raise.
        most: queries in a batch; a single larger request is a batch of its own.
        waiting: queries that may wait; None for any number.
    """

    def __init__(
        self, name: str, run: Callable[[list[T]], None], *, most: int, waiting: int | None = None
    ) -> None:
        self._run, self._most, self._limit = run, most, waiting
        self._queue: deque[T] = deque()
        self._rows, self._rate, self._closed = 0, 0.0, False
        self._some = threading.Condition()
        self._thread = threading.Thread(target=self._loop, name=name, daemon=True)
        self._thread.start()

    def put(self, job: T) -> None:
        """Have a request answered; Busy where too many wait already."""
        with self._some:
            if self._closed:
                raise Busy(1)
            if self._limit is not None and self._rows and self._rows + job.size > self._limit:
                raise Busy(max(1, round(self._rows / self._rate)) if self._rate else 1)
            self._queue.append(job)
            self._rows += job.size
            self._some.notify()

    @property
    def waiting(self) -> int:
        """Queries that wait."""
        return self._rows

    @property
    def alive(self) -> bool:
        """Whether requests are answered."""
        return self._thread.is_alive() and not self._closed

    def close(self) -> None:
        """Answer what waits, then end."""
        with self._some:
            self._closed = True
            self._some.notify()
        self._thread.join(30)

    def _loop(self) -> None:
        while batch := self._take():
            began = time.monotonic()
            self._run(batch)
            rate = sum(job.size for job in batch) / max(1e-6, time.monotonic() - began)
            self._rate = 0.8 * self._rate + 0.2 * rate if self._rate else rate

    def _take(self) -> list[T]:
        with self._some:
            while not self._queue and not self._closed:
                self._some.wait()
            batch: list[T] = []
            rows = 0
            while self._queue and (not batch or rows + self._queue[0].size <= self._most):
                batch.append(self._queue.popleft())
                rows += batch[-1].size
            self._rows -= rows
            return batch
