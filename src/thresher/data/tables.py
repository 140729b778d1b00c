"""Tables from and to files: parquet, CSV, TSV, JSON lines and Excel, the text ones also as .gz."""

import difflib
import gzip
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from thresher.data import delimited, excel, json_lines
from thresher.data.plain_types import check_names, is_list, is_text, plain, with_columns
from thresher.errors import InputError, did_you_mean
from thresher.files import atomic_write

DELIMITERS = {".csv": ",", ".tsv": "\t"}
JSON_LINES = (".jsonl", ".ndjson")
_FORMATS = ".parquet, .csv, .tsv, .jsonl, .ndjson or .xlsx (text formats also with .gz)"
# Ids that other tables refer to; a list or an object in one is no id.
_KEYS = ("id", "_id", "query_id", "item_id", "user_id")
_EXACT = 2.0**53  # whole numbers up to here are exact as floats


def read_table(path: str | Path) -> pa.Table:
    """Read a table from a file; its suffix says the format.

    Every column of a CSV or TSV file is text, as it stands: "007" stays "007", an empty field is
    "", and "NA" is two letters. The other formats keep their types, except that columns named `id`
    or ending in `_id` become text. A CSV file may be separated by commas, semicolons or tabs. A TSV
    file has no quoting: a quote is a character of the text (titles of television sets are full of
    them). The suffixes are .parquet, .csv, .tsv, .jsonl, .ndjson or .xlsx; text formats may be
    packed (.gz).

    Memory: the table, and a block of 65,536 rows.

    Raises:
        InputError: the file is missing, empty, cut short, damaged, not UTF-8, of an unknown kind,
            or has rows of unequal length; the message names the file and, where known, the place.
    """
    path = Path(path)
    suffix = suffix_of(path)
    check_file(path)
    if suffix == ".parquet":
        with parquet_errors(path), pq.ParquetFile(path, page_checksum_verification=True) as file:
            table = file.read()
    elif suffix in DELIMITERS:
        table = pa.concat_tables(delimited.stream(path, suffix))
    else:
        table = excel.read(path) if suffix == ".xlsx" else json_lines.read(path)
    return finished(table, path)


def finished(table: pa.Table, path: Path, done: int = 0) -> pa.Table:
    """Rows as they were read, after so many others: checked, plain, ids as text."""
    with parquet_errors(path):
        table.validate(full=True)
    check_names(table.column_names, path)

    def place(row: int) -> str:
        lines = suffix_of(path) in JSON_LINES
        return f"line {json_lines.line_of(path, done + row)}" if lines else f"row {done + row + 1}"

    return ids_as_text(plain(table), path, place=place)


def require_columns(table: pa.Table, names: Sequence[str], path: str | Path) -> None:
    """InputError for a column that a table lacks, with the nearest one of those it has."""
    for name in names:
        if name not in table.column_names:
            there = ", ".join(table.column_names)
            hint = did_you_mean(name, table.column_names) or "; rename the one that holds it"
            there = f"{there}{hint}" if there else "no columns"
            raise InputError(f"{path} has no column {name!r}; it has {there}")


def text_of(table: pa.Table, columns: Sequence[str]) -> list[str]:
    """The text of each row: its columns joined by a space, nulls and empty values left out.

    Numbers are written out; lists of text, also of lists, are joined by spaces too. InputError
    where a column is missing, or holds something that is not text, numbers or lists.
    """
    require_columns(table, columns, "the table")
    if len(columns) == 1 and pa.types.is_string(table[columns[0]].type):
        return [text or "" for text in table[columns[0]].to_pylist()]
    joined = pa.array([""] * len(table), pa.string())
    for name in columns:
        part = _as_text(table[name], name)
        # Arrow can join and skip nulls in one call, but then loses rows that are null throughout.
        both = pc.binary_join_element_wise(joined, part, " ")
        more = pc.if_else(pc.equal(part, ""), joined, both)
        joined = pc.if_else(pc.equal(joined, ""), part, more)
    return joined.to_pylist()


