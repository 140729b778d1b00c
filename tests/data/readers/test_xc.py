"""Sets of the XC repository: what becomes of points, labels and filter lists, and bad lines."""

import gzip
import json
import tracemalloc

import pytest

from oracles.xc import LABELS, TEST, TRAIN, pack, write_json, write_text
from thresher.data import read_table
from thresher.data.readers import xc
from thresher.errors import InputError

NO_SHARES = {"calibration": 0.0, "validation": 0.0}
UIDS = [f"B{n:06}" for n in range(4)]
LAYOUTS = {
    "published": (write_json, {"packed": True}, UIDS),
    "unpacked": (write_json, {"packed": False}, UIDS),
    "text": (write_text, {"packed": False}, ["0", "1", "2", "3"]),
    "packed text": (write_text, {"packed": True}, ["0", "1", "2", "3"]),
    "raw text": (
        write_text,
        {"names": ("lbl.raw.txt", "trn.raw.txt", "tst.raw.txt")},
        ["0", "1", "2", "3"],
    ),
}


def rows(path):
    return [tuple(row.values()) for row in read_table(path).to_pylist()]


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_folder_of_each_layout(tmp_path, name):
    write, options, ids = LAYOUTS[name]
    out = tmp_path / "out"
    summary = xc.convert(write(tmp_path / "set", **options), out, **NO_SHARES)
    assert rows(out / "items.parquet") == list(zip(ids, LABELS, strict=True))
    assert rows(out / "queries.parquet") == [
        *((f"trn-{n}", title, "train") for n, (title, _) in enumerate(TRAIN)),
        *((f"tst-{n}", title, "test") for n, (title, _) in enumerate(TEST)),
    ]
    assert set(rows(out / "pairs.parquet")) == {
        (f"{part}-{n}", ids[label])
        for part, points in (("trn", TRAIN), ("tst", TEST))
        for n, (_, labels) in enumerate(points)
        for label in labels
    }
    assert set(rows(out / "ignored.parquet")) == {
        ("trn-3", ids[1]), ("trn-3", ids[3]), ("tst-1", ids[2]),
    }  # fmt: skip
    assert (summary.items, summary.queries, summary.pairs, summary.ignored) == (4, 7, 10, 3)
    assert summary.splits == {"train": 5, "validation": 0, "calibration": 0, "test": 2}
    said = summary.lines()
    assert said[0] == "4 items, 7 queries, 10 true pairs, 3 ignored pairs"
    assert {'ignored = "ignored.parquet"', 'item_text = ["title"]'} <= set(said)
    whose = "uid" if ids == UIDS else "row"
    assert summary.notes[:3] == (
        f"the id of an item is its {whose} in the label file",
        "1 query has an empty title",
        "1 query has no label: queries without an item",
    )
    assert json.loads(json.dumps(summary.to_dict()))["ignored"] == 3


def test_what_is_imported_can_be_loaded_and_the_filter_wins(tmp_path, loaded):
    xc.convert(write_json(tmp_path / "set"), tmp_path, **NO_SHARES)
    found = loaded(tmp_path, ignored="ignored.parquet")
    names = [f"trn-{n}" for n in range(5)] + ["tst-0", "tst-1"]
    number = {uid: row for row, uid in enumerate(UIDS)}
    # The filter names two true pairs of trn-3 and one of tst-1.
    assert [[number[uid] for uid in found.true[name]] for name in names] == [
        [1, 2], [0], [3], [0], [], [0], [1],
    ]  # fmt: skip
    ignored = {name: [number[uid] for uid in found.ignored[name]] for name in names}
    assert {name: rows for name, rows in ignored.items() if rows} == {"trn-3": [1, 3], "tst-1": [2]}


def test_without_filter_lists_nothing_is_ignored_and_an_old_list_goes(tmp_path):
    out = tmp_path / "out"
    xc.convert(write_json(tmp_path / "with"), out)
    assert (out / "ignored.parquet").exists()
    summary = xc.convert(write_json(tmp_path / "without", filters={}), out)
    assert not (out / "ignored.parquet").exists()
    assert summary.ignored is None
    assert "ignored" not in "\n".join(summary.lines())
    empty = xc.convert(write_json(tmp_path / "empty", filters={"test": []}), out)
    assert empty.ignored == 0
    assert read_table(out / "ignored.parquet").column_names == ["query_id", "item_id"]


