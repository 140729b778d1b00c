"""ComiRec lines: the published layout, a single file, and each damaged line by its place."""

import errno
import gzip

import pytest

from thresher.data import read_table
from thresher.data.readers import comirec
from thresher.errors import InputError

FILES = {
    "book_train.txt": "1,10,0\n1,11,1\n1,10,2\n2,12,0\n2,10,1\n",
    "book_valid.txt": "3,10,0\n3,11,1\n",
    "book_test.txt": "4,11,0\n4,13,1\n",
    "book_item_cate.txt": "10,7\n11,8\n13,7\n14,9\n10,8\n",
    "book_item_map.txt": "B000F83SZQ,10\n",
}


@pytest.fixture
def source(tmp_path):
    at = tmp_path / "source"
    at.mkdir()
    for name, content in FILES.items():
        (at / name).write_text(content)
    return at


def test_the_published_layout(source, tmp_path):
    summary = comirec.convert(source, tmp_path / "out")
    assert (summary.users, summary.items, summary.events) == (4, 5, 9)
    assert summary.notes == (
        "read book_train.txt, book_valid.txt, book_test.txt, book_item_cate.txt",
    )
    # 12 has no category, 14 no event, and of the two categories of 10 the last counts
    assert read_table(tmp_path / "out" / "items.parquet").to_pydict() == {
        "id": ["10", "11", "12", "13", "14"],
        "category": ["8", "8", None, "7", "9"],
    }
    assert read_table(tmp_path / "out" / "events.parquet").to_pydict() == {
        "user_id": ["1", "1", "1", "2", "2", "3", "3", "4", "4"],
        "item_id": ["10", "11", "10", "12", "10", "10", "11", "11", "13"],
        "timestamp": [0, 1, 2, 0, 1, 0, 1, 0, 1],
    }
    assert summary.lines()[-6:] == [
        "[data]",
        'events = "events.parquet"',
        'items = "items.parquet"',
        "",
        "[features]",
        'item = { category = "categories" }',
    ]
    assert summary.to_dict()["events"] == 9


def test_what_it_writes_is_a_history(source, tmp_path, loaded):
    comirec.convert(source, tmp_path)
    shares = {"train": 0.5, "validation": 0.25, "test": 0.25}
    files = {"events": "events.parquet", "queries": None, "pairs": None, "without_pairs": None}
    data = loaded(tmp_path, **files, shares=shares).data
    assert (len(data.items), len(data.part("test"))) == (5, 1)


@pytest.mark.parametrize("name", ["lines.txt", "taobao.csv", "events.txt.gz"])
def test_a_single_file_of_lines(tmp_path, name):
    content = b"1,10,5\n\n1,11,6\n"
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    (tmp_path / "item_map.txt").write_text("a,1\n")
    summary = comirec.convert(tmp_path, tmp_path / "out")
    assert (summary.users, summary.items, summary.events) == (1, 2, 2)
    assert read_table(tmp_path / "out" / "items.parquet").to_pydict() == {"id": ["10", "11"]}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("2,x,1", r"'2,x,1' is not user,item,timestamp, 3 whole numbers with commas"),
        ("2,10", r"'2,10' is not"),
        ("2,10,1,7", r"'2,10,1,7' is not"),
        ("2,,1", r"'2,,1' is not"),
        ("2,10,1.5", r"'2,10,1.5' is not"),
        ("2,10,99999999999999999999", r"'2,10,99999999999999999999' is not"),
        ('"2",10,1', r"'\"2\",10,1' is not"),
        ("user,item,order", r"'user,item,order' is not"),
    ],
)
def test_a_damaged_line_is_named(source, tmp_path, line, said):
    (source / "book_valid.txt").write_text(f"3,10,0\n\n{line}\n3,11,1\n")
    with pytest.raises(InputError, match=rf"book_valid.txt, line 3: {said}"):
        comirec.convert(source, tmp_path / "out")
    assert not (tmp_path / "out" / "events.parquet").exists()


