"""Excel workbooks in and out."""

import builtins
import datetime
import zipfile

import openpyxl
import pyarrow as pa
import pytest

from thresher.data.blocks import read_blocks
from thresher.data.tables import read_table, write_table
from thresher.errors import InputError


@pytest.fixture
def book(tmp_path):
    def write(*rows):
        workbook = openpyxl.Workbook()
        for row in rows:
            workbook.active.append(row)
        workbook.save(tmp_path / "t.xlsx")
        return tmp_path / "t.xlsx"

    return write


def test_cells_keep_what_people_typed(book):
    day = datetime.datetime(2024, 5, 1)
    path = book(
        ["id", "title", "price", "day", "mixed", None],
        [7, "red mug", 1.5, day, "a"],
        [],
        [8.0, None, 2, day, 7.0],
    )
    want = [
        {"id": "7", "title": "red mug", "price": 1.5, "day": day, "mixed": "a"},
        {"id": "8", "title": None, "price": 2.0, "day": day, "mixed": "7"},
    ]
    assert read_table(path).to_pylist() == want
    assert [row for block in read_blocks(path, 1) for row in block.to_pylist()] == want


def test_what_is_written_is_read(tmp_path):
    table = pa.table(
        {
            "id": ["007", "=1+1"],
            "title": ['=HYPERLINK("x")', None],
            "price": [1.5, None],
            "day": [datetime.date(2024, 5, 1), None],
        }
    )
    write_table(table, tmp_path / "t.xlsx")
    rows = table.to_pylist()
    rows[0]["day"] = "2024-05-01"
    assert read_table(tmp_path / "t.xlsx").to_pylist() == rows
    cell = openpyxl.load_workbook(tmp_path / "t.xlsx").active["B2"]
    assert cell.data_type == "s"


def test_what_a_cell_cannot_hold(tmp_path):
    for value in ("x" * 40_000, "\x01"):
        with pytest.raises(InputError, match=r"which a cell cannot hold; write \.csv or \.parquet"):
            write_table(pa.table({"x": [value]}), tmp_path / "t.xlsx")
    with pytest.raises(InputError, match=r"column 'x' holds list<.*cannot hold"):
        write_table(pa.table({"x": [["a"]]}), tmp_path / "t.xlsx")
    assert list(tmp_path.iterdir()) == []


def test_what_a_workbook_would_change_is_refused(tmp_path):
    for columns, words in (
        ({"x": ["a", None], "y": [1, None]}, r"row 2 has no value in any column, which a sheet lo"),
        ({"x": ["a", ""], "y": [1.0, float("nan")]}, r"row 2 has no value in any column"),
        ({"x": [1, 10**15]}, r"column 'x' holds 1000000000000000, and a cell a finite number of 1"),
        (
            {"x": [-(2**63), None]},
            r"column 'x' holds -9223372036854775808, .* make the column text",
        ),
        ({"x": pa.array([2**64 - 1], pa.uint64())}, r"column 'x' holds 18446744073709551615"),
        ({"x": [1.0, -float("inf")]}, r"column 'x' holds -inf, and a cell a finite number"),
        ({"x": ["a\r\nb"]}, r"the text 'a\\r\\nb' has .*a control character"),
        ({"x\ry": ["a"]}, r"a control character"),
    ):
        with pytest.raises(InputError, match=words):
            write_table(pa.table(columns), tmp_path / "t.xlsx")
    assert list(tmp_path.iterdir()) == []


def test_numbers_that_a_workbook_keeps(tmp_path):
    columns = {
        "whole": [10**15 - 1, -(10**15 - 1), None],
        "float": [1e300, 0.1, 1e20],
        "text": ["12345678901234567", "", "b"],
        "nan": [float("nan"), 1.5, 2.0],
    }
    write_table(pa.table(columns), tmp_path / "t.xlsx")
    want = columns | {"text": ["12345678901234567", None, "b"], "nan": [None, 1.5, 2.0]}
    assert read_table(tmp_path / "t.xlsx").to_pydict() == want


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ([1, "=1+1"], r"row 3: title is a formula that was never computed; open the file in a sp"),
        ([1, "a", None, "stray"], r"row 3: 'stray' stands right of the columns that the header n"),
        ([None, None, 0], r"row 3: '0' stands right of the columns"),
        ([1, 10**15], r"row 3: title is 1000000000000000, and a number in a sheet has 15 digits"),
        ([1, 1234567890123450.0], r"row 3: title is 1234567890123450, and a number in a sheet"),
        ([1.5e15, "a"], r"row 3: id is 15\d+(\.0)?, and a number in a sheet has 15 digits"),
    ],
)
def test_cells_that_cannot_be_read(book, row, words):
    with pytest.raises(InputError, match=rf"t\.xlsx, {words}"):
        read_table(book(["id", "title"], [7, "a"], row))


def test_cells_outside_the_size_that_a_file_gives_itself(book):
    path = book(["id", "note", "title"], [7, '=""', "red mug"])
    with zipfile.ZipFile(path) as packed:
        parts = {name: packed.read(name) for name in packed.namelist()}
    for old, new in (
        (b'<dimension ref="A1:C2" />', b'<dimension ref="A1:B1" />'),
        (b'<c r="B2"><f>""</f><v />', b'<c r="B2" t="str"><f>""</f><v></v>'),  # as Excel writes it
    ):
        sheet = parts["xl/worksheets/sheet1.xml"]
        assert old in sheet
        parts["xl/worksheets/sheet1.xml"] = sheet.replace(old, new)
    with zipfile.ZipFile(path, "w") as packed:
        for name, data in parts.items():
            packed.writestr(name, data)
    assert read_table(path).to_pylist() == [{"id": "7", "note": None, "title": "red mug"}]


def test_files_that_are_none(book, tmp_path):
    (tmp_path / "t.xlsx").write_bytes(b"id,title\n")
    with pytest.raises(InputError, match=r"t\.xlsx is no Excel workbook, or damaged \("):
        read_table(tmp_path / "t.xlsx")
    with pytest.raises(InputError, match=r"t\.xlsx has no header"):
        read_table(book())
    with pytest.raises(InputError, match=r"several columns named 'id'"):
        read_table(book(["id", "id"], [1, 2]))


def test_without_openpyxl(tmp_path, monkeypatch):
    (tmp_path / "t.xlsx").write_bytes(b"x")
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "openpyxl":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(
        InputError, match=r"needs the package openpyxl; install it with pip install"
    ):
        read_table(tmp_path / "t.xlsx")
