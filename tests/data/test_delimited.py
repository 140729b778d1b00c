"""CSV and TSV: no row is lost, merged or changed in silence."""

import contextlib
import csv
import gzip
import io

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thresher.data import delimited
from thresher.data.blocks import read_blocks
from thresher.data.tables import read_table, write_table
from thresher.errors import InputError

FILLER = "".join(f"f{n},title {n}\n" for n in range(20_000))  # some 300 kB
WIDE = "".join(f"f{n},{'x' * 100}\n" for n in range(50_000))  # more than a block of Arrow's reader


def put(path, content):
    data = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


AFTER = r"row {0} \(line {0}\), which begins '{1}.*: text follows a closing quote; double a quote"
OPEN = r"row {0} \(line {0}\), which begins '{1}.*: a quote is opened and never closed; close it"
SWALLOWED = r"row {0}: the quoted value that begins '{1}' holds what looks like other rows"
QUOTES = {
    "closed rows later, text after": (
        'id,title\nq1,kettle\nq2,"12 inch pan\nq3,tea pot\nq4,"18 inch pan\nq5,cup\n',
        AFTER.format(3, 'q2,"12 inch pan'),
    ),
    "closed rows later, at the end of a value": (
        'id,title\nq1,kettle\nq2,"12 inch pan\nq3,tea pot\nq4,pan 18"\nq5,cup\n',
        SWALLOWED.format(3, "12 inch pan"),
    ),
    "the next row": ('id,title\nq2,"12 inch\nq3,pan 18"\n', SWALLOWED.format(2, "12 inch")),
    "a value amid others": (
        'id,title,price\n7,"12 inch,1\n8,pan,2\n9,pan 18",3\n',
        SWALLOWED.format(2, "12 inch,1"),
    ),
    "never closed": ('id,title\n1,a\n2,"b\n3,c\n', OPEN.format(3, '2,"b')),
    "never closed, no last newline": ('id,title\n1,a\n2,"b\n3,c', OPEN.format(3, '2,"b')),
    "never closed, last value": ('id,title\n1,a\n2,"', OPEN.format(3, '2,"')),
    "header": ('id,"title\n1,a\n2,b\n', OPEN.format(1, 'id,"title')),
    "header, no last newline": ('id,"title', OPEN.format(1, 'id,"title')),
    "header, large": (f'id,"title\n{FILLER}', OPEN.format(1, 'id,"title')),
    "header, closed in a row": ('id,"title\n1,a"b\n', AFTER.format(1, 'id,"title')),
    "far down": (f'id,title\n{WIDE}x,"open\n{WIDE}', OPEN.format(50_002, 'x,"open')),
    "backslashes": ('id,title\n1,"a \\"b\\" c"\n', AFTER.format(2, '1,"a ')),
    "a backslash at the end": ('id,title\n1,"12\\""\n2,"13\\""\n', AFTER.format(2, '1,"12')),
    "space after a quote": ('id,title\n1,"a" \n', AFTER.format(2, '1,"a" ')),
    "semicolons": ('id;title\n1;"a\n2;b"c\n', AFTER.format(2, '1;"a')),
}


@pytest.mark.parametrize("name", QUOTES)
@pytest.mark.parametrize("file", ["t.csv", "t.csv.gz"])
def test_a_quote_that_swallows_rows_is_refused_and_the_row_named(tmp_path, file, name):
    content, words = QUOTES[name]
    path = put(tmp_path / file, content)
    with pytest.raises(InputError, match=words):
        read_table(path)
    with pytest.raises(InputError, match=words):
        list(read_blocks(path, 1000))


MEANT = {
    "inches": ('id,title\n1,12" pan\n2,a "b" c\n', ['12" pan', 'a "b" c']),
    "doubled": ('id,title\n1,"12"" pan"\n2,""""\n3,""\n', ['12" pan', '"', ""]),
    "several lines": (
        'id,title\n1,"red, big\nand, cheap"\n2,"a\n\nb"\n',
        ["red, big\nand, cheap", "a\n\nb"],
    ),
    "lines with numbers": (
        'id,title,x\n1,"two, cups\nwith 2, plates",\n',
        ["two, cups\nwith 2, plates"],
    ),
    "CRLF": ('id,title\r\n1,"a\r\nb"\r\n2,c\r\n', ["a\r\nb", "c"]),
    "old Mac": ('id,title\r1,"a"\r2,b\r', ["a", "b"]),
    "byte order mark": ('\ufeff"id","title"\n1,"a"\n', ["a"]),
    "blank lines": ("\n\nid,title\n\n1,007\n\n2,NA\n", ["007", "NA"]),
    "spaces": ("id,title\n1, a \n", [" a "]),
    "semicolons": ("id;title\n1;a, b\n2;1,99\n", ["a, b", "1,99"]),
    "semicolons, quoted": ('"id";"title"\n"1";"a;b"\n', ["a;b"]),
    "tabs": ("id\ttitle\n1\ta, b\n", ["a, b"]),
    "told": ("sep=;\nid;title\n1;a,b\n", ["a,b"]),
    "told, CRLF": ("sep=;\r\nid;title\r\n1;a,b\r\n", ["a,b"]),
    "commas and semicolons": ("id,title\n1,a;b;c\n", ["a;b;c"]),
    "semicolons in the header": ("id,title,x;y;z\n1,a,b\n", ["a"]),
    "a long value": (f"id,title\n1,{'x' * 200_000}\n", ["x" * 200_000]),
    "a long quoted value": (f'id,title\n1,"{"x," * 3_000_000}"\n', ["x," * 3_000_000]),
    "no rows": ("id,title\n", []),
    "no rows and no newline": ("id,title", []),
}


