"""A table read in blocks is the table read whole; the same for writing."""

import gzip
import re

import pyarrow as pa
import pytest

from thresher.data.blocks import read_blocks
from thresher.data.tables import read_table, write_blocks, write_table
from thresher.errors import InputError

TABLE = pa.table(
    {
        "id": [f"{i:03}" for i in range(50)],
        "title": [f'the "{i}"; größe, {i}' for i in range(50)],
        "price": [None if i % 7 == 0 else i / 4 for i in range(50)],
        "tags": [["a", f"b{i}"] if i % 3 else None for i in range(50)],
    }
)
FLAT = TABLE.drop_columns(["tags"])
NAMES = ["t.csv", "t.csv.gz", "t.tsv", "t.tsv.gz", "t.parquet", "t.jsonl", "t.ndjson.gz"]


def table_for(name):
    return FLAT if name.startswith(("t.csv", "t.tsv")) else TABLE


@pytest.mark.parametrize("rows", [1, 7, 50, 1000])
@pytest.mark.parametrize("name", NAMES)
def test_blocks_are_the_table(tmp_path, name, rows):
    write_table(table_for(name), tmp_path / name)
    blocks = list(read_blocks(tmp_path / name, rows))
    whole = read_table(tmp_path / name)
    assert [len(b) for b in blocks[:-1]] == [rows] * (len(blocks) - 1)
    assert 0 < len(blocks[-1]) <= rows
    assert {b.schema for b in blocks} == {whole.schema}
    assert pa.concat_tables(blocks).to_pylist() == whole.to_pylist()


@pytest.mark.parametrize("name", NAMES)
def test_a_table_written_in_blocks_is_the_table(tmp_path, name):
    table = table_for(name)
    write_table(table, tmp_path / name)
    other = tmp_path / "blocks" / name
    write_blocks((table.slice(i, 7) for i in range(0, 50, 7)), other)
    assert read_table(other).to_pylist() == read_table(tmp_path / name).to_pylist()
    assert [p.name for p in other.parent.iterdir()] == [name]


def test_columns_and_types_of_json_lines_that_come_late(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text(
        '{"id": 1, "title": null}\n\n{"id": 2, "title": "2020-01-01", "price": 1}\n'
        '{"price": 1.5, "id": 3, "title": "b", "shop": {"name": "x"}}\n'
    )
    blocks = list(read_blocks(path, 1))
    assert {b.schema for b in blocks} == {blocks[0].schema}
    assert pa.concat_tables(blocks).to_pylist() == read_table(path).to_pylist()
    assert blocks[0]["id"].to_pylist() == ["1"]


def test_a_value_with_line_breaks_stays_one_value(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('id,title\n1,"a\nb"\n2,"c, ""d"""\n3,e\n')
    assert pa.concat_tables(read_blocks(path, 2)).to_pylist() == read_table(path).to_pylist()


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.parquet"])
def test_no_rows_no_blocks(tmp_path, name):
    write_table(FLAT.slice(0, 0), tmp_path / name)
    assert list(read_blocks(tmp_path / name, 10)) == []


BAD = {
    "ragged": (
        "t.csv",
        "id,title\n1,a\n2,b,c\n",
        r"t\.csv, row 3 \(line 3\), which begins '2,b,c': expected 2 values, .* found 3; quote",
    ),
    "latin-1": ("t.csv", b"id,title\n1,a\n2,abc\xe9\n", r"line 3: byte 6 of the line \(0xe9\)"),
    "latin-1 json": ("t.jsonl", b'{"id": "1"}\n{"id": "abc\xe9"}\n', r"line 2: byte 12 .*UTF-8"),
    "unclosed quote": (
        "t.csv",
        'id,title\n1,a\n2,"b\n3,c\n',
        r"row 3 \(line 3\), .*'2,\"b': a quote is .*never closed",
    ),
    "two of a name": ("t.csv", "id,id\n1,2\n", r"several columns named 'id'"),
    "bad json": ("t.jsonl", '{"id": 1}\n{"id": \n', r"t\.jsonl, line 2: not JSON"),
    "no object": ("t.jsonl", '{"id": 1}\n\n[1]\n', r"line 3: a line must be one JSON object"),
    "mixed types": (
        "t.jsonl",
        '{"a": 1}\n{"a": "b"}\n',
        r"t\.jsonl, line 2: a is text \('b'\), but a number in line 1",
    ),
    "empty": ("t.csv", "", r"t\.csv is empty \(0 bytes\)"),
    "suffix": ("t.xls", "x", r"t\.xls has a suffix.*use \.parquet, \.csv"),
    "no parquet": ("t.parquet", "id,title\n", r"t\.parquet is cut short, damaged or not a parquet"),
    "decimal ids": ("t.jsonl", '{"id": 1.5}\n', r"line 1: id 1\.5 is no id; ids are text or wh"),
}


@pytest.mark.parametrize("rows", [1, 100])
@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_named_with_the_place(tmp_path, name, rows):
    file, content, words = BAD[name]
    path = tmp_path / file
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=words) as caught:
        list(read_blocks(path, rows))
    assert re.fullmatch(r"[^\n]+", str(caught.value))


def test_a_gzip_file_that_is_cut_short(tmp_path):
    path = tmp_path / "t.csv.gz"
    whole = gzip.compress(("id,title\n" + "1,abc\n" * 4000).encode())
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="cut short or damaged"):
        list(read_blocks(path, 10))


@pytest.mark.parametrize("name", ["t.csv", "t.parquet", "t.jsonl", "t.tsv"])
def test_blocks_that_fail_leave_the_old_file_and_no_rest(tmp_path, name):
    path = tmp_path / name
    write_table(FLAT, path)
    before = path.read_bytes()

    def fails():
        yield FLAT
        raise InputError("row 51 is wrong")

    with pytest.raises(InputError, match="row 51"):
        write_blocks(fails(), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_where_nothing_can_be_written(tmp_path):
    (tmp_path / "d.csv").mkdir()
    with pytest.raises(InputError, match=r"is a folder; name a file in it"):
        write_table(FLAT, tmp_path / "d.csv")
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match=r"file cannot be written: a file lies where a folder"):
        write_table(FLAT, tmp_path / "file" / "t.csv")
    with pytest.raises(InputError, match=r"no rows to write to .*t\.csv"):
        write_blocks([], tmp_path / "t.csv")
