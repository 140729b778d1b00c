"""The loop of `thresher.training.optimizer`, in compiled code."""

from typing import Any

import numpy as np

from thresher.compiled import compiled_sums


@compiled_sums
def adagrad(table: Any, squares: Any, rows: Any, values: Any, rate: Any, eps: Any) -> None:
    """Row-wise Adagrad: adds to the squares of some rows, and moves these rows.

    Args:
        table: float32 [V, D].
        squares: float32 [V].
        rows: of both, each once [R].
        values: their gradients, float32 [R, D].
        rate: size of a step, float32.
        eps: added to the root of the squares, float32.
    """
    for i in range(len(rows)):
        row, gradient = table[rows[i]], values[i]
        square = np.float32(0)
        for d in range(len(gradient)):
            square += gradient[d] * gradient[d]
        squares[rows[i]] += square / np.float32(len(gradient))
        step = rate / (np.sqrt(squares[rows[i]]) + eps)
        for d in range(len(gradient)):
            row[d] -= step * gradient[d]