@pytest.mark.parametrize("name", MEANT)
def test_what_is_meant_is_read_as_it_stands(tmp_path, name):
    content, titles = MEANT[name]
    path = put(tmp_path / "t.csv", content)
    table = read_table(path)
    assert table["title"].to_pylist() == titles
    assert table["id"].to_pylist() == [str(n) for n in range(1, len(titles) + 1)]
    assert [row["title"] for block in read_blocks(path, 1) for row in block.to_pylist()] == titles


def test_a_tsv_file_whose_first_line_is_empty_stays_text(tmp_path):
    path = put(tmp_path / "t.tsv", "\nid\ttitle\n007\tNA\n")
    assert read_table(path).to_pylist() == [{"id": "007", "title": "NA"}]


def test_a_line_break_at_the_border_of_blocks_stays(tmp_path):
    titles = [f"a\r\nb{n}{'x' * (n % 97)}" for n in range(150_000)]
    rows = "".join(f'{n},"{title}"\r\n' for n, title in enumerate(titles))
    assert read_table(put(tmp_path / "t.csv", f"id,title\r\n{rows}"))["title"].to_pylist() == titles


BAD = {
    "too many": (
        "id,title\n1,a\n2,b,c\n",
        r"row 3 \(line 3\), .*'2,b,c': expected 2 values, as in ",
    ),
    "too few": (
        'id,title\n1,"a\nb"\n2\n',
        r"row 3 \(line 4\), which begins '2': .* found 1; quote a",
    ),
    "too many, far down": (f"id,title\n{WIDE}1,a,b\n", r"row 50002 \(line 50002\), .* found 3"),
    "not UTF-8": (
        b'id,title\n1,"a"\n2,"\xe9"\n',
        r"line 3: byte 4 of the line \(0xe9\) is not UTF",
    ),
    "UTF-16": ("id,title\n".encode("utf-16"), r"line 1: byte 1 of the line \(0xff\) is not UTF-8"),
    "blank": ("\n\n", r"t\.csv has no header"),
    "twice": ("id,a,a\n1,2,3\n", r"several columns named 'a'"),
}


@pytest.mark.parametrize("name", BAD)
def test_rows_that_do_not_fit(tmp_path, name):
    content, words = BAD[name]
    with pytest.raises(InputError, match=words) as caught:
        read_table(put(tmp_path / "t.csv", content))
    assert "\n" not in str(caught.value)


piece = st.sampled_from(['"', '""', ",", "\n", "\r\n", "\r", "a", "7", " ", "\\", "é", ";"])


@given(st.lists(piece, max_size=30).map("".join), st.integers(1, 9))
def test_arrow_reads_what_python_reads_or_is_not_believed(tmp_path_factory, text, size):
    path = tmp_path_factory.mktemp("quotes") / "t.csv"
    path.write_bytes(f"id,title\n{text}".encode())
    try:
        rows = [
            r for r in csv.reader(io.StringIO(f"id,title\n{text}", newline=""), strict=True) if r
        ]
        fits = all(len(row) == 2 for row in rows)
    except csv.Error:
        fits = False
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delimited, "_BYTES", 16 * size)  # many borders of blocks
        table = None
        with contextlib.suppress(InputError):
            table = read_table(path)
    if table is None:
        with pytest.raises(
            InputError, match="looks like other rows" if fits else "row|header|never"
        ):
            read_table(path)
        return
    assert fits
    assert [list(row.values()) for row in table.to_pylist()] == rows[1:]


def test_texts_that_a_spreadsheet_would_compute(tmp_path):
    texts = [
        '=HYPERLINK("http://x")',
        "+1+cmd",
        "-2+3",
        "@SUM(1)",
        "\t=1",
        "-5",
        "+4.50",
        "a=b",
        None,
    ]
    safe = ["'" + t for t in texts[:5]] + ["-5", "+4.50", "a=b", ""]
    table = pa.table({"id": [f"{n}" for n in range(len(texts))], "=title": texts})
    write_table(table, tmp_path / "t.csv", for_spreadsheet=True)
    assert read_table(tmp_path / "t.csv")["'=title"].to_pylist() == safe
    write_table(table, tmp_path / "t.csv")
    assert read_table(tmp_path / "t.csv")["=title"].to_pylist() == [*texts[:-1], ""]


def test_what_a_format_cannot_hold_is_one_sentence(tmp_path):
    for name, column, words in (
        ("t.csv", [["a"]], r"column 'x' holds list<.*which this format cannot hold; .*\.jsonl or"),
        (
            "t.tsv",
            [{"a": 1}],
            r"column 'x' holds struct<.*cannot hold; leave it out, or write \.js",
        ),
        ("t.csv", [b"\xff"], r"column 'x' holds binary, which this format cannot hold"),
        ("t.tsv", ["a\tb"], r"a value holds a tab or a line break, which a TSV file cannot"),
    ):
        with pytest.raises(InputError, match=words):
            write_table(pa.table({"id": ["1"], "x": column}), tmp_path / name)
    with pytest.raises(InputError, match=r"an empty value would be a blank line"):
        write_table(pa.table({"x": ["a", ""]}), tmp_path / "t.tsv")
    for name in ("t.csv", "t.tsv", "t.xlsx"):
        with pytest.raises(InputError, match=r"the table has no columns; give at least one"):
            write_table(pa.table({}), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_single_empty_value_is_a_row(tmp_path):
    write_table(pa.table({"x": pa.array([1, None, 3])}), tmp_path / "t.csv")
    assert read_table(tmp_path / "t.csv")["x"].to_pylist() == ["1", "", "3"]
