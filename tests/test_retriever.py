"""The one service: what it proposes, decides and lists, what it keeps, what it refuses."""

import copy
import shutil
import subprocess
import sys
from dataclasses import replace
from functools import partial

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from oracles.buyers import COLD, ITEMS, trained_on_histories
from oracles.readers import BOOKS, GENRES, open_readers, write
from oracles.shop import trained
from thresher import retriever as module
from thresher.api import train as train_frames
from thresher.artifact import Artifact, Transaction
from thresher.config import read
from thresher.data.histories import Histories
from thresher.data.queries import Queries
from thresher.data.relation import Relation
from thresher.data.sequences import Sequences
from thresher.data.tables import read_table, write_table
from thresher.decide.options import DecideOptions
from thresher.decide.outcomes import Outcomes
from thresher.decide.policy import NoThreshold, Policy
from thresher.decision import Decision
from thresher.errors import InputError
from thresher.jobs.train import train
from thresher.retriever import Retriever

PRODUCTS = 300


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """The folder of a run that decides, and of its artifact; not to be changed."""
    return trained(tmp_path_factory)


@pytest.fixture(scope="module")
def model(shop):
    """Not to be changed."""
    return Retriever.open(shop / "model")


@pytest.fixture
def own(shop, tmp_path):
    """A copy, to be changed at will."""
    return Retriever.open(shutil.copytree(shop / "model", tmp_path / "model"))


@pytest.fixture(scope="module")
def offers(shop):
    """Sixty queries, and their true items."""
    return read_table(shop / "queries.csv").slice(0, 60)


@pytest.fixture(scope="module")
def texts(offers):
    return offers["title"].to_pylist()


@pytest.fixture(scope="module")
def asked(offers):
    return Queries.of_table(offers)


def decided_by(model, scorer):
    """The same model with another scorer."""
    made, old = copy.copy(model), model.decision
    options = replace(old.options, scorer=scorer)
    made.decision = replace(
        old, options=options, reranker=old.reranker if scorer == "reranker" else None
    )
    return made


def with_policy(model, policy):
    made = copy.copy(model)
    made.decision = replace(model.decision, policy=policy)
    return made


@pytest.fixture(params=["reranker", "margin", "score"])
def each(request, model):
    return decided_by(model, request.param)


def rows_of(table):
    return {row["query_id"]: row for row in table.to_pylist() if row["rank"] == 1}


# What is proposed.


def test_candidates_are_those_of_the_tower_and_those_that_share_rare_words(each, asked):
    found = each.propose(asked)
    vectors, hits = each.hits(asked, each.options.candidates)
    shared = each.catalogue.features.by_words(asked.aligned(), each.options.candidates_by_words)
    for q, rows in enumerate(found.hits.rows):
        more = set(shared[q].tolist()) if each.options.scorer == "reranker" else set()
        assert set(rows.tolist()) - {-1} == (set(hits.rows[q].tolist()) | more) - {-1}
    rows = np.maximum(found.hits.rows, 0)
    scores = np.einsum(
        "qd,qkd->qk", vectors, each.catalogue.vectors(rows.ravel()).reshape(*rows.shape, -1)
    )
    here = found.hits.rows >= 0
    np.testing.assert_allclose(found.hits.scores[here], scores[here], atol=1e-6)
    assert np.isfinite(found.confidence).all()
    assert found.confidence.dtype == np.float64


def test_hits_are_the_best_scores_of_all_items(model, asked):
    vectors, hits = model.hits(asked, 7)
    scores = vectors @ model.catalogue.vectors(np.arange(PRODUCTS)).T
    assert hits.scores == pytest.approx(np.sort(scores, axis=1)[:, :-8:-1], abs=1e-6)
    assert np.take_along_axis(scores, hits.rows, 1) == pytest.approx(hits.scores, abs=1e-6)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(60), abs=1e-5)
    np.testing.assert_array_equal(model.encode(asked), vectors)


def test_alone_is_as_in_a_batch(each, asked):
    together = each.propose(asked)
    for i in range(0, 60, 17):
        alone = each.propose(asked.take(np.array([i])))
        assert alone.hits.rows[0].tolist() == together.hits.rows[i].tolist()
        np.testing.assert_allclose(alone.confidence[0], together.confidence[i], atol=1e-6)


def test_depth_goes_on_in_the_order_of_the_tower(each, asked):
    near, deep = each.propose(asked), each.propose(asked, depth=50)
    assert deep.hits.rows.shape == (60, 50)
    here = near.hits.rows >= 0
    assert (deep.hits.rows[:, : here.shape[1]][here] == near.hits.rows[here]).all()
    assert all(len(set(row)) == 50 for row in deep.hits.rows.tolist())
    assert each.propose(asked, depth=10_000).hits.rows.shape == (60, PRODUCTS)


def test_only_what_is_allowed_is_proposed(each, asked):
    allow = np.zeros(PRODUCTS, bool)
    allow[::7] = True
    rows = each.propose(asked, allow=allow).hits.rows
    assert allow[rows[rows >= 0]].all()
    few = np.zeros(PRODUCTS, bool)
    few[5] = True
    rows = each.propose(asked, allow=few).hits.rows
    assert (rows[:, 0] == 5).all()
    assert (rows[:, 1:] == -1).all()
    nothing = each.propose(asked, allow=np.zeros(PRODUCTS, bool))
    assert (nothing.hits.rows == -1).all()
    assert (nothing.confidence <= 0).all()


