"""Arrow types made plain: what the rest of the project reads, and what a text file can hold."""

from collections.abc import Callable, Sequence
from pathlib import Path

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
_PIECE = 1 << 20  # rows; a text column of 2 GB has no plain type in one piece


def plain(table: pa.Table) -> pa.Table:
    """The same values with one type each for text and lists, whatever program wrote the table.

    Text views, large text and categories (Arrow dictionaries) become text; list views and large
    lists become lists; also inside lists and structs.
    """
    return _mapped(table, _is_plain, _plain_leaf)


def check_names(names: Sequence[str], path: str | Path) -> None:
    """InputError for two columns of one name."""
    twice = sorted({name for name in names if list(names).count(name) > 1})
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
    for at, field in enumerate(table.schema):
        try:
            if not done(field.type):
                table = table.set_column(at, field.name, _mapped_column(table.column(at), leaf))
        except _UnheldError as error:
            error.name = field.name
            raise
    return table


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
        return pc.replace_substring(array.cast(pa.string()), " ", "T", max_replacements=1)
    if _is_textual(kind, nested=True):
        return array
    raise _UnheldError(kind)
