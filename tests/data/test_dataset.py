"""Loading a dataset: what joins, what is chosen, and every sentence about what does not fit."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from thresher.data import BUNDLED, DataSpec, bundled, load_dataset
from thresher.data.labelled import Labelled
from thresher.errors import InputError

SPEC = DataSpec("items.csv", "queries.csv", "pairs.csv")


def test_a_small_dataset(folder):
    data = load_dataset(SPEC, folder())
    assert data.items["id"].to_pylist() == ["A", "B", "C"]
    assert data.relation.pairs().tolist() == [[0, 0], [1, 1], [2, 2]]
    assert data.relation.counts().tolist() == [1, 1, 1, 0]
    assert data.query_text() == ["mug red", "mug blue", "mug green", "teapot"]
    assert data.item_text()[0] == "red mug"
    rows = [data.rows(name).tolist() for name in ("train", "validation", "calibration", "test")]
    assert sorted(row for split in rows for row in split) == [0, 1, 2, 3]


def test_absolute_paths_need_no_base(folder):
    at = folder()
    spec = DataSpec(str(at / "items.csv"), at / "queries.csv", at / "pairs.csv")
    assert len(load_dataset(spec, "elsewhere").queries) == 4


def test_a_split_in_the_pairs_wins_and_the_rest_is_drawn(folder):
    at = folder(pairs="query_id,item_id,split\n1,A,test\n2,B,\n3,C,calibration\n")
    data = load_dataset(SPEC, at)
    assert data.rows("test").tolist()[:1] == [0]
    assert 2 in data.rows("calibration")
    assert len(np.concatenate([data.rows(s) for s in ("train", "validation")])) <= 2


def test_a_split_may_stand_with_the_queries(folder):
    at = folder(queries="id,title,split\n1,a,train\n2,b,test\n3,c,test\n4,d,validation\n")
    data = load_dataset(SPEC, at)
    assert [data.rows(s).tolist() for s in ("train", "validation", "test")] == [[0], [3], [1, 2]]


def test_text_columns_are_found_or_chosen(folder):
    at = folder(items="id,name,brand\nA,mug,x\nB,cup,\nC,pot,z\n")
    assert load_dataset(SPEC, at).item_text() == ["mug", "cup", "pot"]
    assert load_dataset(replace(SPEC, item_text=("name", "brand")), at).item_text() == [
        "mug x",
        "cup",
        "pot z",
    ]


def test_an_open_catalogue_keeps_queries_of_unknown_items(folder):
    at = folder(pairs="query_id,item_id\n1,A\n1,Z\n2,B\n3,Z\n")
    assert load_dataset(replace(SPEC, open_catalogue=True), at).relation.counts().tolist() == [
        1,
        1,
        0,
        0,
    ]


def test_without_items_removes_a_share_and_keeps_the_queries(folder):
    data = load_dataset(DataSpec(bundled="pricerunner"))
    open_ = data.without_items(0.25, seed=3)
    # a quarter of 12,849 products is 3212.25
    assert len(open_.items) == 12849 - 3212 == open_.relation.columns
    assert open_.queries is data.queries
    old, new = data.items["id"].to_pylist(), open_.items["id"].to_pylist()
    left = set(new)
    for row in range(0, len(data.queries), 997):
        was = [old[i] for i in data.relation.items_of(row)]
        assert [new[i] for i in open_.relation.items_of(row)] == [i for i in was if i in left]
    assert new == data.without_items(0.25, seed=3).items["id"].to_pylist()
    assert new != data.without_items(0.25, seed=4).items["id"].to_pylist()
    assert len(data.without_items(0.0, seed=0).items) == 12849
    with pytest.raises(InputError, match=r"share of items to remove is 1\.0"):
        data.without_items(1.0, seed=0)


def test_ignored_pairs_are_not_true(folder):
    at = folder(pairs="query_id,item_id\n1,A\n1,B\n2,B\n")
    (at / "ignored.csv").write_text("query_id,item_id\n1,B\n4,C\n4,A\n1,B\n")
    data = load_dataset(replace(SPEC, ignored="ignored.csv"), at)
    assert data.relation.pairs().tolist() == [[0, 0], [1, 1]]
    assert data.ignored.pairs().tolist() == [[0, 1], [3, 0], [3, 2]]
    some = Labelled.of(data, np.array([3, 0]))
    assert some.ignored.pairs().tolist() == [[0, 0], [0, 2], [1, 1]]
    assert load_dataset(SPEC, at).ignored.shape == (4, 3)
    assert len(load_dataset(SPEC, at).ignored.indices) == 0


def test_a_smaller_catalogue_keeps_the_ignored_pairs_of_its_items(folder):
    at = folder()
    (at / "ignored.csv").write_text("query_id,item_id\n4,A\n4,B\n4,C\n1,C\n")
    data = load_dataset(replace(SPEC, ignored="ignored.csv"), at)
    fewer = data.without_items(1 / 3, seed=2)
    ids, left = data.items["id"].to_pylist(), fewer.items["id"].to_pylist()
    assert len(left) == 2
    kept = [(q, ids[i]) for q, i in data.ignored.pairs().tolist() if ids[i] in left]
    assert [(q, left[i]) for q, i in fewer.ignored.pairs().tolist()] == kept


IGNORED = {
    "query": ("query_id,item_id\n9,A\n", False, r"ignored\.csv: 1 pair names a query_id that is "
                                                 r"not an id in .*queries\.csv \(such as '9'\)"),
    "item": ("query_id,item_id\n1,Z\n2,Z\n", False, r"ignored\.csv: 2 pairs name a item_id"),
    "open": ("query_id,item_id\n1,Z\n2,B\n", True, None),
    "column": ("query_id,item\n1,A\n", False, r"ignored\.csv has no column 'item_id'; it has"),
    "empty file": ("", False, r"ignored\.csv is empty \(0 bytes\)"),
    "no rows": ("query_id,item_id\n", False, None),
}  # fmt: skip


@pytest.mark.parametrize("name", IGNORED)
def test_a_table_of_ignored_pairs_that_fits_or_not(folder, name):
    content, opened, words = IGNORED[name]
    at = folder()
    (at / "ignored.csv").write_text(content)
    spec = replace(SPEC, ignored="ignored.csv", open_catalogue=opened)
    if words is None:
        assert len(load_dataset(spec, at).ignored.indices) == opened
        return
    with pytest.raises(InputError, match=words):
        load_dataset(spec, at)


BAD = {
    "duplicate items": ({"items": "id,title\nA,a\nA,b\nB,b\nC,c\n"},
                        r"items\.csv: 1 id stands on several rows \(such as 'A'\); keep one"),
    "duplicate queries": ({"queries": "id,title\n1,a\n1,b\n2,a\n2,b\n3,c\n"},
                          r"queries\.csv: 2 ids stand on several rows \(such as '1', '2'\)"),
    "no id": ({"items": "id,title\nA,a\n,b\nB,b\nC,c\n"}, r"items\.csv: 1 row has no id.*'row 2'"),
    "unknown query": ({"pairs": "query_id,item_id\n1,A\n9,B\n"},
                      r"pairs\.csv: 1 pair names a query_id that is not an id in .*queries\.csv "
                      r"\(such as '9'\)"),
    "unknown item": ({"pairs": "query_id,item_id\n1,A\n2,Z\n3,Z\n"},
                     r"2 pairs name a item_id.*items\.csv \(such as 'Z'\).*open_catalogue = true"),
    "no items": ({"items": "id,title\n"}, r"items\.csv has columns but no rows"),
    "no queries": ({"queries": "id,title\n"}, r"queries\.csv has columns but no rows"),
    "no pairs": ({"pairs": "query_id,item_id\n"}, r"pairs\.csv has columns but no rows"),
    "empty file": ({"items": ""}, r"items\.csv is empty"),
    "two splits": ({"pairs": "query_id,item_id,split\n1,A,train\n1,B,test\n"},
                   r"1 query is in several splits \(such as '1'\); put all pairs"),
    "unknown split": ({"pairs": "query_id,item_id,split\n1,A,dev\n"},
                      r"pairs\.csv: 1 row names a split that does not exist \(such as 'dev'\); "
                      r"the splits are train, validation"),
    "labels": ({"pairs": "query_id,item_id,label\n1,A,1\n1,B,0\n"},
               r"pairs\.csv: 1 pair has the label 0; this file lists true pairs alone"),
    "no id column": ({"items": "ident,title\nA,a\n"}, r"items\.csv has no column 'id'"),
    "pair columns": ({"pairs": "query,item_id\n1,A\n"},
                     r"pairs\.csv has no column 'query_id'; it has query, item_id; did you mean"),
    "no text": ({"items": "id,label\nA,a\nB,b\nC,c\n"},
                r"items\.csv has no column title or text or name.*item_text.*id, label"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_fit(folder, name):
    replaced, words = BAD[name]
    with pytest.raises(InputError, match=words):
        load_dataset(SPEC, folder(**replaced))


def test_a_spec_that_names_too_little_or_too_much(folder):
    with pytest.raises(InputError, match=r"names no file of queries and pairs"):
        load_dataset(DataSpec(items="items.csv"))
    with pytest.raises(InputError, match=r"both bundled = 'pricerunner' and files"):
        load_dataset(DataSpec(items="items.csv", bundled="pricerunner"))
    with pytest.raises(InputError, match=r"both bundled = 'pricerunner' and files"):
        load_dataset(DataSpec(ignored="ignored.csv", bundled="pricerunner"))
    with pytest.raises(InputError, match=r"there is no file .*none\.csv"):
        load_dataset(replace(SPEC, ignored="none.csv"), folder())
    with pytest.raises(InputError, match=r"no column 'titles'.*did you mean 'title'"):
        load_dataset(replace(SPEC, item_text=("titles",)), folder())
    with pytest.raises(InputError, match=r"shares are.*sum to 0\.5"):
        load_dataset(replace(SPEC, shares={"train": 0.5}), folder())
    with pytest.raises(InputError, match=r"unknown split 'tests'.*'test'"):
        load_dataset(SPEC, folder()).rows("tests")


def test_bundled_sets_ship_with_their_licence():
    for name in BUNDLED:
        at = bundled(name)
        assert "CC BY 4.0" in (at / "README.md").read_text()
        assert sum(file.stat().st_size for file in at.iterdir()) < 1_200_000
    with pytest.raises(InputError, match=r"no dataset 'priceruner'.*did you mean 'pricerunner'"):
        bundled("priceruner")


def test_pricerunner_has_what_its_readme_counts():
    rows = {
        name: pq.read_metadata(bundled("pricerunner") / f"{name}.parquet").num_rows
        for name in ("items", "queries", "pairs")
    }
    assert rows == {"items": 12849, "queries": 35311, "pairs": 35311}
    data = load_dataset(DataSpec(bundled="pricerunner"))
    assert data.queries.column_names == ["id", "title", "shop", "category"]
    assert (data.relation.counts() == 1).all()


def test_the_data_layer_needs_no_torch():
    code = "import thresher.data, sys; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
