"""Matching, recommending, indexing and neighbours as jobs: paths in, counts and tables out."""

import io

import pyarrow as pa
import pytest

from oracles.buyers import ITEMS, histories, trained_on_histories
from thresher.data.tables import read_table, write_table
from thresher.errors import InputError
from thresher.jobs import match as module
from thresher.jobs.index import index
from thresher.jobs.match import Answers, match, recommend
from thresher.jobs.nearest import nearest
from thresher.retriever import Retriever


@pytest.fixture(scope="module")
def opened(shop):
    return Retriever.open(shop / "model")


@pytest.fixture
def forty(shop, tmp_path):
    """A file of forty queries."""
    write_table(read_table(shop / "queries.csv").slice(0, 40), tmp_path / "q.csv")
    return tmp_path / "q.csv"


# Matching.


def test_the_rows_are_those_of_the_model_and_are_counted(shop, opened, forty):
    found = match(shop / "model", forty, answers=Answers(top=2, keep=["shop"]), quiet=True)
    rows = opened.match(read_table(forty), 2, keep=["shop"]).to_pylist()
    assert found.pop("matches") == rows
    accepted = sum(row["decision"] == "accept" for row in rows)
    assert 0 < accepted < 40
    learnt = {text.casefold() for text in opened.labelled("train").queries.text(["title"])}
    known = sum(row["query"].casefold() in learnt for row in rows[::2])
    assert known > 0
    assert found == {
        "queries": 40,
        "accepted": accepted,
        "review": 40 - accepted,
        "known_texts": known,
        "left_empty": [],
        "policy": opened.policy.to_dict(),
        "certified": True,
    }


def test_texts_and_lines_of_standard_input_are_queries(shop, opened, monkeypatch):
    texts = ["red kettle", "Größe 5 toaster"]
    rows = opened.match(texts).to_pylist()
    assert match(shop / "model", texts, quiet=True)["matches"] == rows
    monkeypatch.setattr("sys.stdin", io.StringIO("red kettle\n\nGröße 5 toaster\n"))
    assert match(shop / "model", module.Path("-"), quiet=True)["matches"] == rows


def test_queries_without_ids_are_numbered_over_blocks(shop, opened, forty, tmp_path, monkeypatch):
    table = read_table(forty).select(["title"])
    write_table(table, tmp_path / "texts.csv")
    whole = opened.match(table)["query_id"].to_pylist()
    monkeypatch.setattr(module, "BLOCK", 7)
    found = match(shop / "model", tmp_path / "texts.csv", quiet=True)["matches"]
    assert [row["query_id"] for row in found] == whole == [str(n) for n in range(40)]


def test_what_is_written_and_what_is_to_be_reviewed(shop, opened, forty, tmp_path):
    out, review = tmp_path / "new" / "d.parquet", tmp_path / "r.parquet"
    answers = Answers(top=3, review=review)
    found = match(shop / "model", forty, out, answers=answers, quiet=True)
    rows = opened.match(read_table(forty), 3).to_pylist()
    assert (found["out"], found["review_list"]) == (str(out), str(review))
    assert read_table(out).to_pylist() == rows
    sent = {row["query_id"] for row in rows if row["decision"] == "review"}
    assert len(sent) == found["review"]
    listed = read_table(review).to_pylist()
    assert [(row["query_id"], row["item_id"]) for row in listed] == [
        (row["query_id"], row["item_id"]) for row in rows if row["query_id"] in sent
    ]


def test_candidates_of_another_engine_are_a_file(shop, opened, forty, tmp_path):
    table = read_table(forty)
    candidates = opened.search(table, 4)
    write_table(candidates, tmp_path / "c.csv")
    found = match(shop / "model", forty, candidates=tmp_path / "c.csv", quiet=True)["matches"]
    expected = opened.match(table, candidates=candidates).to_pylist()
    assert [(r["item_id"], r["decision"]) for r in found] == [
        (r["item_id"], r["decision"]) for r in expected
    ]


def test_blocks_without_a_candidate_are_decided_as_the_whole(
    shop, opened, forty, tmp_path, monkeypatch
):
    table = read_table(forty)
    candidates = opened.search(table.slice(30, 1), 4)
    unknown = pa.table({"query_id": table["id"].slice(0, 1), "item_id": ["nothing"]})
    unknown = unknown.append_column("score", pa.array([1.0]))
    given = candidates.select(unknown.column_names)
    write_table(pa.concat_tables([unknown, given.cast(unknown.schema)]), tmp_path / "c.csv")
    expected = opened.match(table, candidates=candidates).to_pylist()
    monkeypatch.setattr(module, "BLOCK", 7)
    found = match(shop / "model", forty, candidates=tmp_path / "c.csv", quiet=True)["matches"]
    assert [(r["item_id"], r["decision"]) for r in found] == [
        (r["item_id"], r["decision"]) for r in expected
    ]
    assert sum(r["item_id"] is not None for r in found) == 1
    write_table(unknown, tmp_path / "none.csv")
    with pytest.raises(InputError, match="no candidate names both"):
        match(shop / "model", forty, candidates=tmp_path / "none.csv", quiet=True)


