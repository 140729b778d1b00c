"""What is measured leaves ignored items out: model, tower alone and baseline."""

from dataclasses import replace

import numpy as np
import pytest

from thresher.artifact import Artifact
from thresher.data.relation import Relation
from thresher.jobs.data import labelled_queries
from thresher.jobs.measure import Measured, baseline
from thresher.matcher import Matcher


@pytest.fixture(scope="module")
def opened(shop):
    artifact, matcher = Artifact.open(shop / "model"), Matcher.open(shop / "model")
    return artifact, matcher, labelled_queries(artifact, matcher, {}, split="test")


def test_nothing_is_ignored_where_no_table_says_so(opened):
    *_, labelled = opened
    assert labelled.ignored.shape == (len(labelled), 300)
    assert not len(labelled.ignored.indices)


def test_ignored_items_are_found_by_nobody(opened):
    artifact, matcher, labelled = opened
    own = replace(labelled, ignored=labelled.relation)
    measured = Measured.of(artifact, matcher, own)
    assert measured.metrics()["recall@100"] == 0
    assert measured.alone()["recall@100"] == 0
    assert not any(system.correct.any() for system in measured.systems().values())
    assert not baseline(matcher, own).correct.any()


def test_without_all_others_everybody_finds_what_is_true(opened):
    artifact, matcher, labelled = opened
    queries, items = np.divmod(np.arange(len(labelled) * 300), 300)
    every = Relation.from_pairs(queries, items, shape=(len(labelled), 300))
    alone = replace(labelled, ignored=every.without(labelled.relation))
    measured = Measured.of(artifact, matcher, alone)
    assert measured.metrics()["P@1"] == 1
    assert measured.alone()["P@1"] == 1
    assert measured.correct.all()
    assert baseline(matcher, alone).correct.all()
    # A tenth of the catalogue taken away as well: those queries get no proposal, the rest theirs.
    allow = np.arange(300) % 10 > 0
    opened_ = Measured.of(artifact, matcher, alone, allow=allow)
    there = allow[labelled.relation.indices]
    assert (opened_.correct == there).all()
    assert (opened_.found.hits.rows[~there] == -1).all()
    assert not opened_.accepted[~there].any()


@pytest.mark.parametrize("constants", ["amazon", "wikipedia", "other"])
def test_whose_constants_psp_uses(opened, constants):
    # C = (ln N - 1)(B + 1)^A, 1 / p = 1 + C (n + B)^-A; A and B of the XC repository.
    a, b = {"amazon": (0.6, 2.6), "wikipedia": (0.5, 0.4), "other": (0.55, 1.5)}[constants]
    artifact, matcher, labelled = opened
    measured = replace(
        Measured.of(artifact, matcher, labelled), propensity=constants, train_queries=700
    )
    start = matcher.catalogue.evidence.known_start
    c = (np.log(700) - 1) * (b + 1) ** a
    weight = [1 + c * (n + b) ** -a for n in np.diff(start).tolist()]
    true = [int(labelled.relation.items_of(q)[0]) for q in range(len(labelled))]
    first = measured.found.hits.rows[:, 0].tolist()
    gained = sum(weight[t] for t, f in zip(true, first, strict=True) if t == f)
    assert measured.metrics()["PSP@1"] == pytest.approx(gained / sum(weight[t] for t in true))
    assert Measured.of(artifact, matcher, labelled).propensity == "other"