def write_table(table: pa.Table, path: str | Path, *, for_spreadsheet: bool = False) -> None:
    """Write a table to a file whose suffix says the format; readers never see half of it.

    Text formats hold dates and times in ISO format, decimals exactly, as text, and no NaN. Folders
    are made as needed. With `for_spreadsheet`, .csv and .tsv files have an apostrophe before texts
    that a spreadsheet would take for a formula, such as =HYPERLINK(...); cells of .xlsx files never
    compute.

    Raises:
        InputError: the suffix is unknown, the path cannot be written to, the disk is full, or a
            column or value does not go into the format.
    """
    write_blocks([table], path, for_spreadsheet=for_spreadsheet)


def write_blocks(
    blocks: Iterable[pa.Table], path: str | Path, *, for_spreadsheet: bool = False
) -> None:
    """Write tables of the same columns, one after the other, as one file; see `write_table`.

    The next block is asked for when the one before is written, so a stream never lies in memory,
    except for .xlsx. InputError as `write_table`; or there is no block.
    """
    path = Path(path)
    suffix = suffix_of(path)
    stream = (plain(block) for block in blocks)
    first = next(stream, None)
    if first is None:
        raise InputError(f"there are no rows to write to {path}; give at least one")
    with atomic_write(path, "wb") as raw, _packed(raw, path) as file:
        tables = itertools.chain([first], stream)
        if suffix == ".xlsx":
            excel.write(file, tables, path)
            return
        with _writer(file, first.schema, suffix, path, safe=for_spreadsheet) as write:
            for table in tables:
                write(table)


def check_outputs(outputs: Mapping[str, Path | None], inputs: Mapping[str, Path | None]) -> None:
    """InputError for a table to be written that is read as well, or written twice, or none.

    Both hold paths, None for none, by the names of the options that gave them.
    """
    # Of a link to itself `resolve` makes a RuntimeError, and `realpath` the link.
    taken = {os.path.realpath(path): name for name, path in inputs.items() if path is not None}
    for name, path in outputs.items():
        if path is None:
            continue
        suffix_of(path)
        other = taken.setdefault(os.path.realpath(path), name)
        if other != name:
            raise InputError(f"{name} and {other} are one file, {path}; give {name} another name")


def is_table(path: Path) -> bool:
    """True where the suffix of a file is one that `read_table` reads."""
    name = path.name.lower().removesuffix(".gz")
    suffix = Path(name).suffix
    text = suffix in DELIMITERS or suffix in JSON_LINES
    return text or (suffix in (".parquet", ".xlsx") and not path.name.lower().endswith(".gz"))


def suffix_of(path: Path) -> str:
    """The suffix of a table's file, without .gz; InputError for one that is none, or a folder."""
    if path == Path():  # what an empty text becomes
        raise InputError(f"an empty path, or ., names no file; give one that ends in {_FORMATS}")
    if path.is_dir():
        raise InputError(f"{path} is a folder; name a file in it, ending in {_FORMATS}")
    if not is_table(path):
        raise InputError(f"{path} has a suffix that is not read or written; use {_FORMATS}")
    return Path(path.name.lower().removesuffix(".gz")).suffix


def check_file(path: Path) -> None:
    """InputError for a file that is not there, may not be read, or is empty."""
    if not path.is_file():
        if os.path.lexists(path):
            raise InputError(f"{path} is {_what(path)}; name a file")
        parent = path.parent
        there = [p.name for p in sorted(parent.iterdir())] if parent.is_dir() else []
        near = difflib.get_close_matches(path.name, there, n=1)
        hint = f"; did you mean {near[0]}?" if near else "; check the path"
        raise InputError(f"there is no file {path}{hint}")
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); check its rights") from error
    if empty:
        raise InputError(f"{path} is empty (0 bytes); write it again")


def _what(path: Path) -> str:
    """What lies there, if it is neither a file nor a folder."""
    if not path.is_symlink() or os.path.exists(path):
        return "a pipe, a socket or a device"
    target = os.readlink(path)
    return f"a link to {target}, which is not there or leads back to the link"


