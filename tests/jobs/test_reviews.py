"""Verdicts as labels: who certifies, who trains, and that the sample looks like the traffic."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from oracles.reviewed import judge, logged, offers
from thresher.config import read
from thresher.data.dataset import load_dataset
from thresher.errors import InputError
from thresher.jobs import promote as promoting
from thresher.jobs import reviews as module
from thresher.jobs.calibrate import calibrate
from thresher.jobs.promote import Answers, compared, promote
from thresher.jobs.review_training import label_verdicts, with_reviews
from thresher.jobs.reviews import Sample, open_store, sampled, traffic, trains
from thresher.retriever import Retriever
from thresher.review import Decided, Store


@pytest.fixture(scope="session")
def judged(shop, tmp_path_factory):
    """The file of a store of 3,000 offers whose cases are all judged, and the truth."""
    path = tmp_path_factory.mktemp("reviews") / "reviews.db"
    store, truth = logged(f"sqlite:///{path}", shop, offers(shop, 3000))
    with store:
        judge(store, truth)
    return SimpleNamespace(path=path, truth=truth)


def accept(name, *, at=0.0, rate=0.5, audited=True, item="a", confidence=0.9):
    return Decided(
        id=name.rjust(32, "0"), at=at, query_id=name, query={"title": name}, item_id=item,
        confidence=confidence, decision="accept", audit_probability=rate, audited=audited,
    )  # fmt: skip


def review(name, at=0.0):
    return Decided(
        id=name.rjust(32, "0"), at=at, query_id=name, query={"title": name}, item_id="a",
        confidence=0.2, decision="review",
    )  # fmt: skip


@pytest.fixture
def store(tmp_path):
    with Store.open(f"sqlite:///{tmp_path / 'reviews.db'}") as opened:
        yield opened


@pytest.fixture
def hashes(monkeypatch):
    """Sets the number that each decision is drawn by."""
    given = {}
    monkeypatch.setattr(module, "hash_of", lambda one: given[one.query_id])
    return given


# The sample.


def test_the_sample_is_drawn_at_one_rate_by_hand(store, hashes):
    # The least rate is 0.1: an audit at 0.5 stays below 0.1 / 0.5, a review below 0.1.
    hashes |= {"1": 0.19, "2": 0.21, "3": 0.999, "4": 0.09, "5": 0.11, "6": 0.0}
    store.log([accept("1"), accept("2"), accept("3", rate=0.1), review("4"), review("5")])
    store.log([accept("6", audited=False)])
    judge(store, dict.fromkeys("12345", "a"))
    found = sampled(store)
    assert [one.query_id for one in found.decided] == ["1", "3", "4"]
    assert found.share == 0.1


def test_the_share_is_a_half_at_most_and_the_rest_trains(store, hashes):
    hashes |= {"1": 0.62, "2": 0.63, "3": 0.49, "4": 0.51}
    store.log([accept("1", rate=0.8), accept("2", rate=0.8), review("3"), review("4")])
    judge(store, dict.fromkeys("1234", "a"))
    assert [one.query_id for one in sampled(store).decided] == ["1", "3"]
    assert [one.query_id for one in traffic(store) if trains(one)] == ["2", "4"]


def test_nothing_is_drawn_from_the_time_without_audits(store, hashes):
    hashes |= dict.fromkeys("12345", 0.0)
    store.log([review("1"), accept("2"), review("3")])
    store.log([accept("4", rate=0.0, audited=False), review("5")])
    judge(store, dict.fromkeys("12345", "a"))
    assert [one.query_id for one in sampled(store).decided] == ["1", "2", "3"]


def test_uncertain_cases_alone_are_refused_but_not_where_nothing_was_accepted(store, hashes):
    hashes |= dict.fromkeys("123", 0.0)
    store.log([review("1"), review("2")])
    judge(store, dict.fromkeys("12", "a"))
    assert len(sampled(store)) == 2
    store.log([accept("3", rate=0.0, audited=False)])
    with pytest.raises(InputError, match="none of the 1 accepted answers was ever audited"):
        sampled(store)


def test_open_and_unsure_ones_are_wrong_and_the_latest_open_ones_are_left_out(store, hashes):
    names = [str(n) for n in range(1, 121)]
    hashes |= dict.fromkeys(names, 0.0)
    store.log([accept(name) for name in names])
    cases = store.cases(limit=1000)
    store.verdict(cases[3].id, reviewer="ann", kind="not_sure")
    # Of 110 two may be open: the 6th and the 109th are; the last ten are left out.
    judge(
        store,
        dict.fromkeys(names, "a"),
        cases=[c for c in cases[:110] if c.decision.query_id not in ("4", "6", "109")],
    )
    found = sampled(store)
    # 2 open of 110 is 1.8 %; with the 111th it would be 2.7 %.
    assert len(found) == 110
    assert found.counts()["open"] == 2
    assert found.counts()["not_sure"] == 1
    _, pairs = found.tables()
    assert len(pairs) == 110 - 3


def test_only_people_certify(store, hashes):
    hashes |= dict.fromkeys("12", 0.0)
    store.log([accept("1"), accept("2")])
    judge(store, {"1": "a", "2": "a"}, source="rule", reviewer="bot")
    with pytest.raises(InputError, match="too few are judged"):
        sampled(store)


def test_the_sample_looks_like_the_traffic(shop, judged):
    model = Retriever.open(shop / "model")
    with open_store(judged.path) as store:
        found = sampled(store)
        everything = list(traffic(store))
        verdicts = len(store.judged())
    accepted = np.mean([one.decision == "accept" for one in everything])
    own = np.mean([one.decision == "accept" for one in found.decided])
    assert abs(own - accepted) < 4 * np.sqrt(accepted * (1 - accepted) / len(found))
    assert abs(len(found) - 0.5 * 3000) < 4 * np.sqrt(3000 * 0.5 * 0.5)
    right = [judged.truth[one.query_id] == one.item_id for one in everything]
    seen = [judged.truth[one.query_id] == one.item_id for one in found.decided]
    spread = np.sqrt(0.25 / len(found))
    assert abs(np.mean(seen) - np.mean(right)) < 4 * spread
    # All verdicts together have too many uncertain ones, by more than that.
    share = np.mean(
        [one.decision == "accept" for one in everything if one.decision == "review" or one.audited]
    )
    assert accepted - share > 4 * np.sqrt(accepted * (1 - accepted) / verdicts)
    assert model.policy.accept_at is not None


def test_answers_from_before_a_time_are_left_out(store, hashes):
    hashes |= dict.fromkeys("1234", 0.0)
    store.log([accept("1", at=5.0, rate=0.0, audited=False), accept("2", at=6.0)])
    store.log([accept("3", at=7.0, rate=0.1), review("4", at=8.0)])
    judge(store, dict.fromkeys("234", "a"))
    assert [one.query_id for one in sampled(store, since=7.0).decided] == ["3", "4"]
    assert [one.query_id for one in sampled(store).decided] == ["2", "3", "4"]


def test_a_database_that_is_not_there_is_not_made(tmp_path):
    with pytest.raises(InputError, match="there is no review database"):
        open_store(tmp_path / "none.db")
    assert not (tmp_path / "none.db").exists()


# Calibrating.


def test_calibrating_from_reviews_keeps_the_promise_on_the_traffic(shop, model, judged):
    found = calibrate(model, [0.9], from_reviews=judged.path, quiet=True)
    assert found["certified"]
    assert found["reviews"]["sampled"] == found["labelled"] + _selecting(model) + _known(found)
    opened = Retriever.open(model)
    rows = offers(shop, 2000, seed=77)
    answers = opened.match([text for text, _ in rows]).to_pylist()
    right = [
        row["item_id"] == item
        for row, (_, item) in zip(answers, rows, strict=True)
        if row["decision"] == "accept"
    ]
    assert len(right) > 400
    assert np.mean(right) > 0.9
    assert found["absent"] > 0.05  # a tenth of the offers has no item, which the answer states


def _selecting(model):
    return int(Retriever.open(model).decision.outcomes.selection.sum())


def _known(found):
    return sum(own["labelled"] for own in found["segments"].values())


def test_reviews_and_tables_together_are_refused(model, judged, tmp_path):
    with pytest.raises(InputError, match="reviews too"):
        calibrate(model, queries=tmp_path / "q.csv", from_reviews=judged.path)


# Training.


def test_verdicts_become_training_queries_but_not_those_that_certify(shop, judged):
    config = read(shop / "run.toml")
    data = load_dataset(config.build("data"), config.folder)
    with open_store(judged.path) as store:
        more, done = with_reviews(data, config, store)
        held = {one.query["title"] for one in sampled(store).decided}
        free = [(d, v) for d, v in store.judged() if trains(d)]
    before, after = data.part("train"), more.part("train")
    assert len(after) == len(before) + done["added"]
    assert done["added"] <= len(free)
    assert 0 < done["without_item"] < done["added"] / 2
    added = after.take(np.arange(len(before), len(after)))
    texts = added.queries.text(("title",))
    assert not held & set(texts)
    others = {
        t
        for s in ("validation", "calibration", "test")
        for t in data.part(s).queries.text(("title",))
    }
    assert not others & set(texts)
    by_id = {one.id: judged.truth[one.query_id] for one, _ in free}
    items = more.items["id"].to_pylist()
    for row, name in enumerate(added.queries.ids.to_pylist()):
        own = [items[i] for i in added.truth.items_of(row)]
        assert own == ([] if by_id[name] is None else [by_id[name]])
    assert after.queries.column("shop")[: len(before)] == before.queries.column("shop")
    assert set(after.queries.column("shop")[len(before) :]) == {"north", "south"}
    assert more.part("calibration") is data.part("calibration")


def test_wrong_labels_of_training_are_corrected(shop, store):
    config = read(shop / "run.toml")
    data = load_dataset(config.build("data"), config.folder)
    train, items = data.part("train"), data.items["id"].to_pylist()
    ids = train.queries.ids.to_pylist()[:3]
    labels = [items[train.truth.items_of(row)[0]] for row in range(3)]
    suspected = [
        Decided(
            at=0.0, query_id=name, query={}, item_id="i0", decision="label", audit_probability=0
        )
        for name in ids
    ]
    store.log(suspected, labels=labels)
    first, second, third = store.cases(queue="label")
    other = next(item for item in items if item != labels[1])
    store.verdict(first.id, reviewer="ann", kind="label_wrong")
    store.verdict(second.id, reviewer="ann", kind="item", item_id=other)
    store.verdict(third.id, reviewer="ann", kind="item", item_id=labels[2])
    assert len(label_verdicts(store)) == 3
    more, done = with_reviews(data, config, store)
    own = more.part("train").truth
    assert [[items[i] for i in own.items_of(row)] for row in range(3)] == [[], [other], [labels[2]]]
    assert done["corrected"] == 2
    assert len(own) == len(train)


def test_nothing_to_train_on_is_an_error(shop, store):
    config = read(shop / "run.toml")
    data = load_dataset(config.build("data"), config.folder)
    with pytest.raises(InputError, match="none of which may train"):
        with_reviews(data, config, store)


# Promoting.


def test_a_model_that_is_the_same_is_promoted_and_a_stricter_one_is_not(model, judged):
    calibrate(model, 0.9, from_reviews=judged.path, quiet=True)
    found = promote(model, model, judged.path)
    assert (found["promoted"], found["difference"], found["p_value"]) == (True, 0.0, 1.0)
    stricter, live = Retriever.open(model), Retriever.open(model)
    policy = replace(stricter.policy, accept_at=stricter.policy.accept_at + 0.05)
    stricter.decision = replace(stricter.decision, policy=policy)
    with open_store(judged.path) as store:
        sample = sampled(store)
        assert store.settings("promoted")["promoted"] is True
    found = compared(sample, stricter, live)
    assert found["promoted"] is False
    assert "the certified coverage falls" in found["sentence"]
    assert found["only_candidate"] == 0
    assert found["difference"] == pytest.approx(-found["only_live"] / len(sample))
    assert compared(sample, live, stricter)["promoted"] is True
    assert found["p_value"] < 0.05
    looser = replace(policy, target_precision=0.5)
    stricter.decision = replace(stricter.decision, policy=looser)
    assert "it promises 0.5" in compared(sample, stricter, live)["sentence"]


def test_a_candidate_without_a_threshold_or_with_too_many_errors_is_refused(
    shop, judged, monkeypatch
):
    live, other = Retriever.open(shop / "model"), Retriever.open(shop / "model")
    with open_store(judged.path) as store:
        sample = sampled(store)
    loose = replace(live.policy, accept_at=-1.0, segments={})
    other.decision = replace(other.decision, policy=loose)
    assert "contradict its certificate" in compared(sample, other, live)["sentence"]
    other.decision = None
    other.match = live.match
    assert "no certified threshold" in compared(sample, other, live)["sentence"]


def test_the_exact_test_by_hand(monkeypatch):
    # 1 query only the candidate accepts, 5 only the live one: (C(6,0) + C(6,1)) / 64.
    mine = Answers(np.array([1, 0, 0, 0, 0, 0, 1], bool), np.ones(7, bool))
    theirs = Answers(np.array([0, 1, 1, 1, 1, 1, 1], bool), np.ones(7, bool))
    new, live = (Retriever.__new__(Retriever) for _ in range(2))
    new.decision = live.decision = None
    monkeypatch.setattr(promoting, "answers", lambda one, _: mine if one is new else theirs)
    found = compared(Sample([accept("1")] * 7, [None] * 7, 0.1), new, live)
    assert found["p_value"] == pytest.approx(7 / 64)
    assert found["difference"] == pytest.approx(-4 / 7)
    # (b + c - (b - c)^2 / n) = 6 - 16 / 7
    assert found["interval"][1] == pytest.approx(-4 / 7 + 1.96 * (26 / 7) ** 0.5 / 7)
