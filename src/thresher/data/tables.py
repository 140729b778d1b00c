"""Tables from and to files: parquet, CSV, TSV and JSON lines, the text ones also as .gz."""

import csv
import difflib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq

from thresher.data.damage import JSON_LINES, open_text, quotes, reason
from thresher.errors import InputError

_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_FORMATS = ".parquet, .csv, .tsv, .jsonl or .ndjson (the text ones also with .gz)"
# A JSON record longer than a block cannot be parsed; product pages with all their text fit in this.
_BLOCK_BYTES = 64 << 20


def read_table(path: str | Path) -> pa.Table:
    """Read a table from a file; its suffix says the format.

    Every column of a CSV or TSV file is text, as it stands: "007" stays "007", an empty field is
    "", and "NA" is two letters. Parquet and JSON lines keep their types, except that columns named
    `id` or ending in `_id` become text. A TSV file has no quoting: a quote is a character of the
    text (titles of television sets are full of them).

    Args:
        path: a file ending in .parquet, .csv, .tsv, .jsonl, .ndjson, or one of the last four + .gz.

    Memory: the table, and 64 MiB.

    Raises:
        InputError: the file is missing, empty, cut short, damaged, not UTF-8, of an unknown kind,
            or has rows of unequal length; the message names the file and, where known, the place.

    Example:
        >>> read_table("items.csv").column_names
        ['id', 'title']
    """
    path = Path(path)
    suffix = _suffix(path)
    _check_file(path)
    try:
        if suffix == ".parquet":
            with pq.ParquetFile(path) as file:
                table = file.read()
        elif suffix in _DELIMITERS:
            table = _read_delimited(path, _DELIMITERS[suffix])
        else:
            table = _read_json_lines(path)
        table.validate(full=True)
    except InputError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InputError(reason(path, suffix, error)) from error
    _check_names(table.column_names, path)
    return _ids_as_text(table, path)