def ids_as_text(
    table: pa.Table, path: str | Path, *, place: Callable[[int], str] = lambda row: f"row {row + 1}"
) -> pa.Table:
    """The table with every column of ids as text.

    Whole numbers are written out, also those that a missing value made decimal: 123.0 is "123". NaN
    is a missing id, null. InputError, which names the path and by `place` the row, counted from 0,
    where ids are of another type, or not whole.
    """
    columns = {}
    for at, name in enumerate(table.column_names):
        if name != "id" and not name.endswith("_id"):
            continue
        column = table.column(at)
        kind = column.type
        if pa.types.is_nested(kind) and name not in _KEYS:
            continue
        if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
            column = _whole(column, name, path, place)
        elif not (is_text(kind) or pa.types.is_integer(kind) or pa.types.is_null(kind)):
            raise InputError(
                f"{path}: column {name!r} holds {kind}; ids are text or whole numbers, so cast it"
            )
        if kind != pa.string():
            columns[at] = column.cast(pa.string())
    return with_columns(table, columns)


def _whole(
    column: pa.ChunkedArray, name: str, path: str | Path, place: Callable[[int], str]
) -> pa.ChunkedArray:
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), None, column)
        whole = pc.and_(pc.equal(column, pc.floor(column)), pc.less(pc.abs(column), _EXACT))
    else:
        whole = pc.equal(column, pc.trunc(column))  # which fits, where the floor may not
    wrong = pc.indices_nonzero(pc.invert(pc.fill_null(whole, True)))
    if len(wrong):
        row = wrong[0].as_py()
        raise InputError(
            f"{path}, {place(row)}: {name} {column[row].as_py()} is no id; ids are text or whole "
            "numbers, so write it as text"
        )
    try:
        return column.cast(pa.int64()).cast(pa.string())
    except pa.ArrowInvalid:  # more digits than a machine's integer has
        values = (None if value is None else str(int(value)) for value in column.to_pylist())
        return pa.chunked_array([pa.array(values, pa.string())])


def _as_text(column: pa.ChunkedArray, name: str) -> pa.Array:
    try:
        array = column.combine_chunks()
        if not is_list(array.type):
            return pc.fill_null(_written(array), "")
        owner, values = pc.list_parent_indices(array), pc.list_flatten(array)
        while is_list(values.type):
            owner = owner.take(pc.list_parent_indices(values))
            values = pc.list_flatten(values)
        text = pc.fill_null(_written(values), "")
        said = pc.not_equal(text, "")
        counts = np.bincount(owner.filter(said).to_numpy(), minlength=len(array))
        offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]), pa.int32())
        return pc.binary_join(pa.ListArray.from_arrays(offsets, text.filter(said)), " ")
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InputError(
            f"column {name!r} holds {column.type}, which is not text; choose a column of text"
        ) from error


def _written(array: pa.Array) -> pa.Array:
    """Single values as text."""
    one = pa.table({"": array})
    return plain(one).column(0).cast(pa.string()).combine_chunks()


@contextmanager
def parquet_errors(path: Path) -> Iterator[None]:
    """What Arrow, or Python's memory, says to a damaged file, as InputError."""
    try:
        yield
    except (pa.ArrowException, OSError, ValueError, MemoryError, OverflowError, TypeError) as error:
        said = " ".join(str(error).split())
        raise InputError(
            f"{path} is cut short, damaged or not a {suffix_of(path)[1:]} file ({said}); write it "
            "again"
        ) from error


def _packed(raw: IO[bytes], path: Path) -> AbstractContextManager[Any]:
    packed = path.suffix.lower() == ".gz"
    return gzip.GzipFile("", "wb", 6, raw, mtime=0) if packed else nullcontext(raw)


@contextmanager
def _writer(
    file: IO[bytes], schema: pa.Schema, suffix: str, path: Path, *, safe: bool
) -> Iterator[Callable[[pa.Table], None]]:
    """A function that writes one table after the other in a format."""
    if suffix == ".parquet":
        # Ids and titles hardly repeat: a dictionary of them makes the file a third larger.
        options = {"compression": "zstd", "compression_level": 9, "use_dictionary": False}
        try:
            with pq.ParquetWriter(file, schema, write_page_checksum=True, **options) as writer:
                yield writer.write_table
        except pa.ArrowNotImplementedError as error:
            raise InputError(f"{path}: {error}; leave the column out") from error
    elif suffix in DELIMITERS:
        first = True

        def write(table: pa.Table) -> None:
            nonlocal first
            rows = delimited.without_formulas(table) if safe else table
            delimited.write(file, rows, path, separator=DELIMITERS[suffix], header=first)
            first = False

        yield write
    else:
        yield lambda table: json_lines.write(file, table, path)