def test_no_rows_are_no_queries(shop, tmp_path):
    (tmp_path / "q.csv").write_text("id,title\n")
    with pytest.raises(InputError, match=r"q\.csv.*(no rows|no row)"):
        match(shop / "model", tmp_path / "q.csv", quiet=True)


# Recommending.


@pytest.fixture(scope="module")
def buyers(tmp_path_factory):
    """The folder of an artifact; not to be changed."""
    return trained_on_histories(tmp_path_factory) / "model"


def lists(folder, tmp_path, rows, **options):
    """What is counted, and the lists by user, best first."""
    lines = ["user_id,item_id,timestamp", *(f"{u},{i},{t}" for u, i, t in rows)]
    (tmp_path / "e.csv").write_text("\n".join(lines) + "\n")
    result = recommend(folder, tmp_path / "e.csv", quiet=True, **options)
    found = {}
    for row in result.pop("lists", ()):
        found.setdefault(row["user_id"], []).append(row)
    return result, found


def test_users_are_counted_and_unknown_items_passed_over(buyers, tmp_path):
    rows = [("a", "i0-0", 1), ("a", "zz", 2), ("b", "zz", 1), ("c", "yy", 1), ("c", "i1-1", 0)]
    result, found = lists(buyers, tmp_path, rows, top=2)
    assert (result["users"], result["without_history"]) == (3, 1)
    (finding,) = result["findings"]
    assert "3 events" in finding
    assert {user: len(own) for user, own in found.items()} == {"a": 2, "c": 2}
    result, found = lists(buyers, tmp_path, [("a", "i0-0", 1)], top=2)
    assert result == {"users": 1, "without_history": 0, "findings": []}


def test_lists_in_blocks_are_those_of_the_whole(buyers, tmp_path, monkeypatch):
    made = histories(23, seed=4)
    rows = [(f"u{n:02}", item, t) for n, items in enumerate(made) for t, item in enumerate(items)]
    rows += [("u99", "zz", 1)]
    _, whole = lists(buyers, tmp_path, rows, top=5, remove_history=True)
    assert len(whole) == 23
    monkeypatch.setattr(module, "BLOCK", 4)
    result, blocks = lists(buyers, tmp_path, rows, top=5, remove_history=True)
    assert result["without_history"] == 1
    assert list(blocks) == list(whole)
    for user, items in whole.items():
        for one, other in zip(items, blocks[user], strict=True):
            assert one["score"] == pytest.approx(other["score"], abs=1e-6)
            assert {**one, "score": 0} == {**other, "score": 0}


@pytest.mark.parametrize("name", ["l.csv", "l.parquet", "deeper/l.jsonl"])
def test_a_table_holds_what_would_be_returned(buyers, tmp_path, name):
    rows = [("a", "i0-0", 1), ("b", "zz", 1)]
    result, found = lists(buyers, tmp_path, rows, top=3)
    written, none = lists(buyers, tmp_path, rows, top=3, out=tmp_path / name)
    assert (written, none) == ({**result, "out": str(tmp_path / name)}, {})
    table = read_table(tmp_path / name)
    assert table.column_names == ["user_id", "item_id", "rank", "score", "item"]
    assert table["item_id"].to_pylist() == [row["item_id"] for row in found["a"]]
    assert [int(n) for n in table["rank"].to_pylist()] == [1, 2, 3]


def test_queries_are_listed_for_too(shop, opened, forty):
    found = recommend(shop / "model", queries=forty, top=3, quiet=True)
    assert (found["queries"], found["without_history"]) == (40, 0)
    expected = opened.recommend(queries=read_table(forty), k=3).to_pylist()
    assert [row["item_id"] for row in found["lists"]] == [row["item_id"] for row in expected]


# Another catalogue, and neighbours.


def test_another_catalogue_is_counted(model, tmp_path):
    found = index(model, quiet=True)
    assert found == {
        "artifact": str(model),
        "items": 300,
        "added": 0,
        "removed": 0,
        "calibrated": True,
    }
    table = Retriever.open(model).items
    more = pa.table({"id": ["n1", "n2"], "title": ["new one", "new two"]})
    write_table(pa.concat_tables([table.slice(5), more]), tmp_path / "items.csv")
    found = index(model, tmp_path / "items.csv", quiet=True)
    assert (found["items"], found["added"], found["removed"]) == (297, 2, 5)
    assert found["calibrated"] is False


def test_neighbours_by_one_model_or_two(shop, model, opened):
    found = nearest(shop / "model", ["i3", "i7"], top=2, beside=model)["items"]
    assert [item["id"] for item in found] == ["i3", "i7"]
    own = opened.nearest(["i3", "i7"], 2).to_pylist()
    for number, item in enumerate(found):
        assert item["item"] == opened.items["title"][int(item["id"][1:])].as_py()
        expected = [
            {"id": row["neighbour_id"], "item": row["neighbour"], "score": row["score"]}
            for row in own[2 * number : 2 * number + 2]
        ]
        assert item["nearest"] == {str(shop / "model"): expected, str(model): expected}


def test_neighbours_of_items_without_queries(buyers):
    (found,) = nearest(buyers, ["i2-0"], top=5)["items"]
    near = [row["id"] for row in found["nearest"][str(buyers)]]
    assert len(set(near) & {item for item in ITEMS if item.startswith("i2-")}) >= 4
