"""Arrow types made plain: what the rest of the project reads, and what a text file can hold."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from thresher.errors import InputError

Leaf = Callable[[pa.Array], pa.Array]
_TEXTS = (pa.string(), pa.large_string(), pa.string_view())
_LISTS = (
    *(pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list),
    *(pa.types.is_list_view, pa.types.is_large_list_view),
)
_UNHELD = (OverflowError, ValueError, LookupError, pa.ArrowException)  # by Python, of Arrow's
_PIECE = 1 << 20  # rows; a text column of 2 GB has no plain type in one piece


def plain(table: pa.Table) -> pa.Table:
    """The same values with one type each for text and lists, whatever program wrote the table.

    Text views, large text and categories (Arrow dictionaries) become text; list views and large
    lists become lists; also inside lists and structs.
    """
    return _mapped(table, _is_plain, _plain_leaf)


def python_values(table: pa.Table) -> list[dict[str, Any]]:
    """The rows as Python's values; a column that Python cannot hold, of far years, is text.

    InputError where there is no text for it either.
    """
    columns = []
    for name, column in zip(table.column_names, table.columns, strict=True):
        try:
            values = _python_column(column)
        except _UNHELD as error:
            raise InputError(
                f"column {name!r} holds {column.type} with a value that cannot be shown ({error}); "
                "cast it to text"
            ) from error
        columns.append(values)
    return [dict(zip(table.column_names, row, strict=True)) for row in zip(*columns, strict=True)]


def _python_column(column: pa.ChunkedArray) -> list[Any]:
    try:
        return column.to_pylist()
    except _UNHELD:
        return _mapped_column(column, _shown_leaf).to_pylist()


def _shown_leaf(array: pa.Array) -> pa.Array:
    """Values as they are, or else as text."""
    try:
        array.to_pylist()
    except _UNHELD:
        kind = array.type
        if pa.types.is_timestamp(kind) and kind.tz:  # a zone that nobody knows: UTC
            return _shown_leaf(array.cast(pa.timestamp(kind.unit)))
        return array.cast(pa.string())
    return array


def check_names(names: Sequence[str], path: str | Path) -> None:
    """InputError for two columns of one name."""
    twice = sorted(name for name, times in Counter(names).items() if times > 1)
    if twice:
        raise InputError(f"{path} has several columns named {twice[0]!r}; rename all but one")


def textual(table: pa.Table, path: str | Path, *, nested: bool) -> pa.Table:
    """The same values as a text file holds them: ISO dates and times, exact decimals as text.

    Times with a zone are written in UTC. InputError where there is no column, or one is of a type
    that the format cannot hold; with `nested` it can hold lists and objects.
    """
    if not (nested or table.num_columns):
        raise InputError(f"{path}: the table has no columns; give at least one")

    def done(kind: pa.DataType) -> bool:
        return _is_textual(kind, nested=nested)

    try:
        return _mapped(plain(table), done, _textual_leaf)
    except _UnheldError as error:
        other = ".parquet" if nested or not pa.types.is_nested(error.kind) else ".jsonl or .parquet"
        raise InputError(
            f"{path}: column {error.name!r} holds {error.kind}, which this format cannot hold; "
            f"leave it out, or write {other}"
        ) from None


class _UnheldError(Exception):
    kind: pa.DataType
    name: str = ""

    def __init__(self, kind: pa.DataType) -> None:
        super().__init__(kind)
        self.kind = kind


def _mapped(table: pa.Table, done: Callable[[pa.DataType], bool], leaf: Leaf) -> pa.Table:
    columns = {}  # by place: to set one column copies the list of all
    for at, field in enumerate(table.schema):
        try:
            if not done(field.type):
                columns[at] = _mapped_column(table.column(at), leaf)
        except _UnheldError as error:
            error.name = field.name
            raise
    return with_columns(table, columns)


def with_columns(table: pa.Table, columns: Mapping[int, pa.ChunkedArray]) -> pa.Table:
    """The table with these columns, by place, under the names of those they replace."""
    if not columns:
        return table
    fields, arrays = list(table.schema), table.columns
    for at, column in columns.items():
        fields[at], arrays[at] = pa.field(fields[at].name, column.type), column
    return pa.table(arrays, schema=pa.schema(fields, table.schema.metadata))


def _mapped_column(column: pa.ChunkedArray, leaf: Leaf) -> pa.ChunkedArray:
    pieces = [
        chunk.slice(start, _PIECE)
        for chunk in column.chunks or [pa.array([], column.type)]
        for start in range(0, max(len(chunk), 1), _PIECE)
    ]
    return pa.chunked_array([_map(piece, leaf) for piece in pieces])


def _map(array: pa.Array, leaf: Leaf) -> pa.Array:
    """The array with every array of values inside it converted; its shape and nulls stay."""
    kind = array.type
    if pa.types.is_dictionary(kind):
        return _map(array.dictionary_decode(), leaf)
    if pa.types.is_run_end_encoded(kind):
        return _map(pc.run_end_decode(array), leaf)
    if is_list(kind):
        lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False)
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        values = _map(pc.list_flatten(array), leaf)
        places = pa.array(offsets, pa.int32())
        return pa.ListArray.from_arrays(places, values, mask=pc.is_null(array))
    if pa.types.is_struct(kind) and kind.num_fields:
        fields = [_map(part, leaf) for part in array.flatten()]
        names = [kind.field(at).name for at in range(kind.num_fields)]
        return pa.StructArray.from_arrays(fields, names, mask=pc.is_null(array))
    return leaf(array)


def is_list(kind: pa.DataType) -> bool:
    """True for lists of any kind, of fixed length too."""
    return any(is_one(kind) for is_one in _LISTS)


def is_text(kind: pa.DataType) -> bool:
    """True for text of any kind, but categories."""
    return kind in _TEXTS


def _is_plain(kind: pa.DataType) -> bool:
    if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        return _is_plain(kind.value_type)
    if pa.types.is_struct(kind):
        return all(_is_plain(kind.field(at).type) for at in range(kind.num_fields))
    encoded = pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind)
    return not (encoded or is_list(kind) or (is_text(kind) and kind != pa.string()))


def _plain_leaf(array: pa.Array) -> pa.Array:
    return array.cast(pa.string()) if is_text(array.type) else array


def _is_textual(kind: pa.DataType, *, nested: bool) -> bool:
    if nested and is_list(kind):
        return _is_textual(kind.value_type, nested=True)
    if nested and pa.types.is_struct(kind):
        return all(_is_textual(kind.field(at).type, nested=True) for at in range(kind.num_fields))
    number = pa.types.is_integer(kind) or pa.types.is_float32(kind) or pa.types.is_float64(kind)
    if pa.types.is_nested(kind):
        raise _UnheldError(kind)
    return number or pa.types.is_boolean(kind) or pa.types.is_null(kind) or kind == pa.string()


def _textual_leaf(array: pa.Array) -> pa.Array:
    kind = array.type
    if pa.types.is_float16(kind):
        return array.cast(pa.float32())
    if pa.types.is_decimal(kind):
        return array.cast(pa.string())
    if pa.types.is_timestamp(kind) and kind.tz:  # local time may be off UTC by some seconds
        array = array.cast(pa.timestamp(kind.unit, "UTC"))
    if pa.types.is_date(kind) or pa.types.is_time(kind) or pa.types.is_timestamp(kind):
        text = array.cast(pa.string())
        if pc.any(pc.starts_with(text, "<value out of range")).as_py():
            raise _UnheldError(kind)
        return pc.replace_substring(text, " ", "T", max_replacements=1)
    if _is_textual(kind, nested=True):
        return array
    raise _UnheldError(kind)
