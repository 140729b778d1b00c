"""One pass through a model: what is shown, what is accepted, and what stands beside it."""

from dataclasses import replace

import numpy as np
import pytest

from oracles.retriever import FakeRetriever, part_of, policy_at
from thresher import measure as module
from thresher.data.histories import Histories
from thresher.data.relation import Relation
from thresher.data.sequences import Sequences, bounds
from thresher.measure import measure

TITLES = ["red mug", "blue mug", "green kettle", "steel pan"]
TEXTS = ["a red mug", "mug blue", "kettle", "nothing like it"]
# Queries 0 to 2 are of item 0, 1 and 2; query 3 has no item.
TRUTH = Relation.from_pairs(np.arange(3), np.arange(3), shape=(4, 4))
# The tower has query 1 wrong; the re-ranker puts it right, and is unsure of the last.
SCORES = np.array(
    [[0.9, 0.5, 0.1, 0.0], [0.6, 0.5, 0.1, 0.0], [0.0, 0.1, 0.8, 0.2], [0.3, 0.2, 0.1, 0.4]]
)
RERANKED = np.array(
    [[0.9, 0.1, 0.0, 0.0], [0.2, 0.7, 0.1, 0.0], [0.0, 0.1, 0.6, 0.3], [0.3, 0.2, 0.1, 0.4]]
)


def model(**options):
    part = options.pop("part", part_of(TRUTH, TEXTS, categories=["a", "a", "b", "b"]))
    given = {"reranked": RERANKED, "policy": policy_at(0.65)}
    return FakeRetriever(SCORES, {"test": part}, TITLES, [5, 1, 0, 9], **(given | options))


def measured(own, **options):
    return measure(own, own.labelled("test"), **options)


def test_a_run_that_decides_is_measured_as_it_decides():
    found = measured(model()).numbers()
    assert found["P@1"] == 1.0  # over the three queries that have an item
    assert found["queries_without_item"] == 1
    # confidences .9, .7, .6, .4 against .65
    assert found["certified_coverage@precision=0.95"] == 0.5
    assert found["certified_precision@precision=0.95"] == 1.0
    # what the labels certify for other targets is there too
    assert "certified_coverage@precision=0.98" in found


def test_every_system_has_the_same_denominator():
    found = measured(model()).numbers()
    assert found["raw/P@1"] == found["margin/P@1"] == pytest.approx(2 / 3)
    assert found["tfidf/P@1"] == 1.0
    assert found["popularity/P@1"] == 0.0  # lists item 3 for everybody
    assert found["tfidf/queries"] == 4
    assert "raw/recall@2" in found
    assert "popularity/catalogue_coverage@1" in found
    assert not [name for name in found if name.count("/") > 1]


def test_a_run_that_lists_is_measured_as_it_lists():
    own = measured(model(policy=None))
    assert own.confidence is None
    found = own.numbers()
    assert found["P@1"] == pytest.approx(2 / 3)
    assert not [name for name in found if name.startswith(("certified", "raw", "margin"))]


@pytest.mark.parametrize(("scorer", "others"), [("score", {"margin"}), ("margin", {"raw"})])
def test_the_scorer_is_not_compared_with_itself(scorer, others):
    own = model()
    own.options.scorer = scorer
    assert set(measured(own).others) == others | {"popularity", "tfidf"}


def test_a_tower_of_tfidf_is_not_compared_with_itself():
    own = model()
    own.config.sections["tower"]["kind"] = "tfidf"
    assert "tfidf" not in measured(own).others


def test_ignored_items_are_found_by_nobody():
    part = replace(part_of(TRUTH, TEXTS), ignored=TRUTH)
    own = measured(model(part=part))
    found = own.numbers()
    for system in ("", "raw/", "tfidf/", "popularity/"):
        assert found[f"{system}recall@3"] == 0
        assert not own.correct(system.rstrip("/")).any()


def test_a_smaller_catalogue_leaves_queries_without_an_item():
    found = measured(model(), allow=np.array([True, False, True, True])).numbers()
    assert found["queries_without_item"] == 2
    assert found["P@1"] == 1.0
    # query 1 now has item 0 at .2
    assert found["certified_coverage@precision=0.95"] == 0.25


def test_values_of_a_column_have_their_own_name():
    found = measured(model(), by="category").numbers()
    assert (found["category=a/queries"], found["category=b/queries"]) == (2, 2)
    assert found["category=a/certified_coverage@precision=0.95"] == 1.0