def test_what_is_ignored_is_not_proposed_and_the_rest_is_as_it_was(each, asked):
    _, plain = each.hits(asked, PRODUCTS)
    rng = np.random.default_rng(3)
    # The first items of the tower's own order among them, and more for some queries than others.
    ignored = {q: {*plain.rows[q, : q % 4].tolist(), *rng.integers(0, 300, q).tolist()}
               for q in range(60)}  # fmt: skip
    pairs = np.array([(q, i) for q, items in ignored.items() for i in items])
    relation = Relation.from_pairs(pairs[:, 0], pairs[:, 1], shape=(60, PRODUCTS))
    _, hits = each.hits(asked, 20, ignored=relation)
    found = each.propose(asked, depth=40, ignored=relation)
    shared = each.catalogue.features.by_words(asked.aligned(), 10)
    for q, items in ignored.items():
        order = [row for row in plain.rows[q].tolist() if row not in items]
        assert hits.rows[q].tolist() == order[:20]
        near = set(order[:20])
        if each.options.scorer == "reranker":
            near |= set(shared[q].tolist()) - items - {-1}
        tail = [row for row in order[20:] if row not in near]
        rows = found.hits.rows[q].tolist()
        assert set(rows[: len(near)]) == near
        assert rows[len(near) :] == tail[: 40 - len(near)]
    assert np.isfinite(found.confidence).all()


def test_no_queries(each):
    assert each.propose(each.as_queries([])).hits.rows.shape[0] == 0
    assert len(each.match([])) == len(each.search([])) == 0
    assert each.match([]).column_names == each.match(["kettle"]).column_names


# What is searched and matched.


def test_search_lists_the_hits(model, offers, asked):
    found = model.search(offers, 3)
    assert found.column_names == ["query_id", "item_id", "rank", "score"]
    _, hits = model.hits(asked, 3)
    ids = model.items["id"].to_pylist()
    assert found["item_id"].to_pylist() == [ids[row] for row in hits.rows.ravel()]
    assert found["score"].to_pylist() == hits.scores.ravel().tolist()
    assert found["rank"].to_pylist() == [1, 2, 3] * 60
    assert found["query_id"].to_pylist() == [i for i in offers["id"].to_pylist() for _ in range(3)]
    for k in (0, PRODUCTS + 1):
        with pytest.raises(InputError, match=f"{k}.*{PRODUCTS}"):
            model.search(offers, k)


def test_a_table_is_matched_as_its_texts_are(model, texts):
    table = pa.table({"title": texts, "id": [7 * i for i in range(60)]})
    found, plain = model.match(table), model.match(texts)
    assert found["query_id"].to_pylist() == [str(7 * i) for i in range(60)]
    assert plain["query_id"].to_pylist() == [str(i) for i in range(60)]
    assert found.drop_columns(["query_id"]).to_pylist() == (
        plain.drop_columns(["query_id"]).to_pylist()
    )
    with pytest.raises(InputError, match="no column 'title'; it has name"):
        model.match(pa.table({"name": texts}))
    with pytest.raises(InputError, match="give queries, or events of users"):
        model.match()


def test_nulls_are_empty_texts_of_which_nothing_is_known(model):
    empty = pa.table({"id": ["a", "b"], "title": pa.array([None, "kettle"])})
    rows = model.match(empty, 3).to_pylist()
    assert [row["query_id"] for row in rows] == ["a", "b", "b", "b"]
    assert (rows[0]["item_id"], rows[0]["item"], rows[0]["decision"]) == (None, "", "review")
    assert model.search(empty, 3)["query_id"].to_pylist() == ["b"] * 3
    with pytest.warns(UserWarning, match="1 of 2 have no list, such as query_id 'a'"):
        assert set(model.recommend(queries=empty, k=3)["query_id"].to_pylist()) == {"b"}
    with pytest.raises(InputError, match=r"row 2: the id is missing"):
        model.match(pa.table({"id": ["a", None], "title": ["mug", "kettle"]}))
    for call in (model.match, model.search, model.encode):
        with pytest.raises(InputError, match=r"row 2: an earlier row has the id 'a' too"):
            call({"id": ["a", "a"], "title": ["mug", "kettle"]})


def test_decisions_are_the_policy_and_nothing_else(model, texts):
    found = model.match(texts)
    learnt = {text.casefold() for text in model.labelled("train").queries.text(["title"])}
    new = np.array([text.casefold() not in learnt for text in texts])
    sure = (found["confidence"].to_numpy() >= model.policy.accept_at) & new
    assert 0 < sure.sum() < new.sum() < 60
    assert [d == "accept" for d in found["decision"].to_pylist()] == sure.tolist()
    assert set(found["policy"].to_pylist()) == {model.policy.id}


