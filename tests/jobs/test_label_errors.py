"""Suspected labels of a trained shop: planted ones are listed, with ids."""

from dataclasses import replace

import numpy as np
import pytest

from thresher.data.relation import Relation
from thresher.data.tables import read_table
from thresher.errors import InputError
from thresher.jobs.label_errors import label_errors, suspected_labels
from thresher.jobs.review_files import export
from thresher.retriever import Retriever
from thresher.review import Store


@pytest.fixture
def model(shop):
    return Retriever.open(shop / "model")


def planted(model, split, count):
    """Gives labels of the split to the item that the model finds second; the ids of the queries."""
    part = model.labelled(split)
    found = model.propose(part.queries)
    sure = np.flatnonzero(
        part.truth.correct(found.hits.rows[:, :1])[:, 0] & (found.confidence > 0.8)
    )
    wrong = sure[:: len(sure) // count][:count]
    pairs = part.truth.pairs()
    pairs[np.isin(pairs[:, 0], wrong), 1] = found.hits.rows[wrong, 1]
    truth = Relation.from_pairs(*pairs.T, shape=part.truth.shape)
    model.data.parts[split] = type(part)(part.queries, truth, part.ignored)
    return [part.queries.ids[int(row)].as_py() for row in wrong]


def test_planted_labels_are_found_and_named(model, tmp_path):
    before, labels = suspected_labels(model, quiet=True)
    assert labels == sum(len(model.data.part(s)) for s in ("validation", "calibration", "test"))
    ids = {s: planted(model, s, n) for s, n in (("test", 8), ("validation", 3))}
    out = tmp_path / "suspects.csv"
    found = label_errors(model, out, quiet=True)
    rows = read_table(out).to_pylist()
    assert found["suspected"] == len(rows) > len(before)
    listed = {row["query_id"]: row for row in rows}
    assert set(ids["test"]) | set(ids["validation"]) <= set(listed)
    row = listed[ids["test"][0]]
    assert row["split"] == "test"
    assert row["item_id"] != row["proposed_id"]
    assert float(row["proposed_confidence"]) > 0.8 > 0.2 > float(row["confidence"])
    margins = [float(r["confidence"]) - float(r["proposed_confidence"]) for r in rows]
    assert margins == sorted(margins)
    assert f"{len(rows):,} of {labels:,} labels outside training look wrong" in found["lines"][0]


def test_queries_that_fitted_the_reranker_are_judged_out_of_fold(model):
    """What the re-ranker says of a query that it was fitted on does not count."""
    outcomes = model.decision.outcomes
    fitted = np.flatnonzero(outcomes.selection)
    sure_and_wrong = fitted[:5]
    confidence, correct = outcomes.confidence.copy(), outcomes.correct.copy()
    confidence[sure_and_wrong], correct[sure_and_wrong] = 0.999, False
    folds = replace(outcomes, confidence=confidence, correct=correct)
    model.decision = replace(model.decision, outcomes=folds)
    table, _ = suspected_labels(model, quiet=True)
    listed = table["query_id"].to_pylist()
    assert {outcomes.ids[row] for row in sure_and_wrong} <= set(listed[:10])
    # those that it was not fitted on are judged by itself
    free = ~outcomes.selection
    correct[free], confidence[free] = False, 0.999
    assert suspected_labels(model, quiet=True)[0].equals(table)


def test_a_query_without_an_item_is_doubted_when_the_model_is_sure_of_one(model):
    part = model.labelled("test")
    found = model.propose(part.queries)
    row = int(np.argmax(found.confidence))
    kept = part.truth.pairs()[part.truth.pairs()[:, 0] != row]
    truth = Relation.from_pairs(*kept.T, shape=part.truth.shape)
    model.data.parts["test"] = type(part)(part.queries, truth, part.ignored)
    answer = label_errors(model, quiet=True)
    by = {one["query_id"]: one for one in answer["suspects"]}
    case = by[part.queries.ids[row].as_py()]
    assert (case["item_id"], case["item"]) == (None, None)
    assert case["proposed_id"] == model.items["id"][int(found.hits.rows[row, 0])].as_py()
    assert any(line.endswith("no item") for line in answer["lines"])


def test_a_model_without_probabilities_is_refused(model):
    model.decision = None
    with pytest.raises(InputError, match=r"run `thresher calibrate` with --scorer reranker first"):
        label_errors(model, quiet=True)


def test_suspects_become_cases_once(model, tmp_path):
    database = tmp_path / "reviews.db"
    with pytest.raises(InputError, match="no review database"):
        label_errors(model, reviews=database, quiet=True)
    Store.open(f"sqlite:///{database}").close()
    wrong = planted(model, "test", 8)
    found = label_errors(model, reviews=database, quiet=True)
    assert found["opened"] == found["suspected"] >= len(wrong)
    suspects = {row["query_id"]: row for row in found["suspects"]}
    queries = model.labelled("test").queries
    with Store.open(f"sqlite:///{database}") as store:
        cases = {case.decision.query_id: case for case in store.cases("label")}
        assert cases.keys() == suspects.keys()
        case = cases[wrong[0]]
        assert case.label == suspects[wrong[0]]["item_id"]
        assert case.decision.candidates[0]["item_id"] == suspects[wrong[0]]["proposed_id"]
        own = queries.aligned().to_pylist()[queries.ids.to_pylist().index(wrong[0])]
        assert case.decision.query == {k: v for k, v in own.items() if k not in ("id", "split")}
        store.verdict(case.id, reviewer="ann", kind="label_wrong")
    assert label_errors(model, reviews=database, quiet=True)["opened"] == 0
    export(database, tmp_path / "verdicts.csv", verdicts=True)
    (row,) = read_table(tmp_path / "verdicts.csv").to_pylist()
    assert (row["query_id"], row["label"]) == (wrong[0], case.label)
