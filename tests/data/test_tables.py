"""Reading and writing tables, and every sentence about a file that cannot be used."""

import datetime
import decimal
import gzip
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thresher.data import read_table, require_columns, text_of, write_table
from thresher.data.plain_types import check_names
from thresher.data.tables import check_outputs
from thresher.errors import InputError


def put(path, content: str | bytes):
    data = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "T.CSV"])
def test_csv_is_text_as_it_stands(tmp_path, name):
    path = put(
        tmp_path / name, '\ufeffid,title,price\n007,2020,1.50\n8,"a, ""b""\nc",\n9,NA,null\n'
    )
    assert read_table(path).to_pylist() == [
        {"id": "007", "title": "2020", "price": "1.50"},
        {"id": "8", "title": 'a, "b"\nc', "price": ""},
        {"id": "9", "title": "NA", "price": "null"},
    ]


@pytest.mark.parametrize("name", ["t.tsv", "t.tsv.gz"])
def test_tsv_has_no_quoting(tmp_path, name):
    path = put(tmp_path / name, 'id\ttitle\n007\t"55 inch" tv\n8\t"unbalanced\n')
    titles = read_table(path)["title"].to_pylist()
    assert titles == ['"55 inch" tv', '"unbalanced']


@pytest.mark.parametrize("name", ["t.jsonl", "t.ndjson", "t.jsonl.gz"])
def test_json_lines_keep_types_and_make_ids_text(tmp_path, name):
    lines = '{"id": 7, "title": "2020-01-01", "seen_id": ["a", "b"]}\n\n{"id": 8, "price": 1.5}\n'
    table = read_table(put(tmp_path / name, lines))
    assert table.to_pylist() == [
        {"id": "7", "title": "2020-01-01", "seen_id": ["a", "b"], "price": None},
        {"id": "8", "title": None, "seen_id": None, "price": 1.5},
    ]


def test_parquet_ids_become_text_whatever_their_type(tmp_path):
    table = pa.table(
        {
            "id": pa.array([7, 8]),
            "shop_id": pa.array(["x", None]).dictionary_encode(),
            "big_id": pa.array(["007", "8"], pa.large_string()),
            "price": [1.5, 2.0],
        }
    )
    pq.write_table(table, tmp_path / "t.parquet")
    got = read_table(tmp_path / "t.parquet")
    assert [got.schema.field(i).type for i in range(3)] == [pa.string()] * 3
    assert got.to_pylist()[0] == {"id": "7", "shop_id": "x", "big_id": "007", "price": 1.5}


text = st.text(st.characters(codec="utf-8", exclude_characters="\t\r\n\0"), max_size=12)


@given(rows=st.lists(st.tuples(text, text), min_size=1, max_size=8))
@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.tsv", "t.parquet", "t.jsonl.gz"])
def test_what_is_written_is_read_back(tmp_path_factory, name, rows):
    # A line of nothing but line break is no row in CSV and TSV; an id rules that out.
    ids = [f"i{n}" for n in range(len(rows))]
    columns = dict(zip(("title", "brand"), map(list, zip(*rows, strict=True)), strict=True))
    table = pa.table({"id": ids, **columns})
    path = tmp_path_factory.mktemp("round") / "deeper" / name
    write_table(table, path)
    assert read_table(path).to_pylist() == table.to_pylist()
    assert [p.name for p in path.parent.iterdir()] == [name]


def test_a_failed_write_leaves_the_old_file_and_no_rest(tmp_path):
    path = tmp_path / "t.tsv"
    write_table(pa.table({"id": ["1"]}), path)
    with pytest.raises(InputError, match=r"t\.tsv.*tab or a line break.*\.csv or \.parquet"):
        write_table(pa.table({"id": ["1", "a\tb"]}), path)
    assert path.read_text() == "id\n1\n"
    assert list(tmp_path.iterdir()) == [path]


