"""Importers of damaged folders: all tables or none, and no exception but InputError."""

import random

import pytest

from fuzz.test_tables import mutated, outcome
from thresher.data.readers import beir, comirec, pair_table, session_lines, xc

PAIRS = "ltable_id,rtable_id,label\n"
FOLDERS = {
    beir.convert: {
        "corpus.jsonl": '{"_id": "d1", "title": "mug", "text": "a"}\n{"_id": "d2", "text": "b"}\n',
        "queries.jsonl": '{"_id": "q1", "text": "mug"}\n{"_id": "q2", "text": "pan"}\n',
        "qrels/train.tsv": "query-id\tcorpus-id\tscore\nq1\td1\t1\n",
        "qrels/test.tsv": "query-id\tcorpus-id\tscore\nq2\td2\t1\n",
    },
    pair_table.convert: {
        "tableA.csv": "id,name,price\n1,mug,2\n2,pan,3\n",
        "tableB.csv": "id,name,modelno\n7,red mug,X-1\n8,pan,X-2\n",
        "train.csv": PAIRS + "1,7,1\n1,8,0\n",
        "valid.csv": PAIRS,
        "test.csv": PAIRS + "2,8,1\n",
    },
    xc.convert: {
        "lbl.json": '{"uid": "a", "title": "mug"}\n{"uid": "b", "title": "pan"}\n',
        "trn.json": '{"title": "red mug", "target_ind": [0]}\n{"title": "x", "target_ind": []}\n',
        "tst.json": '{"title": "pan", "target_ind": [1], "target_rel": [1.0]}\n',
        "filter_labels_test.txt": "0 0\n",
    },
    comirec.convert: {
        "book_train.txt": "1,10,0\n1,11,1\n",
        "book_test.txt": "2,10,0\n",
        "book_item_cate.txt": "10,7\n11,8\n",
    },
    session_lines.convert: {
        "sequences.txt": "1 10 11\n2 12 10\n",
        "items.jsonl": '{"id": 10, "category": [["a", "b"]]}\n{"id": 11, "category": null}\n',
    },
}


def put(folder, files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


def fuzz(folder, convert, rounds, seed):
    files, source, out = FOLDERS[convert], folder / "source", folder / "out"
    put(source, files)
    convert(source, out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    draw = random.Random(f"{convert.__module__} {seed}")
    for _ in range(rounds):
        name = draw.choice(list(files))
        put(source, {**files, name: mutated(files[name].encode(), draw)})
        summary, _ = outcome(lambda: convert(source, out))
        after = {path.name: path.read_bytes() for path in out.iterdir()}
        assert after.keys() == before.keys()
        assert summary or after == before
        before = after
    assert sorted(path.name for path in folder.iterdir()) == ["out", "source"]


@pytest.mark.parametrize("convert", FOLDERS, ids=lambda convert: convert.__module__.split(".")[-1])
def test_damaged_folders_are_one_sentence(tmp_path, convert):
    fuzz(tmp_path, convert, 20, 0)


@pytest.mark.slow
@pytest.mark.parametrize("convert", FOLDERS, ids=lambda convert: convert.__module__.split(".")[-1])
def test_damaged_folders_are_one_sentence_many_times(tmp_path, convert):
    fuzz(tmp_path, convert, 1000, 1)