def test_a_damaged_category_is_named(source, tmp_path):
    (source / "book_item_cate.txt").write_text("10,7\n11,books\n")
    with pytest.raises(
        InputError, match=r"item_cate.txt, line 2: '11,books' is not id,category, 2"
    ):
        comirec.convert(source, tmp_path / "out")


def test_a_file_cut_short_is_named(source, tmp_path):
    (source / "book_train.txt").unlink()
    packed = gzip.compress("".join(f"1,{n},{n}\n" for n in range(5000)).encode())
    (source / "book_train.txt.gz").write_bytes(packed[:-2000])
    with pytest.raises(
        InputError, match=r"book_train.txt.gz is cut short or damaged after line \d"
    ):
        comirec.convert(source, tmp_path / "out")


def test_bytes_that_are_no_text_are_named(source, tmp_path):
    (source / "book_test.txt").write_bytes(b"4,11,0\n4,\xff,1\n")
    with pytest.raises(InputError, match=r"book_test.txt, line 2: byte 3 of the line \(0xff\)"):
        comirec.convert(source, tmp_path / "out")


def test_folders_that_are_refused(source, tmp_path):
    with pytest.raises(InputError, match=r"there is no folder .*nowhere"):
        comirec.convert(tmp_path / "nowhere", tmp_path / "out")
    (source / "tmall_train.txt").write_text("1,2,3\n")
    with pytest.raises(InputError, match=r"several files of one kind, book_train.txt and tmall_tr"):
        comirec.convert(source, tmp_path / "out")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match=r"has no file of lines 'user,item,order'; name them"):
        comirec.convert(empty, tmp_path / "out")
    (empty / "lines.txt").write_text("")
    with pytest.raises(InputError, match=r"lines.txt is empty"):
        comirec.convert(empty, tmp_path / "out")
    (empty / "lines.txt").write_text("\n\n")
    with pytest.raises(InputError, match=r"lines.txt|has no event"):
        comirec.convert(empty, tmp_path / "out")


def test_a_user_of_two_files_is_refused(source, tmp_path):
    (source / "book_test.txt").write_text("4,11,0\n2,13,1\n")
    with pytest.raises(InputError, match=r"book_test.txt: the user 2 is in book_train.txt too"):
        comirec.convert(source, tmp_path / "out")


@pytest.mark.parametrize("word", ["12_3", "007", "+7", "-0", "\uff17"])
@pytest.mark.parametrize("line", ["{},10,1", "3,{},1"])
def test_what_only_int_takes_for_a_number_is_no_id(source, tmp_path, line, word):
    (source / "book_valid.txt").write_text(f"3,10,0\n{line.format(word)}\n")
    with pytest.raises(InputError, match=r"book_valid.txt, line 2: .* is not user,item,timestamp"):
        comirec.convert(source, tmp_path / "out")


def test_numbers_may_have_spaces_beside_them(source, tmp_path):
    (source / "book_valid.txt").write_text("3, 10 ,0\r\n\r\n3,11,1\r\n")
    assert comirec.convert(source, tmp_path / "out").events == 9


def test_a_full_disk_leaves_the_tables_of_before(source, tmp_path, monkeypatch):
    comirec.convert(source, tmp_path / "out")
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    (source / "book_valid.txt").write_text("3,99,0\n")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(comirec, "write_table", full)
    with pytest.raises(
        InputError, match=rf"{tmp_path}/out cannot be written: the disk is full and"
    ):
        comirec.convert(source, tmp_path / "out")
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "source"]


def test_a_file_of_blank_lines_has_no_category(source, tmp_path):
    (source / "book_item_cate.txt").write_text("\n\n")
    assert comirec.convert(source, tmp_path / "out").items == 4
    (source / "book_valid.txt").write_text("\n")
    assert comirec.convert(source, tmp_path / "out").events == 7