BAD = {
    "ragged": (
        "t.csv",
        "id,title\n1,a\n2,b,c\n",
        r"t\.csv, row 3 \(line 3\), which begins '2,b,c': expected 2 values, .* found 3; quote",
    ),
    "latin-1": ("t.csv", b"id,title\n1,a\n2,abc\xe9\n", r"line 3: byte 6 of the line \(0xe9\)"),
    "latin-1 header": ("t.csv", b"id,abc\xe9\n1,a\n", r"line 1: byte 7 .*UTF-8"),
    "latin-1 in gz": ("t.tsv.gz", b"id\ttitle\n1\tabc\xe9\n", r"t\.tsv\.gz, line 2: .*UTF-8"),
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
        '{"id": 1}\n{"id": "a"}\n',
        r"line 2: id is text \('a'\), but a number in line 1",
    ),
    "empty": ("t.csv", "", r"t\.csv is empty \(0 bytes\)"),
    "empty gz": ("t.csv.gz", "", r"t\.csv\.gz has no header"),
    "suffix": ("t.xls", "x", r"t\.xls has a suffix.*use \.parquet, \.csv"),
    "packed parquet": ("t.parquet.gz", "x", r"suffix that is not read"),
    "no parquet": ("t.parquet", "id,title\n", r"t\.parquet is cut short, damaged or not a parquet"),
    "decimal ids": ("t.jsonl", '{"id": 1.5}\n', r"line 1: id 1\.5 is no id; ids are text or wh"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_named_with_the_place(tmp_path, name):
    file, content, words = BAD[name]
    with pytest.raises(InputError, match=words):
        read_table(put(tmp_path / file, content))


@pytest.mark.parametrize("name", ["t.csv.gz", "t.jsonl.gz"])
@pytest.mark.parametrize("cut", [0.5, 0.999])
def test_a_gzip_file_that_is_cut_short(tmp_path, name, cut):
    line = '{{"id": {0}}}' if "json" in name else "{0}"
    lines = "id\n" * ("csv" in name) + "".join(line.format(i * i) + "\n" for i in range(5000))
    path = put(tmp_path / name, lines)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * cut)])
    with pytest.raises(InputError, match=rf"{name} is cut short or damaged after line \d+"):
        read_table(path)


def test_a_file_that_only_claims_to_be_gzip(tmp_path):
    (tmp_path / "t.csv.gz").write_text("id\n1\n")
    with pytest.raises(InputError, match=r"damaged after line 0.*Not a gzipped file"):
        read_table(tmp_path / "t.csv.gz")


@pytest.mark.parametrize("keep", [3, 200, -10])
def test_a_parquet_file_that_is_cut_short(tmp_path, keep):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"id": [str(n) for n in range(100)]}), path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match=r"t\.parquet is cut short, damaged or not a parquet"):
        read_table(path)


def test_broken_text_inside_a_sound_parquet_file(tmp_path):
    broken = pa.array([b"abc\xe9"]).view(pa.string())
    pq.write_table(pa.table({"title": broken}), tmp_path / "t.parquet")
    with pytest.raises(InputError, match=r"t\.parquet.*Invalid UTF8"):
        read_table(tmp_path / "t.parquet")


