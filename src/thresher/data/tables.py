"""Tables from and to files: parquet, CSV, TSV and JSON lines, the text ones also as .gz."""

import csv
import difflib
import itertools
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq

from thresher.data.damage import JSON_LINES, open_text, quotes, reason
from thresher.errors import InputError

DELIMITERS = {".csv": ",", ".tsv": "\t"}
_FORMATS = ".parquet, .csv, .tsv, .jsonl or .ndjson (the text ones also with .gz)"
# A JSON record longer than a block cannot be parsed; product pages with all their text fit in this.
BLOCK_BYTES = 64 << 20


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
    suffix = suffix_of(path)
    check_file(path)
    try:
        if suffix == ".parquet":
            with pq.ParquetFile(path) as file:
                table = file.read()
        elif suffix in DELIMITERS:
            table = _read_delimited(path, DELIMITERS[suffix])
        else:
            table = _read_json_lines(path)
        table.validate(full=True)
    except InputError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InputError(reason(path, suffix, error)) from error
    check_names(table.column_names, path)
    return ids_as_text(table, path)


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
        InputError: the suffix is unknown, the path is a folder, its folder cannot be made, or a
            TSV value holds a tab or a line break.
    """
    write_blocks([table], path)


def write_blocks(blocks: Iterable[pa.Table], path: str | Path) -> None:
    """Write tables of the same columns, one after the other, as one file; see `write_table`.

    The next block is asked for when the one before is written, so a stream never lies in memory.

    Raises:
        InputError: as `write_table` does; or there is no block.
    """
    path = Path(path)
    suffix = suffix_of(path)
    if path.is_dir():
        raise InputError(f"{path} is a folder; name a file in it, such as {path / 'table.csv'}")
    stream = iter(blocks)
    first = next(stream, None)
    if first is None:
        raise InputError(f"there are no rows to write to {path}; give at least one")
    make_folder(path.parent)
    # The last suffix says whether to compress, so it stays last in the name aside.
    aside = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        _write(itertools.chain([first], stream), first.schema, aside, suffix, path)
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it, if it is not there yet.

    Raises:
        InputError: a file lies there, or the place may not be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{folder} cannot be made a folder ({error.strerror}); give another path"
        ) from error


def _write(
    blocks: Iterable[pa.Table], schema: pa.Schema, aside: Path, suffix: str, path: Path
) -> None:
    if suffix == ".parquet":
        # Ids and titles hardly repeat: a dictionary of them makes the file a third larger.
        with pq.ParquetWriter(
            aside, schema, compression="zstd", compression_level=9, use_dictionary=False
        ) as file:
            for block in blocks:
                file.write_table(block)
        return
    with open_stream(pa.output_stream, aside) as stream:
        if suffix == ".csv":
            with pyarrow.csv.CSVWriter(stream, schema) as writer:
                for block in blocks:
                    writer.write_table(block)
            return
        lines = _tsv_lines(blocks, schema, path) if suffix == ".tsv" else _json_lines(blocks)
        for line in lines:
            stream.write(f"{line}\n".encode())


def is_table(path: Path) -> bool:
    """True where the suffix of a file is one that `read_table` reads."""
    name = path.name.lower().removesuffix(".gz")
    suffix = Path(name).suffix
    text = suffix in DELIMITERS or suffix in JSON_LINES
    return text or (suffix == ".parquet" and not path.name.lower().endswith(".gz"))


def suffix_of(path: Path) -> str:
    """The suffix of a table's file, without .gz; InputError for one that is none."""
    if not is_table(path):
        raise InputError(f"{path} has a suffix that is not read or written; use {_FORMATS}")
    return Path(path.name.lower().removesuffix(".gz")).suffix


def check_file(path: Path) -> None:
    """InputError for a file that is not there, is a folder, or is empty."""
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