def test_the_other_names_of_the_filter_lists(tmp_path):
    at = write_text(tmp_path / "set", filters={})
    (at / "tst_filter_labels.txt").write_text("0 3\n\n  1\t1\n")
    xc.convert(at, tmp_path / "out", **NO_SHARES)
    assert rows(tmp_path / "out" / "ignored.parquet") == [("tst-0", "3"), ("tst-1", "1")]


def test_seeded_shares_of_train_and_nothing_of_test(tmp_path):
    # 600 training points, each text twice: 300 groups.
    train = [(f"Thing {n // 2}", [n % 4]) for n in range(600)]
    at = write_json(tmp_path / "set", train=train, filters={})
    shares = {"calibration": 0.3, "validation": 0.2}
    summary = xc.convert(at, tmp_path / "a", **shares, seed=1)
    assert summary.splits["test"] == 2
    assert sum(summary.splits.values()) == 602
    # Binomial over 300 groups: 90 with a deviation of 7.9, 60 with 6.9; four of them.
    assert abs(summary.splits["calibration"] / 2 - 90) < 32
    assert abs(summary.splits["validation"] / 2 - 60) < 28
    split = dict(row[1:] for row in rows(tmp_path / "a" / "queries.parquet"))
    assert len(split) == 302  # a text has one split
    said = zip(summary.notes[-2:], [("validation", 0.2), ("calibration", 0.3)], strict=True)
    assert all(
        note.endswith(f"train queries became the {split} split (share {share}, seed 1)")
        for note, (split, share) in said
    )
    xc.convert(at, tmp_path / "b", **shares, seed=1)
    assert read_table(tmp_path / "b" / "queries.parquet") == read_table(
        tmp_path / "a" / "queries.parquet"
    )
    for wrong, words in (
        ({"calibration": 1.0}, r"calibration share is 1\.0; it must be in \[0, 1\)"),
        ({"validation": -0.1}, r"validation share is -0\.1"),
        ({"calibration": 0.5, "validation": 0.5}, "leave nothing to train on"),
    ):
        with pytest.raises(InputError, match=words):
            xc.convert(at, tmp_path / "c", **wrong)


def test_relevance_decides_what_is_true_and_a_label_counts_once(tmp_path):
    at = write_text(tmp_path / "set", filters={})
    (at / "tst_X_Y.txt").write_text("2 4\n0:0 1:0.5 1:1\n3:2\n")
    xc.convert(at, tmp_path / "a", **NO_SHARES)
    assert rows(tmp_path / "a" / "pairs.parquet")[-2:] == [("tst-0", "1"), ("tst-1", "3")]
    at = write_json(tmp_path / "json", filters={}, packed=False)
    line = {"title": "x", "target_ind": [2, 0, 2], "target_rel": [1, 0, 0.5]}
    (at / "tst.json").write_text(json.dumps(line) + "\n")
    xc.convert(at, tmp_path / "b", **NO_SHARES)
    assert rows(tmp_path / "b" / "pairs.parquet")[-1] == ("tst-0", UIDS[2])


@pytest.mark.parametrize("uids", [["a", "a"], ["a", None], ["a", " "], [None, None]])
def test_uids_that_do_not_tell_labels_apart_are_not_taken(tmp_path, uids):
    points = {"train": [("p", [1])], "test": [("q", [0])]}
    at = write_json(tmp_path / "set", filters={}, packed=False, **points)
    lines = [json.dumps({"uid": uid, "title": "same"}) for uid in uids]
    (at / "lbl.json").write_text("\n".join(lines))
    xc.convert(at, tmp_path / "out", **NO_SHARES)
    assert rows(tmp_path / "out" / "items.parquet") == [("0", "same"), ("1", "same")]


