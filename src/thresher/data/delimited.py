"""CSV and TSV: every value is text, as it stands.

Arrow reads a file as long as its quotes leave no doubt. The `csv` of Python is slower, but says no
where Arrow guesses: it reads the rest, and finds the row that is wrong.
"""

import csv
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, NamedTuple, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from thresher.data.plain_types import check_names, textual
from thresher.data.read_diagnostics import GZIP_ERRORS, check_text, open_bytes, open_text
from thresher.errors import InputError

_SEPARATORS = (",", ";", "\t")
_ROWS = 65_536
_BYTES = 4 << 20
_LONGEST = 2**31 - 1
_BOM = b"\xef\xbb\xbf"
_FORMULA = r"^([=+\-@\t\r\n])"
_NUMBER = r"^[+-]?[0-9][0-9.,]*$"
_UNREADABLE = (pa.ArrowException, OSError, ValueError, *GZIP_ERRORS)


@dataclass(frozen=True)
class _Layout:
    """How a file is written: its separator, whether quotes mean anything, and its columns."""

    separator: str
    quoted: bool = True
    told: bool = False  # by a first line sep=;
    names: tuple[str, ...] = ()

    def table(self, rows: list[list[str]]) -> pa.Table:
        columns = list(zip(*rows, strict=True)) or [() for _ in self.names]
        return pa.table([pa.array(c, pa.string()) for c in columns], names=list(self.names))


class _Row(NamedTuple):
    """A row of a file: its number, the header being 1, the line it begins in, and its values."""

    number: int
    line: int
    values: list[str]


def stream(path: Path, suffix: str) -> Iterator[pa.Table]:
    """Read a file in tables of some rows each; at least one, which may be empty.

    The values of a .csv file may be separated by commas, semicolons or tabs. A TSV file has no
    quoting. InputError where a row has more or fewer values than the header, text follows a closing
    quote, a quote is never closed or swallows rows, or the file is damaged or not UTF-8.
    """
    layout = _layout(path, suffix)
    check_names(layout.names, path)
    done = 0
    for table in _tables(path, layout):
        _check_line_breaks(table, layout, done, path)
        done += len(table)
        yield table
    if not done:
        yield layout.table([])


def write(file: IO[bytes], table: pa.Table, path: Path, *, separator: str, header: bool) -> None:
    """Write the rows of a table, perhaps below a header.

    InputError where a column holds lists or objects, or a value what a TSV file cannot.
    """
    table = textual(table, path, nested=False)
    if table.num_columns == 1:  # of which an empty value must not become a blank line
        names = table.column_names
        table = pa.table([pc.fill_null(table.column(0).cast(pa.string()), "")], names=names)
    if separator == ",":
        pyarrow.csv.write_csv(table, file, pyarrow.csv.WriteOptions(include_header=header))
        return
    columns = [pc.fill_null(column.cast(pa.string()), "") for column in table.columns]
    for values in (pa.array(table.column_names), *columns):
        if pc.any(pc.match_substring_regex(values, "[\t\r\n]")).as_py():
            raise InputError(
                f"{path}: a value holds a tab or a line break, which a TSV file cannot; "
                "write .csv or .parquet"
            )
    if len(columns) == 1 and pc.any(pc.equal(columns[0], "")).as_py():
        raise InputError(f"{path}: an empty value would be a blank line; write .csv or .parquet")
    if header:
        file.write(separator.join(table.column_names).encode() + b"\n")
    for line in pc.binary_join_element_wise(*columns, separator).to_pylist():
        file.write(line.encode() + b"\n")


def without_formulas(table: pa.Table) -> pa.Table:
    """The table with an apostrophe before texts that a spreadsheet would compute as formulas."""
    for at, field in enumerate(table.schema):
        if field.type == pa.string():
            column = table.column(at)
            safe = pc.replace_substring_regex(column, _FORMULA, r"'\1")
            number = pc.match_substring_regex(column, _NUMBER)
            table = table.set_column(at, field.name, pc.if_else(number, column, safe))
    names = pc.replace_substring_regex(pa.array(table.column_names), _FORMULA, r"'\1")
    return table.rename_columns(names.to_pylist())


