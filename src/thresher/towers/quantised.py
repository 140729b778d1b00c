"""Vectors in eight bits a number, with one scale for each row: a quarter of the bytes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int8

from thresher.arrays import read_arrays, write_arrays
from thresher.files import make_folder

Table = np.ndarray | tuple[np.ndarray, np.ndarray]
"""float32 [V, D], or what `quantised` made of it."""
_ROWS = 8192  # rows that are rounded at a time
_CLEARED = np.uint32(0x1FFF)  # bits of a scale that stay zero


def quantised(
    rows: Float32[np.ndarray, "V D"],
) -> tuple[Int8[np.ndarray, "V D"], Float32[np.ndarray, " V"]]:
    """Round rows to whole multiples of a scale of their own.

    Equation:  q_vd = round(x_vd / s_v),  s_v = max_d |x_vd| / 127, rounded up to 11 bits,
    so that s_v q_vd has 18 bits at most: it is exact in single precision, and rounded again it
    stays as it is to the last bit.

    An error of a number is s_v / 2 at most: of normal numbers about 0.7 % of their deviation, and
    the cosine of two such rows of D numbers moves by about 0.01 / sqrt(D).
    """
    values, scale = np.empty(rows.shape, np.int8), np.empty(len(rows), np.float32)
    for i in range(0, len(rows), _ROWS):
        block = rows[i : i + _ROWS]
        most = np.abs(block).max(axis=1, initial=0.0) / np.float32(127)
        step = ((most.view(np.uint32) + _CLEARED) & ~_CLEARED).view(np.float32)
        scale[i : i + _ROWS] = np.where(step > 0, step, 1)
        values[i : i + _ROWS] = np.rint(block / scale[i : i + _ROWS, None])
    return values, scale


def restored(
    values: Int8[np.ndarray, "V D"], scale: Float32[np.ndarray, " V"]
) -> Float32[np.ndarray, "V D"]:
    """The rows that `quantised` rounded to."""
    return values * scale[:, None]


def exactly_quantised(table: np.ndarray) -> Table:
    """A table of float32 in eight bits a number if it was rounded so, otherwise as it is."""
    values, scale = quantised(table)
    return (values, scale) if np.array_equal(restored(values, scale), table) else table


def write_tables(tables: Sequence[np.ndarray], folder: Path) -> None:
    """Write tables of float32 into a folder: in eight bits a number those that were rounded so.

    What is read is to the last bit what was written.
    """
    arrays: dict[str, np.ndarray] = {}
    for number, table in enumerate(map(exactly_quantised, tables)):
        values, *scale = table if isinstance(table, tuple) else (table,)
        arrays |= {f"{number}": values, **{f"{number}.scale": s for s in scale}}
    make_folder(folder / "tables")
    write_arrays(folder / "tables", arrays)


def read_tables(folder: Path) -> list[Table]:
    """What `write_tables` wrote.

    Raises:
        OSError, ValueError, KeyError: a file is damaged or missing.
    """
    found = read_arrays(folder / "tables")
    numbers = sum(name.isdecimal() for name in found)
    tables: list[Table] = []
    for name in map(str, range(numbers)):
        whole = found[name].dtype == np.float32
        tables.append(found[name] if whole else (found[name], found[f"{name}.scale"]))
    return tables


def shape_of(table: Table) -> tuple[int, ...]:
    """Rows and width; no shape where the scales are not one for each row."""
    if not isinstance(table, tuple):
        return table.shape
    values, scale = table
    return values.shape if scale.shape == values.shape[:1] else ()
