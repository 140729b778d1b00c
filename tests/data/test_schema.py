"""What columns are read as: by their types and values, and as told."""

import datetime
import decimal

import pyarrow as pa
import pytest

from thresher.data.schema import Feature, FeatureOptions, features_of, of_history, tables_named
from thresher.errors import InputError

TABLE = pa.table({"id": ["a", "b"], "title": ["red mug", "pot"], "price": [1.5, 2.0]})


def kinds(table, side="item", path="t.csv", **told):
    found = features_of(table, side, FeatureOptions(**{side: told}), path=path)
    return {feature.name: feature.kind for feature in found}


def kind_of(values, name="x", type=None, path="items.csv"):
    return kinds(pa.table({name: pa.array(values, type)}), path=path)[name]


def feature(name, kind="category", **options):
    return Feature(name=name, kind=kind, **options)


BY_TYPE = {
    "whole numbers": ([1, 2], None, "number"),
    "fractions": ([1.5, None], None, "number"),
    "decimals": ([decimal.Decimal("1.50")], None, "number"),
    "truth": ([True, False, None], None, "category"),
    "moments": ([datetime.date(2020, 1, 1)], None, "category"),
    "lists of text": ([["a"], ["b", "c"], None], None, "categories"),
    "lists of whole numbers": ([[1], [2, 3]], None, "categories"),
    "nested lists": ([[["a"], ["b"]], [["c"]]], None, "categories"),
    "lists of fractions": ([[0.5, 1.0], [1.5, 0.0]], None, "vector"),
    "lists of one length": ([[1, 2], [3, 4]], pa.list_(pa.int32(), 2), "vector"),
    "large lists": ([["a"]], pa.large_list(pa.string()), "categories"),
    "one word a value": (["cups", "pots and pans", "cups", "bowls"], None, "category"),
    "two words a value": (["red cups", "pots and pans", "cups"], None, "words"),
    "coded text": (["cups", "pots"], pa.dictionary(pa.int32(), pa.string()), "category"),
    "large text": (["a b", "c d"], pa.large_string(), "words"),
}


@pytest.mark.parametrize("name", BY_TYPE)
def test_a_column_is_read_as_its_type_and_values_suggest(name):
    values, type, kind = BY_TYPE[name]
    assert kind_of(values, type=type) == kind


AS_TEXT = {
    "numbers": (["1", "", "2.5"], "number"),
    "numbers with blanks": ([" 1", "2 ", "   "], "number"),
    "a number and a word": (["1", "two"], "category"),
    "one blank a value on average": (["a b c", "d"], "words"),
    "fewer": (["a b", "c", "d"], "category"),
    "cut at bars": (["a|b", "c"], "category"),
}


@pytest.mark.parametrize("name", AS_TEXT)
def test_a_text_file_has_text_alone_and_its_values_say_what_they_are(name):
    values, kind = AS_TEXT[name]
    assert kind_of(values) == kind


def test_a_file_with_types_says_itself_that_digits_are_text():
    assert kind_of(["007", "008"], path="items.parquet") == "category"
    assert kind_of(["007", "008"], path="items.tsv.gz") == "number"


def test_some_names_say_what_a_column_is():
    assert kind_of(["1", "2"], "id") == "id"
    # ids of other tables are no numbers, though each value is one
    assert kind_of(["1", "2"], "brand_id") == "category"
    assert kind_of(["1", "2"], "title") == "words"
    assert kind_of(["mug", "pot"], "description") == "words"
    lists = pa.table({"id": ["a"], "history": [["x"]], "seen": [["x"]]})
    assert kinds(lists, "query") == {"id": "id", "history": "history", "seen": "categories"}


def test_only_the_first_rows_decide():
    assert kind_of(["1"] * 10_000 + ["two"]) == "number"


def test_what_is_told_comes_first_and_an_ignored_column_is_left_out():
    told = {"title": {"kind": "text", "width": 8, "table": "t"}, "price": "ignored"}
    options = FeatureOptions(item=told, width=16, fewest=2)
    found = features_of(TABLE, "item", options, path="t.csv")
    assert found == (
        feature("id", "id", width=16, fewest=10),
        feature("title", "text", width=8, fewest=2, table="t"),
    )


def test_an_id_needs_ten_training_pairs_unless_told_otherwise():
    def fewest(**options):
        return [f.fewest for f in features_of(TABLE, "item", FeatureOptions(**options), path="t")]

    # of id, title and price
    assert fewest() == [10, 1, 1]
    assert fewest(id_pairs=3, fewest=2) == [3, 2, 2]
    assert fewest(id_pairs=0) == [0, 1, 1]
    assert fewest(item={"id": "id", "price": {"kind": "id", "fewest": 4}}) == [10, 1, 4]
    assert fewest(item={"title": {"kind": "id", "width": 8}}, id_pairs=3) == [3, 3, 1]


def test_items_of_a_history_have_the_features_of_items():
    items = (feature("id", "id"), feature("title", "words", width=8), feature("shelf"))
    told = {"history.title": "ignored", "history.shelf": {"kind": "category", "width": 4}}
    assert of_history(items, FeatureOptions(query={**told, "age": "number"})) == (
        feature("history.id", "id"),
        feature("history.shelf", width=4),
    )


# One table of vectors for several features.


def tables(items, queries, share=True):
    both = tables_named(items, queries, share=share)
    return [[f.table for f in features] for features in both]


