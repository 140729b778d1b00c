"""What a column holds, row by row: named values, numbers, or vectors."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float32, Float64, Int64

from thresher.data.plain_types import is_list
from thresher.errors import InputError

_SEPARATOR = "|"


def entries(
    column: pa.ChunkedArray, kind: str, name: str
) -> tuple[Int64[np.ndarray, " E"], pa.StringArray]:
    """The values of a column as text, one after the other, and the row of each.

    Null and empty values are left out. A text that is to be categories or a history is cut at "|".
    Categories are compared without regard to case, width and blanks around them; ids to the letter.
    InputError where the column holds what is no text, number, truth value or list of these.
    """
    rows, flat = _flat(column, name)
    if kind in ("categories", "history"):
        parts = pc.split_pattern(flat, _SEPARATOR)
        rows = rows[pc.list_parent_indices(parts).to_numpy()]
        flat = pc.utf8_trim_whitespace(pc.list_flatten(parts))
    if kind in ("category", "categories"):
        flat = pc.utf8_trim_whitespace(pc.utf8_lower(pc.utf8_normalize(flat, "NFKC")))
    given = pc.not_equal(flat, "").to_numpy(zero_copy_only=False)
    return rows[given], flat.filter(pa.array(given))


def numbers(column: pa.ChunkedArray, name: str) -> Float64[np.ndarray, " rows"]:
    """A column as numbers, NaN where there is none.

    InputError where a value is no finite number; the first one, and its row, are named.
    """
    flat = column.combine_chunks()
    kind = flat.type
    if pa.types.is_dictionary(kind):
        flat = flat.cast(kind.value_type)
    if pa.types.is_string(flat.type) or pa.types.is_large_string(flat.type):
        flat = pc.utf8_trim_whitespace(flat)
        flat = pc.if_else(pc.equal(flat, ""), None, flat)
    try:
        # A whole number of more digits than a fraction has is rounded.
        values = flat.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        row = next(i for i, value in enumerate(flat) if not _is_number(value))
        raise InputError(
            f"column {name!r} is to be a number, and row {row + 1} holds {flat[row].as_py()!r}; "
            "give numbers or nothing there, or read the column as a category or as words"
        ) from error
    infinite = np.flatnonzero(np.isinf(values))
    if len(infinite):
        raise InputError(
            f"column {name!r} is to be a number, and row {infinite[0] + 1} holds "
            f"{values[infinite[0]]}; give finite numbers, or nothing there"
        )
    return np.asarray(values, np.float64)


def vectors(
    column: pa.ChunkedArray, name: str, size: int
) -> tuple[Int64[np.ndarray, " n"], Float32[np.ndarray, "n D"]]:
    """The rows of a column that hold a vector, and their vectors.

    InputError where a vector has another length, or a number that is not finite.
    """
    there = np.flatnonzero(column.is_valid().to_numpy())
    lengths = pc.list_value_length(column.take(pa.array(there))).to_numpy()
    if len(set(lengths) - {size}):
        wrong = int(np.flatnonzero(lengths != size)[0])
        raise InputError(
            f"column {name!r} holds vectors of {size} numbers and, in row "
            f"{there[wrong] + 1}, one of {lengths[wrong]}; give all one length, or null"
        )
    flat = pc.list_flatten(column).cast(pa.float32()).to_numpy().copy()
    if not np.isfinite(flat).all():
        row = there[int(np.flatnonzero(~np.isfinite(flat))[0]) // size]
        raise InputError(
            f"column {name!r} holds a vector with a number that is not finite in row "
            f"{row + 1}; give finite numbers, or null for the whole vector"
        )
    return there, flat.reshape(-1, size)


def _flat(column: pa.ChunkedArray, name: str) -> tuple[Int64[np.ndarray, " E"], pa.StringArray]:
    """The values of a column, those of lists one by one, as text, and their rows."""
    flat: pa.Array = column.combine_chunks()
    rows = np.arange(len(flat))
    if pa.types.is_dictionary(flat.type):
        flat = flat.cast(flat.type.value_type)
    try:
        while is_list(flat.type):
            rows = rows[pc.list_parent_indices(flat).to_numpy()]
            flat = pc.list_flatten(flat)
        text = pc.fill_null(flat.cast(pa.string()), "")
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InputError(
            f"column {name!r} holds {column.type}, which has no values to name; choose a column of "
            'text, numbers or lists of these, or leave it out as "ignored"'
        ) from error
    given = pc.not_equal(text, "").to_numpy(zero_copy_only=False)
    return rows[given], text.filter(pa.array(given))


def _is_number(value: pa.Scalar) -> bool:
    try:
        value.cast(pa.float64(), safe=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return False
    return True
