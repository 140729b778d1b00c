"""Excel workbooks (.xlsx), by openpyxl, which the extra `excel` installs."""

import datetime
import itertools
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc

from thresher.data.plain_types import check_names, textual
from thresher.errors import InputError

_ROWS = 1_048_576
_CHARACTERS = 32_767


def read(path: Path) -> pa.Table:
    """Read the first sheet; its first row names the columns.

    A column of numbers, of dates or of true and false keeps its type; any other is text, whole
    numbers without a decimal point. An empty cell is null; rows without any value are left out.

    Raises:
        InputError: openpyxl is missing, or the file is damaged or has no header.
    """
    openpyxl = _openpyxl(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of styles and other things that are not read
            book = openpyxl.load_workbook(path, read_only=True, data_only=True)
            rows = [row for row in book.worksheets[0].values if any(v is not None for v in row)]
            book.close()
    except Exception as error:  # zip, XML and openpyxl raise what they like at a damaged file
        said = f"{path} is no Excel workbook, or damaged ({error}); save it again"
        raise InputError(said) from error
    header = ["" if name is None else _text(name) for name in (rows or [()])[0]]
    while header and not header[-1]:
        header.pop()
    if not header:
        raise InputError(
            f"{path} has no header; the first row of its first sheet names the columns"
        )
    check_names(header, path)
    columns = zip(*[[*row, *[None] * len(header)][: len(header)] for row in rows[1:]], strict=True)
    values = list(columns) or [()] * len(header)
    return pa.table([_column(column) for column in values], names=header)


def write(file: IO[bytes], tables: Iterator[pa.Table], path: Path) -> None:
    """Write tables, one after the other, into the first sheet of a workbook.

    Raises:
        InputError: openpyxl is missing, or a value, or the number of rows, does not go into one.
    """
    openpyxl = _openpyxl(path)
    rows = pa.concat_tables([textual(table, path, nested=False) for table in tables])
    if len(rows) >= _ROWS:
        raise InputError(f"{path}: a sheet holds {_ROWS:,} rows; write .csv or .parquet")
    for column in (pa.array(rows.column_names), *rows.columns):
        if column.type == pa.string():
            _check_texts(column, path)
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet()
    for row in itertools.chain([rows.column_names], zip(*rows.to_pydict().values(), strict=True)):
        sheet.append([_cell(sheet, value) for value in row])
    book.save(file)


def _check_texts(column: Any, path: Path) -> None:
    for wrong in (
        pc.greater(pc.utf8_length(column), _CHARACTERS),
        pc.match_substring_regex(column, "[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]"),
    ):
        if pc.any(wrong).as_py():
            shown = column.filter(wrong)[0].as_py()[:40]
            raise InputError(
                f"{path}: the text {shown!r} has more than {_CHARACTERS:,} characters or a control "
                "character, which a cell cannot hold; write .csv or .parquet"
            )


def _cell(sheet: Any, value: Any) -> Any:
    from openpyxl.cell import WriteOnlyCell

    if not isinstance(value, str):
        return value
    cell = WriteOnlyCell(sheet, value=value)
    cell.data_type = "s"  # also where it begins with =, which would be a formula
    return cell


def _column(values: Sequence[Any]) -> pa.Array:
    kinds = {type(value) for value in values if value is not None}
    alike = kinds <= {int, float} or kinds in ({bool}, {datetime.datetime}, {datetime.date})
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
