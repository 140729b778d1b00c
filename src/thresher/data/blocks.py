"""Tables that are larger than memory, read a block of rows at a time."""

from collections.abc import Iterable, Iterator
from itertools import accumulate
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from thresher.data import delimited, excel, json_lines
from thresher.data.tables import DELIMITERS, check_file, finished, parquet_errors, suffix_of


def read_blocks(path: str | Path, rows: int) -> Iterator[pa.Table]:
    """Read a table block by block: put together, the blocks are what `read_table` returns.

    All blocks have the same columns of the same types. For JSON lines that takes two readings of
    the file, since any line may bring a new column. A file without rows gives no block. Errors are
    those of `read_table`, raised when their place is reached.

    Memory: a block of `rows` rows, and 64 MiB; an Excel workbook as a whole.
    """
    path = Path(path)
    suffix = suffix_of(path)
    check_file(path)
    tables: Iterable[pa.Table]
    if suffix == ".parquet":
        tables = _parquet(path, rows)
    elif suffix in DELIMITERS:
        tables = delimited.stream(path, suffix)
    else:
        tables = [excel.read(path)] if suffix == ".xlsx" else json_lines.stream(path, rows)
    for number, block in enumerate(_even(tables, rows)):
        yield finished(block, path, number * rows)


def read_rows(path: str | Path, first: int, rows: int, *, block: int) -> Iterator[pa.Table]:
    """Read some rows of a parquet file block by block, and of the others as little as can be.

    The blocks are those of `read_blocks` where `first` is a multiple of `block`. Errors as there.

    Memory: a block, and a page of each column.
    """
    path = Path(path)
    check_file(path)
    for number, table in enumerate(_even(_between(path, first, first + rows), block)):
        yield finished(table, path, first + number * block)


def _between(path: Path, first: int, last: int) -> Iterator[pa.Table]:
    """The rows from one to before another, of the row groups that have any of them."""
    with parquet_errors(path), pq.ParquetFile(path, page_checksum_verification=True) as file:
        sizes = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
        starts = [0, *accumulate(sizes)]
        ends = zip(starts, sizes, strict=False)
        groups = [i for i, (at, size) in enumerate(ends) if at < last and at + size > first]
        if not groups:
            return
        at = starts[groups[0]]
        for batch in file.iter_batches(row_groups=groups):
            begin, end = max(first - at, 0), min(last - at, len(batch))
            if begin < end:
                yield pa.Table.from_batches([batch.slice(begin, end - begin)])
            at += len(batch)


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
    with parquet_errors(path), pq.ParquetFile(path, page_checksum_verification=True) as file:
        for batch in file.iter_batches(batch_size=rows):
            yield pa.Table.from_batches([batch])
