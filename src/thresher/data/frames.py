"""Data frames in and out: pandas, polars and others through narwhals, Arrow, records, paths."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa

from thresher.data import json_lines
from thresher.data.plain_types import check_names, plain
from thresher.data.tables import ids_as_text, read_table
from thresher.errors import InputError

Frame = Any  # what `to_table` takes
_FIX = (
    "give a pandas or polars frame, an Arrow table, a list of dicts, a dict of columns, or the "
    "path of a table"
)
_UNFIT = (pa.ArrowException, TypeError, ValueError, OverflowError)


def to_table(frame: Frame, *, what: str) -> pa.Table:
    """Any table as an Arrow table of plain types, its ids as text.

    A named index of pandas becomes a column, an unnamed one is dropped. Categories become text,
    missing values null. Whole numbers in a column `id` or ending in `_id` become text; 123.0 is
    "123", and a missing id is null but in the column `id`, where it is refused.

    Args:
        frame: a frame that narwhals knows (pandas, polars, also lazy, and others), an Arrow table,
            record batch or reader, anything with `__arrow_c_stream__`, a list of dicts, a dict of
            columns, or the path of a file that `read_table` reads.
        what: it is, for messages, such as "items".

    Raises:
        InputError: it is none of these, two columns have one name, columns have several levels, a
            column mixes kinds of values, or an id is missing or neither text nor whole.

    Example:
        >>> to_table([{"id": 7, "title": "red mug"}], what="items").to_pylist()
        [{'id': '7', 'title': 'red mug'}]
    """
    if isinstance(frame, str | Path):
        return read_table(frame)
    try:
        table = plain(_arrow(frame, what))
        table.validate(full=True)
        check_names(table.column_names, what)
        table = ids_as_text(table, what)
    except InputError:
        raise
    except _UNFIT as error:
        said = " ".join(str(error).split())
        raise InputError(f"{what} cannot be read as a table: {said}; {_FIX}") from error
    if "id" in table.column_names and table["id"].null_count:
        row = table["id"].is_null().index(True).as_py()
        raise InputError(f"{what}, row {row + 1}: the id is missing; give each row one, or drop it")
    return table


def texts_of(frame: Frame) -> pa.Array | None:
    """A list, tuple, array or series of texts, perhaps with nulls, as one column; None for others.

    Example:
        >>> texts_of(("red mug", None)).to_pylist(), texts_of([{"id": 7}])
        (['red mug', None], None)
    """
    plain_list = isinstance(frame, list | tuple)
    if not plain_list and nw.dependencies.is_into_series(frame):
        try:
            frame = nw.from_native(frame, series_only=True).to_arrow()
        except _UNFIT:
            return None
    if isinstance(frame, pa.Array):
        frame = frame.to_pylist()
    if isinstance(frame, np.ndarray) and frame.ndim == 1:
        frame = frame.tolist()
    if not isinstance(frame, list | tuple):
        return None
    values = [None if isinstance(x, float) and math.isnan(x) else x for x in frame]
    text = all(value is None or isinstance(value, str) for value in values)
    return _array(values, "text", "the texts").cast(pa.string()) if text else None


def like(table: pa.Table, original: Frame) -> Any:
    """A table as the kind of frame that `original` is, which came in.

    Paths, texts and lists of texts give an Arrow table, a list of dicts a list of dicts, a dict of
    columns a dict of columns, a series a frame.

    Example:
        >>> like(pa.table({"id": ["7"]}), [{"id": 1}])
        [{'id': '7'}]
    """
    if original is None or isinstance(original, str | Path | pa.Table):
        return table
    if isinstance(original, Mapping):
        return table.to_pydict()
    if isinstance(original, list | tuple):
        return table.to_pylist() if original and isinstance(original[0], Mapping) else table
    if isinstance(original, pa.RecordBatch):
        batches = table.combine_chunks().to_batches()
        return batches[0] if batches else pa.RecordBatch.from_pylist([], table.schema)
    frame = nw.from_native(original, pass_through=True, allow_series=True)
    if not isinstance(frame, nw.DataFrame | nw.LazyFrame | nw.Series):
        return table
    backend = frame.implementation
    if backend in (nw.Implementation.PANDAS, nw.Implementation.POLARS, nw.Implementation.MODIN):
        made = nw.from_arrow(table, backend=backend)
        return (made.lazy() if isinstance(frame, nw.LazyFrame) else made).to_native()
    return table


def _arrow(frame: Any, what: str) -> pa.Table:
    if isinstance(frame, pa.Table):
        return frame
    if isinstance(frame, Mapping):
        return _columns(frame, what)
    if isinstance(frame, list | tuple):
        return _records(frame, what)
    if nw.dependencies.is_into_series(frame):
        raise InputError(f"{what} is one column; {_FIX}")
    if nw.dependencies.is_pandas_dataframe(frame):
        return _pandas(frame, what)
    known = nw.from_native(frame, pass_through=True)
    if isinstance(known, nw.LazyFrame):
        known = known.collect()
    if isinstance(known, nw.DataFrame):
        return known.to_arrow()
    if hasattr(frame, "__arrow_c_stream__") or hasattr(frame, "__arrow_c_array__"):
        return pa.table(frame)
    raise InputError(f"{what} cannot be read from {type(frame).__name__}; {_FIX}")


def _columns(columns: Mapping[str, Any], what: str) -> pa.Table:
    arrays = {}
    for name, values in columns.items():
        if isinstance(values, str | bytes) or not hasattr(values, "__len__"):
            raise InputError(f"{what}: column {name!r} is no list of values; {_FIX}")
        arrays[str(name)] = _array(values, str(name), what)
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        said = ", ".join(f"{name} {length:,}" for name, length in lengths.items())
        raise InputError(f"{what}: columns have different lengths ({said}); give one value a row")
    return pa.table(arrays)


def _records(rows: Sequence[Any], what: str) -> pa.Table:
    strange = [at for at, row in enumerate(rows, 1) if not isinstance(row, str | None)]
    if strange and isinstance(rows[0], str):
        kind = type(rows[strange[0] - 1]).__name__
        raise InputError(f"{what}, row {strange[0]}: it is no text but {kind}; {_FIX}")
    wrong = next((at for at, row in enumerate(rows, 1) if not isinstance(row, Mapping)), None)
    if wrong is not None:
        kind = type(rows[wrong - 1]).__name__
        raise InputError(f"{what}, row {wrong}: it is no dict but {kind}; {_FIX}")
    try:
        return json_lines.table_of([{str(key): row[key] for key in row} for row in rows])
    except _UNFIT as error:
        found = json_lines.mismatch(enumerate(rows, 1), "row")
        raise InputError(f"{what}, {found}" if found else f"{what}: {error}") from error


def _pandas(frame: Any, what: str) -> pa.Table:
    if frame.columns.nlevels > 1:
        raise InputError(f"{what} has columns of several levels; join them into one name each")
    names = [str(name) for name in frame.columns]
    check_names(names, what)
    levels = {n: frame.index.get_level_values(at) for at, n in enumerate(frame.index.names)}
    arrays = {str(name): values for name, values in levels.items() if name is not None}
    both = sorted(arrays.keys() & set(names))
    if both:
        raise InputError(f"{what} has {both[0]!r} as a column and in its index; rename one")
    arrays |= {name: frame.iloc[:, at] for at, name in enumerate(names)}
    return pa.table({name: _array(values, name, what) for name, values in arrays.items()})


def _array(values: Any, name: str, what: str) -> pa.Array | pa.ChunkedArray:
    """A column, with NaN of pandas and NumPy as null."""
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return values
    try:
        return pa.array(values, from_pandas=True)
    except _UNFIT as error:
        found = json_lines.mismatch(((n, {name: v}) for n, v in enumerate(values, 1)), "row")
        said = f", {found}" if found else f": column {name!r} cannot be read ({error})"
        raise InputError(f"{what}{said}") from error
