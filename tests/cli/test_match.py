"""`thresher match` and `recommend`: what they read, what they write, what they carry over."""

import io
import subprocess
import sys

import pyarrow.parquet as pq
import pytest

from oracles.shop import write
from thresher.data.tables import read_table
from thresher.retriever import Retriever

COLUMNS = [
    *("query_id", "query", "item_id", "item", "rank"),
    *("score", "confidence", "decision", "policy"),
]


@pytest.fixture
def model(shop):
    """The artifact, which nothing here changes."""
    return shop / "model"


def titles(shop):
    return {row["id"]: row["title"] for row in read_table(shop / "items.csv").to_pylist()}


@pytest.mark.parametrize("name", ["d.csv", "d.parquet", "deeper/d.jsonl", "d.csv.gz", "d.xlsx"])
def test_match_writes_a_row_a_query(answer, model, shop, tmp_path, name):
    out = tmp_path / name
    found = answer("match", model, "--queries", shop / "queries.csv", "--out", out)
    rows = read_table(out).to_pylist()
    assert list(rows[0]) == COLUMNS
    assert [r["query_id"] for r in rows] == [f"q{n}" for n in range(1500)]
    assert {r["decision"] for r in rows} == {"accept", "review"}
    assert found["accepted"] == sum(r["decision"] == "accept" for r in rows)
    assert found["accepted"] + found["review"] == found["queries"] == 1500
    assert {r["policy"] for r in rows} == {found["policy"]["id"]}
    bar = found["policy"]["accept_at"]
    # CSV rounds nothing that matters here: the decision is the threshold's.
    learnt = Retriever.open(model).labelled("train").queries.text(["title"])
    learnt = {text.casefold() for text in learnt}
    assert found["known_texts"] == sum(r["query"].casefold() in learnt for r in rows)
    for row in rows:
        sure = float(row["confidence"]) >= bar and row["query"].casefold() not in learnt
        assert sure == (row["decision"] == "accept")
    names = titles(shop)
    assert all(names[r["item_id"]] == r["item"] for r in rows)
    if name.endswith("parquet"):
        kinds = {f.name: str(f.type) for f in pq.read_schema(out)}
        assert (kinds["score"], kinds["confidence"]) == ("float", "double")


def test_match_in_blocks_is_match_whole(run, model, shop, tmp_path, monkeypatch):
    rows = [[r["title"]] for r in read_table(shop / "queries.csv").to_pylist()[:40]]
    queries = write(tmp_path / "no-ids.csv", ["title"], rows)
    run("match", model, "--queries", queries, "--out", tmp_path / "whole.parquet")
    monkeypatch.setattr(sys.modules["thresher.jobs.match"], "BLOCK", 7)
    run("match", model, "--queries", queries, "--out", tmp_path / "blocks.parquet")
    whole, blocks = (read_table(tmp_path / f"{n}.parquet") for n in ("whole", "blocks"))
    assert blocks["query_id"].to_pylist() == [str(n) for n in range(40)]
    for name in COLUMNS:
        if name in ("score", "confidence"):
            assert blocks[name].to_pylist() == pytest.approx(whole[name].to_pylist(), abs=1e-6)
        else:
            assert blocks[name].to_pylist() == whole[name].to_pylist()


def test_match_without_a_file_prints_the_rows(run, answer, model, tmp_path):
    queries = write(tmp_path / "q.csv", ["id", "title"], [("a", "kettle red"), ("b", "")])
    rows = answer("match", model, "--queries", queries)["matches"]
    assert [r["query_id"] for r in rows] == ["a", "b"]
    shown = run("match", model, "--queries", queries).out.splitlines()
    assert shown[-1].startswith("2 queries: ")
    assert " accepted at a certified precision of 0." in shown[-1]
    one = run("match", model, "--text", "kettle").out.splitlines()[-1]
    assert one.startswith("1 query: ")
    assert len(shown) == 3
    learnt = Retriever.open(model).labelled("train").queries.text(["title"])[0]
    known = run("match", model, "--text", learnt.upper()).out.splitlines()
    assert known[0].startswith("review")
    assert known[-1].endswith("1 for review, 1 of them since their text is in the training data")


def test_empty_texts_are_for_review_and_get_no_item(answer, model, tmp_path):
    texts = ["", "   ", "\t", "?!", "\u4e2d\u6587", "x" * 5000]
    queries = write(tmp_path / "q.csv", ["id", "title"], [(i, t) for i, t in enumerate(texts)])
    rows = answer("match", model, "--queries", queries)["matches"]
    assert [r["decision"] for r in rows[:4]] == ["review"] * 4
    assert [r["item_id"] for r in rows[:3]] == [None] * 3