def require_columns(table: pa.Table, names: Sequence[str], path: str | Path) -> None:
    """Check that a table has the columns named, and say which of its columns comes nearest.

    Raises:
        InputError: a column is missing.
    """
    for name in names:
        if name not in table.column_names:
            near = difflib.get_close_matches(name, table.column_names, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise InputError(
                f"{path} has no column {name!r}; it has {', '.join(table.column_names)}{hint}"
            )


def text_of(table: pa.Table, columns: Sequence[str]) -> list[str]:
    """The text of each row: its columns joined by a blank, nulls and empty values left out.

    Numbers are written out; lists of text are joined by blanks too.

    Raises:
        InputError: a column is missing, or holds something that is not text, numbers or lists.
    """
    require_columns(table, columns, "the table")
    joined = pa.array([""] * len(table), pa.string())
    for name in columns:
        part = _as_text(table[name], name)
        # Arrow can join and skip nulls in one call, but then loses rows that are null throughout.
        both = pc.binary_join_element_wise(joined, part, " ")
        more = pc.if_else(pc.equal(part, ""), joined, both)
        joined = pc.if_else(pc.equal(joined, ""), part, more)
    return joined.to_pylist()


def write_table(table: pa.Table, path: str | Path) -> None:
    """Write a table to a file whose suffix says the format; readers never see half of it.

    The file is written aside in the same folder and then renamed. Folders are made as needed.

    Raises:
        InputError: the suffix is unknown, or a TSV value holds a tab or a line break.
    """
    path = Path(path)
    suffix = _suffix(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The last suffix says whether to compress, so it stays last in the name aside.
    aside = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        if suffix == ".parquet":
            # Ids and titles hardly repeat: a dictionary of them makes the file a third larger.
            pq.write_table(
                table, aside, compression="zstd", compression_level=9, use_dictionary=False
            )
        elif suffix == ".csv":
            with _open_stream(pa.output_stream, aside) as stream:
                pyarrow.csv.write_csv(table, stream)
        else:
            lines = _tsv_lines(table, path) if suffix == ".tsv" else _json_lines(table)
            with _open_stream(pa.output_stream, aside) as stream:
                for line in lines:
                    stream.write(f"{line}\n".encode())
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def is_table(path: Path) -> bool:
    """True where the suffix of a file is one that `read_table` reads."""
    name = path.name.lower().removesuffix(".gz")
    suffix = Path(name).suffix
    text = suffix in _DELIMITERS or suffix in JSON_LINES
    return text or (suffix == ".parquet" and not path.name.lower().endswith(".gz"))


def _suffix(path: Path) -> str:
    if not is_table(path):
        raise InputError(f"{path} has a suffix that is not read or written; use {_FORMATS}")
    return Path(path.name.lower().removesuffix(".gz")).suffix


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise InputError(f"{path} is a folder; give a file ending in {_FORMATS}")
    if not path.is_file():
        parent = path.parent
        there = [p.name for p in sorted(parent.iterdir())] if parent.is_dir() else []
        near = difflib.get_close_matches(path.name, there, n=1)
        hint = f"; did you mean {near[0]}?" if near else "; check the path"
        raise InputError(f"there is no file {path}{hint}")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty (0 bytes); write it again")


def _open_stream(opener: Callable[..., pa.NativeFile], path: Path) -> pa.NativeFile:
    return opener(str(path), compression="gzip" if path.suffix.lower() == ".gz" else None)


def _read_delimited(path: Path, delimiter: str) -> pa.Table:
    quoted = delimiter == ","
    with open_text(path) as text:
        if quoted:
            header = next(csv.reader(text, delimiter=delimiter), [])
        else:
            header = text.readline().rstrip("\r\n").split(delimiter)
    _check_names(header, path)
    with _open_stream(pa.input_stream, path) as stream:
        table = pyarrow.csv.read_csv(
            stream,
            # Only a reader of one thread counts rows, so that an error can name one.
            read_options=pyarrow.csv.ReadOptions(use_threads=False),
            parse_options=pyarrow.csv.ParseOptions(
                delimiter=delimiter, quote_char='"' if quoted else False, newlines_in_values=quoted
            ),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=False
            ),
        )
    if quoted and len(table):
        _check_last_quote(table, path)
    return table


def _check_last_quote(table: pa.Table, path: Path) -> None:
    """An unclosed quote swallows the rest of the file, its last line break included, silently."""
    last = table.slice(len(table) - 1).to_pylist()[0]
    for value in last.values():
        if value.endswith("\n") and quotes(path) % 2:
            raise InputError(
                f"{path} ends inside a quoted value that begins {value[:40]!r} in row "
                f"{len(table) + 1}; close the quote, or double it if it belongs to the text"
            )


def _read_json_lines(path: Path) -> pa.Table:
    options = pyarrow.json.ReadOptions(block_size=_BLOCK_BYTES)
    with _open_stream(pa.input_stream, path) as stream:
        table = pyarrow.json.read_json(stream, options)
    dates = [f.name for f in table.schema if pa.types.is_timestamp(f.type)]
    if not dates:
        return table
    # A column of texts that look like dates is text all the same: read it again as that.
    schema = pa.schema([(name, pa.string()) for name in dates])
    with _open_stream(pa.input_stream, path) as stream:
        return pyarrow.json.read_json(
            stream, options, pyarrow.json.ParseOptions(explicit_schema=schema)
        )


def _check_names(names: Sequence[str], path: Path) -> None:
    twice = sorted({name for name in names if list(names).count(name) > 1})
    if twice:
        raise InputError(f"{path} has several columns named {twice[0]!r}; rename all but one")


def _ids_as_text(table: pa.Table, path: Path) -> pa.Table:
    for at, name in enumerate(table.column_names):
        if name != "id" and not name.endswith("_id"):
            continue
        kind = table.schema.field(at).type
        if pa.types.is_nested(kind) and name != "id":
            continue
        if pa.types.is_dictionary(kind):
            kind = kind.value_type
        text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
        if not (text or pa.types.is_integer(kind) or pa.types.is_null(kind)):
            raise InputError(
                f"{path}: column {name!r} holds {kind}; ids are text or whole numbers, so cast it"
            )
        table = table.set_column(at, name, table[name].cast(kind).cast(pa.string()))
    return table


def _as_text(column: pa.ChunkedArray, name: str) -> pa.Array:
    try:
        if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
            column = pc.binary_join(column.cast(pa.list_(pa.string())), " ")
        return pc.fill_null(column.cast(pa.string()), "").combine_chunks()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InputError(
            f"column {name!r} holds {column.type}, which is not text; choose a column of text"
        ) from error


def _tsv_lines(table: pa.Table, path: Path) -> Iterator[str]:
    yield "\t".join(table.column_names)
    for batch in table.to_batches(max_chunksize=65_536):
        for row in batch.to_pylist():
            fields = ["" if value is None else str(value) for value in row.values()]
            if any("\t" in f or "\n" in f or "\r" in f for f in fields):
                raise InputError(
                    f"{path}: a value holds a tab or a line break, which a TSV file cannot; "
                    "write .csv or .parquet"
                )
            yield "\t".join(fields)


def _json_lines(table: pa.Table) -> Iterator[str]:
    for batch in table.to_batches(max_chunksize=65_536):
        for row in batch.to_pylist():
            yield json.dumps(row, ensure_ascii=False)
