"""Progress on a terminal: what is done, how fast, and how long it still takes; silent elsewhere."""

import sys
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Task as _Task
from rich.text import Text

T = TypeVar("T")


class _Speed(TextColumn):
    """Units a second."""

    def __init__(self, unit: str) -> None:
        super().__init__("")
        self._unit = unit

    def render(self, task: _Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f} {self._unit}/s" if speed else "")


class Bar:
    """One progress bar on standard error; shows nothing when that is not a terminal.

    Args:
        unit: what is counted, as in "pairs".
        quiet: show nothing in any case.
    """

    def __init__(self, unit: str, *, quiet: bool = False) -> None:
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            _Speed(unit),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=Console(stderr=True),
            disable=quiet or not sys.stderr.isatty(),
        )

    def __enter__(self) -> "Bar":
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def start(self, description: str, *, total: int | None, done: int = 0) -> None:
        """Begins a new bar; the one before stays above it. Without a total it only counts."""
        self._task = self._bar.add_task(description, total=total, completed=done, note="")

    def advance(self, by: int, note: str = "") -> None:
        """Counts `by` more units as done."""
        self._bar.update(self._task, advance=by, note=note)


def track(
    values: Iterable[T], description: str, *, total: int, unit: str, each: int = 1
) -> Iterator[T]:
    """The values one by one under a bar; each counts for `each` units of the total."""
    with Bar(unit) as bar:
        bar.start(description, total=total)
        for value in values:
            yield value
            bar.advance(each)