def test_a_decision_is_about_the_first_candidate(each, offers):
    first, more = each.match(offers), each.match(offers, 4)
    assert more["rank"].to_pylist() == [1, 2, 3, 4] * 60
    assert more.filter(pc.equal(more["rank"], 1)).to_pylist() == first.to_pylist()
    rest = more.filter(pc.greater(more["rank"], 1))
    assert set(rest["decision"].to_pylist()) == {None}
    if each.decision.reranker is None:
        assert rest["confidence"].null_count == len(rest)
    else:  # the chances of the candidates fall, and with "none of them" they sum to 1
        chances = more["confidence"].to_numpy().reshape(60, 4)
        assert (np.diff(chances, axis=1) <= 0).all()
        assert (chances.sum(axis=1) <= 1 + 1e-9).all()
    assert max(each.match(offers, PRODUCTS)["rank"].to_pylist()) == PRODUCTS
    for k in (0, PRODUCTS + 1):
        with pytest.raises(InputError, match=f"k is {k}; give 1 to {PRODUCTS}"):
            each.match(offers, k)


def test_columns_of_queries_and_items_are_carried_over(model, offers):
    found = model.match(offers, 2, keep=["shop", "item.title", "item.id"])
    shops = dict(zip(*(offers[name].to_pylist() for name in ("id", "shop")), strict=True))
    assert found["shop"].to_pylist() == [shops[i] for i in found["query_id"].to_pylist()]
    assert found["item.title"].to_pylist() == found["item"].to_pylist()
    assert found["item.id"].to_pylist() == found["item_id"].to_pylist()
    empty = model.match(pa.table({"title": [""]}), keep=["item.title"])
    assert empty["item.title"].to_pylist() == [None]
    for keep, words in (
        (["brand"], "'brand'"),
        (["item.brand"], "'brand'"),
        (["item.title", "item.title"], "keep names 'item.title', which the answer has already"),
    ):
        with pytest.raises(InputError, match=words):
            model.match(offers, keep=keep)


def test_candidates_of_another_engine_are_ranked_and_decided(each, offers):
    options = replace(each.options, candidates_by_words=0)
    each.decision = replace(each.decision, options=options)  # of a copy
    own = each.search(offers, each.options.candidates)
    shuffled = own.take(np.random.default_rng(0).permutation(len(own)))
    same = each.match(offers, 3, candidates=shuffled)
    assert same.to_pylist() == each.match(offers, 3).to_pylist()


def test_candidates_that_are_unknown_or_of_nobody_are_left_out(model, offers):
    given = pa.table(
        {
            "query_id": ["q1", "q1", "q1", "nobody"],
            "item_id": ["i7", "gone", "i3", "i5"],
            "score": [0.1, 0.9, 0.2, 0.3],
        }
    )
    found = model.match(offers, 5, candidates=given)
    assert len(found) == 60 + 1
    assert {r["item_id"] for r in found.to_pylist() if r["query_id"] == "q1"} == {"i3", "i7"}
    others = [row for row in found.to_pylist() if row["query_id"] != "q1"]
    assert {(row["item_id"], row["decision"]) for row in others} == {(None, "review")}
    raw = decided_by(model, "score").match(offers, 1, candidates=given)
    assert (rows_of(raw)["q1"]["item_id"], rows_of(raw)["q1"]["confidence"]) == (
        "i3",
        pytest.approx(0.2),
    )
    for wrong, words in (
        (given.slice(3), "no candidate names both one of these queries and an item"),
        (given.drop_columns(["score"]), "no column 'score'"),
        (given.set_column(2, "score", pa.array([0.1, None, 1, 1])), "is missing or no finite"),
    ):
        with pytest.raises(InputError, match=words):
            model.match(offers, candidates=wrong)


def test_without_a_certified_threshold_all_is_for_review(model, texts):
    none = NoThreshold(0.95, 0.9, 5, 1, 40, 5.0, 5)
    found = with_policy(model, none).match(texts)
    assert set(found["decision"].to_pylist()) == {"review"}
    assert all(found["item_id"].to_pylist())


def test_segments_need_their_column(model, texts):
    strict = replace(model.policy, accept_at=2.0)
    segmented = with_policy(model, replace(model.policy, by="shop", segments={"north": strict}))
    with pytest.raises(InputError, match="'shop'"):
        segmented.match(texts)
    shops = ["north", None, "elsewhere"] * 20
    found = segmented.match(pa.table({"title": texts, "shop": shops}))
    decisions = np.array(found["decision"].to_pylist())
    assert (decisions[::3] == "review").all()  # north accepts nothing below certainty
    assert (decisions == "accept").any()


def test_blocks_are_as_the_whole(model, offers, monkeypatch):
    candidates = model.search(offers, 5)
    calls = [
        lambda: model.match(offers, 2, keep=["shop"]),
        lambda: model.match(offers, 2, candidates=candidates),
        lambda: model.search(offers, 3),
        lambda: model.recommend(queries=offers, k=4),
    ]
    whole = [call().to_pylist() for call in calls]
    monkeypatch.setattr(module, "BLOCK", 7)
    for one, call in zip(whole, calls, strict=True):
        cut = call().to_pylist()
        for row, other in zip(one, cut, strict=True):
            for name in ("score", "confidence"):
                assert row.pop(name, None) == pytest.approx(other.pop(name, None), abs=1e-6)
            assert row == other


