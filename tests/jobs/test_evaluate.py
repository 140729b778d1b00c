"""Evaluating: numbers and the report of any run, each report in a folder of its own."""

import json
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from oracles.retriever import FakeRetriever, part_of, policy_at
from thresher.data.relation import Relation
from thresher.decide.policy import NoThreshold
from thresher.errors import InputError
from thresher.jobs.evaluate import evaluate, report_folder

QUERIES = 120
TITLES = [f"Acme mug {100 + item}" for item in range(6)]


def shop(folder=None, **options):
    """120 queries of six items; the twenty of item 5 find item 4, ten of them surely."""
    rng = np.random.default_rng(0)
    true = np.arange(QUERIES) % 6
    scores = rng.uniform(0, 0.3, (QUERIES, 6))
    scores[np.arange(QUERIES), np.where(true == 5, 4, true)] = 0.9
    scores[(true == 5) & (np.arange(QUERIES) < 60), 4] = 0.4
    truth = Relation.from_pairs(np.arange(QUERIES), true, shape=(QUERIES, 6))
    shown = np.where(true == 5, 4, true)  # the words of the queries agree with what is proposed
    texts = [f"acme mug {100 + item} white" for item in shown]
    categories = ["cups" if row % 2 else "plates" for row in range(QUERIES)]
    part = part_of(truth, texts, categories=categories)
    given = {"policy": policy_at(0.5), "folder": folder}
    parts = {"test": part, "validation": part.take(np.arange(60)), "given": part}
    return FakeRetriever(scores, parts, TITLES, [9, 5, 2, 1, 1, 0], **(given | options))


DRAWN = (
    "test_numbers_and_the_report_are_of_one_measurement",
    "test_a_run_of_lists_shows_a_map_and_neighbours",
)


@pytest.fixture(autouse=True)
def quickly(request, monkeypatch):
    """Draws no figures, which take most of the time, where they are not needed."""
    if request.function.__name__ not in DRAWN:
        monkeypatch.setattr("thresher.report.page._svg", lambda *_: None)


def report_in(folder, name="report"):
    page = (folder / name / "report.html").read_text("utf-8")
    return page, json.loads((folder / name / "report.json").read_text("utf-8"))


def test_numbers_and_the_report_are_of_one_measurement(tmp_path):
    found = evaluate(shop(tmp_path))
    page, numbers = report_in(tmp_path)
    # 100 are right; of the 20 of item 5 ten are accepted and wrong
    assert found["P@1"] == pytest.approx(100 / 120)
    assert found["certified_coverage@precision=0.95"] == pytest.approx(110 / 120)
    assert found["certified_precision@precision=0.95"] == pytest.approx(100 / 110)
    assert numbers["metrics"]["P@1"] == found["P@1"]
    assert numbers["decision"]["test"] == {
        "name": "all",
        "queries": 120,
        "accepted": 110,
        "wrong": 10,
        "coverage": pytest.approx(110 / 120),
        "precision": pytest.approx(100 / 110),
        "interval": pytest.approx([0.8392, 0.9555], abs=1e-3),  # Clopper-Pearson, 100 of 110
    }
    assert found["report"] == str(tmp_path / "report" / "report.html")
    assert len(numbers["mistakes"]) == 10
    assert numbers["mistakes"][0]["proposed"] == {"id": "item-4", "text": "Acme mug 104"}
    assert numbers["mistakes"][0]["truth"] == {"id": "item-5", "text": "Acme mug 105"}
    assert all(case["suspect"] for case in numbers["mistakes"])
    assert len(numbers["reviewed"]) == 10
    # the bars are of the category, without being asked
    assert found["category=cups/queries"] == 60
    assert "What is automated by category" in page


def test_the_report_says_where_its_numbers_come_from(tmp_path):
    evaluate(shop(tmp_path), by="title")
    _, numbers = report_in(tmp_path)
    where = numbers["provenance"]
    assert where["command"] == f"thresher evaluate {tmp_path} --by title"
    assert where["seed"] == "data 0, training 3"
    assert where["bundled"] == "shop"
    assert where["objective"] == "softmax on query_item (weight 1)"
    assert where["date"].endswith("UTC")


def test_the_catalogue_is_thinned_in_the_report(tmp_path):
    evaluate(shop(tmp_path))
    _, numbers = report_in(tmp_path)
    assert list(numbers["open_catalogue"]) == ["0.1", "0.3"]
    some, more = numbers["open_catalogue"].values()
    # 10 % of six items is one of them, 30 % two: their queries have nothing right left
    assert some["queries"] == 120
    assert some["accepted"] < 110
    assert more["accepted"] < some["accepted"]


