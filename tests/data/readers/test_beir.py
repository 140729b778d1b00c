"""BEIR folders: what becomes of documents, judgments and splits."""

import gzip

import pytest

from thresher.data import DataOptions, audit, read_table
from thresher.data.readers import beir
from thresher.errors import InputError

CORPUS = [
    '{"_id": "d1", "title": "Red mug", "text": "A mug.", "metadata": {}}',
    '{"_id": "d2", "title": "Blue mug", "text": "Another.", "metadata": {}}',
    '{"_id": "d3", "title": "", "text": "No title.", "metadata": {}}',
]
QUERIES = [f'{{"_id": "q{n}", "text": "question {n}", "metadata": {{}}}}' for n in range(1, 7)]
QRELS = {
    "train": "q1\td1\t2\nq1\td2\t1\nq1\td3\t0\nq2\td2\t1\n",
    "dev": "q3\td3\t1\nq2\td1\t1\n",
    "test": "q4\td1\t1\nq5\td9\t1\nq6\td1\t0\n",
}


def lines(rows):
    return "\n".join(rows) + "\n"


@pytest.fixture
def source(tmp_path):
    def write(*, corpus=CORPUS, queries=QUERIES, qrels=QRELS, packed=False):
        at = tmp_path / "beir"
        (at / "qrels").mkdir(parents=True)
        files = {"corpus.jsonl": lines(corpus), "queries.jsonl": lines(queries)}
        for name, rows in qrels.items():
            files[f"qrels/{name}.tsv"] = f"query-id\tcorpus-id\tscore\n{rows}"
        for name, content in files.items():
            if packed:
                (at / f"{name}.gz").write_bytes(gzip.compress(content.encode()))
            else:
                (at / name).write_text(content)
        return at

    return write


@pytest.mark.parametrize("packed", [False, True])
def test_a_folder(source, tmp_path, loaded, packed):
    out = tmp_path / "out"
    summary = beir.convert(source(packed=packed), out, calibration=0.0)
    assert read_table(out / "items.parquet").to_pylist() == [
        {"id": "d1", "title": "Red mug", "text": "A mug."},
        {"id": "d2", "title": "Blue mug", "text": "Another."},
        {"id": "d3", "title": "", "text": "No title."},
    ]
    # q2 is judged in train and dev: the stricter dev wins, and all its pairs go with it.
    splits = {row["id"]: row["split"] for row in read_table(out / "queries.parquet").to_pylist()}
    assert splits == {
        "q1": "train", "q2": "validation", "q3": "validation",
        "q4": "test", "q5": "test", "q6": "test",
    }  # fmt: skip
    pairs = {tuple(row.values()) for row in read_table(out / "pairs.parquet").to_pylist()}
    # The judgment 0 of q1 and q6 is no truth; d9 of q5 is not in the corpus.
    assert pairs == {
        ("q1", "d1"), ("q1", "d2"), ("q2", "d2"), ("q2", "d1"), ("q3", "d3"), ("q4", "d1"),
    }  # fmt: skip
    assert (summary.items, summary.queries, summary.pairs) == (3, 6, 6)
    assert summary.splits == {"train": 1, "validation": 2, "calibration": 0, "test": 3}
    assert summary.item_text == ("title", "text")
    assert [note[:29] for note in summary.notes] == [
        "1 query is judged in several ", "1 true pair names an unknown ",
    ]  # fmt: skip
    assert {query: len(items) for query, items in loaded(out).true.items()} == {
        "q1": 2, "q2": 2, "q3": 1, "q4": 1, "q5": 0, "q6": 0,
    }  # fmt: skip
    assert 'item_text = ["title", "text"]' in summary.lines()


def test_unjudged_queries_and_titles_that_are_all_empty_go(source, tmp_path):
    corpus = ['{"_id": 1, "title": "", "text": "a"}', '{"_id": 2, "title": "", "text": "b"}']
    at = source(corpus=corpus, qrels={"test": "q1\t1\t1\n"})
    summary = beir.convert(at, tmp_path / "out", calibration=0.0)
    assert read_table(tmp_path / "out" / "items.parquet").column_names == ["id", "text"]
    assert (summary.queries, summary.pairs) == (1, 1)
    assert summary.notes == ("5 queries are judged nowhere and left out",)


