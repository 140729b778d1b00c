"""Cases and verdicts as files: out to a spreadsheet or Label Studio, and back."""

import json

import pyarrow as pa
import pytest

from thresher.data.tables import read_table, write_table
from thresher.decide.costs import Prices
from thresher.errors import InputError
from thresher.jobs.costs import costs_of, costs_of_traffic
from thresher.jobs.review_files import export, read_in
from thresher.review import Decided, Store

PRICES = Prices(minutes_per_review=3.0, wage=20.0, cost_per_error=12.0)


def decided(name, **given):
    usual = {
        "at": 0.0,
        "query_id": name,
        "query": {"title": f"=offer {name}", "price": 9.5},
        "item_id": "a",
        "confidence": 0.5,
        "decision": "review",
        "candidates": [{"item_id": "a", "item": "<b>Red</b> mug"}, {"item_id": "b", "item": None}],
    }
    return Decided(**(usual | given))


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "reviews.db"
    with Store.open(f"sqlite:///{path}") as store:
        store.log([decided("1"), decided("2"), decided("3")])
    return path


def filled(database, path, verdicts):
    """The exported cases with these verdicts and items filled in."""
    export(database, path)
    table = read_table(path)
    for name, values in zip(("verdict", "item_id"), zip(*verdicts, strict=True), strict=True):
        at = table.column_names.index(name)
        table = table.set_column(at, name, pa.array(values, pa.string()))
    write_table(table, path)
    return path


def test_cases_go_out_without_scores_and_formulas(database, tmp_path):
    assert export(database, tmp_path / "cases.csv")["cases"] == 3
    rows = read_table(tmp_path / "cases.csv").to_pylist()
    assert rows[0]["query.title"] == "'=offer 1"
    assert rows[0]["query.price"] in ("9.5", 9.5)
    assert rows[0]["candidates"] == "a: <b>Red</b> mug; b: "
    assert not [name for name in rows[0] if "score" in name or "confidence" in name]


def test_verdicts_come_back_and_only_once(database, tmp_path):
    path = filled(database, tmp_path / "c.csv", [("item", "b"), ("none", ""), ("", "")])
    found = read_in(database, path, reviewer="ann")
    assert found == {"verdicts": 2, "already_done": 0, "without_verdict": 1}
    with Store.open(f"sqlite:///{database}") as store:
        kept = [(one.query_id, said.kind, said.item_id) for one, said in store.judged()]
        assert kept == [("1", "item", "b"), ("2", "none", None)]
        assert len(store.cases()) == 1
        before = len(store.verdicts())
    read_in(database, path, reviewer="ann")
    assert read_in(database, path, reviewer="bob")["already_done"] == 2
    with Store.open(f"sqlite:///{database}") as store:
        assert len(store.verdicts()) == before
    assert export(database, tmp_path / "v.csv", verdicts=True)["verdicts"] == 2
    rows = read_table(tmp_path / "v.csv").to_pylist()
    assert [(row["kind"], row["reviewer"], row["source"]) for row in rows] == [
        ("item", "ann", "person"),
        ("none", "ann", "person"),
    ]


def test_label_studio_there_and_back(database, tmp_path):
    path = tmp_path / "tasks.json"
    export(database, path)
    tasks = json.loads(path.read_text("utf-8"))
    options = tasks[0]["data"]["options"]
    assert options[0] == {"value": "item a", "html": "&lt;b&gt;Red&lt;/b&gt; mug"}
    assert [one["value"] for one in options] == ["item a", "item b", "none", "not_sure"]
    said = [{"completed_by": 7, "result": [{"value": {"choices": ["item b"]}}]}]
    tasks[0]["annotations"] = said
    tasks[1]["annotations"] = [
        {"completed_by": {"email": "ann@x"}, "result": [{"value": {"choices": ["none"]}}]}
    ]
    path.write_text(json.dumps(tasks), "utf-8")
    assert read_in(database, path)["verdicts"] == 2
    with Store.open(f"sqlite:///{database}") as store:
        kept = [(v.kind, v.item_id, v.reviewer) for _, v in store.judged()]
    assert kept == [("item", "b", "7"), ("none", None, "ann@x")]