def test_one_name_and_kind_on_both_sides_is_one_table():
    items = [feature("id", "id"), feature("shelf"), feature("size", "number")]
    queries = [feature("shelf"), feature("size"), feature("age", "number")]
    # size is a number here and a category there
    assert tables(items, queries) == [
        ["id", "shelf", "size"],
        ["shelf", "query.size", "query.age"],
    ]
    assert tables(items, [feature("history.id", "id")])[1] == ["id"]


def test_nothing_is_shared_when_it_is_not_to_be():
    queries = [feature("shelf"), feature("history.shelf")]
    assert tables([feature("shelf")], queries, share=False) == [
        ["shelf"],
        ["query.shelf", "query.history.shelf"],
    ]


def test_a_table_that_is_named_is_shared_whatever_the_names():
    items = [feature("maker", table="firm"), feature("seller", table="firm")]
    assert tables(items, [feature("client", table="firm")], share=False) == [
        ["firm", "firm"],
        ["firm"],
    ]


@pytest.mark.parametrize(
    "other",
    [
        {"kind": "words"},
        {"width": 8},
        {"fewest": 3},
        {"buckets": 2},
    ],
)
def test_features_of_one_table_are_of_one_kind_and_size(other):
    two = feature("maker", table="firm"), feature("seller", **{"table": "firm", **other})
    with pytest.raises(
        InputError,
        match=r"features\.item\.maker \(category, width 64, fewest 1, buckets 0\) and "
        r"features\.item\.seller \(.*\) share the table 'firm'; give both the same, or tables of",
    ):
        tables_named(two, (), share=True)
    with pytest.raises(InputError, match=r"and features\.query\.seller \(.* table 'firm'"):
        tables_named(two[:1], two[1:], share=True)


# What is refused.

TOLD = {
    "kind": (
        "category_",
        r"item\.shelf has the kind 'category_'; known are id, .*mean 'category'\?",
    ),
    "far from any": (7, r"has the kind 7; known are .* and ignored$"),
    "no kind": ({"width": 8}, r"features\.item\.shelf needs a kind: id, category"),
    "key": ({"kind": "id", "size": 8}, r"item\.shelf has the key 'size'; it may have kind, width"),
    "width": ({"kind": "id", "width": 0}, r"'shelf' has width 0, .* a width of 1 or more"),
    "fewest": ({"kind": "id", "fewest": -1}, r"fewest -1 and buckets 0; give"),
    "buckets": ({"kind": "id", "buckets": -1}, r"buckets -1; give"),
    "fraction": ({"kind": "id", "width": 0.5}, r"item\.shelf\.width is 0\.5; .* whole numbers"),
    "table": ({"kind": "id", "table": 3}, r"item\.shelf\.table is 3; .* table is a text"),
}


@pytest.mark.parametrize("name", TOLD)
def test_what_cannot_be_told_of_a_column_is_refused_before_anything_is_read(name):
    told, words = TOLD[name]
    with pytest.raises(InputError, match=words):
        FeatureOptions(item={"shelf": told})


def test_histories_of_no_item_and_ids_of_fewer_than_no_pair_are_refused():
    with pytest.raises(InputError, match=r"^features\.longest is 0 and .*; give 1 or more, and 0"):
        FeatureOptions(longest=0)
    with pytest.raises(InputError, match=r"id_pairs -1; give 1 or more, and 0 or more$"):
        FeatureOptions(id_pairs=-1)


def test_a_column_that_is_absent_is_refused_with_the_nearest_name():
    with pytest.raises(
        InputError,
        match=r"features\.item names 'titles', and t\.csv has no such column \(it has id, title, "
        r"price\); did you mean 'title'\?",
    ):
        kinds(TABLE, titles="words")
    with pytest.raises(InputError, match=r"features\.query names 'x', .* price\)$"):
        kinds(TABLE, "query", x="words")
    # only queries have histories
    with pytest.raises(InputError, match=r"features\.item names 'history\.title'"):
        kinds(TABLE, **{"history.title": "words"})


EMPTY = {
    "null": pa.array([None, None], pa.string()),
    "text": ["", None],
    "lists": pa.array([[], None], pa.list_(pa.string())),
    "numbers": pa.array([None, None], pa.int32()),
    "of no type": pa.nulls(2),
}


@pytest.mark.parametrize("name", EMPTY)
def test_a_column_without_a_value_is_refused(name):
    table = TABLE.append_column("shelf", pa.array(EMPTY[name]))
    words = r"t\.csv: the column 'shelf' has no value in 2 rows; leave it out with features\."
    with pytest.raises(InputError, match=words + 'item.shelf = "ignored"'):
        kinds(table)
    assert "shelf" not in kinds(table, shelf="ignored")


def test_items_have_no_history():
    table = pa.table({"id": ["a"], "history": [["b"]]})
    with pytest.raises(InputError, match=r"item\.history is a history, which only queries have"):
        kinds(table)
    assert kinds(table, history="categories")["history"] == "categories"


def test_what_is_told_of_a_history_that_items_have_not():
    items = (feature("id", "id"), feature("title", "words"))
    with pytest.raises(InputError, match=r"'history\.shelf', .*no feature 'shelf'; .* id, title"):
        of_history(items, FeatureOptions(query={"history.shelf": "category"}))
    with pytest.raises(InputError, match=r"'history\.title' the kind 'text', .* as 'words'"):
        of_history(items, FeatureOptions(query={"history.title": "text"}))