# What is certified.


def test_an_uncalibrated_model_lists_and_refuses_to_decide(model, texts):
    bare = copy.copy(model)
    bare.decision = None
    assert bare.policy is None
    with pytest.raises(InputError, match=r"no threshold was certified .* call calibrate, or run"):
        bare.match(texts)
    assert len(bare.search(texts, 2)) == 120


def test_what_is_certified_holds_and_is_measured_as_it_is_decided(shop, model):
    found, part = model.evaluate(), model.labelled("test")
    queries = part.queries.table.take(pa.array(part.queries.rows))
    rows = rows_of(model.match(queries))
    pairs = read_table(shop / "pairs.csv").to_pylist()
    true = {row["query_id"]: row["item_id"] for row in pairs if row["query_id"] in rows}
    right = [rows[q]["item_id"] == item for q, item in true.items()]
    accepted = np.array([rows[q]["decision"] == "accept" for q in true])
    assert found["P@1"] == pytest.approx(np.mean(right))
    assert found["certified_coverage@precision=0.95"] == pytest.approx(accepted.mean())
    precision = np.array(right)[accepted].mean()
    assert found["certified_precision@precision=0.95"] == pytest.approx(precision)
    assert precision > 0.95
    assert found["raw/P@1"] < found["P@1"]


def test_calibrating_again_changes_the_decision_alone(own, texts):
    folder, before = own.folder, own.policy
    model = Artifact.open(folder).fingerprint("model", "index")
    policy = own.calibrate(0.8, scorer="margin", confidence_level=0.9)
    assert (policy.target_precision, policy.confidence_level) == (0.8, 0.9)
    assert policy.accepted > before.accepted
    assert (own.options.scorer, own.config.build("decide").target) == ("margin", 0.8)
    again = Retriever.open(folder)
    assert again.policy == own.policy == policy
    assert again.match(texts).to_pylist() == own.match(texts).to_pylist()
    assert Artifact.open(folder).fingerprint("model", "index") == model
    before = own.decision
    with pytest.raises(InputError, match=r"decide\.targets is not a known key"):
        own.calibrate(targets=0.9)
    with pytest.raises(InputError, match=r"decide\.target is 95; it must lie strictly"):
        own.calibrate(95.0)
    with pytest.raises(InputError, match="no column 'maker'"):
        own.calibrate(by="maker")
    assert own.decision is before
    assert own.config.build("decide").target == 0.8
    # and what was refused is not asked for again
    assert own.config.build("decide").by is None
    assert own.calibrate(0.85).target_precision == 0.85


def cannot_write(monkeypatch):
    def full(self):
        raise InputError("the disk is full")

    monkeypatch.setattr(Transaction, "commit", full)


def test_a_decision_that_cannot_be_written_changes_nothing(own, offers, monkeypatch):
    config, decision, found = own.config, own.decision, own.match(offers).to_pylist()
    cannot_write(monkeypatch)
    with pytest.raises(InputError, match="the disk is full"):
        own.calibrate(0.7, scorer="score")
    assert (own.config, own.decision) == (config, decision)
    with pytest.raises(InputError, match="the disk is full"):
        own.save(own.folder)
    assert own.decision is decision
    for one in (own, Retriever.open(own.folder)):
        assert one.match(offers).to_pylist() == found


def test_a_catalogue_that_cannot_be_written_changes_nothing(buyers, tmp_path, monkeypatch):
    own = Retriever.open(shutil.copytree(buyers / "model", tmp_path / "model"))
    given, catalogue = events(("a", "i0-0", 1), ("a", "i0-1", 2)), own.catalogue
    found = own.recommend(given, 6).to_pylist()
    cannot_write(monkeypatch)
    with pytest.raises(InputError, match="the disk is full"):
        own.index(own.items.take(np.arange(len(own.items))[::-1]))
    assert own.catalogue is catalogue
    # histories refer to the rows of the catalogue that is still there
    assert own.recommend(given, 6).to_pylist() == found
    assert Retriever.open(own.folder).items["id"].to_pylist() == own.items["id"].to_pylist()


