"""From labelled queries to a decision."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from thresher.calibration import Outcomes, calibrate
from thresher.catalogue import Catalogue
from thresher.data.labelled import Labelled
from thresher.data.relation import Relation
from thresher.decide.evidence import Known
from thresher.decide.learned import Learned
from thresher.decide.options import DecideOptions
from thresher.decide.policy import NoThreshold, Policy
from thresher.errors import InputError
from thresher.matcher import Matcher
from thresher.retrieve.options import IndexOptions
from thresher.towers.tfidf import TfIdf

OPTIONS = DecideOptions(target=0.8, confidence_level=0.9)


def shop(items: int, *, options=OPTIONS) -> Matcher:
    names = [f"maker{i % 7} AB{100 + i} kettle" for i in range(items)]
    ids = [f"i{i}" for i in range(items)]
    tower = TfIdf(bits=12)
    tower.start_from(names)
    known = Known(tuple(f"kettle ab{100 + i}" for i in range(items)), tuple(ids))
    table = pa.table({"id": ids, "name": names})
    catalogue = Catalogue.build(table, ("name",), tower, IndexOptions(), known)
    return Matcher(tower, catalogue, ("name",), options)


def asked(items: int, count: int, *, seed: int = 0) -> Labelled:
    """Codes of items, every tenth cut short so that several items fit; texts repeat."""
    rng = np.random.default_rng(seed)
    of = rng.integers(0, items, count)
    texts = [
        f"new kettle {n % 97} " + ("ab1" if n % 10 == 0 else f"ab{100 + i}")
        for n, i in enumerate(of)
    ]
    table = pa.table({"id": [f"q{n}" for n in range(count)], "name": texts})
    relation = Relation.from_pairs(np.arange(count), of, shape=(count, items))
    return Labelled(table, texts, relation, Relation.none((count, items)))


@pytest.mark.parametrize("items", [3, 40])
def test_learned_confidence_certifies(items):
    labelled = asked(items, 800)
    decision = calibrate(shop(items), labelled, OPTIONS, fitted_on="x")
    assert isinstance(decision.policy, Policy)
    assert isinstance(decision.learned, Learned)
    matcher = replace(shop(items), learned=decision.learned, policy=decision.policy)
    fresh = asked(items, 400, seed=1)
    found = matcher.propose(fresh.texts)
    right = fresh.relation.correct(found.hits.rows)[:, 0]
    accepted = decision.policy.decide(found.confidence, None)
    assert right[accepted].mean() > 0.8
    assert accepted.mean() > 0.5


def test_equal_texts_lie_in_one_part():
    labelled = asked(3, 600)
    outcomes = calibrate(shop(3), labelled, OPTIONS, fitted_on="x").outcomes
    fit = {t for t, f in zip(labelled.texts, outcomes.selection, strict=True) if f}
    rest = {t for t, f in zip(labelled.texts, outcomes.selection, strict=True) if not f}
    assert fit
    assert rest
    assert not fit & rest


def test_the_certifying_part_leaves_no_trace_in_the_confidence():
    labelled = asked(40, 600)
    first = calibrate(shop(40), labelled, OPTIONS, fitted_on="x")
    rest = ~first.outcomes.selection
    pairs = labelled.relation.pairs()
    pairs[:, 1] = np.where(rest[pairs[:, 0]], (pairs[:, 1] + 1) % 40, pairs[:, 1])
    wrong = Relation.from_pairs(pairs[:, 0], pairs[:, 1], shape=labelled.relation.shape)
    other = calibrate(shop(40), replace(labelled, relation=wrong), OPTIONS, fitted_on="x")
    np.testing.assert_array_equal(first.outcomes.confidence, other.outcomes.confidence)
    assert isinstance(other.policy, NoThreshold)


@pytest.mark.parametrize("kind", ["margin", "score"])
def test_kinds_without_a_fit(kind):
    options = replace(OPTIONS, scorer=kind, target=0.5)
    decision = calibrate(shop(40), asked(40, 400), options, fitted_on="x")
    assert decision.learned is None
    assert isinstance(decision.policy, Policy)


@pytest.mark.parametrize("kind", ["reranker", "margin", "score"])
def test_ignored_items_are_never_proposed(kind):
    options, labelled = replace(OPTIONS, scorer=kind), asked(40, 400)
    # Of every other query its own item is ignored, of the rest all but the third and their own.
    queries, items = np.divmod(np.arange(400 * 40), 40)
    own = labelled.relation.contains(queries, items)
    gone = np.where(queries % 2 == 0, own, ~own & (items != 3))
    ignored = Relation.from_pairs(queries[gone], items[gone], shape=(400, 40))
    labelled = replace(labelled, ignored=ignored)
    matcher = replace(shop(40), options=options)
    outcomes = calibrate(matcher, labelled, options, fitted_on="x").outcomes
    assert not outcomes.correct[::2].any()
    assert outcomes.correct[1::2].mean() > 0.9
    _, hits = matcher.search(labelled.texts, 40, ignored=ignored)
    left = (hits.rows >= 0).sum(axis=1)
    assert set(left[::2]) == {39}
    assert set(left[1::2]) <= {1, 2}


def test_too_few_labels():
    with pytest.raises(InputError, match="at least 100 labelled queries"):
        calibrate(shop(5), asked(5, 99), OPTIONS, fitted_on="x")


def test_outcomes_are_kept(tmp_path):
    outcomes = calibrate(shop(40), asked(40, 400), OPTIONS, fitted_on="x").outcomes
    outcomes.save(tmp_path / "o.parquet")
    again = Outcomes.load(tmp_path / "o.parquet")
    assert again.ids == outcomes.ids
    one, other = (o.certify(target=0.8, confidence_level=0.9) for o in (outcomes, again))
    assert one == other


def test_products_of_a_share_of_the_queries_are_hidden():
    options = replace(OPTIONS, target=0.7, absent=0.2)
    decision = calibrate(shop(40), asked(40, 1000), options, fitted_on="x")
    hidden = decision.outcomes.absent
    assert hidden is not None
    assert 0.15 < hidden.mean() < 0.25
    assert not decision.outcomes.correct[hidden].any()
    assert decision.policy.absent == pytest.approx(
        hidden[~decision.outcomes.selection].mean(), abs=1e-4
    )
    # what nothing fits is less certain than what something does
    sure = decision.outcomes.confidence
    assert np.median(sure[hidden]) < np.median(sure[~hidden])
