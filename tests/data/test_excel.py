"""Excel workbooks in and out."""

import builtins
import datetime

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