def test_another_evaluation_does_not_replace_the_report(tmp_path):
    evaluate(shop(tmp_path))
    before = report_in(tmp_path)
    files = {"queries": tmp_path / "new offers.csv", "pairs": tmp_path / "truth.csv"}
    for options, name in (
        ({"split": "validation"}, "report-validation"),
        ({"files": files}, "report-new_offers"),
        ({"remove_items": 0.3}, "report-without-30-percent"),
    ):
        found = evaluate(shop(tmp_path), **options)
        assert found["report"] == str(tmp_path / name / "report.html")
    assert report_in(tmp_path) == before
    page, numbers = report_in(tmp_path, "report-new_offers")
    assert "queries of new offers.csv, truth.csv" in page
    assert "kept apart" not in page
    assert f"--queries '{files['queries']}'" in numbers["provenance"]["command"]


def test_without_a_folder_or_a_wish_nothing_is_written(tmp_path):
    assert "report" not in evaluate(shop())
    assert "report" not in evaluate(shop(tmp_path), report=False)
    assert list(tmp_path.iterdir()) == []


def test_a_smaller_catalogue_counts_what_is_left(tmp_path):
    found = evaluate(shop(tmp_path), remove_items=0.5, report=False)
    assert found["items"] == 3
    assert found["queries_without_item"] == 60
    with pytest.raises(InputError, match=r"must lie in \[0, 1\), got 1"):
        evaluate(shop(), remove_items=1.0)


def test_another_catalogue_is_for_measuring_only(tmp_path):
    more = pa.table({"id": [f"item-{i}" for i in range(6)], "title": ["x"] * 6})
    pq.write_table(more, tmp_path / "items.parquet")
    own = shop(tmp_path)
    described = []
    own.tower.describe = described.append
    before = own.catalogue
    evaluate(own, files={"items": tmp_path / "items.parquet"})
    assert own.catalogue is before
    assert described == [own.items]
    _, numbers = report_in(tmp_path, "report-items")
    assert numbers["facts"]["items never in training"] == "6"


def test_a_model_below_tfidf_is_said_to_be(tmp_path):
    own = shop(tmp_path)
    own.reranked = np.zeros_like(own.reranked)  # proposes item 0 for everything
    found = evaluate(own)
    assert len(found["warnings"]) == 1
    assert "less than TF-IDF" in found["warnings"][0]
    page, _ = report_in(tmp_path)
    assert "less than TF-IDF" in page


def test_a_refusal_is_told_with_its_reason(tmp_path):
    none = NoThreshold(0.95, 0.9, 5, 1, 40, 5.0, 5)
    found = evaluate(shop(tmp_path, policy=none))
    page, numbers = report_in(tmp_path)
    assert found["certified_coverage@precision=0.95"] == 0
    assert "No threshold is certified at" in page
    assert not numbers["mistakes"]
    assert not numbers["open_catalogue"]


def test_a_run_of_lists_shows_a_map_and_neighbours(tmp_path):
    found = evaluate(shop(tmp_path, policy=None))
    page, numbers = report_in(tmp_path)
    assert "The first proposal is right for" in page
    assert numbers["decision"] is None
    assert len(numbers["item_map"][0]) == 6
    assert numbers["neighbours"][0][0]["id"] == "item-0"
    assert found["popularity/recall@1"] == pytest.approx(1 / 6)


def test_features_of_items_are_shown(tmp_path):
    own = shop(tmp_path)
    features = [SimpleNamespace(name=name, kind="category") for name in ("title", "brand")]
    own.tower.schema = SimpleNamespace(items=features)
    table = SimpleNamespace(bags={"title": None, "brand": None})
    own.tower.parts = lambda masked: SimpleNamespace(table=table, information=lambda: np.eye(2))
    evaluate(own)
    _, numbers = report_in(tmp_path)
    assert numbers["information"] == [["title", "brand"], [[1, 0], [0, 1]]]
    # each its own category; categories are compared without regard to case
    assert [label.casefold() for label in numbers["item_map"][1]] == [t.casefold() for t in TITLES]


def test_every_evaluation_has_a_folder_of_its_own(tmp_path):
    files = {
        "items": tmp_path / "a.csv",
        "queries": tmp_path / "b.csv",
        "pairs": tmp_path / "c.csv",
    }
    assert report_folder(tmp_path, {}, "test", 0.0) == tmp_path / "report"
    assert report_folder(tmp_path, files, "test", 0.1).name == "report-a-b-without-10-percent"
    assert report_folder(None, {}, "test", 0.0) is None
