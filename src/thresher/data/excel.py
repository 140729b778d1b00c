"""Excel workbooks (.xlsx), by openpyxl, which the extra `excel` installs."""

import datetime
import io
import itertools
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from thresher.data.plain_types import check_names, textual
from thresher.errors import InputError

_ROWS = 1_048_576
_CHARACTERS = 32_767
_DIGITS = 15  # that a number has in Excel; those after them become 0
_LOST = object()  # what a formula has that was never computed


def read(path: Path) -> pa.Table:
    """Read the first sheet; its first row names the columns.

    A column of numbers, of dates or of true and false keeps its type; any other is text, whole
    numbers without a decimal point. An empty cell is null; rows without any value are left out.
    InputError where openpyxl is missing, the file is damaged or has no header, a value stands
    beside the named columns, or is a formula never computed or a number of too many digits.
    """
    openpyxl = _openpyxl(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of styles and other things that are not read
            with ExitStack() as stack:
                sheets = []
                for values in (True, False):
                    book = openpyxl.load_workbook(path, read_only=True, data_only=values)
                    stack.callback(book.close)
                    sheets.append(book.worksheets[0])
                    sheets[-1].reset_dimensions()  # which may be wrong, and cut cells off
                both = enumerate(zip(*(sheet.rows for sheet in sheets), strict=True), 1)
                read = ((at, list(map(_value, *cells))) for at, cells in both)
                rows = [(at, row) for at, row in read if any(v is not None for v in row)]
    except Exception as error:  # zip, XML and openpyxl raise what they like at a damaged file
        said = f"{path} is no Excel workbook, or damaged ({error}); save it again"
        raise InputError(said) from error
    header = ["" if name is None else _text(name) for name in (rows or [(1, [])])[0][1]]
    while header and not header[-1]:
        header.pop()
    if not header:
        raise InputError(
            f"{path} has no header; the first row of its first sheet names the columns"
        )
    check_names(header, path)
    for at, row in rows[1:]:
        beside = next((value for value in row[len(header) :] if value is not None), None)
        if beside is not None:
            raise InputError(
                f"{path}, row {at}: {str(beside)[:40]!r} stands right of the columns that the "
                "header names; give its column a name, or clear the cell"
            )
    columns = zip(
        *[[*row, *[None] * len(header)][: len(header)] for _, row in rows[1:]], strict=True
    )
    numbers = [at for at, _ in rows[1:]]
    named = zip(header, list(columns) or [()] * len(header), strict=True)
    return pa.table([_column(name, values, numbers, path) for name, values in named], names=header)


def write(file: IO[bytes], tables: Iterator[pa.Table], path: Path) -> None:
    """Write tables, one after the other, into the first sheet of a workbook.

    InputError where openpyxl is missing, or a value, a row without one, or the number of rows does
    not go into one.
    """
    openpyxl = _openpyxl(path)
    rows = pa.concat_tables([textual(table, path, nested=False) for table in tables])
    if len(rows) >= _ROWS:
        raise InputError(f"{path}: a sheet holds {_ROWS:,} rows; write .csv or .parquet")
    empty = np.ones(len(rows), bool)
    for at, (name, column) in enumerate(zip(rows.column_names, rows.columns, strict=True)):
        if pa.types.is_floating(column.type):
            column = pc.if_else(pc.is_nan(column), None, column)
            rows = rows.set_column(at, name, column)
        _check_numbers(name, column, path)
        given = pc.not_equal(column, "") if column.type == pa.string() else pc.is_valid(column)
        empty &= ~pc.fill_null(given, False).to_numpy()
    if empty.any():
        raise InputError(
            f"{path}: row {int(np.argmax(empty)) + 1} has no value in any column, which a sheet "
            "loses; drop it, or write .parquet"
        )
    for column in (pa.array(rows.column_names), *rows.columns):
        if column.type == pa.string():
            _check_texts(column, path)
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet()
    for row in itertools.chain([rows.column_names], zip(*rows.to_pydict().values(), strict=True)):
        sheet.append([_cell(sheet, value) for value in row])
    whole = io.BytesIO()  # a file that cannot be written to leaves openpyxl's archive open
    book.save(whole)
    file.write(whole.getbuffer())


def _check_texts(column: Any, path: Path) -> None:
    for wrong in (
        pc.greater(pc.utf8_length(column), _CHARACTERS),
        pc.match_substring_regex(column, "[\x00-\x08\x0b-\x1f\ufffe\uffff]"),
    ):
        if pc.any(wrong).as_py():
            shown = column.filter(wrong)[0].as_py()[:40]
            raise InputError(
                f"{path}: the text {shown!r} has more than {_CHARACTERS:,} characters or a control "
                "character, which a cell cannot hold; write .csv or .parquet"
            )


def _check_numbers(name: str, column: pa.ChunkedArray, path: Path) -> None:
    if pa.types.is_floating(column.type) or pa.types.is_integer(column.type):
        numbers = column.cast(pa.float64(), safe=False).to_numpy()
        most = 10.0**_DIGITS if pa.types.is_integer(column.type) else np.inf
        wrong = np.flatnonzero(np.abs(numbers) >= most)
        if len(wrong):
            raise InputError(
                f"{path}: column {name!r} holds {column[wrong[0]].as_py()}, and a cell a finite "
                f"number of {_DIGITS} digits; make the column text, or write .csv or .parquet"
            )


def _value(cell: Any, formula: Any) -> Any:
    """The value of a cell; a formula whose text is empty has none."""
    lost = cell.value is None and formula.data_type == "f" and cell.data_type != "str"
    return _LOST if lost else cell.value


def _cell(sheet: Any, value: Any) -> Any:
    from openpyxl.cell import WriteOnlyCell

    if not isinstance(value, str):
        return value
    cell = WriteOnlyCell(sheet, value=value)
    cell.data_type = "s"  # also where it begins with =, which would be a formula
    return cell


def _column(name: str, values: Sequence[Any], rows: Sequence[int], path: Path) -> pa.Array:
    kinds = {type(value) for value in values if value is not None}
    alike = kinds <= {int, float} or kinds in ({bool}, {datetime.datetime}, {datetime.date})
    exact = {int} if alike and name != "id" and not name.endswith("_id") else {int, float}
    for row, value in zip(rows, values, strict=False):
        if value is _LOST:
            raise InputError(
                f"{path}, row {row}: {name} is a formula that was never computed; open the file in "
                "a spreadsheet and save it, or write the value"
            )
        if type(value) in exact and abs(value) >= 10**_DIGITS:
            raise InputError(
                f"{path}, row {row}: {name} is {value}, and a number in a sheet has {_DIGITS} "
                "digits; make the cell text, with all its digits"
            )
    if alike and kinds:
        return pa.array(values)
    return pa.array([None if v is None else _text(v) for v in values], pa.string())


def _text(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _openpyxl(path: Path) -> Any:
    try:
        import openpyxl
    except ImportError:
        raise InputError(
            f"{path} needs the package openpyxl; install it with pip install 'thresher[excel]', or "
            "save the table as .csv"
        ) from None
    return openpyxl