def test_a_byte_order_mark_windows_line_ends_and_a_last_line_without_one(tmp_path):
    at = write_text(tmp_path / "set", filters={})
    (at / "Y.txt").write_bytes(b"\xef\xbb\xbfone\r\ntwo\r\nthree\x0c3\r\nfour")
    xc.convert(at, tmp_path / "out", **NO_SHARES)
    assert [title for _, title in rows(tmp_path / "out" / "items.parquet")] == [
        "one", "two", "three\x0c3", "four",
    ]  # fmt: skip


def test_many_lines_lie_in_memory_a_block_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(xc, "CHUNK", 250)
    train = [(f"{n} " + "word " * 200, [n % 4]) for n in range(4000)]
    at = write_json(tmp_path / "set", train=train, filters={})
    labels = xc.Rows(at / "lbl.json.gz", 4)
    tracemalloc.start()
    try:
        points = xc._points({"trn": at / "trn.json.gz"}, "trn", labels)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert points.texts.num_chunks == 17
    assert points.texts.to_pylist() == [title for title, _ in train]
    # As Python texts the titles take 4,000 x 1 kB = 4 MB, a block of them 0.25 MB; what Arrow
    # holds is not counted. 4,000 pairs are 32 kB an array.
    assert peak < 1_000_000


def put(name, content, *, packed=False):
    """Replaces a file by this content."""

    def change(at):
        for path in at.glob(f"{name}*"):
            path.unlink()
        pack(at / name, content, packed=packed)

    return change


def line_of(name, number, text):
    """Replaces one line of a packed JSON file."""

    def change(at):
        path = at / f"{name}.json.gz"
        lines = gzip.decompress(path.read_bytes()).decode().splitlines()
        lines[number - 1] = text
        path.write_bytes(gzip.compress("\n".join(lines).encode()))

    return change


def cut(name, share=0.6):
    def change(at):
        path = at / name
        whole = path.read_bytes()
        path.write_bytes(whole[: int(share * len(whole))])

    return change


def drop(*names):
    def change(at):
        for name in names:
            (at / name).unlink()

    return change


def filters(part, text):
    return put(f"filter_labels_{part}.txt", text)


def record(**fields):
    return json.dumps(fields)