def test_a_missing_file_names_its_neighbour(tmp_path):
    put(tmp_path / "items.csv", "id\n1\n")
    with pytest.raises(InputError, match=r"no file .*items2\.csv; did you mean items\.csv\?"):
        read_table(tmp_path / "items2.csv")
    with pytest.raises(InputError, match=r"no file .*x\.csv; check the path"):
        read_table(tmp_path / "nowhere" / "x.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(InputError, match=r"is a folder"):
        read_table(tmp_path / "folder.csv")


def test_a_last_value_may_end_with_a_line_break(tmp_path):
    path = put(tmp_path / "t.csv", 'id,title\n1,"a\n"\n')
    assert read_table(path)["title"].to_pylist() == ["a\n"]


def test_a_missing_column_names_the_nearest():
    table = pa.table({"id": ["1"], "title": ["a"]})
    require_columns(table, ["id", "title"], "items.csv")
    words = r"items\.csv has no column 'titles'; it has id, title; did you mean 'title'\?"
    with pytest.raises(InputError, match=words):
        require_columns(table, ["id", "titles"], "items.csv")


def test_text_leaves_out_what_is_empty_and_writes_out_the_rest():
    table = pa.table(
        {
            "title": ["a", None, "", "d"],
            "tags": [["x", "y"], [], None, ["z"]],
            "size": [1, 2, None, 4],
            "kind": pa.array(["k", None, None, "l"]).dictionary_encode(),
            "day": [datetime.date(2020, 1, 2), None, None, None],
        }
    )
    columns = ["title", "tags", "size", "kind", "day"]
    assert text_of(table, columns) == ["a x y 1 k 2020-01-02", "2", "", "d z 4 l"]
    assert text_of(table, []) == [""] * 4
    assert text_of(table.slice(0, 0), ["title"]) == []


def test_text_refuses_objects_and_unknown_columns():
    table = pa.table({"meta": [{"a": 1}]})
    with pytest.raises(InputError, match=r"'meta' holds struct.*not text"):
        text_of(table, ["meta"])
    with pytest.raises(InputError, match=r"no column 'title'"):
        text_of(table, ["title"])


def test_a_table_without_columns_says_so():
    with pytest.raises(InputError, match=r"x has no column 'id'; it has no columns$"):
        require_columns(pa.table({}), ["id"], "x")


def test_as_many_columns_as_anybody_has(tmp_path):
    names = [f"c{n}" for n in range(20_000)]
    path = put(tmp_path / "t.csv", ",".join(names) + "\n" + ",".join("1" for _ in names) + "\n")
    counts = []

    class Counted(list):
        def count(self, value):
            counts.append(value)
            return super().count(value)

    check_names(Counted(names), path)
    assert counts == []  # a search of all names for each name
    assert read_table(path).column_names == names


def test_whole_decimals_of_any_length_are_ids(tmp_path):
    ids = [decimal.Decimal(10) ** 60, None, decimal.Decimal(-7)]
    pq.write_table(pa.table({"id": pa.array(ids, pa.decimal256(70, 0))}), tmp_path / "t.parquet")
    assert read_table(tmp_path / "t.parquet")["id"].to_pylist() == ["1" + "0" * 60, None, "-7"]
    low = pa.table({"id": pa.array([decimal.Decimal("-99.9")], pa.decimal128(3, 1))})
    pq.write_table(low, tmp_path / "t.parquet")
    with pytest.raises(InputError, match=r"row 1: id -99\.9 is no id"):
        read_table(tmp_path / "t.parquet")


def test_what_is_no_file_is_called_what_it_is(tmp_path):
    (tmp_path / "loop.csv").symlink_to("loop.csv")
    (tmp_path / "gone.csv").symlink_to("nowhere.csv")
    os.mkfifo(tmp_path / "fifo.csv")
    for name, words in {
        "loop.csv": "is a link to loop.csv, which is not there or leads back",
        "gone.csv": "is a link to nowhere.csv, which is not there",
        "fifo.csv": "is a pipe, a socket or a device; name a file",
    }.items():
        with pytest.raises(InputError, match=words):
            read_table(tmp_path / name)
    with pytest.raises(InputError, match=r"an empty path, or \., names no file"):
        read_table("")
    loop = {"out": tmp_path / "o.csv"}, {"in": tmp_path / "loop.csv"}
    check_outputs(*loop)
    for name in ("loop.csv", "fifo.csv"):
        with pytest.raises(InputError, match="cannot be written: it is a"):
            write_table(pa.table({"id": ["1"]}), tmp_path / name)
    assert (tmp_path / "fifo.csv").is_fifo()
    assert (tmp_path / "loop.csv").is_symlink()


@pytest.mark.parametrize("name", ["o.csv", "o.jsonl", "o.xlsx"])
def test_a_time_that_no_format_of_text_holds_is_refused(tmp_path, name):
    late = pa.table({"at": pa.array([2**62], pa.timestamp("ms"))})
    with pytest.raises(InputError, match="'at' holds timestamp"):
        write_table(late, tmp_path / name)