def open_stream(opener: Callable[..., pa.NativeFile], path: Path) -> pa.NativeFile:
    """A stream of the bytes of a file, packed or not."""
    return opener(str(path), compression="gzip" if path.suffix.lower() == ".gz" else None)


def _read_delimited(path: Path, delimiter: str) -> pa.Table:
    quoted = delimiter == ","
    with open_stream(pa.input_stream, path) as stream:
        table = pyarrow.csv.read_csv(stream, **csv_options(path, delimiter))
    if quoted and len(table):
        check_last_quote(table, len(table) + 1, path)
    return table


def csv_options(path: Path, delimiter: str) -> dict[str, Any]:
    """How Arrow is to read a delimited file: every column is text, as it stands.

    Raises:
        InputError: two columns share a name.
    """
    quoted = delimiter == ","
    with open_text(path) as text:
        if quoted:
            header = next(csv.reader(text, delimiter=delimiter), [])
        else:
            header = text.readline().rstrip("\r\n").split(delimiter)
    check_names(header, path)
    return {
        # Only a reader of one thread counts rows, so that an error can name one.
        "read_options": pyarrow.csv.ReadOptions(use_threads=False),
        "parse_options": pyarrow.csv.ParseOptions(
            delimiter=delimiter, quote_char='"' if quoted else False, newlines_in_values=quoted
        ),
        "convert_options": pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=False
        ),
    }


def check_last_quote(table: pa.Table, row: int, path: Path) -> None:
    """An unclosed quote swallows the rest of the file, its last line break included, silently.

    Args:
        table: the last rows of a file.
        row: number of the last one in the file, the header being row 1.
        path: the file.

    Raises:
        InputError: the file ends inside a quote.
    """
    last = table.slice(len(table) - 1).to_pylist()[0]
    for value in last.values():
        if value.endswith("\n") and quotes(path) % 2:
            raise InputError(
                f"{path} ends inside a quoted value that begins {value[:40]!r} in row "
                f"{row}; close the quote, or double it if it belongs to the text"
            )


def _read_json_lines(path: Path) -> pa.Table:
    options = pyarrow.json.ReadOptions(block_size=BLOCK_BYTES)
    with open_stream(pa.input_stream, path) as stream:
        table = pyarrow.json.read_json(stream, options)
    dates = [f.name for f in table.schema if pa.types.is_timestamp(f.type)]
    if not dates:
        return table
    # A column of texts that look like dates is text all the same: read it again as that.
    schema = pa.schema([(name, pa.string()) for name in dates])
    with open_stream(pa.input_stream, path) as stream:
        return pyarrow.json.read_json(
            stream, options, pyarrow.json.ParseOptions(explicit_schema=schema)
        )


def check_names(names: Sequence[str], path: Path) -> None:
    """InputError for two columns of one name."""
    twice = sorted({name for name in names if list(names).count(name) > 1})
    if twice:
        raise InputError(f"{path} has several columns named {twice[0]!r}; rename all but one")


def ids_as_text(table: pa.Table, path: Path) -> pa.Table:
    """The table with every column of ids as text."""
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


def _tsv_lines(blocks: Iterable[pa.Table], schema: pa.Schema, path: Path) -> Iterator[str]:
    yield "\t".join(schema.names)
    for batch in _batches(blocks):
        for row in batch.to_pylist():
            fields = ["" if value is None else str(value) for value in row.values()]
            if any("\t" in f or "\n" in f or "\r" in f for f in fields):
                raise InputError(
                    f"{path}: a value holds a tab or a line break, which a TSV file cannot; "
                    "write .csv or .parquet"
                )
            yield "\t".join(fields)


def _json_lines(blocks: Iterable[pa.Table]) -> Iterator[str]:
    for batch in _batches(blocks):
        for row in batch.to_pylist():
            yield json.dumps(row, ensure_ascii=False)


def _batches(blocks: Iterable[pa.Table]) -> Iterator[pa.RecordBatch]:
    for block in blocks:
        yield from block.to_batches(max_chunksize=65_536)