def test_queries_go_through_in_blocks(monkeypatch):
    whole = measured(model())
    monkeypatch.setattr(module, "BLOCK", 3)
    cut = measured(model())
    assert cut.numbers() == whole.numbers()
    np.testing.assert_array_equal(cut.confidence, whole.confidence)


def test_a_model_below_a_baseline_is_said_to_be():
    good, poor = measured(model()), measured(model(policy=None))
    assert good.warnings(good.numbers()) == []
    (sentence,) = poor.warnings(poor.numbers())
    assert "finds less than TF-IDF: P@1 is 0.6667, and that of the baseline 1.0000" in sentence


def test_a_slow_baseline_is_compared_on_queries_drawn_from_all(monkeypatch):
    """In an ordered file the first queries are not like the rest."""
    texts = ["a red mug"] * 100 + ["nothing like it"] * 60 + ["absent"] * 40
    truth = Relation.from_pairs(np.arange(160), np.zeros(160, np.int64), shape=(200, 4))
    # the model finds what TF-IDF finds, and no more
    scores = np.repeat([[0.9, 0.5, 0.1, 0.0], [0.1, 0.5, 0.2, 0.0]], 100, axis=0)
    own = FakeRetriever(scores, {"test": part_of(truth, texts)}, TITLES, [0, 0, 0, 5])
    whole = measured(own).numbers()
    assert whole["P@1"] == whole["tfidf/P@1"] == 100 / 160
    assert whole["tfidf/queries_without_item"] == whole["queries_without_item"] == 40
    monkeypatch.setattr(module, "BASELINE_QUERIES", 80)
    test = measured(own)
    some = test.numbers()
    assert some["P@1"] == 100 / 160
    assert some["tfidf/queries"] == 80
    # 16 of 80 have no item, give or take 3 (four deviations of the draw are 11)
    assert 5 <= some["tfidf/queries_without_item"] <= 27
    assert 0.4 < some["tfidf/P@1"] < 0.85
    assert test.warnings(some) == []


def test_histories_are_compared_with_item_knn_and_repeats_count():
    # two test users: one had item 0 and takes 1 twice, the other had 2 and takes 3
    def sequences(lists):
        items = np.array([i for own in lists for i in own], dtype=np.int64)
        return Sequences(bounds(np.array([len(own) for own in lists], np.int64)), items)

    targets = sequences([[1, 1, 2], [3]])
    test = part_of(
        targets.relation(4),
        ["", ""],
        histories=Histories.of(sequences([[0], [2]])),
        targets=targets,
    )
    # the training users: 0 then 1, twice; 2 then 3. The first has two examples, of 1 and of 2
    train = replace(
        part_of(
            Relation.from_pairs(np.arange(4), np.array([1, 2, 1, 3]), shape=(4, 4)),
            [""] * 4,
            histories=Histories.of(sequences([[0], [0, 1], [0], [2]])),
        ),
        groups=np.array([0, 0, 1, 2]),
    )
    own = FakeRetriever(SCORES, {"test": test, "train": train}, TITLES, [2, 2, 1, 1])
    own.config.recommend = replace(own.config.recommend, count_repeats=True)
    found = measured(own)
    numbers = found.numbers()
    assert numbers["targets"] == 4
    # the first user finds 1, twice of three events; the second none of 3
    assert numbers["recall@2"] == pytest.approx((2 / 3 + 0) / 2)
    knn = found.others["item_knn"][0].rows
    assert knn[0, 0] == 1  # beside 0 in both
    assert set(knn[1, :2].tolist()) >= {3}


def test_what_is_removed_is_not_listed():
    def one(item):
        return Histories.of(Sequences(np.array([0, 1]), np.array([item])))

    truth = Relation.from_pairs(np.array([0]), np.array([1]), shape=(1, 4))
    parts = {"test": part_of(truth, ["mug"], histories=one(0))}
    parts["train"] = replace(part_of(truth, ["mug"], histories=one(0)), groups=np.array([0]))
    own = FakeRetriever(SCORES, parts, TITLES, [2, 2, 1, 1])
    own.config.recommend = replace(own.config.recommend, remove_history=True)
    found = measured(own)
    assert 0 not in found.hits.rows
    assert all(0 not in hits.rows for hits, _ in found.others.values())