E_ACUTE = b'{"title": "a", "target_ind": []}\n{"title": "\xe9"}\n'
ONE_OF_TWO = record(title="a", target_ind=[0, 1], target_rel=[1.0])
FOUR = "which has 4 lines, numbered 0 to 3; take all files from one download"
# What is changed, the file and the line that the sentence begins with, and what it says of them.
BAD_JSON = {
    "truncated gzip": (cut("trn.json.gz"), "trn.json.gz is cut short", "copy or pack it again"),
    "not gzip": (
        lambda at: (at / "trn.json.gz").write_text("{}\n"),
        "trn.json.gz is cut short or damaged after line 0",
        "Not a gzipped file",
    ),
    "no bytes": (
        lambda at: (at / "tst.json.gz").write_bytes(b""),
        "tst.json.gz has no lines",
        "copy it again",
    ),
    "no lines": (put("lbl.json", "", packed=True), "lbl.json.gz has no lines", "copy it again"),
    "not UTF-8": (
        put("trn.json", E_ACUTE, packed=True),
        "trn.json.gz, line 2",
        "byte 12 of the line (0xe9) is not UTF-8; save",
    ),
    "bad JSON": (
        line_of("trn", 2, '{"title": "a", '),
        "trn.json.gz, line 2",
        "not JSON (Expecting property name enclosed in double quotes); correct",
    ),
    "deep JSON": (line_of("trn", 2, "[" * 200_000), "trn.json.gz, line 2", "not JSON"),
    "blank line": (line_of("tst", 1, ""), "tst.json.gz, line 1", "not JSON"),
    "no object": (
        line_of("tst", 2, "[1]"),
        "tst.json.gz, line 2",
        "a line must be one JSON object {...}",
    ),
    "no title": (
        line_of("tst", 2, record(uid="a", target_ind=[])),
        "tst.json.gz, line 2",
        "the object has no 'title'; it has uid, target_ind; add it",
    ),
    "title": (
        line_of("tst", 2, record(title=7, target_ind=[])),
        "tst.json.gz, line 2",
        "the title is 7; it must be text in quotes",
    ),
    "empty label": (
        line_of("lbl", 3, record(uid="c", title=" ")),
        "lbl.json.gz, line 3",
        "the text of this label is empty; every label needs a text to be found by",
    ),
    "null label": (
        line_of("lbl", 4, record(title=None)),
        "lbl.json.gz, line 4",
        "the text of this label is empty",
    ),
    "no target_ind": (
        line_of("trn", 4, record(title="a")),
        "trn.json.gz, line 4",
        "target_ind is missing; it must be a list of label rows, such as [3, 14]",
    ),
    "target_ind": (
        line_of("trn", 4, record(title="a", target_ind=["1"])),
        "trn.json.gz, line 4",
        "target_ind is ['1']; it must be a list",
    ),
    "bool": (
        line_of("trn", 4, record(title="a", target_ind=[True])),
        "trn.json.gz, line 4",
        "target_ind is [True]; it must be a list",
    ),
    "label beyond": (
        line_of("trn", 5, record(title="a", target_ind=[0, 4])),
        "trn.json.gz, line 5",
        f"label 4 is not a row of lbl.json.gz, {FOUR}",
    ),
    "label below": (
        line_of("trn", 5, record(title="a", target_ind=[-1])),
        "trn.json.gz, line 5",
        "label -1 is not a row of lbl.json.gz",
    ),
    "target_rel": (
        line_of("trn", 1, ONE_OF_TWO),
        "trn.json.gz, line 1",
        "target_rel is [1.0]; it must be one number for each of the 2 labels",
    ),
    "target_rel text": (
        line_of("trn", 1, record(title="a", target_ind=[0], target_rel=["1"])),
        "trn.json.gz, line 1",
        "target_rel is ['1']; it must be one number",
    ),
    "filter point": (
        filters("test", "0 1\n2 1\n"),
        "filter_labels_test.txt, line 2",
        "point 2 is not a row of tst.json.gz, which has 2 lines, numbered 0 to 1",
    ),
    "filter label": (
        filters("train", "0 1\n\n4 4\n"),
        "filter_labels_train.txt, line 3",
        f"label 4 is not a row of lbl.json.gz, {FOUR}",
    ),
    "filter below": (
        filters("train", "-1 1\n"),
        "filter_labels_train.txt, line 1",
        "point -1 is not a row of trn.json.gz, which has 5 lines",
    ),
    "filter words": (
        filters("train", "0 one\n"),
        "filter_labels_train.txt, line 1",
        "'0 one' is not a point and a label, two row numbers such as '12 7'; correct or remove",
    ),
    "filter three": (
        filters("train", "0 1 2\n"),
        "filter_labels_train.txt, line 1",
        "'0 1 2' is not a point and a label",
    ),
    "no labels": (
        drop("lbl.json.gz"),
        "set has trn.json, tst.json but no lbl.json",
        "(or the same with .gz); add what is missing",
    ),
    "two lost": (
        drop("trn.json.gz", "tst.json.gz"),
        "set has lbl.json but no trn.json and no tst.json",
        "add what is missing",
    ),
    "nothing": (
        drop("trn.json.gz", "tst.json.gz", "lbl.json.gz"),
        "set holds no set of the XC repository",
        "it must have trn.json.gz, tst.json.gz and lbl.json.gz, or trn_X.txt",
    ),
}
BAD_TEXT = {
    "header words": (
        put("trn_X_Y.txt", "five 4\n"),
        "trn_X_Y.txt, line 1",
        "the header is 'five 4'; it must be the numbers of rows and of labels",
    ),
    "empty truth": (put("tst_X_Y.txt", ""), "tst_X_Y.txt, line 1", "the header is ''"),
    "columns": (
        put("tst_X_Y.txt", "2 5\n0:1\n1:1\n"),
        "tst_X_Y.txt, line 1",
        "Y.txt has 4 lines; take both files from one download",
    ),
    "rows": (
        put("tst_X_Y.txt", "3 4\n0:1\n1:1\n"),
        "tst_X_Y.txt, line 1: the header tells of 3 rows",
        "tst_X_Y.txt has 2 of them; take both files from one download, or correct the header",
    ),
    "too few texts": (
        put("tst_X.txt", "a\n"),
        "tst_X_Y.txt, line 1: the header tells of 2 rows",
        "tst_X.txt has 1 of them",
    ),
    "too many texts": (
        put("tst_X.txt", "a\nb\nc\n"),
        "tst_X_Y.txt, line 1: the header tells of 2 rows",
        "tst_X.txt has 3 of them",
    ),
    "no value": (
        put("tst_X_Y.txt", "2 4\n0:1\n1\n"),
        "tst_X_Y.txt, line 3",
        "'1' is not label:value, such as '12:1.0'; correct the line",
    ),
    "no label": (
        put("tst_X_Y.txt", "2 4\n:1\n1:1\n"),
        "tst_X_Y.txt, line 2",
        "':1' is not label:value",
    ),
    "not finite": (
        put("tst_X_Y.txt", "2 4\n0:nan\n1:1\n"),
        "tst_X_Y.txt, line 2",
        "'0:nan' is not label:value",
    ),
    "label beyond": (
        put("tst_X_Y.txt", "2 4\n0:1\n4:1\n"),
        "tst_X_Y.txt, line 3",
        f"label 4 is not a row of Y.txt, {FOUR}",
    ),
    "empty label": (
        put("Y.txt", "a\nb\n\nd\n"),
        "Y.txt, line 3",
        "the text of this label is empty",
    ),
    "not UTF-8": (
        put("tst_X.txt", b"a\n\xe9\n"),
        "tst_X.txt, line 2",
        "byte 1 of the line (0xe9) is not UTF-8",
    ),
    "no truth": (
        drop("tst_X_Y.txt"),
        "set has Y.txt, trn_X.txt, tst_X.txt, trn_X_Y.txt but no tst_X_Y.txt",
        "add what is missing from the same download",
    ),
}


