"""The one service: what it proposes, what it decides, what it refuses."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from thresher.artifact import Artifact, Edit
from thresher.data.relation import Relation
from thresher.data.tables import read_table
from thresher.decide.policy import NoThreshold, Policy
from thresher.errors import InputError
from thresher.matcher import Matcher


@pytest.fixture(scope="module")
def matcher(shop):
    return Matcher.open(shop / "model")


@pytest.fixture(scope="module")
def texts(shop):
    return read_table(shop / "queries.csv")["title"].to_pylist()[:60]


@pytest.fixture(params=["reranker", "margin", "score"])
def each(request, matcher):
    return replace(matcher, options=replace(matcher.options, scorer=request.param))


def test_candidates_are_those_of_the_tower(each, texts):
    found = each.propose(texts)
    _, hits = each.search(texts, each.options.candidates)
    assert (np.sort(found.hits.rows, axis=1) == np.sort(hits.rows, axis=1)).all()
    assert np.isfinite(found.confidence).all()
    assert found.confidence.dtype == np.float64


def test_alone_is_as_in_a_batch(each, texts):
    together = each.propose(texts)
    for i in range(0, 60, 17):
        alone = each.propose(texts[i : i + 1])
        assert alone.hits.rows[0].tolist() == together.hits.rows[i].tolist()
        np.testing.assert_allclose(alone.confidence[0], together.confidence[i], atol=1e-6)


def test_depth_goes_on_in_the_order_of_the_tower(each, texts):
    near, deep = each.propose(texts), each.propose(texts, depth=50)
    k = each.options.candidates
    assert deep.hits.rows.shape == (60, 50)
    assert (deep.hits.rows[:, :k] == near.hits.rows).all()
    assert all(len(set(row)) == 50 for row in deep.hits.rows.tolist())
    assert each.propose(texts, depth=10_000).hits.rows.shape == (60, 300)


def test_only_what_is_allowed_is_proposed(each, texts):
    allow = np.zeros(300, bool)
    allow[::7] = True
    rows = each.propose(texts, allow=allow).hits.rows
    assert allow[rows[rows >= 0]].all()
    few = np.zeros(300, bool)
    few[5] = True
    rows = each.propose(texts, allow=few).hits.rows
    assert (rows[:, 0] == 5).all()
    assert (rows[:, 1:] == -1).all()
    nothing = each.propose(texts, allow=np.zeros(300, bool))
    assert (nothing.hits.rows == -1).all()
    assert (nothing.confidence <= 0).all()


def test_what_is_ignored_is_not_proposed_and_the_rest_is_as_it_was(each, texts):
    every = each.propose(texts, depth=300).hits
    _, plain = each.search(texts, 300)
    rng = np.random.default_rng(3)
    # The first items of the tower's own order among them, and more for some queries than others.
    ignored = {q: {*plain.rows[q, : q % 4].tolist(), *rng.integers(0, 300, q).tolist()}
               for q in range(60)}  # fmt: skip
    pairs = np.array([(q, i) for q, items in ignored.items() for i in items])
    relation = Relation.from_pairs(pairs[:, 0], pairs[:, 1], shape=(60, 300))
    assert every.rows.shape == (60, 300)
    _, hits = each.search(texts, 20, ignored=relation)
    found = each.propose(texts, depth=20, ignored=relation)
    k = each.options.candidates
    for q, items in ignored.items():
        order = [row for row in plain.rows[q].tolist() if row not in items]
        assert hits.rows[q].tolist() == order[:20]
        assert set(found.hits.rows[q].tolist()) == set(order[:20])
        assert found.hits.rows[q, k:].tolist() == order[k:20]
    assert np.isfinite(found.confidence).all()
    near, signs = each.signs(texts, ignored=relation)
    assert (near.rows == hits.rows[:, :k]).all()
    assert signs.shape[:2] == near.rows.shape


def test_no_queries(each):
    assert each.propose([]).hits.rows.shape[0] == 0
    assert len(each.match([])) == 0


def test_a_table_is_matched_as_its_texts_are(matcher, texts):
    table = pa.table({"title": texts, "id": [7 * i for i in range(60)]})
    found, plain = matcher.match(table), matcher.match(texts)
    assert found["query_id"].to_pylist() == [str(7 * i) for i in range(60)]
    assert plain["query_id"].to_pylist() == [str(i) for i in range(60)]
    assert found.drop_columns(["query_id"]).to_pylist() == (
        plain.drop_columns(["query_id"]).to_pylist()
    )
    with pytest.raises(InputError, match="no column 'title'; it has name"):
        matcher.match(pa.table({"name": texts}))


def test_nulls_are_empty_texts(matcher):
    rows = matcher.match(pa.table({"id": ["a", None], "title": pa.array([None, "kettle"])}))
    assert rows["decision"].to_pylist()[0] == "review"
    assert rows["item_id"].to_pylist()[0] is None
    assert rows["query_id"].to_pylist() == ["a", None]


def test_decisions_are_the_policy_and_nothing_else(matcher, texts):
    found = matcher.match(texts)
    sure = found["confidence"].to_numpy() >= matcher.policy.accept_at
    assert [d == "accept" for d in found["decision"].to_pylist()] == sure.tolist()
    assert set(found["policy"].to_pylist()) == {matcher.policy.id}


def test_without_a_certified_threshold_all_is_for_review(matcher, texts):
    none = NoThreshold(
        **{
            name: value
            for name, value in _example().to_dict().items()
            if name in NoThreshold.__dataclass_fields__
        }
    )
    found = replace(matcher, policy=none).match(texts)
    assert set(found["decision"].to_pylist()) == {"review"}
    assert all(found["item_id"].to_pylist())


def _example():
    from thresher.decide.certify import certify

    scores = np.linspace(0, 1, 50)
    return certify(scores, np.zeros(50, bool), target=0.95)


def test_segments_need_a_table(matcher, texts):
    policy = replace(matcher.policy, by="shop", segments={"north": _strict(matcher.policy)})
    segmented = replace(matcher, policy=policy)
    with pytest.raises(InputError, match="a threshold for each shop; give a table"):
        segmented.match(texts)
    shops = ["north", None, "elsewhere"] * 20
    found = segmented.match(pa.table({"title": texts, "shop": shops}))
    decisions = np.array(found["decision"].to_pylist())
    assert (decisions[::3] == "review").all()  # north accepts nothing below certainty
    assert (decisions == "accept").any()


def _strict(policy):
    return Policy(2.0, policy.target_precision, policy.confidence_level, 0, 0, 10, 0.0, 0)


def test_an_uncalibrated_matcher_refuses(matcher, texts):
    with pytest.raises(InputError, match=r"no policy has been certified .* `thresher calibrate`"):
        replace(matcher, policy=None).match(texts)
    with pytest.raises(InputError, match="not fitted yet; run `thresher calibrate`"):
        replace(matcher, learned=None).propose(texts)


def test_a_decision_of_another_model_is_refused(model):
    artifact = Artifact.open(model)
    settings = artifact.part("model") / "settings.json"
    edit = Edit(model)

    def other(folder):
        for path in artifact.part("model").rglob("*"):
            if path.is_file():
                to = folder / path.relative_to(artifact.part("model"))
                to.parent.mkdir(parents=True, exist_ok=True)
                to.write_bytes(path.read_bytes() + (b"\n" if path.name == settings.name else b""))

    edit.write("model", other)
    edit.commit()
    with pytest.raises(InputError, match="calibrate"):
        Matcher.open(model)
    assert Matcher.open(model, decision=False).policy is None


def test_one_text_is_one_query(matcher, texts):
    found = matcher.match(texts[0])
    assert found["query"].to_pylist() == [texts[0]]
    assert found.equals(matcher.match([texts[0]]))


def test_frames_come_back_as_they_came(matcher, texts):
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    expected = matcher.match(texts[:3])["item_id"].to_pylist()
    columns = {"id": ["a", "b", "c"], "title": texts[:3]}
    for made, kind in ((pandas.DataFrame, pandas.DataFrame), (polars.DataFrame, polars.DataFrame)):
        found = matcher.match(made(columns))
        assert isinstance(found, kind)
        assert list(found["item_id"]) == expected
        assert list(found["query_id"]) == ["a", "b", "c"]


def test_what_is_no_table_is_refused(matcher):
    with pytest.raises(InputError, match="queries"):
        matcher.match(3)


def test_an_artifact_is_opened_by_its_path_as_text(shop, texts):
    assert Matcher.open(str(shop / "model")).match(texts[0]).num_rows == 1
