"""JSON lines: one object a line, read by parsers that no input can crash."""

import contextlib
import itertools
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NoReturn

import orjson
import pyarrow as pa

from thresher.data.plain_types import textual
from thresher.data.read_diagnostics import numbered_lines
from thresher.errors import InputError

Record = Mapping[str, Any]
_BLOCK = 65_536
_DEPTH = 32  # of lists and objects; Arrow itself reads a type of thousands of levels by recursion
_MISMATCH = (pa.ArrowException, TypeError, ValueError, OverflowError)


def read(path: Path) -> pa.Table:
    """Read all lines; a column is null where a line lacks it, and whole numbers may be decimals.

    InputError where a line is no object, or a column holds values of several kinds; the message
    names the line, counted as an editor counts.
    """
    try:
        tables = [table_of(block) for block in _blocks(path, _BLOCK)]
        return pa.concat_tables(tables, promote_options="permissive") if tables else pa.table({})
    except _MISMATCH as error:
        _refuse(path, error)


def stream(path: Path, rows: int) -> Iterator[pa.Table]:
    """Read so many lines at a time, all of one schema, by two readings; raises as `read`."""
    try:
        schema = pa.schema([])
        for block in _blocks(path, rows):
            found = table_of(block).schema
            schema = pa.unify_schemas([schema, found], promote_options="permissive")
        for block in _blocks(path, rows):
            yield table_of(block, schema)
    except _MISMATCH as error:
        _refuse(path, error)


def table_of(records: Sequence[Record], schema: pa.Schema | None = None) -> pa.Table:
    """Records as a table; without a schema its columns are those of any record, in order.

    ArrowException, TypeError, ValueError or OverflowError where values of a column do not go
    together; `mismatch` says which.
    """
    if schema is None:
        names = dict.fromkeys(name for record in records for name in record)
        return pa.table({name: pa.array([r.get(name) for r in records]) for name in names})
    arrays = [pa.array([r.get(f.name) for r in records], f.type) for f in schema]
    return pa.table(arrays, schema=schema)


def line_of(path: Path, row: int) -> int:
    """The line that a row, counted from 0, stands in."""
    return next(itertools.islice(_records(path), row, None))[0]


def mismatch(records: Iterable[tuple[int, Record]], place: str) -> str | None:
    """What is wrong with the first record that has a value of another kind than those before.

    `place` is what the numbers of the records count, "line" or "row".
    """
    kinds: dict[str, tuple[str, int]] = {}
    for number, record in records:
        for name, value in _values(record):
            kind = _kind(value)
            before, first = kinds.setdefault(name, (kind, number))
            if kind != before:
                return (
                    f"{place} {number}: {name} is {kind} ({str(value)[:40]!r}), but {before} in "
                    f"{place} {first}; give it one kind throughout"
                )
            if isinstance(value, str) and re.search(r"[\ud800-\udfff]", value):
                return f"{place} {number}: {name} {value!r} holds half of a surrogate pair; drop it"
            if type(value) is int and not -(2**63) <= value < 2**63:
                return f"{place} {number}: {name} is {value}, which is too large; make it text"
    return None


def write(file: IO[bytes], table: pa.Table, path: Path) -> None:
    """Write the rows of a table as lines; InputError for what JSON cannot: bytes, infinities."""
    table = textual(table, path, nested=True)
    for batch in table.to_batches(max_chunksize=_BLOCK):
        for row in batch.to_pylist():
            try:
                text = json.dumps(row, ensure_ascii=False, allow_nan=False)
            except ValueError:
                text = _without_nan(row, path)
            file.write(text.encode() + b"\n")


def _without_nan(row: Record, path: Path) -> str:
    try:
        return json.dumps(_nan_as_null(row), ensure_ascii=False, allow_nan=False)
    except ValueError:
        raise InputError(
            f"{path}: the row {str(row)[:60]} holds an infinite number, which JSON cannot; replace "
            "it, or write .parquet"
        ) from None


def _nan_as_null(value: Any) -> Any:
    """Lists and objects with null for NaN."""
    if isinstance(value, dict):
        return {key: _nan_as_null(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_nan_as_null(inner) for inner in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _blocks(path: Path, rows: int) -> Iterator[list[Record]]:
    lines = _lines(path)
    while block := list(itertools.islice(lines, rows)):
        yield _block(path, block)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    return ((number, line) for number, line in numbered_lines(path) if line.strip(" \t\r"))


def _block(path: Path, lines: Sequence[tuple[int, str]]) -> list[Record]:
    """The records of some lines: parsed in one go, those that this may read wrongly one by one."""
    text = ",".join(line for _, line in lines)
    found: Any = None
    # Without a list in any of them, lines that only make sense together are no JSON.
    if "[" not in text:
        with contextlib.suppress(orjson.JSONDecodeError):
            found = orjson.loads(f"[{text}]")
    if found is None or len(found) != len(lines) or set(map(type, found)) != {dict}:
        return [parse(line, path, number) for number, line in lines]
    # No key twice where there is a colon for each, no digits lost where no number has many.
    long = re.search("[0-9]{16}", text) is not None
    return [
        record
        if line.count(":") == len(record) and not (long and re.search("[0-9]{16}", line))
        else parse(line, path, number)
        for record, (number, line) in zip(found, lines, strict=True)
    ]


def _records(path: Path) -> Iterator[tuple[int, Record]]:
    return ((number, parse(line, path, number)) for number, line in _lines(path))


def parse(line: str, path: Path, number: int) -> Record:
    """The object of a line.

    InputError where it is none, names a key twice, is nested too deep, or holds NaN.
    """
    try:
        record = _CAREFUL.decode(line)
        if line.count("[") + line.count("{") > _DEPTH and _depth(record) > _DEPTH:
            raise RecursionError
        if "\\u" in line:
            json.dumps(record, ensure_ascii=False).encode()  # half of a surrogate pair is no text
    except RecursionError:
        why = f"it is nested deeper than {_DEPTH} levels"
    except UnicodeEncodeError:
        why = "half of a surrogate pair is no text"
    except ValueError as error:
        why = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
    else:
        if isinstance(record, dict):
            return record
        raise InputError(f"{path}, line {number}: a line must be one JSON object {{...}}")
    raise InputError(f"{path}, line {number}: not JSON ({why}); correct the line")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise ValueError(f"it names {twice!r} twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON; write null")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text} is too large a number")
    return number


_CAREFUL = json.JSONDecoder(
    object_pairs_hook=_object, parse_constant=_no_constant, parse_float=_finite
)


def _depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, inner), default=0)


def _values(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every value inside a record with its place, such as tags[] or shop.name; nulls left out."""
    if value is None:
        return
    if name:
        yield name, value
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _values(inner, f"{name}.{key}" if name else key)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _values(inner, f"{name}[]")


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "text"
    if isinstance(value, Mapping):
        return "an object"
    return "a list" if isinstance(value, list | tuple) else type(value).__name__


def _refuse(path: Path, error: Exception) -> NoReturn:
    """The first line that is wrong or does not go with those before it, in blocks of any size."""
    what = mismatch(_records(path), "line")
    if what is None and isinstance(error, InputError):
        raise error
    raise InputError(f"{path}, {what}" if what else f"{path}: {error}; correct it") from error
