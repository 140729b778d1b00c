"""Labelled proposals are kept, and certified for the traffic they are drawn like."""

from dataclasses import replace

import numpy as np
import pytest

from oracles.traffic import curve
from thresher.decide.certify import certify
from thresher.decide.outcomes import Outcomes
from thresher.decide.policy import KNOWN_TEXT, NoThreshold, Policy
from thresher.errors import InputError


def outcomes(rows=2_000, seed=0):
    rng = np.random.default_rng(seed)
    scores, correct = curve(0.999, 0.8).draw(rows, rng)
    return Outcomes(
        ids=[f"q{n}" for n in range(rows)],
        confidence=scores,
        correct=correct,
        selection=np.arange(rows) % 2 == 0,
        clusters=np.arange(rows),
    )


def test_certifies_as_anybody_does():
    one = outcomes()
    expected = certify(one.confidence, one.correct, target=0.95, selection=one.selection)
    assert one.certify(target=0.95) == expected
    several = one.certify(target=[0.9, 0.95], fitted_on="m", label_uses=2)
    assert list(several) == [0.9, 0.95]
    assert (several[0.9].fitted_on, several[0.9].label_uses) == ("m", 2)


def test_repeated_texts_count_less():
    one = outcomes()
    twins = replace(one, clusters=np.arange(2_000) // 4 * 2 + np.arange(2_000) % 2)
    policy = twins.certify(target=0.9)
    assert policy.distinct_clusters <= policy.accepted
    assert policy.effective_labels < 0.8 * policy.accepted


def test_known_texts_are_apart_and_reviewed_where_no_label_is_of_one():
    one = outcomes()
    none = replace(one, known=np.zeros(2_000, bool)).certify(target=0.95)
    assert none.accept_at == one.certify(target=0.95).accept_at
    assert (none.segments[KNOWN_TEXT].accept_at, none.share(KNOWN_TEXT)) == (None, 0)
    half = replace(one, known=np.arange(2_000) < 1_000)
    both = half.certify(target=[0.85, 0.9])
    assert all(policy.segments[KNOWN_TEXT].accept_at is not None for policy in both.values())
    assert both[0.85].share(KNOWN_TEXT) == 0.5
    assert isinstance(half.certify(target=0.9999), NoThreshold)


def test_known_texts_say_nothing_of_what_new_ones_reach():
    # 95 right labels of new texts: enough for .96 (.96^95 = .02), not for .97 (.97^95 = .055). The
    # 10 of known texts, which are reviewed, would make it 105 (.97^105 = .04).
    count = 95 + 10
    one = Outcomes(
        ids=[f"q{n}" for n in range(count + 500)],
        confidence=np.ones(count + 500),
        correct=np.ones(count + 500, bool),
        selection=np.arange(count + 500) >= count,
        clusters=np.arange(count + 500),
        known=np.arange(count + 500) < 10,
    )
    answer = one.certify(target=0.98)
    assert isinstance(answer, NoThreshold)
    assert (answer.reachable_precision, answer.labelled) == (0.96, 95)
    assert isinstance(one.certify(target=0.97), NoThreshold)
    assert isinstance(one.certify(target=0.96), Policy)
    every = replace(one, known=np.arange(count + 500) < count)  # nobody but training queries is new
    answer = every.certify(target=0.98)
    assert isinstance(answer, NoThreshold)
    assert answer.labelled == count


def test_segments_and_known_texts_together():
    brands = ["a", None] * 1_000
    one = replace(outcomes(), segments=brands, known=np.arange(2_000) < 400)
    rows = replace(one, selection=np.arange(2_000) // 2 % 2 == 0)
    policy = rows.certify(target=0.9, by="brand")
    assert policy.by == "brand"
    assert set(policy.segments) == {"a", "", KNOWN_TEXT}
    assert sum(policy.share(name) for name in policy.segments) == pytest.approx(1)
    with pytest.raises(InputError, match="0 segments for 2000 rows"):
        outcomes().certify(target=0.9, by="brand")


def test_the_share_without_an_item_is_that_of_the_certifying_labels():
    absent = np.arange(2_000) % 20 == 1  # every tenth of the odd rows, which certify
    one = replace(outcomes(), absent=absent, correct=outcomes().correct & ~absent)
    for target in (0.8, 0.99):
        assert one.certify(target=target).absent == 0.1


@pytest.mark.parametrize("whole", [False, True])
def test_save_and_load(tmp_path, whole):
    one = outcomes(200)
    if whole:
        marks = np.arange(200) % 3 == 0
        one = replace(one, segments=("a", None) * 100, known=marks, absent=~marks)
    one.save(tmp_path / "outcomes.parquet")
    again = Outcomes.load(tmp_path / "outcomes.parquet")
    for name in one.__dataclass_fields__:
        before, after = getattr(one, name), getattr(again, name)
        assert (before is None) == (after is None)
        if before is not None:
            assert list(after) == list(before)
    by = "brand" if whole else None
    assert again.certify(target=0.8, by=by) == one.certify(target=0.8, by=by)
    assert isinstance(one.certify(target=0.8, by=by), Policy)


def test_training_queries_order_the_thresholds_and_all_labels_certify():
    labels, more = replace(outcomes(300), selection=np.zeros(300, bool)), outcomes(700, seed=1)
    both = labels.ordered_by(more.confidence, more.correct, np.zeros(700, bool))
    expected = certify(
        np.append(labels.confidence, more.confidence),
        np.append(labels.correct, more.correct),
        target=0.9,
        selection=np.arange(1_000) >= 300,
    )
    policy = both.certify(target=0.9)
    assert policy == expected
    assert policy.labelled == 300
    assert both.labels == set(labels.ids)


def test_training_queries_are_known_to_none_and_stay_out_of_the_share_without_an_item():
    known, absent = np.arange(300) < 30, np.arange(300) < 60
    labels = replace(outcomes(300), selection=known, known=known, absent=absent)
    none = np.zeros(700, bool)
    both = labels.ordered_by(np.linspace(0, 1, 700), ~none, none)
    policy = both.certify(target=0.5)
    assert policy.absent == pytest.approx(30 / 270, abs=1e-4)
    assert policy.segments[KNOWN_TEXT].accept_at is None


def test_they_are_saved_and_loaded(tmp_path):
    both = replace(outcomes(300), selection=np.zeros(300, bool)).ordered_by(
        np.linspace(0, 1, 5), np.ones(5, bool), np.zeros(5, bool)
    )
    both.save(tmp_path / "outcomes.parquet")
    again = Outcomes.load(tmp_path / "outcomes.parquet")
    assert again.labels == both.labels
    assert again.certify(target=0.9) == both.certify(target=0.9)


def test_what_is_reachable_is_chosen_for_the_labels_that_certify_it():
    # Thousands of training queries clear a loose threshold that 600 labels then fail.
    reached = []
    for seed in range(8):
        labels = replace(outcomes(600, seed), selection=np.zeros(600, bool))
        more = outcomes(5_000, 100 + seed)
        both = labels.ordered_by(more.confidence, more.correct, np.zeros(5_000, bool))
        answer = both.certify(target=0.9999)
        assert isinstance(answer, NoThreshold)
        reached.append(answer.reachable_precision or 0)
    assert np.mean(reached) > 0.935
