"""Tables that are larger than memory, read a block of rows at a time."""

import io
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq

from thresher.data.damage import open_bytes, reason
from thresher.data.tables import (
    BLOCK_BYTES,
    DELIMITERS,
    check_file,
    check_last_quote,
    check_names,
    csv_options,
    ids_as_text,
    open_stream,
    suffix_of,
)
from thresher.errors import InputError


def read_blocks(path: str | Path, rows: int) -> Iterator[pa.Table]:
    """Read a table block by block: put together, the blocks are what `read_table` returns.

    All blocks have the same columns of the same types. For JSON lines that takes two readings of
    the file, since any line may bring a new column.

    Args:
        path: as for `read_table`.
        rows: of every block but the last; a file without rows gives no block.

    Memory: a block, and 64 MiB.

    Raises:
        InputError: as `read_table` does, when the place is reached.
    """
    path = Path(path)
    suffix = suffix_of(path)
    check_file(path)
    try:
        if suffix == ".parquet":
            tables = _parquet(path, rows)
        elif suffix in DELIMITERS:
            tables = _delimited(path, DELIMITERS[suffix])
        else:
            tables = _json_lines(path, rows)
        for block in _even(tables, rows):
            block.validate(full=True)
            check_names(block.column_names, path)
            yield ids_as_text(block, path)
    except InputError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InputError(reason(path, suffix, error)) from error


def _even(tables: Iterable[pa.Table], rows: int) -> Iterator[pa.Table]:
    """The same rows in tables of equal size."""
    waiting: list[pa.Table] = []
    for table in tables:
        waiting.append(table)
        if sum(map(len, waiting)) < rows:
            continue
        joined = pa.concat_tables(waiting)
        whole = len(joined) // rows * rows
        yield from (joined.slice(start, rows) for start in range(0, whole, rows))
        waiting = [joined.slice(whole)]
    rest = pa.concat_tables(waiting) if waiting else None
    if rest:
        yield rest


def _parquet(path: Path, rows: int) -> Iterator[pa.Table]:
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=rows):
            yield pa.Table.from_batches([batch])


def _delimited(path: Path, delimiter: str) -> Iterator[pa.Table]:
    last, row = None, 1
    with (
        open_stream(pa.input_stream, path) as stream,
        pyarrow.csv.open_csv(stream, **csv_options(path, delimiter)) as reader,
    ):
        for batch in reader:
            if len(batch):
                last, row = pa.Table.from_batches([batch]), row + len(batch)
                yield last
    if last is not None and delimiter == ",":
        check_last_quote(last, row, path)


def _json_lines(path: Path, rows: int) -> Iterator[pa.Table]:
    schema = pa.schema([])
    for text in _lines(path, rows):
        found = _parse(text, None).schema
        # Arrow takes texts that look like dates for dates.
        dates = [i for i, f in enumerate(found) if pa.types.is_timestamp(f.type)]
        for i in dates:
            found = found.set(i, pa.field(found.field(i).name, pa.string()))
        schema = pa.unify_schemas([schema, found], promote_options="permissive")
    for text in _lines(path, rows):
        yield _parse(text, schema)


def _parse(text: bytes, schema: pa.Schema | None) -> pa.Table:
    return pyarrow.json.read_json(
        io.BytesIO(text),
        pyarrow.json.ReadOptions(block_size=max(BLOCK_BYTES, len(text) + 1)),
        pyarrow.json.ParseOptions(explicit_schema=schema),
    )


def _lines(path: Path, rows: int) -> Iterator[bytes]:
    """The text of a file, so many lines at a time."""
    with open_bytes(path) as file:
        full = (line for line in file if line.strip())
        while block := list(itertools.islice(full, rows)):
            yield b"".join(block)
