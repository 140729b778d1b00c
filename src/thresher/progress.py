"""Progress on a terminal: what is done, how fast, and how long it still takes; silent elsewhere."""

import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress

# Control characters, and marks that turn the direction of what follows or hide it.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]")


def printable(text: str) -> str:
    r"""Text from data as it may be sent to a terminal: control characters are shown, not obeyed.

    Example:
        >>> print(printable("red \x1b[31mmug\n"))
        red \x1b[31mmug\n
    """
    return _UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def _bars(unit: str) -> "Progress":
    from rich.console import Console  # slow to import, and only for a terminal
    from rich.progress import (
        BarColumn,
        Progress,
        Task,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Speed(TextColumn):
        """Units a second."""

        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text(f"{speed:,.0f} {unit}/s" if speed else "")

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        Speed(""),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=Console(stderr=True),
    )


class Bar:
    """Progress bars on standard error, once there is something to wait for.

    Nothing is shown where standard error is not a terminal, nor by what ends within `delay`.

    Args:
        unit: what is counted, as in "pairs".
        quiet: show nothing in any case.
        delay: seconds before the bar appears.
    """

    def __init__(self, unit: str, *, quiet: bool = False, delay: float = 2.0) -> None:
        self._bar = None if quiet or not sys.stderr.isatty() else _bars(unit)
        if self._bar is not None:
            self._timer = threading.Timer(delay, self._bar.start)
            self._timer.daemon = True

    def __enter__(self) -> "Bar":
        if self._bar is not None:
            self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._timer.cancel()
            if self._timer.is_alive():
                self._timer.join()
            self._bar.stop()

    def start(self, description: str, *, total: int | None, done: int = 0) -> None:
        """Begin a new bar; the one before stays above it. Without a total it only counts."""
        if self._bar is not None:
            self._task = self._bar.add_task(description, total=total, completed=done, note="")

    def advance(self, by: int, note: str = "") -> None:
        """Count `by` more units as done."""
        if self._bar is not None:
            self._bar.update(self._task, advance=by, note=note)


@contextmanager
def phase(description: str, *, quiet: bool = False) -> Iterator[None]:
    """A bar without an end, for work of which only the beginning and the end are known."""
    with Bar("", quiet=quiet) as bar:
        bar.start(description, total=None)
        yield
