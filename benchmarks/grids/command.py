"""What the commands of the grids share: arguments, progress, and the end."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from thresher.errors import InputError
from thresher.jobs.cells import Outcome, cells_at_a_time


class Done(NamedTuple):
    """What a grid came to.

    Args:
        page: the tables as Markdown.
        table: what `table.json` holds.
    """

    page: str
    table: dict[str, Any]


def parser(description: str) -> argparse.ArgumentParser:
    """The arguments of every grid."""
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--out", type=Path, required=True, help="folder of cells, table and figure")
    made.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    made.add_argument("--jobs", type=int, help="cells at a time; half the cores, 1 on a GPU")
    made.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE")
    made.add_argument("--json", action="store_true", help="print one JSON object for machines")
    made.add_argument("--quiet", action="store_true", help="no progress")
    return made


def run(
    given: argparse.Namespace,
    grid: Callable[[int, Callable[[Outcome], None]], Done],
    shown: Sequence[str],
) -> None:
    """Run a grid, show each cell as it ends, print the table.

    The exit code is 1 if a cell failed, 2 on bad input.

    Args:
        given: the arguments.
        grid: from the cells at a time, and what to call with each outcome, to the table.
        shown: values of a cell that its line shows.
    """
    failed: list[Outcome] = []

    def report(outcome: Outcome) -> None:
        if outcome.values is None:
            failed.append(outcome)
        if not given.quiet:
            print(_line(outcome, shown), file=sys.stderr, flush=True)

    try:
        done = grid(cells_at_a_time(given.jobs), report)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("stopped: the same command goes on from here", file=sys.stderr)
        sys.exit(130)
    print(json.dumps(done.table, ensure_ascii=False) if given.json else done.page)
    for lost in failed:
        where = lost.cell.folder
        text = f"failed: {lost.cell.name}, seed {lost.cell.seed}: {lost.error} (see {where})"
        print(text, file=sys.stderr)
    sys.exit(1 if failed else 0)


def _line(outcome: Outcome, shown: Sequence[str]) -> str:
    numbers = "failed"
    if outcome.values is not None:
        known = [(key, value) for key in shown if (value := outcome.values.get(key)) is not None]
        numbers = ", ".join(f"{key} {value:.3f}" for key, value in known)
    left = f"; about {_time(outcome.left)} left" if outcome.left else ""
    name = f"{outcome.cell.name}, seed {outcome.cell.seed}"
    count = f"{outcome.done} of {outcome.total} cells"
    return f"{count}  {name}: {numbers} ({_time(outcome.seconds)}){left}"


def _time(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
