"""Items that change in a live catalogue: the others answer as before, to the last bit."""

from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from oracles.buyers import trained_on_histories
from oracles.shop import trained
from thresher.data.queries import Queries
from thresher.data.tables import read_table
from thresher.errors import InputError
from thresher.retrieve import FaissIVF, Hits, rebuilt
from thresher.retriever import Retriever


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    return trained(tmp_path_factory)


@pytest.fixture(scope="module")
def model(shop):
    return Retriever.open(shop / "model")


@pytest.fixture(scope="module")
def offers(shop):
    return read_table(shop / "queries.csv").slice(0, 60)


def arrays(features):
    """Everything that pair features are read from, by name."""
    return {
        **{f"text {k}": v for k, v in features.texts._asdict().items()},
        **{f"catalogue {k}": v for k, v in features.catalogue._asdict().items()},
        **features.columns.arrays(),
        **{f"alias {i}": v for i, v in enumerate(features.alias_vectors)},
        "counts": features.train_counts,
    }


def assert_same(one, other, *, but=()):
    left, right = arrays(one), arrays(other)
    assert left.keys() == right.keys()
    for name, values in left.items():
        if name not in but:
            np.testing.assert_array_equal(values, right[name], err_msg=name)
            assert values.dtype == right[name].dtype, name
    assert list(one.aliases.texts) == list(other.aliases.texts)
    assert list(one.aliases.item_ids) == list(other.aliases.item_ids)


def test_an_item_written_again_as_it_is_changes_nothing(model, offers):
    rows = model.items.to_pylist()
    same = model.with_items([rows[7], rows[8], rows[299]])
    assert same.items.equals(model.items)
    assert_same(same.catalogue.features, model.catalogue.features)
    assert same.match(offers, 5).equals(model.match(offers, 5))


def test_without_an_item_the_others_are_proposed_as_if_it_were_not_allowed(model, offers):
    gone = model.match(offers.slice(0, 3), 1)["item_id"].to_pylist()
    fewer = model.with_items(deletes=[*gone, "unknown"])
    assert len(fewer.items) == 300 - len(set(gone))
    allow = ~np.isin(model.items["id"].to_numpy(), gone)
    queries = Queries.of_table(offers)
    expected = model.propose(queries, allow=allow)
    found = fewer.propose(queries)
    ids = np.array(model.items["id"]), np.array(fewer.items["id"])
    np.testing.assert_array_equal(ids[1][found.tower.rows], ids[0][expected.tower.rows])
    np.testing.assert_array_equal(found.tower.scores, expected.tower.scores)
    moved = np.cumsum(allow) - 1
    vectors, hits = model.hits(queries, 5, allow=allow)
    there = Hits(moved[hits.rows], hits.scores)
    np.testing.assert_array_equal(
        fewer.catalogue.pair_features(queries, vectors, there),
        model.catalogue.pair_features(queries, vectors, hits),
    )


def test_a_new_item_is_found_and_the_features_of_the_others_stay(model, offers):
    new = {"id": "n1", "title": "Wundervolt QZ-771 samovar turquoise"}
    more = model.with_items([new])
    assert more.search(["samovar wundervolt qz771"], 1)["item_id"].to_pylist() == ["n1"]
    assert more.match(["samovar wundervolt qz771"], 1)["item_id"].to_pylist() == ["n1"]
    queries = Queries.of_table(offers)
    vectors, hits = model.hits(queries, 5)
    np.testing.assert_array_equal(
        more.catalogue.pair_features(queries, vectors, hits),
        model.catalogue.pair_features(queries, vectors, hits),
    )
    again = more.with_items(deletes=["n1"])
    assert again.items.equals(model.items)
    assert again.match(offers, 5).equals(model.match(offers, 5))


def test_a_changed_item_has_its_new_text_and_keeps_its_training_queries(model):
    row = {"id": "i7", "title": "Wundervolt QZ-771 samovar turquoise"}
    other = model.with_items([row])
    assert other.items.slice(7, 1).to_pylist() == [row]
    before, after = (one.catalogue.features for one in (model, other))
    assert list(after.aliases.item_ids) == list(before.aliases.item_ids)
    np.testing.assert_array_equal(after.train_counts, before.train_counts)
    found = other.match(["samovar wundervolt qz771"], 1)
    assert found.select(["item_id", "item"]).to_pylist() == [
        {"item_id": "i7", "item": row["title"]}
    ]
    assert model.items.slice(7, 1)["title"].to_pylist() != [row["title"]]


def test_changes_in_turn_end_where_all_at_once_end(model, offers):
    rows = model.items.to_pylist()
    changed = [{**rows[3], "title": "Nordal AA-1 oven"}, {"id": "n1", "title": "Veltek lamp"}]
    once = model.with_items([*changed, {"id": "n2", "title": "Ombra oven"}], ["i9", "i10"])
    steps = model.with_items(changed[:1], ["i9"]).with_items(changed[1:], ["i10"])
    steps = steps.with_items([{"id": "n2", "title": "Ombra oven"}])
    assert steps.items.equals(once.items)
    assert_same(steps.catalogue.features, once.catalogue.features)
    assert steps.match(offers, 5).equals(once.match(offers, 5))


def test_every_word_of_an_item_leads_to_it(model):
    other = model.with_items([{"id": "n1", "title": "zebra Nordal kettle"}], ["i0", "i200"])
    c, texts = other.catalogue.features.catalogue, other.catalogue.features.texts
    for word in range(len(c.vocabulary)):
        found = c.posting[c.posting_start[word] : c.posting_start[word + 1]]
        starts = np.searchsorted(texts.word_start, np.flatnonzero(texts.word >> 1 == word), "right")
        np.testing.assert_array_equal(found, starts - 1)


def test_events_refer_to_the_items_that_are_left(tmp_path_factory):
    model = Retriever.open(trained_on_histories(tmp_path_factory) / "model")
    gone = model.items["id"][0].as_py()
    fewer = model.with_items(deletes=[gone])
    kept = model.items["id"][3].as_py()
    events = pa.table({"user_id": ["u"], "item_id": [kept], "timestamp": [1]})
    expected = model.recommend(events, 5, remove_history=True)
    found = fewer.recommend(events, 4, remove_history=True)
    left = expected.filter(pc.not_equal(expected["item_id"], gone)).slice(0, 4)
    assert found["item_id"].to_pylist() == left["item_id"].to_pylist()


def test_clusters_are_kept_over_other_vectors():
    draw = np.random.default_rng(0)
    vectors = draw.normal(size=(400, 8)).astype(np.float32)
    index = FaissIVF.build(vectors, probes=100)
    fewer = rebuilt(index, vectors[5:])
    assert len(index) == 400
    np.testing.assert_array_equal(
        fewer.search(vectors[:9], 3).rows + 5, index.search(vectors[:9], 3, allow=_from(5)).rows
    )


def _from(row):
    return np.arange(400) >= row


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (partial(dict, upserts=[{"title": "x"}]), "item 1 has no id"),
        (partial(dict, upserts=[{"id": "a"}, {"id": "a"}]), "'a' stands there twice"),
        (partial(dict, upserts=[{"id": "a", "titles": "x"}]), "did you mean 'title'"),
        (partial(dict, deletes=[f"i{i}" for i in range(300)]), "no item would be left"),
    ],
)
def test_changes_that_cannot_be_made_are_refused(model, change, message):
    with pytest.raises(InputError, match=message):
        model.with_items(**change())
