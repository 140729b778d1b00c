"""What columns are read as: by their types and values, as configured, and by a sum or not."""

import datetime
import decimal
import math

import numpy as np
import pyarrow as pa
import pytest

from oracles.tables import dataset
from thresher.data.tables import read_table, write_table
from thresher.errors import InputError
from thresher.towers.encoders.number import Number
from thresher.towers.encoders.text import Text
from thresher.towers.encoders.values import Values
from thresher.towers.encoders.vector import Vector
from thresher.towers.features import (
    Feature,
    FeatureOptions,
    features_of,
    of_history,
    suggested,
    with_tables,
)
from thresher.towers.inputs import Features
from thresher.towers.item_parts import item_parts
from thresher.towers.schema import Schema

TABLE = pa.table({"id": ["a", "b"], "title": ["red mug", "pot"], "price": [1.5, 2.0]})


def read(table, side="item", path="t.csv", options=None, **configured):
    options = FeatureOptions(**{side: configured}) if options is None else options
    return features_of(table, side, options, suggested(table, path), (), path)


def kinds(table, side="item", path="t.csv", **configured):
    return {f.name: f.kind for f in read(table, side, path, **configured)}


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


def test_what_is_configured_comes_first_and_an_ignored_column_is_left_out():
    configured = {"title": {"kind": "text", "width": 8, "table": "t"}, "price": "ignored"}
    options = FeatureOptions(item=configured, width=16, min_count=2)
    assert read(TABLE, options=options) == (
        feature("id", "id", width=16, min_count=10),
        feature("title", "text", width=8, min_count=2, table="t"),
    )
    assert options.ignored() == ("price",)


def test_an_id_needs_ten_training_pairs_unless_configured_otherwise():
    def counts(**options):
        return [f.min_count for f in read(TABLE, options=FeatureOptions(**options))]

    # of id, title and price
    assert counts() == [10, 1, 1]
    assert counts(id_min_count=3, min_count=2) == [3, 2, 2]
    assert counts(id_min_count=0) == [0, 1, 1]
    assert counts(item={"id": "id", "price": {"kind": "id", "min_count": 4}}) == [10, 1, 4]
    assert counts(item={"title": {"kind": "id", "width": 8}}, id_min_count=3) == [3, 3, 1]


def test_items_of_a_history_have_the_features_of_items():
    items = (feature("id", "id"), feature("title", "words", width=8), feature("shelf"))
    own = {"history.title": "ignored", "history.shelf": {"kind": "category", "width": 4}}
    found = of_history(items, FeatureOptions(query={**own, "age": "number"}))
    assert [(f.name, f.kind, f.width) for f in found] == [
        ("history.id", "id", 64),
        ("history.shelf", "category", 4),
    ]


# One table of vectors for several features.


def tables(items, queries, share=True):
    both = with_tables(items, queries, share=share)
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
    "other", [{"kind": "words"}, {"width": 8}, {"min_count": 3}, {"buckets": 2}]
)
def test_features_of_one_table_are_of_one_kind_and_size(other):
    two = feature("maker", table="firm"), feature("seller", **{"table": "firm", **other})
    with pytest.raises(
        InputError,
        match=r"features\.item\.maker \(category, width 64, min_count 1, buckets 0\) and "
        r"features\.item\.seller \(.*\) share the table 'firm'; give both the same, or tables of",
    ):
        with_tables(two, (), share=True)
    with pytest.raises(InputError, match=r"and features\.query\.seller \(.* table 'firm'"):
        with_tables(two[:1], two[1:], share=True)


# What is refused.