def test_texts_and_lines_of_standard_input_are_queries(answer, refused, model, shop, monkeypatch):
    texts = list(titles(shop).values())[:3]
    rows = answer("match", model, *(x for t in texts for x in ("--text", t)))["matches"]
    assert [r["query"] for r in rows] == texts
    assert [r["item"] for r in rows] == texts
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join([texts[0], "", *texts[1:]]) + "\n"))
    again = answer("match", model, "--queries", "-")["matches"]
    assert again == rows
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert refused("match", model, "--queries", "-") == (
        "standard input has no line; give one query a line"
    )


def test_one_source_of_queries(refused, model, shop):
    words = "give --queries FILE, --queries - for standard input, or --text, one of"
    assert refused("match", model) == words
    assert refused("match", model, "--text", "a", "--queries", shop / "queries.csv") == words


def test_several_candidates_and_columns_that_are_carried_over(answer, refused, model, shop):
    ask = ("match", model, "--queries", shop / "queries.csv", "--top", 3)
    rows = answer(*ask, "--keep", "shop", "--keep", "item.title")["matches"]
    assert len(rows) == 4500
    names, own = titles(shop), read_table(shop / "queries.csv").to_pylist()
    for at, row in enumerate(rows):
        assert (row["query_id"], row["rank"]) == (f"q{at // 3}", at % 3 + 1)
        assert row["shop"] == own[at // 3]["shop"]
        assert row["item.title"] == names[row["item_id"]] == row["item"]
        assert (row["decision"] is None) == (row["rank"] > 1)
    assert "no column 'colour'" in refused(*ask, "--keep", "colour")
    assert "no column 'colour'" in refused(*ask, "--keep", "item.colour")
    assert "which the answer has already" in refused(*ask, "--keep", "item.id", "--keep", "item.id")
    assert "give 1 to 300" in refused(*ask[:-1], 301)


def test_a_list_for_review_holds_what_is_not_accepted_and_no_formulas(
    answer, model, shop, tmp_path
):
    rows = [r.values() for r in read_table(shop / "queries.csv").to_pylist()[:50]]
    queries = write(tmp_path / "q.csv", ["id", "title", "shop"], [*rows, ("f", "=1+1", "north")])
    out, review = tmp_path / "d.csv", tmp_path / "r.csv"
    ask = ("--out", out, "--review", review, "--top", 2)
    found = answer("match", model, "--queries", queries, *ask)
    assert found["review_list"] == str(review)
    all_rows, listed = (read_table(path).to_pylist() for path in (out, review))
    sent = {r["query_id"] for r in all_rows if r["decision"] == "review"}
    assert "f" in sent
    assert [r["query_id"] for r in listed] == [
        r["query_id"] for r in all_rows if r["query_id"] in sent
    ]
    assert {r["query"] for r in listed if r["query_id"] == "f"} == {"'=1+1"}
    assert {r["query"] for r in all_rows if r["query_id"] == "f"} == {"=1+1"}


def test_candidates_of_another_engine_are_ranked_and_decided(
    answer, refused, model, shop, tmp_path
):
    names = titles(shop)
    queries = write(tmp_path / "q.csv", ["id", "title"], [("a", names["i5"]), ("b", names["i6"])])
    rows = [("a", "i5", 1.0), ("a", "i9", 2.0), ("b", "i9", 1.0), ("b", "nowhere", 5.0)]
    found = write(tmp_path / "c.csv", ["query_id", "item_id", "score"], rows)
    ask = ("match", model, "--queries", queries, "--candidates")
    best = answer(*ask, found)["matches"]
    assert [(r["query_id"], r["item_id"]) for r in best] == [("a", "i5"), ("b", "i9")]
    write(tmp_path / "c.csv", ["query_id", "item_id", "score"], [("x", "i5", 1.0)])
    assert "no candidate names both one of these queries" in refused(*ask, found)
    write(tmp_path / "c.csv", ["query_id", "item_id"], [("a", "i5")])
    assert "has no column 'score'" in refused(*ask, found)


def test_recommend_lists_items_for_queries(run, answer, model, shop, tmp_path):
    queries = write(tmp_path / "q.csv", ["id", "title"], [("a", titles(shop)["i5"])])
    found = answer("recommend", model, "--queries", queries, "--top", 4)
    assert found["queries"] == 1
    assert [row["rank"] for row in found["lists"]] == [1, 2, 3, 4]
    assert found["lists"][0]["item_id"] == "i5"
    shown = run("recommend", model, "--queries", queries, "--top", 1).out.splitlines()
    assert shown[-1] == "1 query"
    out = tmp_path / "l.parquet"
    run("recommend", model, "--queries", queries, "--top", 4, "--out", out)
    assert read_table(out)["item_id"].to_pylist() == [row["item_id"] for row in found["lists"]]


def test_a_process_of_its_own_answers(model):
    command = [sys.executable, "-m", "thresher", "match", str(model), "--text", "kettle"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "accept" in ran.stdout or "review" in ran.stdout
