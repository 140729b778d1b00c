"""What cells measured, as a table for people (Markdown) and for machines (JSON)."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from thresher.jobs.cells import OUTPUT, Outcome, Values


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Args:
        title: its head.
        key: of the value it shows.
        form: `share` has three decimals, `percent` is a share in hundredths with two, `count` has
            none.
    """

    title: str
    key: str
    form: Literal["share", "percent", "count"] = "share"


Blocks = Mapping[str, Sequence[Column]]


@dataclass(frozen=True)
class Row:
    """One line of a table: the same model on every seed.

    Args:
        name: its head.
        runs: seed to values; a seed whose cell failed is missing.
        group: rows of one group stand together in a figure.
    """

    name: str
    runs: Mapping[int, Values]
    group: str = ""

    def spread(self, key: str) -> "Spread":
        """Mean and standard deviation of a value over the seeds where it is defined."""
        known = [v for values in self.runs.values() if (v := values.get(key)) is not None]
        if not known:
            return Spread(None, None)
        deviation = statistics.stdev(known) if len(known) > 1 else None
        return Spread(statistics.mean(known), deviation)

    def measured(self) -> list[str]:
        """Every value that a seed has, in the order measured."""
        return list(dict.fromkeys(key for values in self.runs.values() for key in values))


class Spread(NamedTuple):
    """Mean, and the sample standard deviation where there are two seeds or more."""

    mean: float | None
    deviation: float | None

    def text(self, form: str = "share") -> str:
        """As in `0.847 ± 0.006`; a dash where it is not defined."""
        if self.mean is None:
            return "-"
        deviation = "" if self.deviation is None else f" ± {_number(self.deviation, form)}"
        return _number(self.mean, form) + deviation


def rows_of(outcomes: Sequence[Outcome], groups: Mapping[str, str] | None = None) -> list[Row]:
    """One row for each name, in the order of the outcomes; those of failed cells lack a seed."""
    runs: dict[str, dict[int, Values]] = {outcome.cell.name: {} for outcome in outcomes}
    for outcome in outcomes:
        if outcome.values is not None:
            runs[outcome.cell.name][outcome.cell.seed] = outcome.values
    return [Row(name, found, (groups or {}).get(name, "")) for name, found in runs.items()]


def failures(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """The cells that failed, and where their output lies."""
    return [
        {
            "name": outcome.cell.name,
            "seed": outcome.cell.seed,
            "error": outcome.error,
            "output": str(outcome.cell.folder / OUTPUT),
        }
        for outcome in outcomes
        if outcome.values is None
    ]


def markdown(rows: Sequence[Row], blocks: Blocks, *, seeds: int) -> str:
    """The table in blocks of columns, each headed by its name, with the same rows in each.

    Args:
        rows: in order.
        blocks: head of a block to its columns.
        seeds: how many each row should have; one with fewer says so.
    """
    shown = {head: _block(rows, columns, seeds) for head, columns in blocks.items()}
    return "\n\n".join(f"**{head}**\n\n{block}" for head, block in shown.items() if block)


def as_json(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Every value of every seed, with means and standard deviations."""
    return [
        {
            "name": row.name,
            "runs": {str(seed): dict(values) for seed, values in row.runs.items()},
            "mean": {key: row.spread(key).mean for key in row.measured()},
            "sd": {key: row.spread(key).deviation for key in row.measured()},
        }
        for row in rows
    ]


def _block(rows: Sequence[Row], columns: Sequence[Column], seeds: int) -> str:
    """One block, without the columns and rows that have nothing in it; empty without any."""
    known = {
        (row.name, column.key)
        for row in rows
        for column in columns
        if row.spread(column.key).mean is not None
    }
    shown = [column for column in columns if column.key in {key for _, key in known}]
    if not shown:
        return ""
    lines = ["| | " + " | ".join(column.title for column in shown) + " |"]
    lines.append("|-" * (len(shown) + 1) + "|")
    for row in rows:
        if row.runs and row.name not in {name for name, _ in known}:
            continue
        few = "" if len(row.runs) == seeds else f" ({len(row.runs)} of {seeds} seeds)"
        cells = [row.spread(column.key).text(column.form) for column in shown]
        lines.append(f"| {row.name}{few} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _number(value: float, form: str) -> str:
    if form == "count":
        return f"{value:,.0f}"
    return f"{100 * value:.2f}" if form == "percent" else f"{value:.3f}"
