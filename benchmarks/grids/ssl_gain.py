"""How much an arm gains over the plain tower, and the tables that show it."""

import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from scipy.stats import t as student

from grids.ssl_arms import PLAIN
from thresher.jobs.table import Column, Row

POPULARITY = "popularity"
_CONFIDENCE = 0.95


class Gain(NamedTuple):
    """How much more an arm finds than the plain tower, in percent of what that finds.

    Args:
        mean: over the seeds.
        low: end of its 95 % interval; None with one seed.
        high: the other end.
    """

    mean: float
    low: float | None
    high: float | None


def gain(arm: Row, plain: Row, key: str) -> Gain | None:
    """The gain of an arm over the plain tower in one value, with an interval over seeds.

    Equation:  g_s = 100 (a_s / p_s - 1) of each seed s that both have, with p_s above 0, so that
               both saw the same split and the same first weights
               mean of the n gains +- t sd / sqrt(n), t the .975 quantile of Student's
               distribution with n - 1 degrees of freedom

    Source:    the paired t interval, Student 1908. It holds for the settings that were chosen: how
               much the choice by few trials varies is not in it.

    Args:
        arm: its values by seed.
        plain: those of the plain tower.
        key: of the value.

    Returns:
        None where no seed has both.

    Example:
        >>> plain = Row("plain", {0: {"r": 0.2}, 1: {"r": 0.4}})
        >>> gain(Row("CFM", {0: {"r": 0.22}}), plain, "r")
        Gain(mean=10.0, low=None, high=None)
    """
    pairs = [
        (values.get(key), plain.runs[seed].get(key))
        for seed, values in arm.runs.items()
        if seed in plain.runs
    ]
    gains = [round(100 * (a / p - 1), 9) for a, p in pairs if a is not None and p]
    if not gains:
        return None
    mean, n = statistics.mean(gains), len(gains)
    if n == 1:
        return Gain(mean, None, None)
    quantile = float(student.ppf((1 + _CONFIDENCE) / 2, n - 1))
    half = quantile * statistics.stdev(gains) / n**0.5
    return Gain(mean, mean - half, mean + half)


def said(found: Gain | None) -> str:
    """A gain with its interval: `+6.1 (-1.0 to +13.2)`; a dash for none."""
    if found is None:
        return "-"
    if found.low is None or found.high is None:
        return f"{found.mean:+.1f}"
    return f"{found.mean:+.1f} ({found.low:+.1f} to {found.high:+.1f})"


def popularity(plain: Row) -> Row:
    """The row of listing the popular items, which every cell measures beside its model."""
    mark = f"{POPULARITY}/"
    runs = {
        seed: {key.replace(mark, "", 1): value for key, value in values.items() if mark in key}
        for seed, values in plain.runs.items()
    }
    return Row(POPULARITY, runs)


def markdown(rows: Mapping[str, Row], columns: Sequence[Column], at: str, *, seeds: int) -> str:
    """One table: popularity, then every arm, with its gain over the plain tower at the end.

    Args:
        rows: by arm; without the plain tower no gain is known.
        columns: before the gain; one of which nothing is known is left out.
        at: the metric of the gain, on the test split.
        seeds: how many each row should have; one with fewer says so.
    """
    plain = rows.get(PLAIN)
    every = [*([popularity(plain)] if plain else []), *rows.values()]
    shown = [c for c in columns if any(row.spread(c.key).mean is not None for row in every)]
    interval = " (95 % interval)" if seeds > 1 else ""
    titles = [*(c.title for c in shown), f"gain in {at}{interval}"]
    lines = ["| | " + " | ".join(titles) + " |", "|-" * (len(titles) + 1) + "|"]
    for row in every:
        few = "" if len(row.runs) == seeds else f" ({len(row.runs)} of {seeds} seeds)"
        cells = [row.spread(c.key).text(c.form) for c in shown]
        own = row.name in (PLAIN, POPULARITY)
        found = None if own or plain is None else gain(row, plain, f"test/{at}")
        lines.append(f"| {row.name}{few} | " + " | ".join([*cells, said(found)]) + " |")
    return "\n".join(lines)
