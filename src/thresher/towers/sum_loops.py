"""The loops of `thresher.towers.sums`, in compiled code."""

from typing import Any

import numpy as np

from thresher.compiled import compiled

SMALLEST = 1e-12
"""Length up to which a sum is one of nothing."""


@compiled
def add(table: Any, rows: Any, weights: Any, start: Any, out: Any) -> None:
    """Adds to each row the rows of a table that its bag names, times their weights.

    Args:
        table: float32 [V, D].
        rows: of the table, one bag after the other.
        weights: of them.
        start: where each bag begins.
        out: float32 [n, D].
    """
    for i in range(len(out)):
        for at in range(start[i], start[i + 1]):
            # Taken out of the loop by hand: the compiler cannot know that `out` is none of them.
            row, weight = rows[at], weights[at]
            for d in range(table.shape[1]):
                out[i, d] += weight * table[row, d]


@compiled
def add_quantised(table: Any, scale: Any, rows: Any, weights: Any, start: Any, out: Any) -> None:
    """The same for a table of int8 with a scale of each row."""
    for i in range(len(out)):
        for at in range(start[i], start[i + 1]):
            row, weight, unit = rows[at], weights[at], scale[rows[at]]
            for d in range(table.shape[1]):
                out[i, d] += weight * (unit * np.float32(table[row, d]))


@compiled
def normalise(rows: Any) -> None:
    """Scales each row to the length 1; one of nothing stays so."""
    for i in range(len(rows)):
        square = 0.0
        for d in range(rows.shape[1]):
            square += np.float64(rows[i, d]) * np.float64(rows[i, d])
        length = np.float32(max(np.sqrt(square), SMALLEST))
        for d in range(rows.shape[1]):
            rows[i, d] /= length
