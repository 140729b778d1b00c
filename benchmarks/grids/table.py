"""What the cells measured, as a table for people (Markdown) and for machines (JSON)."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from thresher.bench.cells import Values


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Args:
        title: its head.
        key: of the value it shows.
        form: `share` has three decimals and no zero before the point, `percent` is a share in
            hundredths with two, `number` has three decimals, `count` none.
    """

    title: str
    key: str
    form: Literal["share", "percent", "number", "count"] = "share"


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
        cells = [written(row.spread(column.key), column.form) for column in shown]
        lines.append(f"| {row.name}{few} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def written(spread: Spread, form: str = "share") -> str:
    """A value with its spread: `.847 ± .006`; a dash where it is not defined."""
    if spread.mean is None:
        return "-"
    text = _number(spread.mean, form)
    return text if spread.deviation is None else f"{text} ± {_number(spread.deviation, form)}"


def _number(value: float, form: str) -> str:
    if form == "count":
        return f"{value:,.0f}"
    if form == "percent":
        return f"{100 * value:.2f}"
    text = f"{value:.3f}"
    return text.removeprefix("0") if form == "share" else text