def _layout(path: Path, suffix: str) -> _Layout:
    """The first separator on which header and first row agree, else the first in the header."""
    try:
        with open_text(path) as text:
            first = text.readline(8).rstrip("\r\n")
    except _UNREADABLE:
        check_text(path)
        raise
    if suffix == ".tsv":
        layouts = [_Layout("\t", quoted=False)]
    elif first[:4].lower() == "sep=" and len(first) == 5 and first[4] in ",;\t|":
        layouts = [_Layout(first[4], told=True)]
    else:
        layouts = [_Layout(separator) for separator in _SEPARATORS]
    refused, found = None, []
    for layout in layouts:
        rows = _rows(path, layout)
        try:
            header = next(rows).values
        except StopIteration:
            raise InputError(f"{path} has no header; its first row names the columns") from None
        except InputError as error:
            refused = refused or error
            continue
        layout = replace(layout, names=tuple(header))
        try:
            second = next(rows, None)
        except InputError:
            second = _Row(2, 2, [])
        if len(header) > 1 and (second is None or len(second.values) == len(header)):
            return layout
        found.append(layout)
    best = max(found, key=lambda layout: len(layout.names) > 1, default=None)
    if best is None or (refused and len(best.names) == 1):
        raise refused or InputError(f"{path} has no header; its first row names the columns")
    return best


def _tables(path: Path, layout: _Layout) -> Iterator[pa.Table]:
    """The rows as Arrow reads them; from where quotes leave a doubt, as Python does."""
    done, skipped = 0, int(layout.told)
    read = pyarrow.csv.ReadOptions(use_threads=False, block_size=_BYTES, skip_rows=skipped)
    parse = pyarrow.csv.ParseOptions(
        delimiter=layout.separator,
        quote_char='"' if layout.quoted else False,
        newlines_in_values=layout.quoted,
    )
    text = dict.fromkeys(layout.names, pa.string())
    convert = pyarrow.csv.ConvertOptions(column_types=text, strings_can_be_null=False)
    try:
        with open_bytes(path) as raw:
            source: Any = _Checked(raw, layout.separator) if layout.quoted else raw
            with pyarrow.csv.open_csv(source, read, parse, convert) as reader:
                for batch in filter(len, reader):
                    yield pa.Table.from_batches([batch])
                    done += len(batch)
    except _UNREADABLE:
        yield from _careful(path, layout, done)


class _Checked:
    """A file that raises ValueError when it is read to a quote that is not the border of a value.

    Quotes open and close in turn. One that opens follows a separator, a line break or the quote
    that it doubles; one that closes is followed by such. Carriage returns in quotes are a doubt
    too: Arrow loses the line feed after one that ends a block.
    """

    closed = False

    def __init__(self, file: Any, separator: str) -> None:
        self._file = file
        self._border = np.zeros(256, bool)
        self._border[list(b'"\r\n' + separator.encode())] = True
        # The last byte that was checked and the one after it; a line break stands before the file.
        self._tail = b"\n"
        self._inside = 0
        self._begun = False

    def read(self, size: int = -1) -> bytes:
        data: bytes = self._file.read(size)
        text = data if self._begun else data.removeprefix(_BOM)
        self._begun = True
        if self._inside or b'"' in text or b'"' in self._tail:
            self._check(self._tail + (text or b"\n"))
        if not data and self._inside:
            raise ValueError("the file ends inside a quote")
        self._tail = (self._tail + text[-2:])[-2:]
        return data

    def _check(self, window: bytes) -> None:
        data = np.frombuffer(window, np.uint8)
        quotes = np.flatnonzero(data[1:-1] == 0x22) + 1
        opening, closing = quotes[self._inside :: 2], quotes[1 - self._inside :: 2]
        for beside in (data[opening - 1], data[closing + 1]):
            if not self._border[beside].all():
                raise ValueError("a quote stands amid a value")
        if b"\r" in window:
            returns = np.flatnonzero(data[1:-1] == 0x0D) + 1
            if ((self._inside + np.searchsorted(quotes, returns)) % 2).any():
                raise ValueError("a carriage return stands inside quotes")
        self._inside = (self._inside + len(quotes)) % 2

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self.closed = True