def test_a_folder_of_something_else_is_not_saved_into(model, tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(
        InputError, match=r"holds other files, such as 'thesis\.tex'; give a folder"
    ):
        copy.copy(model).save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_labels_of_ones_own_calibrate_and_are_measured(own, shop):
    table, pairs = read_table(shop / "queries.csv"), read_table(shop / "pairs.csv")
    labels, true = table.slice(700, 400), pairs.slice(700, 400)
    policy = own.calibrate(0.9, queries=labels, pairs=true, by="shop")
    assert policy.by == "shop"
    assert own.decision.outcomes.ids == labels["id"].to_pylist()
    found = own.evaluate(queries=labels, pairs=true, by="shop")
    assert (found["queries"], found["shop=north/queries"] + found["shop=south/queries"]) == (
        400,
        400,
    )
    with pytest.raises(InputError, match="queries and pairs go together; give both, or neither"):
        own.evaluate(queries=labels)
    with pytest.raises(InputError, match=r"at least 100 labelled queries, .* got 99"):
        own.calibrate(queries=labels.slice(0, 99), pairs=true.slice(0, 99))
    with pytest.raises(InputError, match="'tests'"):
        own.evaluate("tests")


def test_labels_may_name_items_that_the_catalogue_lacks(model, shop):
    table = read_table(shop / "queries.csv").slice(0, 120)
    pairs = pa.table({"query_id": table["id"], "item_id": ["gone"] * 120})
    part = model.labelled("test", table, pairs)
    assert part.truth.counts().tolist() == [0] * 120


def test_a_decision_of_another_model_is_refused(own, shop):
    folder = own.folder
    part = Artifact.open(folder).part("model")

    def other(to):
        shutil.copytree(part, to, dirs_exist_ok=True)
        settings = to / "settings.json"
        settings.write_bytes(settings.read_bytes() + b"\n")

    edit = Transaction(folder)
    edit.write("model", other)
    edit.commit()
    with pytest.raises(InputError, match=r"was fitted on .*; calibrate again"):
        Retriever.open(folder)


# What is kept.


def test_what_is_saved_is_opened_as_it_was(model, offers, tmp_path):
    copied = copy.copy(model)
    assert copied.save(tmp_path / "deep" / "m") == tmp_path / "deep" / "m"
    again = Retriever.open(tmp_path / "deep" / "m")
    assert again.match(offers, 3).to_pylist() == copied.match(offers, 3).to_pylist()
    assert again.config.to_toml() == model.config.to_toml()
    assert again.train_queries == model.train_queries > 0
    assert again.policy == replace(copied.policy, fitted_on=again.policy.fitted_on)
    assert again.evaluate(by="shop") == model.evaluate(by="shop")


def test_the_same_catalogue_keeps_the_decision_and_another_drops_it(own, shop, offers):
    items, policy, before = own.items, own.policy, own.match(offers).to_pylist()
    own.index(items)
    assert own.policy == policy
    assert own.match(offers).to_pylist() == before
    assert Retriever.open(own.folder).policy == policy
    added = pa.table({"id": ["new"], "title": ["hovercraft ZZ-999 left-handed"]})
    own.index(pa.concat_tables([items.slice(1), added]))
    assert own.policy is None
    assert not Artifact.open(own.folder).has("decision")
    with pytest.raises(InputError, match="no threshold was certified"):
        own.match(offers)
    for one in (own, Retriever.open(own.folder)):
        found = one.search(["hovercraft left-handed"], 1).to_pylist()[0]
        assert found["item_id"] == "new"
        assert "i0" not in one.search(offers, PRODUCTS)["item_id"].to_pylist()
    assert isinstance(own.calibrate(), Policy)  # the queries of the item that is gone have none
    lost = own.labelled("calibration").truth.counts() == 0
    assert lost.sum() == sum(
        row["item_id"] == "i0" and row["query_id"] in set(own.decision.outcomes.ids)
        for row in read_table(shop / "pairs.csv").to_pylist()
    )


@pytest.mark.parametrize(
    ("items", "words"),
    [
        ({"id": ["a", "a"], "title": ["x", "y"]}, "1 id stands on several rows"),
        ({"id": ["a", ""], "title": ["x", "y"]}, "1 row has no id"),
        ({"id": ["a", "b"], "name": ["x", "y"]}, "no column 'title'"),
        ({"title": ["x", "y"]}, "no column 'id'"),
        ({"id": pa.array([], pa.string()), "title": pa.array([], pa.string())}, "has no items"),
    ],
)
def test_items_that_are_no_catalogue(model, items, words):
    made = copy.copy(model)
    made.folder = None
    with pytest.raises(InputError, match=words):
        made.index(pa.table(items))
    assert made.catalogue is model.catalogue
    assert made.search(["kettle"], 1)["item_id"].to_pylist() == (
        model.search(["kettle"], 1)["item_id"].to_pylist()
    )


def test_data_that_is_gone_and_a_split_that_is_empty(own, tmp_path):
    own.config = own.config.replace(data={"queries": str(tmp_path / "gone.csv")})
    with pytest.raises(InputError, match=r"gone\.csv"):
        own.evaluate()
    own.data = replace_part(Retriever.open(own.folder).labelled("test"))
    with pytest.raises(InputError, match="no queries in the split 'validation'; give it a share"):
        own.evaluate("validation")


def replace_part(test):
    from types import SimpleNamespace

    nothing = test.take(np.zeros(0, np.int64))
    return SimpleNamespace(
        part=lambda name: test if name == "test" else nothing, items=pa.table({"id": ["i0"]})
    )


# What is nearest.


@pytest.mark.usefixtures("types_unchecked")
def test_neighbours_are_the_closest_other_items(model):
    ids = model.items["id"].to_pylist()
    found = model.nearest(["i5", "i9"], 4).to_pylist()
    vectors = model.catalogue.vectors(np.arange(PRODUCTS))
    assert [row["rank"] for row in found] == [1, 2, 3, 4] * 2
    for number, own in ((0, 5), (1, 9)):
        scores = vectors @ vectors[own]
        scores[own] = -np.inf
        rows = found[4 * number : 4 * number + 4]
        assert [row["score"] for row in rows] == pytest.approx(np.sort(scores)[:-5:-1], abs=1e-6)
        assert [scores[ids.index(row["neighbour_id"])] for row in rows] == pytest.approx(
            [row["score"] for row in rows], abs=1e-6
        )
        assert {row["item_id"] for row in rows} == {f"i{own}"}
    titles = dict(zip(ids, model.items["title"].to_pylist(), strict=True))
    assert all(row["neighbour"] == titles[row["neighbour_id"]] for row in found)
    assert len(model.nearest("i5", PRODUCTS - 1)) == PRODUCTS - 1
    for k in (0, PRODUCTS):
        with pytest.raises(InputError, match=f"k is {k}; give 1 to {PRODUCTS - 1}"):
            model.nearest("i5", k)
    for wrong, words in ((["i5", "x"], "'x'"), (4617, "'4617'"), ([1, 2.5], r"'1', '2\.5'")):
        with pytest.raises(
            InputError, match=f"the catalogue has no item {words}; its ids are such"
        ):
            model.nearest(wrong)


# What is recommended.

# The third user has had an item twice, the fourth has no history.
HAD = [[3, 9, 4], [20], [5, 8, 5], []]


@pytest.fixture(scope="module")
def buyers(tmp_path_factory):
    return trained_on_histories(tmp_path_factory)


@pytest.fixture(scope="module")
def two_interests(buyers, tmp_path_factory):
    """As the buyers' own, with two vectors a user."""
    more = ["tower.interests=2", "tower.dim=8", "train.epochs=1"]
    run = read(buyers / "run.toml", more)
    return train(run, tmp_path_factory.mktemp("two") / "m", quiet=True)[0]


def had(*lists):
    starts = np.cumsum([0, *map(len, lists)])
    items = np.array([item for own in lists for item in own], np.int64)
    ids = pa.array([f"u{n}" for n in range(len(lists))])
    return Queries(ids, None, None, Histories.of(Sequences(starts, items)))


def boosted(model, **options):
    made = copy.copy(model)
    made.config = model.config.replace(recommend=options)
    return made


@pytest.fixture(params=["buyers", "two_interests"])
def lister(request):
    made = request.getfixturevalue(request.param)
    return made if isinstance(made, Retriever) else Retriever.open(made / "model")


def all_scores(model, queries, boost=0.0):
    """The best score of any interest for every item, raised for those of the history."""
    vectors = model.tower.encode(model.tower.queries(queries))
    users = vectors.reshape(len(queries), -1, model.tower.dim)
    items = model.catalogue.vectors(np.arange(len(model.items)))
    scores = (users @ items.T).max(axis=1)
    for user, own in enumerate(HAD):
        scores[user, sorted(set(own))] += boost
    return scores


@pytest.mark.parametrize("boost", [0.0, 0.3, 5.0])
def test_what_was_had_is_listed_by_its_raised_score(lister, boost):
    made, queries = boosted(lister, repeat_boost=boost), had(*HAD)
    hits = made.lists(queries, 6)
    known = np.array([bool(own) for own in HAD])
    scores = all_scores(made, queries, boost)[known]
    best = np.sort(scores, axis=1)[:, :-7:-1]
    assert hits.scores[known] == pytest.approx(best, abs=1e-6)
    assert np.take_along_axis(scores, hits.rows[known], axis=1) == pytest.approx(best, abs=1e-6)
    assert all(len(set(row)) == 6 for row in hits.rows[known].tolist())
    assert (hits.rows[~known] == -1).all()  # of whom nothing is known there is no list
    if boost == 5.0:
        first = [sorted(row[: len(set(own))]) for row, own in zip(hits.rows, HAD, strict=True)]
        assert first == [sorted(set(own)) for own in HAD]
        assert set(made.lists(queries, 2).rows[0].tolist()) < set(HAD[0])


def test_what_was_had_may_be_left_out_whatever_is_configured(lister):
    made, queries = boosted(lister, repeat_boost=5.0), had(*HAD)
    removed = made.lists(queries, 32, remove_history=True)
    assert sorted(removed.rows[0].tolist()) == sorted(set(range(35)) - set(HAD[0]))
    off = boosted(lister, remove_history=True, repeat_boost=0.0)
    assert off.lists(queries, 32).rows[:3].tolist() == removed.rows[:3].tolist()
    assert set(HAD[0]) < set(off.lists(queries, 35, remove_history=False).rows[0].tolist())


@pytest.fixture(scope="module")
def recommender(buyers):
    return Retriever.open(buyers / "model")


def events(*rows):
    names = ("user_id", "item_id", "timestamp")
    return pa.table({name: list(column) for name, column in zip(names, zip(*rows, strict=True),
                                                               strict=True)})  # fmt: skip


def lists_of(table):
    found = {}
    for row in table.to_pylist():
        found.setdefault(row["user_id"], []).append(row)
    return found


def test_a_user_gets_the_ring_in_which_the_history_is(recommender):
    found = lists_of(
        recommender.recommend(events(("a", "i0-0", 1), ("a", "i0-1", 2), ("b", "i3-4", 1)), 6)
    )
    titles = {row["id"]: row["title"] for row in recommender.items.to_pylist()}
    for user, ring in (("a", 0), ("b", 3)):
        assert [row["rank"] for row in found[user]] == [1, 2, 3, 4, 5, 6]
        scores = [row["score"] for row in found[user]]
        assert scores == sorted(scores, reverse=True)
        assert sum(row["item_id"].startswith(f"i{ring}-") for row in found[user]) >= 5
        assert all(row["item"] == titles[row["item_id"]] for row in found[user])


def test_an_item_that_nobody_bought_yet_is_found_by_its_words(recommender):
    (found,) = lists_of(
        recommender.recommend(events(("a", "i2-0", 1), ("a", "i2-1", 2)), 35)
    ).values()
    order = [row["item_id"] for row in found]
    assert sorted(order) == sorted([*ITEMS, *COLD])
    assert min(COLD, key=order.index) == "cold2"
    assert order.index("cold2") < 10
    # and one who has bought nothing else is known by its words
    (found,) = lists_of(recommender.recommend(events(("a", "cold4", 1)), 7)).values()
    assert sum(row["item_id"].startswith("i4-") for row in found) >= 5


def test_events_may_be_in_any_order_and_name_items_that_are_gone(recommender):
    rows = [("a", "i0-0", 1), ("a", "zz", 2), ("b", "zz", 1), ("c", "yy", 1), ("c", "i1-1", 0)]
    with pytest.warns(UserWarning, match="1 of 3 have no list, such as user_id 'b'"):
        found = lists_of(recommender.recommend(events(*rows), 2))
    assert list(found) == ["a", "c"]
    alone = lists_of(recommender.recommend(events(("a", "i0-0", 1)), 2))
    for row, other in zip(found["a"], alone["a"], strict=True):
        assert row.pop("score") == pytest.approx(other.pop("score"), abs=1e-6)
        assert row == other
    one, other = (
        recommender.recommend(events(*rows), 6)
        for rows in ([("a", "i0-0", 1), ("a", "i3-1", 2)], [("a", "i3-1", 2), ("a", "i0-0", 1)])
    )
    assert one.to_pylist() == other.to_pylist()
    with pytest.raises(InputError, match=r"has 2 rows, none of them an event with a user"):
        recommender.recommend(events(("a", "x", 1), ("b", "y", 1)))
    for k in (0, 36):
        with pytest.raises(InputError, match=f"{k}.*35"):
            recommender.recommend(events(("a", "i0-0", 1)), k)


def test_an_uncalibrated_model_of_events_names_the_calls_that_it_has(recommender):
    for call in (recommender.search, recommender.match, recommender.encode):
        with pytest.raises(InputError, match="reads only what users did; give events to recommend"):
            call(["mug"])
    with pytest.raises(InputError, match=r"no threshold .*; recommend lists items for users"):
        recommender.match(events=events(("a", "i0-0", 1)))


def test_lists_in_blocks_are_those_of_the_whole(recommender, monkeypatch):
    rows = [(f"u{n:02}", ITEMS[(7 * n + t) % 30], t) for n in range(23) for t in range(1 + n % 5)]
    call = partial(recommender.recommend, events(*rows), 5, remove_history=True)
    whole = lists_of(call())
    assert len(whole) == 23
    monkeypatch.setattr(module, "BLOCK", 4)
    blocks = lists_of(call())
    assert list(blocks) == list(whole)
    for user, items in whole.items():
        for one, other in zip(items, blocks[user], strict=True):
            assert one["score"] == pytest.approx(other["score"], abs=1e-6)
            assert {**one, "score": 0} == {**other, "score": 0}


def test_a_model_of_events_measures_its_lists(recommender):
    part = recommender.labelled("test")
    found = recommender.lists(part.queries, 6)
    shares = []
    for user in range(len(part)):
        own = set(part.targets.items[part.targets.starts[user] : part.targets.starts[user + 1]])
        shares.append(len(own & set(found.rows[user])) / len(own))
    assert recommender.evaluate()["recall@6"] == pytest.approx(np.mean(shares))
    assert np.mean(shares) > 0.7


def test_queries_that_are_items_are_not_found_for_themselves(tmp_path):
    folder = open_readers(tmp_path)
    links = [(f"b{n}", f"b{(n + GENRES * s) % BOOKS}") for n in range(BOOKS) for s in range(1, 7)]
    write(folder / "pairs.csv", "query_id,item_id", links)
    text = (folder / "run.toml").read_text().replace('queries = "readers.csv"\n', "")
    (folder / "run.toml").write_text(text)
    model, _ = train(read(folder / "run.toml", ["train.epochs=1"]), quiet=True)
    books = model.items.slice(3, 4)
    found = model.recommend(queries=books, k=BOOKS - 1).to_pylist()
    assert len(found) == 4 * (BOOKS - 1)
    assert not [row for row in found if row["query_id"] == row["item_id"]]
    assert [row for row in model.search(books, BOOKS).to_pylist()
            if row["query_id"] == row["item_id"]]  # fmt: skip
    # so it is where they are matched and decided, as it was in calibration
    policy, none = Policy(0.0, 0.9, 0.9, 0, 0, 0, 0.0, 0), np.zeros(0)
    outcomes = Outcomes([], none, none > 0, none > 0, none.astype(np.int64))
    model.decision = Decision(DecideOptions(scorer="score"), policy, outcomes)
    matched = model.match(books, BOOKS - 1).to_pylist()
    assert len(matched) == 4 * (BOOKS - 1)
    assert not [row for row in matched if row["query_id"] == row["item_id"]]


def test_numbers_of_queries_without_ids_are_no_ids_of_items():
    titles = [f"mug number {n}" for n in range(20)]
    items = pa.table({"id": [str(n) for n in range(20)], "title": titles})
    links = pa.table(
        {"query_id": [str(n) for n in range(19)], "item_id": [str(n + 1) for n in range(19)]}
    )
    config = {"tower": {"kind": "tfidf", "bits": 10}, "data": {"shares": {"train": 1.0}}}
    model = train_frames(items, pairs=links, config=config, quiet=True)
    first = model.recommend(queries=items.slice(3, 1), k=1).to_pylist()
    assert first[0]["item_id"] != "3"
    assert model.recommend(queries=["mug number 0"], k=1).to_pylist()[0]["item_id"] == "0"


def test_the_texts_that_training_knew_are_kept(model, own):
    learnt = {text.casefold() for text in model.labelled("train").queries.text(["title"])}
    kept = Artifact.open(own.folder).part("model") / "known_texts.npy"
    assert np.load(kept).dtype == np.uint64
    assert len(np.load(kept)) == len(learnt) > 100
    asked = own.as_queries([*list(learnt)[:5], "Nothing of the kind"])
    assert own.known(asked).tolist() == [True] * 5 + [False]
    content = bytearray(kept.read_bytes())
    content[-1] ^= 1
    kept.write_bytes(content)
    with pytest.raises(InputError, match=r"known_texts\.npy is missing or not what was written"):
        Retriever.open(own.folder)


def test_tables_that_are_files_are_read(model, offers, tmp_path):
    write_table(offers, tmp_path / "o.csv")
    assert model.search(tmp_path / "o.csv", 2).to_pylist() == model.search(offers, 2).to_pylist()
    assert model.search(str(tmp_path / "o.csv"), 2).to_pylist() == (
        model.search(offers, 2).to_pylist()
    )


def test_files_that_fit_their_digests_and_are_no_model(own):
    """As after an edit by hand, with the manifest brought up to date."""
    edit, part = Transaction(own.folder), Artifact.open(own.folder).part("model")

    def edited(folder):
        shutil.copytree(part, folder, dirs_exist_ok=True)
        (folder / "settings.json").write_text("{}")

    edit.write("model", edited)
    edit.commit()
    with pytest.raises(InputError, match=r"cannot be read \(KeyError: 'base'\): a file is"):
        Retriever.open(own.folder)


def test_a_folder_that_holds_another_model_by_now(own, shop, offers):
    """Neither a certificate of the old catalogue nor the old model is written into it."""
    other = Retriever.open(own.folder)
    other.index(other.items.slice(0, 200))
    for change in (lambda: own.calibrate(0.6), lambda: own.index(own.items.slice(0, 250))):
        with pytest.raises(InputError, match=r"holds another model or catalogue by now.*open it"):
            change()
    again = Retriever.open(own.folder)
    assert (len(again.items), again.policy) == (200, None)
    assert len(own.items) == PRODUCTS
    own = Retriever.open(own.folder)
    own.calibrate(0.6)  # opened again it may
    assert Retriever.open(own.folder).policy == own.policy
    own.calibrate(0.7)  # and what it wrote itself is not another


def test_the_same_answer_again_is_no_other_use_of_the_labels(own):
    before = own.policy
    assert before.segments  # known texts are reviewed
    assert own.calibrate() == before
    assert own.policy.label_uses == 1
    assert own.calibrate(0.61).label_uses == 2


def test_an_opened_model_answers_without_torch_and_as_the_one_that_was_trained(model, offers):
    opened = Retriever.open(model.folder)
    assert opened.match(offers, 3).equals(model.match(offers, 3))
    assert opened.reader is not opened.tower
    np.testing.assert_array_equal(opened.encode(offers), model.encode(offers))
    code = (
        "import sys; from thresher.retriever import Retriever; "
        f"print(len(Retriever.open({str(model.folder)!r}).match(['red kettle']))); "
        "sys.exit('torch' in sys.modules or 'sklearn' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr


def test_shares_side_by_side_change_nothing(monkeypatch, model):
    part = model.labelled("test")
    whole = model.propose(part.queries, depth=5, ignored=part.truth)
    monkeypatch.setattr("thresher.retrieve.side_by_side.LEAST", 7)
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(3)
    try:
        found = model.propose(part.queries, depth=5, ignored=part.truth)
    finally:
        faiss.omp_set_num_threads(before)
    assert len(part) >= 21
    for name in ("hits", "tower"):
        assert np.array_equal(getattr(found, name).rows, getattr(whole, name).rows)
        assert np.array_equal(getattr(found, name).scores, getattr(whole, name).scores)
    assert np.array_equal(found.confidence, whole.confidence)
    assert np.array_equal(found.chances, whole.chances)