def test_a_rule_closes_nothing(database, tmp_path):
    path = filled(database, tmp_path / "c.csv", [("item", "a")] * 3)
    read_in(database, path, reviewer="same text", source="rule")
    with Store.open(f"sqlite:///{database}") as store:
        assert len(store.cases()) == 3
        assert {said.source for _, said in store.judged()} == {"rule"}


@pytest.mark.parametrize(
    ("verdict", "words"),
    [(("right", "a"), "the verdict on case .* is 'right'"), (("item", ""), "without `item_id`")],
)
def test_a_row_that_is_no_verdict_keeps_nothing(database, tmp_path, verdict, words):
    path = filled(database, tmp_path / "c.csv", [("none", ""), verdict, ("", "")])
    with pytest.raises(InputError, match=words):
        read_in(database, path, reviewer="ann")
    with Store.open(f"sqlite:///{database}") as store:
        assert store.verdicts() == []


def test_an_unknown_case_keeps_nothing(database, tmp_path):
    path = filled(database, tmp_path / "c.csv", [("none", "")] * 3)
    *lines, last = path.read_text("utf-8").splitlines()
    path.write_text("\n".join([*lines, "zzz" + last[last.index(",") :]]), "utf-8")
    with pytest.raises(InputError, match="zzz"):
        read_in(database, path, reviewer="ann")
    with Store.open(f"sqlite:///{database}") as store:
        assert store.verdicts() == []


def test_files_that_are_none(database, tmp_path):
    path = filled(database, tmp_path / "c.csv", [("none", "")] * 3)
    with pytest.raises(InputError, match="give --reviewer"):
        read_in(database, path)
    (tmp_path / "x.json").write_text('{"a": 1}', "utf-8")
    with pytest.raises(InputError, match="Label Studio"):
        read_in(database, tmp_path / "x.json")
    with pytest.raises(InputError, match="no verdicts to export"):
        export(database, tmp_path / "v.csv", verdicts=True)


# Costs of the traffic.


def test_costs_weigh_audits_by_their_probability(tmp_path):
    with Store.open(f"sqlite:///{tmp_path / 'r.db'}") as store:
        accepted = {"decision": "accept", "audit_probability": 0.1, "confidence": 0.9}
        store.log([decided(f"a{n}", audited=True, **accepted) for n in range(2)])
        store.log([decided("r1"), decided("r2"), decided("open")])
        cases = store.cases()
        for case, kind in zip(cases[:4], ("item", "none", "item", "none"), strict=True):
            item = "a" if kind == "item" else None
            store.verdict(case.id, reviewer="ann", kind=kind, item_id=item)
        found = costs_of_traffic(store, PRICES)
        # Audits stand for 10 each, reviews for 3 / 2: 20 accepted of 23, half of them wrong.
        assert found.answers == 4
        assert found.at(0.8).accepted == 0
        half = costs_of(tmp_path / "r.db", PRICES)
        assert half["recommended"] == 0.99
        one = store.judged()[1]
        assert one[1].kind == "none"


def test_costs_of_reviews_alone_are_refused_where_answers_were_accepted(database):
    with Store.open(f"sqlite:///{database}") as store:
        with pytest.raises(InputError, match="0 verdicts of people"):
            costs_of_traffic(store, PRICES)
        store.verdict(store.cases()[0].id, reviewer="ann", kind="none")
        assert costs_of_traffic(store, PRICES).at(0.9).reviews == 1000
        store.log([decided("4", decision="accept", audit_probability=0.0)])
        with pytest.raises(InputError, match="0 of them on audits"):
            costs_of_traffic(store, PRICES)
