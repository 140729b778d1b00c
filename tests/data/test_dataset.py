"""A dataset of pairs: what joins, how it is split, and every sentence about what does not fit."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from thresher.data import (
    BUNDLED,
    SPLITS,
    DataOptions,
    bundled,
    dataset_of,
    labelled,
    load_dataset,
    write_table,
)
from thresher.errors import InputError

OPTIONS = DataOptions(
    items="items.csv", queries="queries.csv", pairs="pairs.csv", without_pairs="no_item"
)
# Query 4 of the folder has no pair.
ALL_TRAIN = {"train": 1.0}


def truth(part):
    """For each query of a part its id, and the ids of its items as rows."""
    ids = part.queries.ids.to_pylist()
    return {id_: part.truth.items_of(row).tolist() for row, id_ in enumerate(ids)}


def everything(data):
    """The same for all parts together."""
    return {id_: items for name in SPLITS for id_, items in truth(data.part(name)).items()}


def test_a_small_dataset(folder):
    data = load_dataset(OPTIONS, folder())
    assert data.items["id"].to_pylist() == ["A", "B", "C"]
    assert everything(data) == {"1": [0], "2": [1], "3": [2], "4": []}
    assert (data.item_text, data.query_text) == (("title",), ("title",))
    assert data.items_path.endswith("items.csv")
    assert data.queries_path.endswith("queries.csv")
    sizes = data.sizes()
    assert sum(sizes[f"{name}_queries"] for name in SPLITS) == 4
    for name in SPLITS:
        part = data.part(name)
        assert (part.targets, part.groups, part.sample_weight) == (None, None, None)
        assert part.queries.text(data.query_text) == [
            {"1": "mug red", "2": "mug blue", "3": "mug green", "4": "teapot"}[id_]
            for id_ in part.queries.ids.to_pylist()
        ]


def test_absolute_paths_need_no_base(folder):
    at = folder()
    options = replace(OPTIONS, items=str(at / "items.csv"), queries=at / "queries.csv")
    data = load_dataset(replace(options, pairs=at / "pairs.csv"), "elsewhere")
    assert len(everything(data)) == 4


def test_tables_take_the_place_of_files(folder):
    at = folder()
    pairs = pa.table({"query_id": ["2"], "item_id": ["C"]})
    assert everything(dataset_of(OPTIONS, pairs=pairs, base=at))["2"] == [2]
    with pytest.raises(InputError, match=r"the table of pairs has no column 'query_id'"):
        dataset_of(OPTIONS, pairs=pairs.drop_columns("query_id"), base=at)
    with pytest.raises(InputError, match=r"both bundled = 'pricerunner' and pairs of its own"):
        dataset_of(DataOptions(bundled="pricerunner"), pairs=pairs)


def test_ids_of_any_type_are_text():
    options = DataOptions(shares=ALL_TRAIN)
    items = pa.table({"id": pa.array([7, 8]), "title": ["a", "b"]})
    queries = pa.table({"id": pa.array(["x", "y"], pa.string_view()), "title": ["a", "b"]})
    ids = pa.array(["x", "y"]).dictionary_encode()
    pairs = pa.table({"query_id": ids, "item_id": pa.array([8, 7], pa.uint16())})
    data = dataset_of(options, items=items, queries=queries, pairs=pairs)
    assert truth(data.part("train")) == {"x": [1], "y": [0]}
    assert data.part("train").queries.text(data.query_text) == ["a", "b"]


def test_texts_of_any_type_are_text():
    text = ["Red Mug", "blue mug"]
    options = DataOptions(shares=ALL_TRAIN)
    pairs = pa.table({"query_id": ["0", "1"], "item_id": ["0", "1"]})
    for kind in (pa.string_view(), pa.large_string(), pa.dictionary(pa.int8(), pa.string())):
        table = pa.table({"id": ["0", "1"], "title": pa.array(text).cast(kind)})
        data = dataset_of(options, items=table, queries=table.slice(0), pairs=pairs)
        assert data.part("train").queries.text(data.query_text) == text
        assert data.aliases() == (tuple(text), ("0", "1"))
        assert data.part("train").queries.column("title") == text


def test_a_split_in_the_pairs_wins_and_the_rest_is_drawn(folder):
    at = folder(pairs="query_id,item_id,split\n1,A,test\n2,B,\n3,C,calibration\n")
    data = load_dataset(OPTIONS, at)
    assert "1" in truth(data.part("test"))
    assert "3" in truth(data.part("calibration"))
    assert len(everything(data)) == 4


def test_a_split_may_stand_with_the_queries(folder):
    at = folder(queries="id,title,split\n1,a,train\n2,b,test\n3,c,test\n4,d,validation\n")
    data = load_dataset(OPTIONS, at)
    assert [list(truth(data.part(name))) for name in SPLITS] == [["1"], ["4"], [], ["2", "3"]]


def test_queries_without_a_text_are_split_by_their_ids():
    ids = [str(n) for n in range(400)]
    items = pa.table({"id": ["i"]})
    queries = pa.table({"id": ids, "price": np.arange(400.0)})
    pairs = pa.table({"query_id": ids, "item_id": ["i"] * 400})
    data = dataset_of(DataOptions(), items=items, queries=queries, pairs=pairs)
    assert (data.item_text, data.query_text, data.aliases()) == ((), (), ((), ()))
    sizes = [len(data.part(name)) for name in SPLITS]
    # 400 draws of .65, .05, .15, .15: within 4 standard deviations
    assert all(abs(n - 400 * p) < 40 for n, p in zip(sizes, (0.65, 0.05, 0.15, 0.15), strict=True))


def test_text_columns_are_found_or_chosen(folder):
    at = folder(items="id,name,brand\nA,mug,x\nB,cup,\nC,pot,z\n")
    assert load_dataset(OPTIONS, at).item_text == ("name",)
    assert load_dataset(replace(OPTIONS, item_text=("name", "brand")), at).item_text == (
        "name",
        "brand",
    )


def test_an_open_catalogue_keeps_queries_of_unknown_items(folder):
    at = folder(pairs="query_id,item_id\n1,A\n1,Z\n2,B\n3,Z\n4,Z\n")
    options = replace(OPTIONS, open_catalogue=True, without_pairs=None)
    data = load_dataset(options, at)
    assert everything(data) == {"1": [0], "2": [1], "3": [], "4": []}
    assert len(data.findings) == 1
    assert "3 pairs name an item_id" in data.findings[0]


# Queries that no pair names.


def test_queries_without_pairs_are_what_the_user_says(folder):
    at = folder()
    with pytest.raises(
        InputError,
        match=r"queries\.csv: 1 of 4 queries has no pair in .*pairs\.csv \(such as '4'\); "
        r'set without_pairs = "unlabelled" in \[data\].*or "no_item"',
    ):
        load_dataset(replace(OPTIONS, without_pairs=None), at)
    data = load_dataset(replace(OPTIONS, without_pairs="unlabelled"), at)
    assert everything(data) == {"1": [0], "2": [1], "3": [2]}
    assert "1 of 4 queries has no pair" in data.findings[0]
    assert everything(load_dataset(OPTIONS, at))["4"] == []


def test_an_ignored_pair_is_no_label(folder):
    at = folder()
    (at / "ignored.csv").write_text("query_id,item_id\n4,A\n")
    with pytest.raises(InputError, match="1 of 4 queries has no pair"):
        load_dataset(replace(OPTIONS, ignored="ignored.csv", without_pairs=None), at)


# Ignored pairs.


def test_ignored_pairs_are_not_true(folder):
    at = folder(pairs="query_id,item_id\n1,A\n1,B\n2,B\n3,C\n")
    (at / "ignored.csv").write_text("query_id,item_id\n1,B\n4,C\n4,A\n1,B\n")
    options = replace(OPTIONS, ignored="ignored.csv", shares=ALL_TRAIN)
    part = load_dataset(options, at).part("train")
    assert part.truth.pairs().tolist() == [[0, 0], [1, 1], [2, 2]]
    assert part.ignored.pairs().tolist() == [[0, 1], [3, 0], [3, 2]]
    assert part.take(np.array([3, 0])).ignored.pairs().tolist() == [[0, 0], [0, 2], [1, 1]]
    assert len(load_dataset(OPTIONS, at).part("train").ignored.indices) == 0


IGNORED = {
    "query": ("query_id,item_id\n9,A\n", False, r"ignored\.csv: 1 pair names a query_id that is "
                                                 r"not an id in .*queries\.csv \(such as '9'\)"),
    "item": ("query_id,item_id\n1,Z\n2,Z\n", False, r"ignored\.csv: 2 pairs name an item_id"),
    "open": ("query_id,item_id\n1,Z\n2,C\n", True, None),
    "column": ("query_id,item\n1,A\n", False, r"ignored\.csv has no column 'item_id'; it has"),
    "empty file": ("", False, r"ignored\.csv is empty \(0 bytes\)"),
    "no rows": ("query_id,item_id\n", False, None),
}  # fmt: skip


@pytest.mark.parametrize("name", IGNORED)
def test_a_table_of_ignored_pairs_that_fits_or_not(folder, name):
    content, opened, words = IGNORED[name]
    at = folder()
    (at / "ignored.csv").write_text(content)
    options = replace(OPTIONS, ignored="ignored.csv", open_catalogue=opened)
    if words is None:
        data = load_dataset(options, at)
        assert sum(len(data.part(split).ignored.indices) for split in SPLITS) == opened
        return
    with pytest.raises(InputError, match=words):
        load_dataset(options, at)


# Fewer labels.


def test_a_smaller_share_of_the_training_pairs_lies_within_a_larger_one():
    ids = [f"q{n}" for n in range(20)]
    items = pa.table({"id": [f"i{n}" for n in range(6)]})
    queries = pa.table({"id": ids})
    pairs = pa.table(
        {
            "query_id": [q for q in ids for _ in range(5)],
            "item_id": [f"i{n % 6}" for n in range(100)],
        }
    )
    split = pa.array(["train"] * 80 + ["test"] * 20)
    for protocol in ("queries", "pairs"):
        found = []
        for share in (0.001, 0.1, 0.35, 1.0):
            options = DataOptions(protocol=protocol, train_share=share)
            tables = {"items": items, "queries": queries}
            data = dataset_of(options, **tables, pairs=pairs.append_column("split", split))
            part = data.part("train")
            # no query is taken for one without an item because its pairs are left out
            assert (part.truth.counts() > 0).all()
            found.append({(q, i) for q, its in truth(part).items() for i in its})
            assert truth(data.part("test")) == truth(data.part("test"))
            assert len(data.part("test").truth.indices) == 20
        assert [len(part) for part in found] == [1, 8, 28, 80]
        assert found[0] < found[1] < found[2] < found[3]


# Each pair by itself.

QUERIES, ITEMS = [f"q{n}" for n in range(20)], [f"i{n}" for n in range(6)]
PAIRS = [(q, ITEMS[(n + k) % 6]) for n, q in enumerate(QUERIES) for k in range(5)]


def by_pair(pairs=PAIRS, queries=QUERIES, **options):
    columns = dict(zip(("query_id", "item_id", "split"), zip(*pairs, strict=True), strict=False))
    return dataset_of(
        DataOptions(protocol="pairs", **options),
        items=pa.table({"id": ITEMS}),
        queries=None if queries is None else pa.table({"id": queries}),
        pairs=pa.table({name: list(values) for name, values in columns.items()}),
    )


def pairs_of(part):
    return {(q, ITEMS[i]) for q, its in truth(part).items() for i in its}


def test_pairs_are_split_each_by_itself():
    data = by_pair()
    parts = [pairs_of(data.part(name)) for name in SPLITS]
    # 100 pairs: .8, .1, 0 and .1 of them, each in one part
    assert [len(part) for part in parts] == [80, 10, 0, 10]
    assert set.union(*parts) == set(PAIRS)
    assert data.findings == ()
    shares = {"train": 0.5, "validation": 0.1, "calibration": 0.3, "test": 0.1}
    data = by_pair(shares=shares)
    assert [len(pairs_of(data.part(name))) for name in SPLITS] == [50, 10, 30, 10]


def test_what_was_true_in_an_earlier_split_is_not_ranked_again():
    for share in (1.0, 0.5):
        data, whole = by_pair(train_share=share), by_pair()
        before = set()
        for name in SPLITS:
            part = data.part(name)
            ids = part.queries.ids.to_pylist()
            known = {(ids[q], ITEMS[i]) for q, i in part.ignored.pairs().tolist()}
            # of all training pairs, also those that are left out
            assert known == {(q, i) for q, i in before if q in ids}
            before |= pairs_of(whole.part(name))


def test_the_seed_decides_the_split():
    one, same, other = (pairs_of(by_pair(seed=seed).part("test")) for seed in (0, 0, 1))
    assert one == same != other


def test_each_pair_may_name_its_split():
    names = ["train", "train", "validation", "test"]
    rows = [(*pair, names[n % 4]) for n, pair in enumerate(PAIRS)]
    data = by_pair(rows)
    for name in SPLITS:
        assert pairs_of(data.part(name)) == {(q, i) for q, i, split in rows if split == name}


def test_a_pair_that_is_listed_twice_counts_once():
    data = by_pair([*PAIRS, PAIRS[3], PAIRS[3], PAIRS[4]])
    assert len(pairs_of(data.part("train"))) == 80
    assert data.findings == ("the table of pairs: 3 pairs repeat another",)


def test_pages_that_link_to_pages():
    links = [(a, b) for a in ITEMS for b in ITEMS]
    data = by_pair(links, queries=None)
    # 36 pairs, 6 of them of a page with itself; 24, 3 and 3 of the others
    assert data.findings == ("the table of pairs: 6 pairs of an item with itself left out",)
    assert [len(pairs_of(data.part(name))) for name in SPLITS] == [24, 3, 0, 3]
    for name in SPLITS:
        part = data.part(name)
        ids = part.queries.ids.to_pylist()
        ignored = {(ids[q], ITEMS[i]) for q, i in part.ignored.pairs().tolist()}
        assert {(page, page) for page in ids} <= ignored
        assert not ignored & pairs_of(part)
        assert part.queries.table is data.items


def test_items_count_by_training_pairs():
    rows = [
        ("i0", "i1", "train"),
        ("i0", "i2", "train"),
        ("i3", "i1", "train"),
        ("i4", "i0", "test"),
    ]
    data = by_pair(rows, queries=None)
    assert data.item_counts().tolist() == [0, 2, 1, 0, 0, 0]
    assert data.sizes()["items_never_in_training"] == 4


# Names of columns.


def test_columns_are_renamed_in_every_table_that_has_them(folder):
    at = folder(
        items="sku,name\nA,red mug\nB,blue mug\nC,green mug\n",
        queries="offer,name\n1,mug red\n2,mug blue\n3,mug green\n",
        pairs="offer,sku\n1,A\n2,B\n3,C\n",
    )
    columns = {"item_id": "sku", "query_id": "offer", "title": "name"}
    data = load_dataset(replace(OPTIONS, columns=columns), at)
    assert everything(data) == {"1": [0], "2": [1], "3": [2]}
    assert data.items.column_names == ["id", "title"]
    at = folder(
        items="key,title\nA,red mug\nB,blue mug\nC,green mug\n",
        queries="key,title\n1,mug red\n2,mug blue\n3,mug green\n",
        pairs="query_id,key\n1,A\n2,B\n3,C\n",
    )
    data = load_dataset(replace(OPTIONS, columns={"id": "key", "item_id": "key"}), at)
    assert everything(data) == {"1": [0], "2": [1], "3": [2]}
    with pytest.raises(
        InputError, match=r"renames 'keyy' to 'id', and no column is called 'keyy' in .*'key'\?"
    ):
        load_dataset(replace(OPTIONS, columns={"id": "keyy"}), at)


def test_what_is_renamed_takes_the_place_of_a_column_of_that_name(folder):
    at = folder(queries="id,offer,title\n7,1,mug red\n7,2,mug blue\n7,3,mug green\n")
    data = load_dataset(replace(OPTIONS, columns={"id": "offer"}), at)
    assert sorted(everything(data)) == ["1", "2", "3"]


# What does not fit.

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
                     r"2 pairs name an item_id.*items\.csv \(such as 'Z'\).*open_catalogue = true"),
    "no items": ({"items": "id,title\n"}, r"items\.csv has columns but no rows"),
    "no queries": ({"queries": "id,title\n"}, r"queries\.csv has columns but no rows"),
    "no pairs": ({"pairs": "query_id,item_id\n"}, r"pairs\.csv has columns but no rows"),
    "empty file": ({"items": ""}, r"items\.csv is empty"),
    "two splits": ({"pairs": "query_id,item_id,split\n1,A,train\n1,B,test\n"},
                   r"1 query is in several splits \(such as '1'\); put all pairs.*or set protocol"),
    "unknown split": ({"pairs": "query_id,item_id,split\n1,A,dev\n"},
                      r"pairs\.csv: 1 row names a split that does not exist \(such as 'dev'\); "
                      r"the splits are train, validation"),
    "labels": ({"pairs": "query_id,item_id,label\n1,A,1\n1,B,0\n"},
               r"pairs\.csv: 1 pair is labelled as false in column 'label' \(such as '0'\); this"),
    "no id column": ({"items": "ident,title\nA,a\n"}, r"items\.csv has no column 'id'"),
    "pair columns": ({"pairs": "query,item_id\n1,A\n"},
                     r"pairs\.csv has no column 'query_id'; it has query, item_id; did you mean"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_fit(folder, name):
    replaced, words = BAD[name]
    with pytest.raises(InputError, match=words):
        load_dataset(OPTIONS, folder(**replaced))


def test_a_pair_without_an_item_is_refused(folder):
    at = folder()
    write_table(pa.table({"query_id": ["1", "2"], "item_id": ["A", None]}), at / "pairs.parquet")
    with pytest.raises(InputError, match=r"1 pair names an item_id that is not an id"):
        load_dataset(replace(OPTIONS, pairs="pairs.parquet"), at)


@pytest.mark.parametrize(
    "labels",
    [
        [True, False],
        ["True", "FALSE"],
        ["yes", " No "],
        ["1", "0.00"],
        ["positive", "negative"],
        [1, 0],
        [1.0, -0.0],
        [1, -1],
        pa.array(["t", "f"]).dictionary_encode(),
    ],
)
def test_false_is_false_however_it_is_spelled(labels):
    items = pa.table({"id": ["a", "b"], "title": ["a", "b"]})
    pairs = pa.table({"query_id": ["a", "b"], "item_id": ["b", "a"], "Label": labels})
    with pytest.raises(InputError, match=r"the table of pairs: 1 pair is labelled as false"):
        dataset_of(DataOptions(), items=items, pairs=pairs)
    true = pairs.slice(0, 1)
    assert dataset_of(DataOptions(), items=items, pairs=true).sizes()["training_pairs"] == 1


VERDICTS = [
    ("checked", [True, False], 1),
    ("checked", [True, True], 0),
    ("checked", ["True", "False"], 0),  # text is a verdict only where the name says so
    ("is_match", ["1", "0"], 1),
    ("isMatch", ["yes", "no"], 1),
    ("gold", [1.0, 0.0], 1),
    ("y", [1, -1], 1),
    ("correct", ["true", "FALSE"], 1),
    ("match", ["exact", "close"], 0),
    ("truth", ["a", "0"], 1),
    ("target", ["1", "0.0"], 1),
    ("score", [1, 0], 1),
    ("score", [1.0, 0.5], 0),
    ("Relevance", [0.0, 0.0], 0),
    ("relevance", [2, 0], 0),
    ("label", [["no"], ["yes"]], 0),
]


@pytest.mark.parametrize(("name", "values", "wrong"), VERDICTS)
def test_a_column_of_verdicts_is_refused_whatever_its_name(name, values, wrong):
    items = pa.table({"id": ["a", "b"], "title": ["a", "b"]})
    pairs = pa.table({"query_id": ["a", "b"], "item_id": ["b", "a"], name: values})
    if not wrong:
        assert dataset_of(DataOptions(), items=items, pairs=pairs).sizes()["training_pairs"] == 2
        return
    words = rf"1 pair is labelled as false in column '{name}' .*or the column if it says something"
    with pytest.raises(InputError, match=words):
        dataset_of(DataOptions(), items=items, pairs=pairs)


def test_a_split_is_one_name_a_row():
    items = pa.table({"id": ["a", "b"], "title": ["a", "b"]})
    pairs = pa.table({"query_id": ["a"], "item_id": ["b"], "split": [["train"]]})
    with pytest.raises(InputError, match=r"the table of pairs: column 'split' holds list<.*train,"):
        dataset_of(DataOptions(), items=items, pairs=pairs)


def test_names_that_are_not_there(folder):
    with pytest.raises(InputError, match=r"there is no file .*none\.csv"):
        load_dataset(replace(OPTIONS, ignored="none.csv"), folder())
    with pytest.raises(InputError, match=r"no column 'titles'.*did you mean 'title'"):
        load_dataset(replace(OPTIONS, item_text=("titles",)), folder())
    with pytest.raises(InputError, match=r"unknown split 'tests'.*'test'"):
        load_dataset(OPTIONS, folder()).part("tests")


# Queries and pairs that come later.


def test_queries_that_are_labelled_later_are_one_part(folder):
    data = load_dataset(OPTIONS, folder())
    queries = pa.table({"offer": ["7", "8", "9"], "title": ["a", "b", "c"], "split": ["train"] * 3})
    pairs = pa.table({"query_id": ["8", "9", "9"], "item_id": ["C", "A", "B"]})
    options = replace(OPTIONS, columns={"id": "offer"})
    part = labelled(options, items=data.items, queries=queries, pairs=pairs)
    assert truth(part) == {"7": [], "8": [2], "9": [0, 1]}
    left = replace(options, without_pairs="unlabelled")
    part = labelled(left, items=data.items, queries=queries, pairs=pairs)
    assert truth(part) == {"8": [2], "9": [0, 1]}
    assert part.queries.text(["title"]) == ["b", "c"]
    strict = replace(options, without_pairs=None)
    with pytest.raises(InputError, match=r"the table of queries: 1 of 3 queries has no pair"):
        labelled(strict, items=data.items, queries=queries, pairs=pairs)
    links = labelled(
        DataOptions(), items=data.items, pairs=pa.table({"query_id": ["A"], "item_id": ["B"]})
    )
    assert (truth(links), links.ignored.pairs().tolist()) == ({"A": [1]}, [[0, 0]])


# What decides the weights.


def test_the_fingerprint_is_of_what_training_reads(folder):
    split = "id,title,split\n1,a,train\n2,b,validation\n3,c,test\n4,d,test\n"
    one = load_dataset(OPTIONS, folder(queries=split)).fingerprint()
    assert load_dataset(OPTIONS, folder(queries=split)).fingerprint() == one
    others = [
        {"queries": split.replace("1,a", "1,A")},
        {"queries": split.replace("b,validation", "b,test")},
        {"items": "id,title\nA,red mug\nB,blue mug\nC,green  mug\n", "queries": split},
        {"pairs": "query_id,item_id\n1,B\n2,B\n3,C\n", "queries": split},
    ]
    found = {load_dataset(OPTIONS, folder(**other)).fingerprint() for other in others}
    assert len(found - {one}) == 4


# What ships.


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
    data = load_dataset(DataOptions(bundled="pricerunner"))
    assert data.part("test").queries.table.column_names == ["id", "title", "shop", "category"]
    counts = np.concatenate([data.part(name).truth.counts() for name in SPLITS])
    assert (len(counts), (counts == 1).all()) == (35311, True)
    texts, ids = data.aliases()
    assert len(texts) == len(ids) == data.sizes()["training_pairs"]


def test_the_data_layer_needs_no_torch_where_there_are_no_histories():
    code = (
        "import sys, thresher.data as d; o = d.DataOptions(bundled='pricerunner'); "
        "d.load_dataset(o).fingerprint(); sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