@pytest.mark.parametrize("name", BAD_JSON)
def test_published_files_that_cannot_be_imported(tmp_path, name):
    refused(write_json(tmp_path / "set"), tmp_path / "out", *BAD_JSON[name])


@pytest.mark.parametrize("name", BAD_TEXT)
def test_raw_text_that_cannot_be_imported(tmp_path, name):
    refused(write_text(tmp_path / "set"), tmp_path / "out", *BAD_TEXT[name])


def refused(at, out, change, place, words):
    change(at)
    with pytest.raises(InputError) as error:
        xc.convert(at, out)
    said = str(error.value)
    assert said.removeprefix(str(at.parent)).lstrip("/").removeprefix("set/").startswith(place)
    assert words in said
    assert "\n" not in said
    assert not out.exists()


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="none holds no set of the XC repository"):
        xc.convert(tmp_path / "none", tmp_path / "out")


@pytest.mark.parametrize(
    ("change", "place", "words"),
    [
        (put("tst_X_Y.txt", "2 4\n0:1\n1_0:1\n"), "tst_X_Y.txt, line 3", "'1_0:1' is not label:v"),
        (put("tst_X_Y.txt", "2 4\n0:1\n01:1\n"), "tst_X_Y.txt, line 3", "'01:1' is not label:valu"),
        (put("tst_X_Y.txt", "2 4\n0:1\n1:1_0\n"), "tst_X_Y.txt, line 3", "'1:1_0' is not label:v"),
        (put("tst_X_Y.txt", "2 0_4\n0:1\n1:1\n"), "tst_X_Y.txt, line 1", "the header is '2 0_4'"),
        (
            filters("test", "0 0_1\n"),
            "filter_labels_test.txt, line 1",
            "'0 0_1' is not a point and",
        ),
    ],
)
def test_what_only_int_takes_for_a_number_is_none(tmp_path, change, place, words):
    refused(write_text(tmp_path / "set"), tmp_path / "out", change, place, words)


def test_a_uid_is_text_or_a_whole_number(tmp_path):
    for uid in (["a"], {"a": 1}, 1.5, True):
        at = write_json(tmp_path / str(type(uid)), packed=False)
        lines = [json.dumps({"uid": uid, "title": f"t{n}"}) for n in range(4)]
        (at / "lbl.json").write_text("\n".join(lines))
        with pytest.raises(
            InputError, match=r"lbl\.json, line 1: the uid is .* must be text or a "
        ):
            xc.convert(at, tmp_path / "out")
