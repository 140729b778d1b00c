"""JSON lines: no line can crash the process, and every sentence names the line."""

import datetime
import decimal
import json

import pyarrow as pa
import pytest

from thresher.data.blocks import read_blocks
from thresher.data.tables import read_table, text_of, write_table
from thresher.errors import InputError


def put(path, lines):
    path.write_bytes(b"".join(line.encode() + b"\n" for line in lines))
    return path


GOOD = [f'{{"id": "i{n}", "title": "t{n}", "price": {n}}}' for n in range(9_000)]
DEEP = "[" * 100_000 + "]" * 100_000
BAD = {
    "null": ("null", r"a line must be one JSON object \{\.\.\.\}"),
    "number": ("7", r"a line must be one JSON object"),
    "list": ("[1]", r"a line must be one JSON object"),
    "two objects": ('{"a": 1}, {"a": 2}', r"not JSON \(Extra data\); correct the line"),
    "cut": ('{"a": 1', r"not JSON \(Expecting"),
    "100,000 levels": (f'{{"a": {DEEP}}}', r"not JSON \(it is nested deeper than 32 levels\)"),
    "40 levels": ('{"a": ' + "[" * 40 + "]" * 40 + "}", r"nested deeper than 32 levels"),
    "a key twice": ('{"id": "a", "id": "b"}', r"it names 'id' twice"),
    "NaN": ('{"price": NaN}', r"NaN is not JSON; write null"),
    "infinity": ('{"price": -Infinity}', r"-Infinity is not JSON"),
    "1e400": ('{"price": 1e400}', r"1e400 is too large a number"),
    "surrogate": ('{"title": "\\ud800"}', r"half of a surrogate pair is no text"),
    "text": ('{"price": "7"}', r"price is text \('7'\), but a number in line 1; give it one kind"),
    "number for text": ('{"title": 7}', r"title is a number \('7'\), but text in line 1"),
    "true for a number": ('{"price": true}', r"price is true or false .* but a number in line 1"),
    "list for text": ('{"title": ["a"]}', r"title is a list .* but text in line 1"),
    "too large": (
        '{"price": 99999999999999999999}',
        r"price is 99999999999999999999, which is too",
    ),
    "number as id": ('{"id": 7}', r"id is a number \('7'\), but text in line 1"),
    "list as id": ('{"id": ["a"]}', r"id is a list .* but text in line 1"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_line_is_named_the_same_everywhere(tmp_path, name):
    line, words = BAD[name]
    lines = [*GOOD[:8_500], line, *GOOD[8_500:]]
    path = put(tmp_path / "t.jsonl", lines)
    said = set()
    for read in (
        read_table,
        lambda p: list(read_blocks(p, 8192)),
        lambda p: list(read_blocks(p, 777)),
    ):
        with pytest.raises(InputError, match=rf"t\.jsonl, line 8501: .*{words}") as caught:
            read(path)
        said.add(str(caught.value))
    assert len(said) == 1


@pytest.mark.parametrize("rows", [1, 2, 100])
def test_ids_that_are_none_name_the_line_of_the_file(tmp_path, rows):
    path = put(tmp_path / "t.jsonl", ['{"id": 1}', "", '{"id": 2.0}', '{"id": 2.5}'])
    for read in (read_table, lambda p: list(read_blocks(p, rows))):
        with pytest.raises(InputError, match=r"t\.jsonl, line 4: id 2\.5 is no id; ids are text"):
            read(path)


def test_lines_that_make_sense_only_together_are_refused(tmp_path):
    for lines in (
        ['{"a": [{"b": 1}', '{"b": 2}]}', '{"a": []}, {"a": []}'],
        ['{"a": {"b": 1}', '"c": 2}}'],
    ):
        with pytest.raises(InputError, match=r"line 1: not JSON"):
            read_table(put(tmp_path / "t.jsonl", lines))


def test_numbers_keep_their_digits(tmp_path):
    path = put(tmp_path / "t.jsonl", ['{"id": 9007199254740993, "x": -9223372036854775808}'])
    assert read_table(path).to_pylist() == [{"id": "9007199254740993", "x": -(2**63)}]


def test_dates_and_decimals_are_written_as_text(tmp_path):
    moment = datetime.datetime(2024, 5, 1, 12, 30, 15, 123456)
    table = pa.table(
        {
            "day": [moment.date()],
            "time": [moment.time()],
            "moment": [moment],
            "zone": pa.array([moment], pa.timestamp("ms", "UTC")),
            "fine": pa.array([1_714_566_615_123_456_789], pa.timestamp("ns")),
            "exact": [decimal.Decimal("12345678901234567.10")],
            "days": [[moment.date(), None]],
            "in": [{"day": moment.date()}],
            "kind": pa.array(["x"]).dictionary_encode(),
            "view": pa.array(["x"], pa.string_view()),
            "half": pa.array([1.5], pa.float16()),
        }
    )
    write_table(table, tmp_path / "t.jsonl")
    assert json.loads((tmp_path / "t.jsonl").read_text()) == {
        "day": "2024-05-01",
        "time": "12:30:15.123456",
        "moment": "2024-05-01T12:30:15.123456",
        "zone": "2024-05-01T12:30:15.123Z",
        "fine": "2024-05-01T12:30:15.123456789",
        "exact": "12345678901234567.10",
        "days": ["2024-05-01", None],
        "in": {"day": "2024-05-01"},
        "kind": "x",
        "view": "x",
        "half": 1.5,
    }


def test_nan_is_never_written(tmp_path):
    nan, inf = float("nan"), float("inf")
    write_table(pa.table({"x": [nan, 1.0], "y": [[nan, 1.0], None]}), tmp_path / "t.jsonl")
    assert (tmp_path / "t.jsonl").read_text().splitlines() == [
        '{"x": null, "y": [null, 1.0]}',
        '{"x": 1.0, "y": null}',
    ]
    for column in ([inf], [[inf]], [[1.0, -inf, None]], [{"in": [inf]}], [[[nan, inf]]]):
        with pytest.raises(
            InputError, match=r"the row .* holds an infinite number, which JSON cannot"
        ):
            write_table(pa.table({"x": column}), tmp_path / "u.jsonl")
    with pytest.raises(InputError, match=r"column 'x' holds binary, which this format cannot hold"):
        write_table(pa.table({"x": [b"a"]}), tmp_path / "u.jsonl")
    assert [path.name for path in tmp_path.iterdir()] == ["t.jsonl"]


def test_a_null_in_a_list_is_left_out_of_the_text(tmp_path):
    lines = ['{"words": ["red", null, "phone", ""]}', '{"words": null}', '{"words": [null]}']
    assert text_of(read_table(put(tmp_path / "t.jsonl", lines)), ["words"]) == ["red phone", "", ""]
    nested = pa.table(
        {"paths": [[["a", None], None, ["b"]], [], None], "n": [[1, None], [2], None]}
    )
    assert text_of(nested, ["paths", "n"]) == ["a b 1", "2", ""]
    assert text_of(nested.slice(1), ["paths", "n"]) == ["2", ""]