def test_a_share_of_train_becomes_calibration_and_twins_stay_together(source, tmp_path, loaded):
    # 400 queries, each text twice
    queries = [f'{{"_id": "q{n}", "text": "Question {n // 2}"}}' for n in range(400)]
    qrels = {
        "train": lines(f"q{n}\td1\t1" for n in range(300)),
        "test": lines(f"q{n}\td2\t1" for n in range(300, 400)),
    }
    at = source(queries=queries, qrels=qrels)
    summary = beir.convert(at, tmp_path / "out", calibration=0.25, seed=1)
    assert summary.splits["test"] == 100
    # 150 groups of two, a quarter of them: 37.5, standard deviation 5.3; four of them: 21
    assert abs(summary.splits["calibration"] / 2 - 37.5) < 21
    assert sum(summary.splits.values()) == 400
    split = loaded(tmp_path / "out").split
    assert all(split[f"q{n}"] == split[f"q{n + 1}"] for n in range(0, 400, 2))
    assert "train queries became the calibration split" in summary.notes[-1]
    again = beir.convert(at, tmp_path / "again", calibration=0.25, seed=2)
    assert again.splits["test"] == 100
    tables = [read_table(tmp_path / name / "queries.parquet") for name in ("out", "again")]
    assert tables[0] != tables[1]


def test_calibration_comes_from_test_where_there_is_nothing_else(source, tmp_path):
    at = source(
        queries=[f'{{"_id": "q{n}", "text": "question {n}"}}' for n in range(50)],
        qrels={"test": lines(f"q{n}\td1\t1" for n in range(50))},
    )
    summary = beir.convert(at, tmp_path / "out", calibration=0.5)
    assert summary.splits["test"] + summary.splits["calibration"] == 50
    assert min(summary.splits["test"], summary.splits["calibration"]) > 0
    files = {name: f"{name}.parquet" for name in ("items", "queries", "pairs")}
    codes = {f.code for f in audit(DataOptions(**files), tmp_path / "out").findings}
    assert "empty-split" in codes


BAD = {
    "no qrels": ({"qrels": {}}, r"qrels has none of train\.tsv, dev\.tsv and test\.tsv"),
    "score": ({"qrels": {"test": "q1\td1\t1\nq1\td2\thigh\n"}},
              r"test\.tsv, line 3: the score is 'high'; it must be a whole number"),
    "strangers": ({"qrels": {"test": "x\td1\t1\n"}}, r"judges no query of .*check its ids"),
    "corpus id": ({"corpus": ['{"id": "d1", "text": "a"}']},
                  r"corpus\.jsonl has no column '_id'.*did you mean 'id'"),
    "corpus": ({"corpus": ['{"_id": "d1", "text": "a"']}, r"corpus\.jsonl, line 1: not JSON"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_imported(source, tmp_path, name):
    replaced, words = BAD[name]
    with pytest.raises(InputError, match=words):
        beir.convert(source(**replaced), tmp_path / "out")


def test_a_missing_corpus_and_a_wrong_share(source, tmp_path):
    at = source()
    with pytest.raises(InputError, match=r"calibration share is 1\.0"):
        beir.convert(at, tmp_path / "out", calibration=1.0)
    (at / "corpus.jsonl").unlink()
    with pytest.raises(InputError, match=r"has no corpus\.jsonl.*a BEIR folder has"):
        beir.convert(at, tmp_path / "out")


def test_ids_and_scores_are_not_guessed(source, tmp_path):
    corpus = ['{"_id": ["d1"], "text": "a"}', '{"_id": ["d2"], "text": "b"}']
    with pytest.raises(InputError, match=r"corpus\.jsonl: column '_id' holds list<.*ids are text"):
        beir.convert(source(corpus=corpus), tmp_path / "out")


@pytest.mark.parametrize("score", ["1_0", "01", "+1", "1.0"])
def test_a_score_is_a_whole_number(source, tmp_path, score):
    with pytest.raises(InputError, match=r"test\.tsv, line 2: the score is .*; it must be a whole"):
        beir.convert(source(qrels={"test": f"q1\td1\t{score}\n"}), tmp_path / "out")
    assert not (tmp_path / "out").exists()
