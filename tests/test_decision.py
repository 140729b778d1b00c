"""From labelled queries to a decision."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from oracles.tables import dataset, queries_of
from thresher.catalogue import Catalogue
from thresher.config import read
from thresher.data.parts import Part
from thresher.data.relation import Relation
from thresher.decide.known import KnownTexts
from thresher.decide.options import DecideOptions
from thresher.decide.policy import KNOWN_TEXT, NoThreshold, Policy
from thresher.decision import Decision, check_labels, confidence_of, fit_decision, read_policy
from thresher.errors import InputError
from thresher.files import write_json
from thresher.measure import measure
from thresher.rerank import Reranker
from thresher.retriever import Retriever
from thresher.towers import FeatureOptions, build_tower

OPTIONS = DecideOptions(target=0.8, confidence_level=0.9)
SCORERS = ("reranker", "margin", "score")


def shop(items: int) -> Retriever:
    names = [f"maker{i % 7} AB{100 + i} kettle" for i in range(items)]
    aliases = {"title": [f"kettle ab{100 + i}" for i in range(items)]}
    table = {"id": [f"i{i}" for i in range(items)], "title": names}
    data = dataset(table, aliases, [(i, i) for i in range(items)], text=True)
    settings = {"kind": "tfidf", "bits": 12}
    tower = build_tower(**settings)
    tower.fit(data, FeatureOptions())
    run = read({"tower": settings})
    return Retriever(run, tower, Catalogue.build(data, tower, run, None))


def asked(items: int, count: int, *, seed: int = 0) -> Part:
    """Codes of items, every tenth cut short so that several items fit; texts repeat."""
    rng = np.random.default_rng(seed)
    of = rng.integers(0, items, count)
    texts = [
        f"new kettle {n % 97} " + ("ab1" if n % 10 == 0 else f"ab{100 + i}")
        for n, i in enumerate(of)
    ]
    queries = queries_of({"title": texts, "shop": ["north" if n % 2 else "south" for n in of]})
    truth = Relation.from_pairs(np.arange(count), of, shape=(count, items))
    return Part(queries, truth, Relation.none((count, items)))


def texts_of(part):
    return part.queries.text(("title",))


@pytest.fixture(scope="module")
def small():
    return shop(3)


@pytest.fixture(scope="module")
def model():
    return shop(40)


@pytest.mark.parametrize("items", [3, 40])
def test_what_is_certified_holds_on_fresh_queries(small, model, items):
    own = {3: small, 40: model}[items]
    decision = fit_decision(own, asked(items, 800), OPTIONS)
    assert isinstance(decision.policy, Policy)
    assert isinstance(decision.reranker, Reranker)
    deciding = Retriever(own.config, own.tower, own.catalogue, decision=decision)
    fresh = asked(items, 400, seed=1)
    found = deciding.propose(fresh.queries)
    right = fresh.truth.correct(found.hits.rows)[:, 0]
    accepted = decision.policy.decide(found.confidence)
    assert right[accepted].mean() > 0.8
    assert accepted.mean() > 0.5


def test_equal_texts_lie_in_one_part(small):
    part = asked(3, 600)
    outcomes = fit_decision(small, part, OPTIONS).outcomes
    sides = [
        {text for text, own in zip(texts_of(part), outcomes.selection, strict=True) if own == side}
        for side in (True, False)
    ]
    assert all(sides)
    assert not sides[0] & sides[1]
    of_text = dict(zip(texts_of(part), outcomes.clusters, strict=True))
    assert [of_text[text] for text in texts_of(part)] == outcomes.clusters.tolist()
    assert len(set(of_text.values())) == len(of_text)


def test_the_certifying_part_leaves_no_trace_in_the_confidence(model):
    part = asked(40, 600)
    first = fit_decision(model, part, OPTIONS)
    rest = ~first.outcomes.selection
    pairs = part.truth.pairs()
    pairs[:, 1] = np.where(rest[pairs[:, 0]], (pairs[:, 1] + 1) % 40, pairs[:, 1])
    wrong = Relation.from_pairs(pairs[:, 0], pairs[:, 1], shape=part.truth.shape)
    other = fit_decision(model, replace(part, truth=wrong), OPTIONS)
    np.testing.assert_array_equal(first.outcomes.confidence, other.outcomes.confidence)
    assert isinstance(other.policy, NoThreshold)


@pytest.mark.parametrize("scorer", ["margin", "score"])
def test_scorers_without_a_fit(model, scorer):
    part = asked(40, 400)
    decision = fit_decision(model, part, replace(OPTIONS, scorer=scorer, target=0.5))
    assert decision.reranker is None
    assert isinstance(decision.policy, Policy)
    _, hits = model.hits(part.queries, 20)
    best = hits.scores[:, 0] - (hits.scores[:, 1] if scorer == "margin" else 0)
    assert decision.outcomes.confidence == pytest.approx(best, abs=1e-6)
    assert decision.outcomes.correct.tolist() == part.truth.correct(hits.rows)[:, 0].tolist()


def test_confidences_by_hand():
    scores = np.array([[0.9, 0.5, 0.1], [0.3, -np.inf, -np.inf]], np.float32)
    assert confidence_of("score", scores) == pytest.approx([0.9, 0.3])
    assert confidence_of("margin", scores)[0] == pytest.approx(0.4)


@pytest.mark.parametrize("scorer", SCORERS)
def test_ignored_items_are_never_proposed(model, scorer):
    options, part = replace(OPTIONS, scorer=scorer), asked(40, 400)
    # Of every other query its own item is ignored, of the rest all but the third and their own.
    queries, items = np.divmod(np.arange(400 * 40), 40)
    own = part.truth.contains(queries, items)
    gone = np.where(queries % 2 == 0, own, ~own & (items != 3))
    ignored = Relation.from_pairs(queries[gone], items[gone], shape=(400, 40))
    outcomes = fit_decision(model, replace(part, ignored=ignored), options).outcomes
    assert not outcomes.correct[::2].any()
    assert outcomes.correct[1::2].mean() > 0.9
    _, hits = model.hits(part.queries, 40, ignored=ignored)
    left = (hits.rows >= 0).sum(axis=1)
    assert set(left[::2]) == {39}
    assert set(left[1::2]) <= {1, 2}


@pytest.mark.parametrize("scorer", SCORERS)
def test_absent_products_are_hidden_and_accepting_their_queries_is_an_error(model, scorer):
    part, options = asked(40, 600), replace(OPTIONS, scorer=scorer, absent=0.25)
    decision = fit_decision(model, part, options)
    outcomes = decision.outcomes
    assert outcomes.absent.mean() == pytest.approx(0.25, abs=0.02)
    assert not outcomes.correct[outcomes.absent].any()
    plain = fit_decision(model, part, replace(options, absent=0.0)).outcomes
    assert plain.absent is None
    assert plain.correct[outcomes.absent].mean() > 0.8
    # each text is hidden as a whole
    hidden = set(np.array(texts_of(part))[outcomes.absent])
    assert [text in hidden for text in texts_of(part)] == outcomes.absent.tolist()
    certifying = outcomes.absent[~outcomes.selection].mean()
    assert decision.policy.absent == pytest.approx(certifying, abs=1e-4)


def test_queries_without_an_item_are_absent_too(model):
    part = asked(40, 600)
    pairs = part.truth.pairs()[::2]
    truth = Relation.from_pairs(pairs[:, 0], pairs[:, 1], shape=part.truth.shape)
    outcomes = fit_decision(model, replace(part, truth=truth), OPTIONS).outcomes
    assert outcomes.absent.tolist() == [n % 2 == 1 for n in range(600)]
    assert not outcomes.correct[1::2].any()


def test_a_threshold_for_each_segment(model):
    decision = fit_decision(model, asked(40, 1200), replace(OPTIONS, by="shop", target=0.6))
    assert decision.policy.by == "shop"
    assert set(decision.outcomes.segments) == {"north", "south"}
    found = decision.summary()
    assert (found["certified"], found["by"]) == (True, "shop")
    assert "precision of at least 0.6" in found["sentence"] or found["segments"]


def test_labels_are_checked_before_anything_is_fitted(model):
    with pytest.raises(InputError, match=r"at least 100 labelled queries, .* got 99; label more"):
        fit_decision(model, asked(40, 99), OPTIONS)
    with pytest.raises(InputError, match="no column 'maker'"):
        check_labels(asked(40, 100), replace(OPTIONS, by="maker"))
    check_labels(asked(40, 100), OPTIONS)


def test_labels_of_few_distinct_texts_are_refused(small):
    part = asked(3, 600).take(np.arange(59).repeat(4))
    with pytest.raises(InputError, match=r"236 .* have 59 distinct texts.*60 distinct"):
        fit_decision(small, part, OPTIONS)
    fit_decision(small, asked(3, 600).take(np.arange(60).repeat(4)), OPTIONS)


# Texts that training knew.


def knowing(model, texts, **more):
    """The same model, which learnt from these texts."""
    own = Retriever(model.config, model.tower, model.catalogue, **more)
    own.known_texts = KnownTexts.of(texts)
    return own


@pytest.mark.parametrize("scorer", SCORERS)
def test_texts_that_training_knew_are_certified_apart_or_reviewed(model, scorer):
    part, options = asked(40, 1_200), replace(OPTIONS, scorer=scorer)
    texts = texts_of(part)
    none = fit_decision(knowing(model, ["else"]), part, options)
    assert not none.outcomes.known.any()
    assert none.policy.segments[KNOWN_TEXT].accept_at is None
    half = knowing(model, [text.upper() for text in texts[:600]])
    own = fit_decision(half, part, options)
    learnt = set(texts[:600])
    assert own.outcomes.known.tolist() == [text in learnt for text in texts]
    assert own.policy.segments[KNOWN_TEXT].labelled > 0
    # what is decided follows
    deciding = knowing(model, texts[:600], decision=none)
    found = deciding.match(pa.table({"title": texts}))
    decided = np.array(found["decision"].to_pylist())
    sure = found["confidence"].to_numpy() >= none.policy.accept_at
    known = np.array([text in learnt for text in texts])
    assert decided.tolist() == np.where(sure & ~known, "accept", "review").tolist()
    assert (sure & known).any()
    measured = measure(deciding, part, compare=False, quiet=True)
    taken = measured.accepted[none.policy.target_precision]
    assert taken.tolist() == (sure & ~known).tolist()


def test_without_texts_none_is_known(model):
    assert model.known(asked(40, 10).queries) is None
    assert fit_decision(model, asked(40, 400), OPTIONS).outcomes.known is None


# How often labels were used, and several targets.


def test_labels_that_are_used_again_count_up(model):
    part, margin = asked(40, 400), replace(OPTIONS, scorer="margin")
    own = Retriever(model.config, model.tower, model.catalogue)
    own.decision = fit_decision(own, part, margin)
    assert own.policy.label_uses == 1
    own.decision = fit_decision(own, part, margin)  # the same answer promises nothing more
    assert own.policy.label_uses == 1
    own.decision = fit_decision(own, part.take(np.arange(10, 400)), replace(margin, target=0.7))
    assert own.policy.label_uses == 2
    assert "labels were used 2 times" in own.policy.sentence()
    own.decision = fit_decision(own, part, replace(margin, target=0.9999))
    assert (type(own.policy), own.policy.label_uses) == (NoThreshold, 3)
    fresh = asked(40, 400, seed=1)
    ids = pa.array([f"fresh {n}" for n in range(400)])
    fresh = replace(fresh, queries=replace(fresh.queries, ids=ids))
    own.decision = fit_decision(own, fresh, margin)
    assert own.policy.label_uses == 1
    own.decision = fit_decision(own, part, margin)  # others in between change nothing
    assert own.policy.label_uses == 4


def test_several_targets_hold_together_and_the_first_decides(model):
    part, options = asked(40, 800), replace(OPTIONS, scorer="margin")
    own = fit_decision(model, part, options, [0.6, 0.9999])
    alone = {
        target: fit_decision(
            model, part, replace(options, target=target, confidence_level=1 - 0.1 / 3)
        ).policy
        for target in (0.8, 0.6, 0.9999)
    }
    assert list(own.answers()) == [0.8, 0.6, 0.9999]
    for target, answer in own.answers().items():
        assert answer.confidence_level == pytest.approx(1 - 0.1 / 3)
        assert getattr(answer, "accept_at", None) == getattr(alone[target], "accept_at", None)
    assert own.policy == own.answers()[0.8]
    found = own.summary()
    assert [one["certified"] for one in found["answers"]] == [True, True, False]
    assert {k: v for k, v in found.items() if k != "answers"} == found["answers"][0]
    assert "answers" not in fit_decision(model, part, options).summary()


# What is kept.


@pytest.mark.parametrize("scorer", SCORERS)
def test_a_decision_is_saved_and_loaded(model, tmp_path, scorer):
    options = replace(OPTIONS, scorer=scorer, by="shop")
    made = fit_decision(model, asked(40, 400), options).bound("model and index")
    assert made.policy.fitted_on == "model and index"
    made.save(tmp_path)
    again = Decision.load(tmp_path, fitted_on="model and index")
    assert (again.options, again.policy) == (made.options, made.policy)
    assert again.used == made.used == dict.fromkeys(made.outcomes.ids, 1)
    assert again.outcomes.ids == made.outcomes.ids
    one, other = (
        d.outcomes.certify(target=0.7, confidence_level=0.9, by="shop") for d in (made, again)
    )
    assert one == other
    assert (again.reranker is None) == (scorer != "reranker")
    if again.reranker is not None:
        assert again.reranker.weights.tolist() == made.reranker.weights.tolist()


def test_no_threshold_is_a_decision_too(model, tmp_path):
    made = fit_decision(model, asked(40, 200), replace(OPTIONS, target=0.999)).bound("x")
    assert isinstance(made.policy, NoThreshold)
    summary = made.summary()
    assert (summary["certified"], summary["coverage"]) == (False, 0.0)
    assert summary["sentence"].startswith("No threshold reaches a precision of 0.999")
    made.save(tmp_path)
    assert Decision.load(tmp_path, fitted_on="x").policy == made.policy
    (tmp_path / "no_threshold.json").write_text('{"target": 1}')
    with pytest.raises(InputError, match=r"no_threshold\.json cannot be read .*; calibrate again"):
        read_policy(tmp_path, fitted_on="x")


def test_a_decision_of_something_else_or_damaged_is_refused(model, tmp_path):
    made = fit_decision(model, asked(40, 400), OPTIONS).bound("one")
    made.save(tmp_path)
    assert made.summary()["certified"]
    with pytest.raises(InputError, match=r"was fitted on 'one' and the model and .* 'two'"):
        Decision.load(tmp_path, fitted_on="two")
    for content in ([], {"scorers": "margin"}, {"scorer": 3}):
        write_json(tmp_path / "settings.json", content)
        with pytest.raises(InputError):
            Decision.load(tmp_path, fitted_on="one")
    (tmp_path / "settings.json").unlink()
    with pytest.raises(InputError, match=r"settings\.json.* is missing; calibrate again"):
        Decision.load(tmp_path, fitted_on="one")


def test_queries_without_a_text_are_told_apart_by_their_ids():
    items = {"id": [f"i{n}" for n in range(20)], "brand": [f"b{n}" for n in range(20)]}
    rng = np.random.default_rng(0)
    true = rng.integers(0, 20, 300)
    data = dataset(items, {"brand": [f"b{n}" for n in range(20)]}, [(n, n) for n in range(20)])
    settings = {"kind": "features", "combine": "sum", "dim": 16}
    tower = build_tower(**settings)
    tower.fit(data, FeatureOptions())
    run = read({"tower": settings})
    own = Retriever(run, tower, Catalogue.build(data, tower, run, None))
    queries = queries_of(pa.table({"brand": [f"b{n}" for n in true]}))
    truth = Relation.from_pairs(np.arange(300), true, shape=(300, 20))
    part = Part(queries, truth, Relation.none(truth.shape))
    decision = fit_decision(own, part, replace(OPTIONS, scorer="margin"))
    assert len(set(decision.outcomes.clusters.tolist())) == 300
    assert isinstance(decision.policy, Policy)


@pytest.fixture(scope="module")
def learned(model):
    """The same model, whose re-ranker learns from training queries."""
    examples = model.examples_of(asked(40, 250, seed=5), OPTIONS)
    return Retriever(model.config, model.tower, model.catalogue, examples=examples)


def test_few_labels_all_certify_and_training_queries_choose(learned):
    part = asked(40, 200)
    decision = fit_decision(learned, part, OPTIONS)
    own = [name is not None for name in decision.outcomes.ids]
    assert sum(own) == 200
    np.testing.assert_array_equal(decision.outcomes.selection, ~np.array(own))
    assert isinstance(decision.policy, Policy)
    assert decision.policy.labelled == 200
    # The threshold is a confidence of a training query: no label is on the way to it.
    assert decision.policy.accept_at in decision.outcomes.confidence[~np.array(own)]
    again = fit_decision(learned, part, replace(OPTIONS, seed=1))
    assert again.policy == decision.policy


def test_labels_leave_no_trace_in_the_order(learned):
    part = asked(40, 200)
    pairs = part.truth.pairs()
    wrong = Relation.from_pairs(pairs[:, 0], (pairs[:, 1] + 1) % 40, shape=part.truth.shape)
    first, other = (
        fit_decision(learned, one, OPTIONS).outcomes for one in (part, replace(part, truth=wrong))
    )
    np.testing.assert_array_equal(first.confidence, other.confidence)
    np.testing.assert_array_equal(first.correct[200:], other.correct[200:])
    assert not other.correct[:200].all()


@pytest.mark.parametrize("how", ["segments", "share", "no item", "many"])
def test_labels_choose_where_training_queries_cannot(learned, how, monkeypatch):
    part, options = asked(40, 200), OPTIONS
    if how == "segments":
        options = replace(options, by="shop")
    if how == "share":
        options = replace(options, selection_share=0.4)
    if how == "no item":
        pairs = part.truth.pairs()[20:]
        part = replace(part, truth=Relation.from_pairs(*pairs.T, shape=part.truth.shape))
    if how == "many":
        monkeypatch.setattr("thresher.decision.FEW", 200)
    outcomes = fit_decision(learned, part, options).outcomes
    assert len(outcomes.ids) == 200
    assert 0 < outcomes.selection.sum() < 100


def test_labels_are_judged_some_at_a_time(learned, monkeypatch):
    whole = fit_decision(learned, asked(40, 200), OPTIONS).outcomes
    monkeypatch.setattr("thresher.decision.BLOCK", 64)
    blocks = fit_decision(learned, asked(40, 200), OPTIONS).outcomes
    np.testing.assert_allclose(blocks.confidence, whole.confidence, rtol=1e-6)
    assert blocks.correct.tolist() == whole.correct.tolist()


def test_what_was_learnt_of_training_queries_is_not_learnt_again(learned, model, monkeypatch):
    monkeypatch.setattr("thresher.decision.FEW", 0)
    first = fit_decision(learned, asked(40, 200), OPTIONS)
    again = Retriever(
        model.config, model.tower, model.catalogue, decision=first, examples=learned.examples
    )
    tighter = fit_decision(again, asked(40, 200), replace(OPTIONS, target=0.9))
    assert tighter.reranker is first.reranker
    with_absent = fit_decision(again, asked(40, 200), replace(OPTIONS, absent=0.2))
    assert with_absent.reranker is not first.reranker
    assert (first.reranker.absent, with_absent.reranker.absent) == pytest.approx((0.0, 0.2))


def test_labels_are_used_again_and_training_queries_are_none(learned, model):
    first = fit_decision(learned, asked(40, 200), OPTIONS)
    deciding = Retriever(
        model.config, model.tower, model.catalogue, decision=first, examples=learned.examples
    )
    new = asked(40, 200, seed=9)
    names = [f"new{n}" for n in range(200)]
    renamed = replace(new.queries, ids=pa.array(names))
    strict = replace(OPTIONS, target=0.9)
    assert fit_decision(deciding, asked(40, 200), strict).policy.label_uses == 2
    assert fit_decision(deciding, replace(new, queries=renamed), strict).policy.label_uses == 1
