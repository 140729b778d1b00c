"""Lines of items: the name says whether a user comes first; damaged lines by their place."""

import gzip
import json
import re

import pytest

from thresher.data import read_table
from thresher.data.readers import session_lines
from thresher.errors import InputError

LINES = "5 10 11 10\n7 12\n\n6 11 10\n"


@pytest.fixture
def convert(tmp_path):
    """Writes one file of lines, and reads the folder."""

    def run(name, content=LINES):
        data = content if isinstance(content, bytes) else content.encode()
        (tmp_path / name).write_bytes(data)
        return session_lines.convert(tmp_path, tmp_path / "out")

    return run


def events(tmp_path):
    table = read_table(tmp_path / "out" / "events.parquet")
    return list(zip(*table.to_pydict().values(), strict=True))


@pytest.mark.parametrize("name", ["sequences.txt", "sequential_data.txt"])
def test_lines_that_begin_with_a_user(convert, tmp_path, name):
    summary = convert(name)
    assert (summary.users, summary.items, summary.events) == (3, 3, 6)
    assert summary.notes == (f"{name}: the first number of a line was read as a user",)
    assert events(tmp_path) == [
        ("5", "10", 0),
        ("5", "11", 1),
        ("5", "10", 2),
        ("7", "12", 0),
        ("6", "11", 0),
        ("6", "10", 1),
    ]


@pytest.mark.parametrize("name", ["train_sequences.txt.gz", "sessions.txt"])
def test_lines_of_items_alone(convert, tmp_path, name):
    summary = convert(name, gzip.compress(LINES.encode()) if name.endswith("gz") else LINES)
    assert (summary.users, summary.items, summary.events) == (3, 6, 9)
    # the users are the numbers of the lines, of which the third is blank
    assert [user for user, item, order in events(tmp_path) if order == 0] == ["1", "2", "4"]
    assert events(tmp_path)[:2] == [("1", "5", 0), ("1", "10", 1)]


def test_blocks_join(convert, tmp_path, monkeypatch):
    monkeypatch.setattr(session_lines, "_LINES", 2)
    convert("sequences.txt")
    assert [user for user, *_ in events(tmp_path)] == ["5", "5", "5", "7", "6", "6"]


def test_items_with_paths_of_categories(convert, tmp_path, loaded):
    records = [
        {"id": 10, "title": "comb", "category": [["Hair", "Combs"], ["Hair", "Gifts"]]},
        {"id": 11, "title": "soap", "category": [["Skin"]]},
        {"id": 12, "title": "oil", "category": None},
        {"id": 13, "title": "cold cream", "category": []},
    ]
    lines = "".join(json.dumps(record) + "\n" for record in records)
    (tmp_path / "items.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    summary = convert("sequences.txt")
    assert (summary.item_text, summary.item_categories) == (("title",), ("category",))
    assert summary.notes[1] == "1 item of items.jsonl.gz named by no line"
    items = read_table(tmp_path / "out" / "items.parquet")
    assert items["category"].to_pylist() == [
        ["Hair", "Hair > Combs", "Hair > Gifts"],
        ["Skin"],
        [],
        [],
    ]
    files = {"events": "events.parquet", "queries": None, "pairs": None, "without_pairs": None}
    data = loaded(tmp_path / "out", **files, shares={"train": 0.5, "test": 0.5}).data
    # 5 and 6 have two events or more; one learns, one is asked, and 13 stays in the catalogue
    assert (len(data.items), len(data.part("test"))) == (4, 1)


def test_plain_categories_stay(convert, tmp_path):
    (tmp_path / "items.csv").write_text("id,category\n10,hair\n11,skin\n12,hair\n")
    assert convert("sequences.txt").item_categories == ("category",)
    items = read_table(tmp_path / "out" / "items.parquet")
    assert items["category"].to_pylist() == ["hair", "skin", "hair"]


@pytest.mark.parametrize("wrong", ["x", "1.5", "1,2", "99999999999999999999"])
def test_a_damaged_line_is_named(convert, tmp_path, wrong):
    with pytest.raises(
        InputError, match=rf"sequences.txt, line 2: '{wrong}' is not a whole number"
    ):
        convert("sequences.txt", f"1 2 3\n2 3 {wrong} 4\n")
    assert not (tmp_path / "out" / "events.parquet").exists()


def test_a_user_of_two_lines_is_refused(convert):
    with pytest.raises(InputError, match=r"line 3: the user 5 has a line already, line 1; write"):
        convert("sequences.txt", "5 1\n6 2\n5 3\n")


def test_a_file_cut_short_is_named(convert):
    packed = gzip.compress("".join(f"{n} {n * n}\n" for n in range(5000)).encode())
    with pytest.raises(InputError, match=r"sequences.txt.gz is cut short or damaged after line \d"):
        convert("sequences.txt.gz", packed[:-2000])


def test_a_file_that_is_not_packed_is_named(convert):
    with pytest.raises(InputError, match=r"sequences.txt.gz is cut short or damaged after line 0"):
        convert("sequences.txt.gz", b"1 2 3\n")


def test_lines_without_an_item_are_no_events(convert):
    with pytest.raises(InputError, match=r"has no event; give lines of events"):
        convert("sequences.txt", "1\n2\n")
    with pytest.raises(InputError, match=r"has no event; give lines of events"):
        convert("sequences.txt", "\n")


def test_folders_that_are_refused(convert, tmp_path):
    with pytest.raises(InputError, match=r"has none of them; it must hold one file, sequences.txt"):
        session_lines.convert(tmp_path, tmp_path / "out")
    with pytest.raises(InputError, match=r"there is no folder .*nowhere"):
        session_lines.convert(tmp_path / "nowhere", tmp_path / "out")
    (tmp_path / "sessions.txt").write_text("1 2\n")
    with pytest.raises(InputError, match=r"has sequences.txt, sessions.txt; it must hold one"):
        convert("sequences.txt")
    (tmp_path / "sequences.txt").unlink()
    (tmp_path / "items.csv").write_text("id\n1\n")
    (tmp_path / "items.tsv").write_text("id\n1\n")
    with pytest.raises(InputError, match=r"several tables of items, items.csv and items.tsv"):
        convert("sessions.txt")


@pytest.mark.parametrize("word", ["12_3", "1_0", "007", "+7", "-0", "\uff17", "1.0", "0x1", "1e3"])
@pytest.mark.parametrize("name", ["sequences.txt", "sessions.txt"])
def test_what_only_int_takes_for_a_number_is_no_id(tmp_path, name, word):
    (tmp_path / name).write_text(f"123 7 8\n9 {word} 10\n")
    with pytest.raises(InputError, match=rf"line 2: '{re.escape(word)}' is not a whole number"):
        session_lines.convert(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