def _careful(path: Path, layout: _Layout, done: int) -> Iterator[pa.Table]:
    """The rows after so many, as Python reads them."""
    width = len(layout.names)
    rows = itertools.islice(_rows(path, layout), done + 1, None)
    while block := list(itertools.islice(rows, _ROWS)):
        for row in block:
            if len(row.values) != width:
                fix = f"; quote a value that holds {layout.separator!r}" if layout.quoted else ""
                what = f"expected {width} values, as in the header, found {len(row.values)}"
                _refuse(path, row.number, row.line, what + fix)
        yield layout.table([row.values for row in block])


def _rows(path: Path, layout: _Layout) -> Iterator[_Row]:
    """The rows of a file, its header first; blank lines are none."""
    csv.field_size_limit(_LONGEST)
    quoting: Any = csv.QUOTE_MINIMAL if layout.quoted else csv.QUOTE_NONE
    number = line = 0
    try:
        with open_text(path) as text:
            begin = int(layout.told and bool(text.readline()))
            reader = csv.reader(text, delimiter=layout.separator, strict=True, quoting=quoting)
            while True:
                line = begin + reader.line_num + 1
                values = next(reader, None)
                if values is None:
                    return
                if values:
                    number += 1
                    yield _Row(number, line, values)
    except csv.Error as error:
        if "unexpected end" in str(error):
            what = "a quote is opened and never closed; close it, or double it if it is text"
        else:
            what = "text follows a closing quote; double a quote that belongs to the text"
        _refuse(path, number + 1, line, what)
    except _UNREADABLE:
        check_text(path)
        raise


def _check_line_breaks(table: pa.Table, layout: _Layout, done: int, path: Path) -> None:
    """Refuse a quoted value whose lines would be whole rows, with ids like that of its own."""
    # A quote that opens one title and is "closed" by that of a later one swallows the rows between.
    width = table.num_columns
    if not layout.quoted or width < 2:
        return
    for at, column in enumerate(table.columns):
        texts = (chunk.buffers()[2] for chunk in column.chunks)
        if not any(b"\n" in text.to_pybytes() for text in texts if text):
            continue
        for row in pc.indices_nonzero(pc.match_substring(column, "\n")).to_pylist():
            lines = column[row].as_py().split("\n")
            counts = [line.count(layout.separator) for line in lines]
            if counts != [width - 1 - at, *[width - 1] * (len(lines) - 2), at]:
                continue
            own = table.column(0)[row].as_py() if at else lines[0]
            shapes = {_shape(line.split(layout.separator)[0]) for line in (own, *lines[1:])}
            if len(shapes) == 1 and "9" in shapes.pop():
                raise InputError(
                    f"{path}, row {done + row + 2}: the quoted value that begins {lines[0][:40]!r} "
                    f"holds what looks like other rows ({lines[1][:40]!r}); double a quote that "
                    "belongs to the text, or write .jsonl if the text is meant"
                )


def _shape(text: str) -> frozenset[str]:
    """The kinds of characters of an id."""
    return frozenset("9" if c.isdigit() else "a" if c.isalpha() else c for c in text)


def _refuse(path: Path, number: int, line: int, what: str) -> NoReturn:
    with open_text(path) as text:
        shown = next(itertools.islice(text, line - 1, None), "").rstrip("\r\n")[:60]
    raise InputError(f"{path}, row {number} (line {line}), which begins {shown!r}: {what}")