OPTIONS = {
    "kind": (
        "category_",
        r"item\.shelf has the kind 'category_'; known are id, .*mean 'category'\?",
    ),
    "far from any": (7, r"has the kind 7; known are .* and ignored$"),
    "no kind": ({"width": 8}, r"features\.item\.shelf needs a kind: id, category"),
    "key": ({"kind": "id", "size": 8}, r"item\.shelf has the key 'size'; it may have kind, width"),
    "width": ({"kind": "id", "width": 0}, r"'shelf' has width 0, .* a width of 1 or more"),
    "min_count": ({"kind": "id", "min_count": -1}, r"min_count -1 and buckets 0; give"),
    "buckets": ({"kind": "id", "buckets": -1}, r"buckets -1; give"),
    "fraction": ({"kind": "id", "width": 0.5}, r"item\.shelf\.width is 0\.5; .* whole numbers"),
    "table": ({"kind": "id", "table": 3}, r"item\.shelf\.table is 3; .* table is a text"),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_what_no_column_can_be_is_refused_before_anything_is_read(name):
    configured, words = OPTIONS[name]
    with pytest.raises(InputError, match=words):
        FeatureOptions(item={"shelf": configured})


def test_counts_below_0_are_refused():
    with pytest.raises(InputError, match=r"^features\.min_count is 1 and id_min_count -1; give 0"):
        FeatureOptions(id_min_count=-1)


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


def test_what_is_said_of_a_history_that_items_have_not():
    items = (feature("id", "id"), feature("title", "words"))
    with pytest.raises(InputError, match=r"'history\.shelf', .*no feature 'shelf'; .* id, title"):
        of_history(items, FeatureOptions(query={"history.shelf": "category"}))
    with pytest.raises(InputError, match=r"'history\.title' the kind 'text', .* as 'words'"):
        of_history(items, FeatureOptions(query={"history.title": "text"}))


# Fitted to a dataset.

ITEMS = pa.table(
    {
        "id": ["a", "b", "c"],
        "title": ["red mug", "blue mug", None],
        "shelf": [["cups", "red"], ["cups"], []],
        "maker": ["north", "south", "north"],
        "price": [1.0, 2.0, None],
        "picture": pa.array([[3.0, 4.0], None, [1.0, 0.0]], pa.list_(pa.float32())),
        "blurb": ["a mug", "", "none"],
    }
)
QUERIES = pa.table(
    {
        "id": ["q", "r"],
        "words": ["green mug", "red"],
        "maker": ["west", None],
        "history": [["a", "zz"], []],
        "age": [20.0, 30.0],
    }
)
ITEM = {"blurb": {"kind": "text", "width": 8}, "maker": {"kind": "category", "buckets": 3}}
BOTH = FeatureOptions(
    item=ITEM,
    query={"words": {"kind": "words", "table": "title"}, "maker": ITEM["maker"]},
    width=16,
    id_min_count=1,
)
PAIRS = [(0, 0), (0, 1), (1, 2)]


def fitted(items=ITEMS, queries=None, options=None, *, pairs=PAIRS, history=None, **more):
    options = FeatureOptions(item=ITEM, width=16, id_min_count=1) if options is None else options
    if queries is None and history is None:
        history = [[0]] * 2
    given = {"combine": "concat", "dim": 8, "bits": 10, **more}
    return Schema.fit(dataset(items, queries, pairs, history=history), options, **given)


@pytest.fixture
def both():
    return fitted(queries=QUERIES, options=BOTH)


def known(schema, table):
    return schema.encoders[table].known.to_pylist()


def described(features):
    return {feature.name: (feature.kind, feature.table) for feature in features}


def test_items_and_queries_with_their_kinds_and_tables(both):
    items = {
        "id": ("id", "id"),
        "title": ("words", "title"),
        "shelf": ("categories", "shelf"),
        "maker": ("category", "maker"),
        "price": ("number", "price"),
        "picture": ("vector", "picture"),
        "blurb": ("text", "blurb"),
    }
    assert described(both.items) == items
    own = {"id": ("id", "id"), "words": ("words", "title"), "maker": ("category", "maker")}
    history = {f"history.{name}": of for name, of in items.items()}
    assert described(both.queries) == {**own, "age": ("number", "query.age"), **history}
    assert both.history == "history"
    assert {f.name: f.width for f in both.items} == {**dict.fromkeys(items, 16), "blurb": 8}
    assert set(both.encoders) == {table for _, table in items.values()} | {"query.age"}


def test_what_both_sides_share_is_numbered_over_both(both):
    assert sorted(known(both, "maker")) == ["north", "south", "west"]
    assert sorted(known(both, "id")) == ["a", "b", "c", "q", "r"]
    # red in 2 of 5 rows (3 items, one without a title, and 2 queries): ln(6 / 3) + 1; mug in 3,
    # blue and green in 1
    rarity = sorted(both.encoders["title"].rarity.tolist())
    expected = [math.log(6 / 4) + 1, math.log(2) + 1, math.log(3) + 1, math.log(3) + 1]
    assert rarity == pytest.approx(expected)
    assert both.encoders["query.age"].knots[[0, -1]].tolist() == [20, 30]


def test_only_the_training_queries_are_seen():
    """A value that queries of another split have alone has no vector."""
    data = dataset(ITEMS, QUERIES, PAIRS)
    train = data.parts["train"].take(np.array([0]))
    data.parts["train"] = train
    schema = Schema.fit(data, BOTH, combine="concat", dim=8, bits=10)
    assert known(schema, "id") == ["a", "b", "q"]


def test_bags_of_items_by_hand(both):
    bags = both.read("item", ITEMS)
    assert list(bags) == [f.name for f in both.items]
    place = {name: i for i, name in enumerate(known(both, "shelf"))}
    shelf = np.zeros((3, 2))
    shelf[0] = 1 / math.sqrt(2)
    shelf[1, place["cups"]] = 1
    np.testing.assert_allclose(bags["shelf"].toarray(), shelf, rtol=1e-6)
    # knots at 1, 1.1 ... 2
    assert bags["price"][:2].toarray()[:, [0, -1]].tolist() == [[1, 0], [0, 1]]
    assert bags["price"][2].nnz == 0
    np.testing.assert_allclose(bags["picture"].toarray(), [[0.6, 0.8], [0, 0], [1, 0]], rtol=1e-6)
    assert [bag.shape[0] for bag in bags.values()] == [3] * 7


def test_bags_of_queries_are_of_their_own_columns(both):
    bags = both.read("query", QUERIES)
    assert list(bags) == ["id", "words", "maker", "age"]
    titles = both.read("item", ITEMS)["title"]
    # the same word is the same vector on both sides
    assert set(bags["words"][0].indices) & set(titles[0].indices)
    assert bags["maker"][1].nnz == 0


def test_a_text_file_is_read_as_the_typed_one_is(tmp_path):
    configured = {"shelf": "categories", "blurb": ITEM["blurb"]}
    options = FeatureOptions(item=configured, id_min_count=1)
    typed = ITEMS.drop_columns("picture")
    text = pa.table(
        {
            **{name: typed[name] for name in ("id", "title", "maker", "blurb")},
            "shelf": ["cups|red", "cups", ""],
            "price": ["1", "2.0", ""],
        }
    )
    write_table(text, tmp_path / "items.csv")
    asked = read_table(tmp_path / "items.csv")
    one = fitted(typed, options=options)
    data = dataset(asked, None, PAIRS, history=[[0]] * 2, path="items.csv")
    other = Schema.fit(data, options, combine="concat", dim=8, bits=10)
    assert described(one.items) == described(other.items)
    bags, others = one.read("item", typed), other.read("item", asked)
    for name, bag in bags.items():
        assert bag.toarray().tolist() == others[name].toarray().tolist(), name
    # and each reads the file of the other
    assert one.read("item", asked)["price"].toarray().tolist() == bags["price"].toarray().tolist()


def test_pages_that_link_to_pages_are_counted_on_both_sides():
    pages = ITEMS.select(["id"])
    links = [(0, 0), (1, 0), (1, 2)]  # a has 2 as an item and 1 as a query
    schema = fitted(pages, pages, FeatureOptions(id_min_count=3), pairs=links)
    assert known(schema, "id") == ["a"]
    # what is said of items holds for queries that are items
    options = FeatureOptions(item={"maker": "words"}, id_min_count=0)
    both = fitted(ITEMS.select(["id", "maker"]), ITEMS.select(["id", "maker"]), options)
    assert described(both.queries)["maker"] == ("words", "maker")


def test_without_a_table_a_query_has_a_history_alone():
    schema = fitted()
    assert [f.name for f in schema.queries] == [f"history.{f.name}" for f in schema.items]
    assert schema.history is None


def test_histories_may_have_tables_of_their_own_with_the_same_values():
    own = {"history.title": {"kind": "words", "table": "before", "width": 4}}
    for options, names in (
        (FeatureOptions(item=ITEM, share_tables=False), ["query.history.title"]),
        (FeatureOptions(item=ITEM, query=own), ["before"]),
    ):
        schema = fitted(options=options)
        found = [f.table for f in schema.queries if f.name == "history.title"]
        assert found == names
        # the bag of a history is made of those of items, so it has their numbers
        assert schema.encoders[found[0]] is schema.encoders["title"]
        assert {f.table for f in schema.queries} <= set(schema.encoders)


def test_a_history_may_not_have_a_table_of_other_values():
    wrong = {"history.title": {"kind": "words", "width": 16, "table": "words"}}
    options = FeatureOptions(
        item=ITEM,
        query={**wrong, "words": {"kind": "words", "table": "words"}, "maker": ITEM["maker"]},
        width=16,
    )
    with pytest.raises(InputError, match=r"'history\.title' the table 'words', whose values are"):
        fitted(queries=QUERIES, options=options)


# A sum.


def test_a_sum_reads_text_and_what_both_sides_have():
    items = ITEMS.select(["id", "title", "maker", "price", "blurb"])
    asked = pa.table({"title": ["mug"], "maker": ["north"], "price": ["cheap"], "shop": ["x"]})
    data = dataset(items, asked, [(0, 0)], text=True)
    schema = Schema.fit(data, FeatureOptions(), combine="sum", dim=8)
    # price is a number here and a category there; blurb and shop are of one side
    expected = {"maker": ("category", "maker"), "text": ("text", "text")}
    assert described(schema.items) == described(schema.queries) == expected
    assert {f.name: f.columns for f in schema.items}["text"] == ("title",)
    assert {f.width for f in schema.items} == {8}
    ignored = FeatureOptions(item={"text": "words"}, query={"text": "words", "maker": "ignored"})
    assert described(Schema.fit(data, ignored, combine="sum", dim=8).queries) == {
        "text": ("words", "text")
    }


def test_a_sum_of_histories_knows_what_training_named():
    data = dataset(ITEMS, None, [(0, 0), (0, 2)], history=[[0]], text=True)
    schema = Schema.fit(data, FeatureOptions(item={"maker": "category"}), combine="sum", dim=8)
    assert described(schema.items) == {
        "id": ("id", "id"),
        "maker": ("category", "maker"),
        "text": ("words", "text"),
    }
    assert known(schema, "id") == ["a", "c"]
    assert known(schema, "maker") == ["north"]  # the south is that of an item without an event
    assert len(schema.encoders["text"]) == 2  # red and mug, not blue


def test_features_of_a_sum_are_as_wide_as_the_tower():
    options = FeatureOptions(item={"maker": {"kind": "category", "width": 4}})
    with pytest.raises(InputError, match=r"maker has width 4; in a sum .* the 8 of tower\.dim"):
        fitted(options=options, combine="sum")


# How much one feature tells about another.


def information(schema, table):
    prepared = Features.of("item", schema.read("item", table))
    return item_parts(schema, table, prepared, masked=True).information()


def test_information_by_hand():
    table = pa.table(
        {
            "id": [*"abcd"],
            "shape": ["round", "round", "flat", "flat"],
            "colour": ["red", "blue", "red", "blue"],
            "price": [1.0, 1.2, 9.0, 8.8],
            "picture": pa.array([[1.0], [2.0], None, None], pa.list_(pa.float32())),
        }
    )
    schema = fitted(table, options=FeatureOptions(item={"price": "ignored"}))
    found = information(schema, table)
    two, four = math.log(2), math.log(4)
    # a picture is there where the shape is round; colour and shape say nothing of each other; the
    # id says all of each
    expected = [[four, two, two, two], [two, two, 0, two], [two, 0, two, 0], [two, two, 0, two]]
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_a_number_counts_as_its_nearest_knot():
    knots = Number(np.array([0.0, 10.0, 20.0]))
    table = pa.table({"id": [*"abcdef"], "x": [1.0, 4.0, 6.0, 14.0, 15.0, None]})
    schema = fitted(table, options=FeatureOptions())
    schema = Schema(schema.items, schema.queries, None, {**schema.encoders, "x": knots})
    found = information(schema, table)
    # 0, 0, 10, 10, 20 (half-way counts once) and missing: shares 1/3, 1/3, 1/6, 1/6
    assert found[1, 1] == pytest.approx(2 / 3 * math.log(3) + 1 / 3 * math.log(6))
    assert found[0, 1] == pytest.approx(found[1, 1])


def test_in_several_blocks_it_is_the_same(monkeypatch):
    schema = fitted()
    whole = information(schema, ITEMS)
    monkeypatch.setattr("thresher.towers.item_parts._COUNTED", 2)
    np.testing.assert_allclose(information(schema, ITEMS), whole, atol=1e-12)


# Written and read.


def test_saved_and_loaded_it_reads_the_same(both, tmp_path):
    both.save(tmp_path)
    loaded = Schema.load(tmp_path)
    for name in ("items", "queries", "history"):
        assert getattr(loaded, name) == getattr(both, name), name
    assert list(loaded.encoders) == list(both.encoders)
    classes = {type(encoder) for encoder in loaded.encoders.values()}
    assert classes == {Values, Number, Text, Vector}
    for side, table in (("item", ITEMS), ("query", QUERIES)):
        before, after = both.read(side, table), loaded.read(side, table)
        assert list(before) == list(after)
        assert all((before[name] != after[name]).nnz == 0 for name in before)


def test_a_table_without_a_value_is_written_too(tmp_path):
    schema = fitted(pairs=[])
    assert len(schema.encoders["id"]) == 0
    schema.save(tmp_path)
    assert Schema.load(tmp_path).read("item", ITEMS)["id"].shape == (3, 0)


# What is refused.


def ignoring(names):
    return dict.fromkeys(names, "ignored")


TWO = {"title": "words", "maker": "category"}
REFUSED = {
    "nothing of items": (
        {"item": ignoring(ITEMS.column_names)},
        {},
        r"no column of the items is read, .* a kind in features\.item",
    ),
    "nothing of queries": (
        {"query": ignoring(QUERIES.column_names)},
        {"queries": QUERIES},
        r"no column of the queries is read, .* features\.query",
    ),
    "two histories": (
        {"query": {"seen": "history"}},
        {"queries": QUERIES.append_column("seen", QUERIES["history"])},
        r"a query has 2 histories \(history, seen\), .* features\.query\.history = \"ignored\"",
    ),
    "a history beside events": (
        {},
        {"queries": QUERIES, "history": [[0], [1]]},
        r"a query has 2 histories \(history, that of the events\)",
    ),
    "no table of queries": (
        {"query": {"age": "number"}},
        {},
        r"features\.query names 'age', and there is no table of queries; .* in data\.queries",
    ),
    "of no history": (
        {"query": {"history.title": "words"}},
        {"queries": QUERIES.select(["id", "age"])},
        r"names 'history\.title', and queries have no history; leave it out",
    ),
    "across kinds": (
        {"item": {name: {"kind": kind, "table": "t"} for name, kind in TWO.items()}},
        {},
        r"features\.item\.title \(words, .*maker \(category, .* share the table 't'",
    ),
    "text as a number": (
        {"item": {"maker": "number"}},
        {},
        r"'maker' is to be a number, and row 1 holds 'north'",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_refused(name):
    configured, options, words = REFUSED[name]
    with pytest.raises(InputError, match=words) as caught:
        fitted(options=FeatureOptions(**configured), **options)
    assert "\n" not in str(caught.value)


def test_vectors_of_two_lengths_are_refused_as_they_are_read():
    schema = fitted(options=FeatureOptions(item={"shelf": "vector"}))
    with pytest.raises(InputError, match=r"'shelf' holds vectors of 2 numbers and, in row 2,"):
        schema.read("item", ITEMS)


def test_a_table_that_lacks_a_column_is_refused(both):
    with pytest.raises(InputError, match="the table of items has no column 'maker'"):
        both.read("item", ITEMS.drop_columns("maker"))
    with pytest.raises(InputError, match="the table of queries has no column 'words'"):
        both.read("query", QUERIES.drop_columns("words"))
