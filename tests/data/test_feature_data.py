"""Data of a features run: files to what is learnt, who is asked, and what is never listed."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from thresher.data.feature_data import FeatureSpec, histories_of, load_feature_data
from thresher.data.tables import write_table
from thresher.errors import InputError

ITEMS = [f"i{n}" for n in range(6)]
QUERIES = [f"q{n}" for n in range(20)]
PAIRS = [(q, f"i{(n + m) % 6}") for n, q in enumerate(QUERIES) for m in range(5)]
SPEC = FeatureSpec(items="items.csv", queries="queries.csv", pairs="pairs.csv")
LINKS = replace(SPEC, queries=None)
EVENTS = FeatureSpec(items="items.csv", events="events.csv")


def write(path, header, rows):
    path.write_text("\n".join([header, *map(",".join, rows)]) + "\n")


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / "items.csv", "id,shelf", [(item, "cups") for item in ITEMS])
    write(tmp_path / "queries.csv", "id,age", [(query, "30") for query in QUERIES])
    write(tmp_path / "pairs.csv", "query_id,item_id", PAIRS)
    events = [(f"u{n}", ITEMS[(n + t) % 6], str(t)) for n in range(20) for t in range(5)]
    write(tmp_path / "events.csv", "user_id,item_id,timestamp", events)
    return tmp_path


def lists(sequences):
    return [sequences.items[a:b].tolist() for a, b in pairwise(sequences.starts)]


def pairs_of(data, asking):
    rows = [QUERIES.index(name) for name in asking.ids.to_pylist()]
    targets = lists(asking.targets)
    return {(q, i) for q, items in zip(rows, targets, strict=True) for i in items}


def trained(data):
    return {tuple(pair) for pair in data.relation.pairs().tolist()}


# Pairs of queries and items.


def test_pairs_are_cut_each_by_itself(folder):
    data = load_feature_data(SPEC, folder)
    everything = {(QUERIES.index(q), ITEMS.index(i)) for q, i in PAIRS}
    parts = trained(data), pairs_of(data, data.validation), pairs_of(data, data.test)
    # 100 pairs: .8, .1 and .1 of them, each in one part
    assert [len(part) for part in parts] == [80, 10, 10]
    assert set.union(*parts) == everything
    assert data.items["id"].to_pylist() == ITEMS
    assert data.queries["id"].to_pylist() == QUERIES
    assert data.rows.tolist() == list(range(20))
    assert (data.examples, data.itself, data.findings) == (None, None, ())
    assert data.validation.rows.tolist() == sorted({q for q, _ in parts[1]})
    assert data.sizes() == {
        "items": 6,
        "items_never_in_training": 0,
        "training_pairs": 80,
        "queries_asked_in_validation": len({q for q, _ in parts[1]}),
        "queries_asked_in_test": len({q for q, _ in parts[2]}),
    }
    assert "training pairs: 80" in data.lines()


def test_what_was_true_before_is_not_listed_again(folder):
    data = load_feature_data(replace(SPEC, train_share=0.5), folder)
    whole = trained(load_feature_data(SPEC, folder))
    validation = pairs_of(data, data.validation)
    for asking, before in ((data.validation, whole), (data.test, whole | validation)):
        known = {(asking.rows[q], i) for q, i in asking.known.pairs().tolist()}
        # of all training pairs, also those that are not learnt from
        assert known == {(q, i) for q, i in before if q in asking.rows}
        assert not known & pairs_of(data, asking)


def test_all_pairs_of_a_query_together(folder):
    data = load_feature_data(replace(SPEC, protocol="queries"), folder)
    parts = trained(data), pairs_of(data, data.validation), pairs_of(data, data.test)
    asked = [{q for q, _ in part} for part in parts]
    # 20 queries: 16, 2 and 2 of them, all their 5 pairs
    assert [len(queries) for queries in asked] == [16, 2, 2]
    assert set.union(*asked) == set(range(20))
    assert [len(part) for part in parts] == [80, 10, 10]
    assert len(data.test.known.indices) == 0


def test_the_seed_decides_the_cut(folder):
    one, same = (pairs_of(d, d.test) for d in (load_feature_data(SPEC, folder) for _ in range(2)))
    other = load_feature_data(replace(SPEC, seed=1), folder)
    assert one == same != pairs_of(other, other.test)


def test_a_column_may_say_the_split(folder):
    said = ["train", "train", "validation", "test"]
    rows = [(*pair, said[n % 4]) for n, pair in enumerate(PAIRS)]
    write(folder / "pairs.csv", "query_id,item_id,split", rows)
    data = load_feature_data(SPEC, folder)
    found = {"train": trained(data)}
    found |= {name: pairs_of(data, getattr(data, name)) for name in ("validation", "test")}
    for split, pairs in found.items():
        expected = {(QUERIES.index(q), ITEMS.index(i)) for q, i, of in rows if of == split}
        assert pairs == expected


@pytest.mark.parametrize("protocol", [None, "queries"])
def test_a_smaller_share_of_the_training_pairs_lies_within_a_larger_one(folder, protocol):
    shares = (0.001, 0.1, 0.35, 1.0)
    spec = replace(SPEC, protocol=protocol)
    found = [load_feature_data(replace(spec, train_share=share), folder) for share in shares]
    parts = [trained(data) for data in found]
    assert [len(part) for part in parts] == [1, 8, 28, 80]
    assert parts[0] < parts[1] < parts[2] < parts[3]
    # who is asked stays the same, and is asked the same
    assert all(pairs_of(d, d.test) == pairs_of(found[0], found[0].test) for d in found)


def test_a_pair_that_is_listed_twice_counts_once(folder):
    write(folder / "pairs.csv", "query_id,item_id", [*PAIRS, PAIRS[3], PAIRS[3], PAIRS[4]])
    data = load_feature_data(SPEC, folder)
    assert len(trained(data)) == 80
    assert data.findings == ("3 pairs listed twice left out",)


def test_only_the_first_so_many_are_asked(folder):
    asking = load_feature_data(SPEC, folder).test
    first = asking.first(2)
    assert len(first) == 2
    assert first.ids.to_pylist() == asking.ids.to_pylist()[:2]
    assert first.rows.tolist() == asking.rows[:2].tolist()
    assert lists(first.targets) == lists(asking.targets)[:2]
    assert first.known.pairs().tolist() == asking.known.take(np.arange(2)).pairs().tolist()
    assert len(asking.first(99)) == len(asking)


# Items that are queries themselves.


def test_pages_that_link_to_pages(folder):
    links = [(a, b) for a in ITEMS for b in ITEMS]
    write(folder / "pairs.csv", "query_id,item_id", links)
    data = load_feature_data(LINKS, folder)
    # 36 pairs, 6 of them of a page with itself; 24, 3 and 3 of the others
    assert data.findings == ("6 pairs of an item with itself left out",)
    assert len(trained(data)) == 24
    assert all(query != item for query, item in trained(data))
    assert data.queries is data.items
    assert data.itself.pairs().tolist() == [[n, n] for n in range(6)]
    for asking in (data.validation, data.test):
        known = asking.known.pairs().tolist()
        assert all([row, page] in known for row, page in enumerate(asking.rows))
        for page, targets in zip(asking.rows, lists(asking.targets), strict=True):
            assert page not in targets


def test_an_item_counts_by_the_training_pairs_it_stands_in(folder):
    rows = [
        ("i0", "i1", "train"),
        ("i0", "i2", "train"),
        ("i3", "i1", "train"),
        ("i4", "i0", "test"),
    ]
    write(folder / "pairs.csv", "query_id,item_id,split", rows)
    data = load_feature_data(replace(LINKS, shares={"train": 0.5, "test": 0.5}), folder)
    assert data.counts().tolist() == [0, 2, 1, 0, 0, 0]
    assert data.asked_in_training().tolist() == [2, 0, 0, 1, 0, 0]
    assert data.sizes()["items_never_in_training"] == 4


# Events of users.


def test_the_next_items_of_users(folder):
    data = load_feature_data(EVENTS, folder)
    # 20 users of 5 events: 16 learn, all but their first event; 2 and 2 are asked, 4 of 5 known
    assert len(data.examples) == len(data.relation) == 16 * 4
    assert data.relation.indices.tolist() == data.examples.items().tolist()
    assert (data.queries, data.rows, data.itself) == (None, None, None)
    assert [len(asking) for asking in (data.validation, data.test)] == [2, 2]
    for asking in (data.validation, data.test):
        assert asking.rows is None
        assert len(asking.known.indices) == 0
        users = [int(name[1:]) for name in asking.ids.to_pylist()]
        assert lists(asking.histories) == [[(n + t) % 6 for t in range(4)] for n in users]
        assert lists(asking.targets) == [[(n + 4) % 6] for n in users]
    first = data.test.first(1)
    assert lists(first.histories) == lists(data.test.histories)[:1]
    # a user's first event is no target
    assert data.counts().sum() == 64


def test_users_may_have_features_and_need_not_stand_in_their_table(folder):
    write(folder / "queries.csv", "id,age", [(f"u{n}", str(20 + n)) for n in reversed(range(10))])
    data = load_feature_data(replace(EVENTS, queries="queries.csv"), folder)
    assert data.queries["id"][0].as_py() == "u9"
    for asking in (data.validation, data.test):
        users = [int(name[1:]) for name in asking.ids.to_pylist()]
        assert asking.rows.tolist() == [9 - n if n < 10 else -1 for n in users]
    # each training event is of a user who learns: 4 targets for each user who has a row
    counts = data.asked_in_training()
    asked = {*data.validation.ids.to_pylist(), *data.test.ids.to_pylist()}
    names = data.queries["id"].to_pylist()
    assert counts.tolist() == [0 if name in asked else 4 for name in names]
    assert len(data.rows) == 64
    assert (data.rows == -1).sum() == 64 - counts.sum()


def test_fewer_events_are_learnt_from_and_histories_stay_whole(folder):
    found = [
        load_feature_data(replace(EVENTS, train_share=share), folder) for share in (0.1, 0.25, 1.0)
    ]
    assert [len(data.examples) for data in found] == [6, 16, 64]
    targets = [set(data.examples.targets.tolist()) for data in found]
    assert targets[0] < targets[1] < targets[2]
    assert all(len(data.relation) == len(data.examples) for data in found)
    assert len(found[0].examples.sequences.items) == 80


def test_each_protocol_of_events(folder):
    last = load_feature_data(replace(EVENTS, protocol="last"), folder)
    # of each user's 5 events 3 are learnt from, 2 of them targets; all are asked for one
    assert (len(last.examples), len(last.validation), len(last.test)) == (40, 20, 20)
    shares = {"train": 0.6, "validation": 0.2, "test": 0.2}
    time = load_feature_data(replace(EVENTS, protocol="time", shares=shares), folder)
    assert (len(time.examples), len(time.validation), len(time.test)) == (40, 20, 20)


def test_without_a_file_the_items_are_those_of_the_events(folder):
    data = load_feature_data(replace(EVENTS, items=None), folder)
    assert data.items.column_names == ["id"]
    assert sorted(data.items["id"].to_pylist()) == ITEMS


def test_the_files_that_are_read():
    assert SPEC.paths("d") == tuple(
        Path("d", name) for name in ("items.csv", "queries.csv", "pairs.csv")
    )
    assert [path.name for path in LINKS.paths()] == ["items.csv", "pairs.csv"]
    users = replace(EVENTS, queries="queries.csv")
    assert [path.name for path in users.paths()] == ["events.csv", "items.csv", "queries.csv"]
    shipped = FeatureSpec(bundled="online-retail").paths()
    assert [path.name for path in shipped] == ["events.parquet", "items.parquet"]


# Histories in a column.


@pytest.mark.parametrize(
    "column", [["i2|i0|zz", "", "i1 | i1"], [["i2", "i0", "zz"], None, ["i1", "i1"]]]
)
def test_a_column_of_ids_is_read_in_its_order(column):
    items = pa.table({"id": ITEMS})
    found, unknown = histories_of(pa.table({"history": column}), "history", items)
    assert lists(found) == [[2, 0], [], [1, 1]]
    assert unknown == 1


# What is refused.

SPECS = {
    "share of none": ({"train_share": 0.0}, r"data\.train_share is 0\.0; give a fraction above 0"),
    "share of more": ({"train_share": 1.5}, r"train_share is 1\.5"),
    "pairs and events": ({"events": "e.csv"}, r"names both pairs and events; remove one"),
    "pairs and a set": ({"bundled": "online-retail"}, r"names both pairs and bundled"),
    "no items": ({"items": None}, r"names pairs and no items; name the file of the items"),
    "a cut of events": ({"protocol": "last"}, r"'last' cuts events, and the data names pairs;"),
    "a cut of pairs": ({"protocol": "queries", "pairs": None}, r"cuts pairs, and .* names events"),
    "shares": ({"shares": {"train": 0.5}}, r"which sum to 0\.5"),
    "calibration": ({"shares": {"train": 0.5, "calibration": 0.5}}, r"name 'calibration'"),
    "known": ({"pairs": None, "events": "e.csv", "known": 2.0}, r"known is 2\.0"),
}


@pytest.mark.parametrize("name", SPECS)
def test_what_is_refused_before_anything_is_read(name):
    changed, words = SPECS[name]
    with pytest.raises(InputError, match=words):
        replace(SPEC, **changed)


def test_no_file_of_pairs_or_events():
    with pytest.raises(InputError, match="names no file of events; name events, or bundled"):
        load_feature_data(FeatureSpec(items="items.csv"))


FILES = {
    "unknown item": (
        "pairs.csv",
        "query_id,item_id\nq0,i0\nq1,zz\nq2,zz\n",
        r"pairs\.csv: 1 value of item_id \(such as 'zz'\) is no id of the items; add the rows, or",
    ),
    "unknown queries": (
        "pairs.csv",
        "query_id,item_id\nx,i0\ny,i1\n",
        r"2 values of query_id \(such as 'x', 'y'\) are no id of the queries",
    ),
    "no column": ("pairs.csv", "query,item_id\nq0,i0\n", r"pairs\.csv has no column 'query_id'"),
    "split": (
        "pairs.csv",
        "query_id,item_id,split\nq0,i0,train\nq1,i0,dev\n",
        r"a pair has the split 'dev'; splits of a features run are train, validation, test, or",
    ),
    "no training pair": (
        "pairs.csv",
        "query_id,item_id,split\nq0,i0,test\nq1,i0,validation\n",
        r"pairs\.csv leaves no pair in the split 'train'",
    ),
    "nobody to ask": (
        "pairs.csv",
        "query_id,item_id\nq0,i0\nq1,i0\n",
        r"leaves no pair in the split 'validation'; give more pairs, other shares, or",
    ),
    "ids twice": ("items.csv", "id\ni0\ni1\ni0\n", r"items\.csv: 1 id stands on several rows"),
    "no id": ("queries.csv", "id,age\nq0,1\n,2\n", r"queries\.csv has 2 rows, 1 of them without"),
    "no ids": ("queries.csv", "name\nq0\n", r"queries\.csv has no column 'id'"),
}


@pytest.mark.parametrize("name", FILES)
def test_files_that_are_refused(folder, name):
    file, content, words = FILES[name]
    (folder / file).write_text(content)
    with pytest.raises(InputError, match=words):
        load_feature_data(SPEC, folder)


def test_a_split_without_a_share_may_be_empty(folder):
    spec = replace(SPEC, shares={"train": 0.9, "test": 0.1})
    data = load_feature_data(spec, folder)
    assert (len(trained(data)), len(data.validation)) == (90, 0)


def test_a_file_that_gives_splits_needs_only_training_pairs(folder):
    (folder / "pairs.csv").write_text("query_id,item_id,split\nq0,i0,train\nq1,i0,train\n")
    data = load_feature_data(SPEC, folder)
    assert (len(trained(data)), len(data.validation), len(data.test)) == (2, 0, 0)
    assert data.findings == tuple(
        f"no pair has the split {name!r}: nobody is asked in it" for name in ("validation", "test")
    )


def test_a_pair_without_an_item_is_refused(folder):
    pairs = pa.table({"query_id": ["q0", "q1"], "item_id": ["i0", None]})
    write_table(pairs, folder / "pairs.parquet")
    with pytest.raises(InputError, match=r"1 value of item_id \(such as 'None'\) is no id"):
        load_feature_data(replace(SPEC, pairs="pairs.parquet"), folder)


def test_users_of_another_name_are_refused_where_columns_are(folder):
    with pytest.raises(InputError, match=r"queries\.tsv; did you mean queries\.csv"):
        load_feature_data(replace(EVENTS, queries="queries.tsv"), folder)
