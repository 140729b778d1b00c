"""Tables to bags: fitted once on both sides, then read from any table, and written."""

import math

import numpy as np
import pyarrow as pa
import pytest

from thresher.data.features import Counted, Schema
from thresher.data.schema import FeatureOptions
from thresher.data.tables import read_table, write_table
from thresher.data.values import Hashed, Knots, Values, Vectors
from thresher.errors import InputError

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
TOLD = {"blurb": {"kind": "text", "width": 8}, "maker": {"kind": "category", "buckets": 3}}
OPTIONS = FeatureOptions(item=TOLD, width=16, id_pairs=1, text_bits=10)
QUERIES = pa.table(
    {
        "id": ["q", "r"],
        "words": ["green mug", "red"],
        "maker": ["west", None],
        "history": [["a", "zz"], []],
        "age": [20.0, 30.0],
    }
)
QUERIES_OPTIONS = FeatureOptions(
    item=TOLD,
    query={"words": {"kind": "words", "table": "title"}, "maker": TOLD["maker"]},
    width=16,
    id_pairs=1,
    text_bits=10,
)


def counted(table, counts=None, path="t.csv"):
    counts = np.ones(len(table), np.int64) if counts is None else np.array(counts)
    return Counted(table, counts, path)


def fitted(items=ITEMS, queries=None, options=OPTIONS, *, histories=False, counts=(None, None)):
    own = None if queries is None else counted(queries, counts[1], "q.csv")
    return Schema.fitted(counted(items, counts[0]), own, options, histories=histories)


@pytest.fixture
def both():
    return fitted(queries=QUERIES, options=QUERIES_OPTIONS)


def dense(bag):
    return bag.toarray().tolist()


def known(schema, table):
    return schema.readers[table].known.to_pylist()


def kinds(features):
    return {feature.name: (feature.kind, feature.table) for feature in features}


# What is read.


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
    assert kinds(both.items) == items
    own = {"id": ("id", "id"), "words": ("words", "title"), "maker": ("category", "maker")}
    history = {f"history.{name}": of for name, of in items.items()}
    assert kinds(both.queries) == {**own, "age": ("number", "query.age"), **history}
    assert (both.history, both.longest) == ("history", 50)
    assert {f.name: f.width for f in both.items} == {**dict.fromkeys(items, 16), "blurb": 8}
    assert set(both.readers) == {table for _, table in items.values()} | {"query.age"}


def test_what_both_sides_share_is_numbered_over_both(both):
    assert sorted(known(both, "title")) == ["blue", "green", "mug", "red"]
    assert sorted(known(both, "maker")) == ["north", "south", "west"]
    assert sorted(known(both, "id")) == ["a", "b", "c", "q", "r"]
    # red in 2 of 5 rows (3 items, one without a title, and 2 queries): ln(6 / 3) + 1
    rarity = dict(zip(known(both, "title"), both.readers["title"].rarity.tolist(), strict=True))
    assert rarity["red"] == pytest.approx(1.693147)
    assert both.readers["query.age"].knots[[0, -1]].tolist() == [20, 30]


def test_bags_of_items_by_hand(both):
    bags = both.of_items(ITEMS)
    assert list(bags) == [feature.name for feature in both.items]
    place = {name: i for i, name in enumerate(known(both, "shelf"))}
    half = 1 / math.sqrt(2)
    shelf = np.zeros((3, 2))
    shelf[0] = half
    shelf[1, place["cups"]] = 1
    np.testing.assert_allclose(bags["shelf"].toarray(), shelf, rtol=1e-6)
    # knots at 1, 1.1 ... 2
    assert bags["price"][:2].toarray()[:, [0, -1]].tolist() == [[1, 0], [0, 1]]
    assert bags["price"][2].nnz == 0
    np.testing.assert_allclose(bags["picture"].toarray(), [[0.6, 0.8], [0, 0], [1, 0]], rtol=1e-6)
    assert [bag.shape[0] for bag in bags.values()] == [3] * 7


def test_bags_of_queries_are_of_their_own_columns(both):
    bags = both.of_queries(QUERIES)
    assert list(bags) == ["id", "words", "maker", "age"]
    titles = both.of_items(ITEMS)["title"]
    # the same word is the same vector on both sides
    column = known(both, "title").index("mug")
    assert titles[0, column] > 0
    assert bags["words"][0, column] > 0
    assert bags["maker"][1].nnz == 0


def test_what_was_never_seen_goes_to_a_bucket_or_is_left_out(both):
    new = ITEMS.slice(0, 1).set_column(3, "maker", [["east"]]).set_column(2, "shelf", [[["pots"]]])
    bags = both.of_items(new)
    assert bags["shelf"].nnz == 0
    assert bags["maker"].indices[0] >= 3  # behind the three that are known
    assert bags["maker"].data.tolist() == [1]


def test_a_text_file_is_read_as_the_typed_one_is(tmp_path):
    told = {"shelf": "categories", "blurb": TOLD["blurb"]}
    options = FeatureOptions(item=told, id_pairs=1, text_bits=10)
    typed = ITEMS.drop_columns("picture")
    text = pa.table(
        {
            **{name: typed[name] for name in ("id", "title", "maker", "blurb")},
            "shelf": ["cups|red", "cups", ""],
            "price": ["1", "2.0", ""],
        }
    )
    write_table(text, tmp_path / "items.csv")
    read = read_table(tmp_path / "items.csv")
    one, other = (fitted(table, options=options, histories=True) for table in (typed, read))
    assert kinds(one.items) == kinds(other.items)
    bags, others = one.of_items(typed), other.of_items(read)
    for name, bag in bags.items():
        assert dense(bag) == dense(others[name]), name
    # and each reads the file of the other
    assert dense(one.of_items(read)["price"]) == dense(bags["price"])


# Ids.

MANY, TEN = ([2, 0, 4], None), ([9, 10, 0], None)
"""In how many training pairs a, b and c stand."""


def test_an_id_has_a_vector_when_enough_training_pairs_name_it():
    for fewest, expected in ((0, "abc"), (1, "ac"), (3, "c"), (9, "")):
        options = FeatureOptions(id_pairs=fewest)
        schema = fitted(ITEMS.select(["id"]), None, options, histories=True, counts=MANY)
        assert known(schema, "id") == list(expected)
        assert schema.of_items(ITEMS)["id"].nnz == len(expected)


def test_nine_training_pairs_are_too_few_for_an_id_and_ten_enough():
    told = {"kind": "id", "fewest": 9}
    for options, expected in (
        ({}, "b"),
        ({"fewest": 99}, "b"),  # of the values of other features
        ({"id_pairs": 0}, "abc"),
        ({"item": {"id": told}}, "ab"),
        ({"item": {"id": told}, "id_pairs": 99}, "ab"),
        ({"item": {"id": {**told, "fewest": 0}}}, "abc"),
        ({"item": {"id": "id"}}, "b"),
        ({"item": {"id": {"kind": "id", "width": 8}}}, "b"),
    ):
        table = ITEMS.select(["id", "maker"])
        schema = fitted(table, None, FeatureOptions(**options), histories=True, counts=TEN)
        assert known(schema, "id") == list(expected), options
        assert len(known(schema, "maker")) == (0 if "fewest" in options else 2)


def test_pages_that_link_to_pages_are_counted_on_both_sides():
    pages = ITEMS.select(["id"])
    schema = fitted(pages, pages, FeatureOptions(id_pairs=3), counts=([2, 0, 1], [1, 2, 0]))
    assert known(schema, "id") == ["a"]


# Histories.


def test_without_a_table_a_query_has_a_history_alone():
    schema = fitted(histories=True)
    assert [f.name for f in schema.queries] == [f"history.{f.name}" for f in schema.items]
    assert schema.history is None


def test_histories_may_have_tables_of_their_own_with_the_same_values():
    told = {"history.title": {"kind": "words", "table": "before", "width": 4}}
    for options, names in (
        (FeatureOptions(item=TOLD, text_bits=10, share=False), ["query.history.title"]),
        (FeatureOptions(item=TOLD, text_bits=10, query=told), ["before"]),
    ):
        schema = fitted(options=options, histories=True)
        tables = [f.table for f in schema.queries if f.name == "history.title"]
        assert tables == names
        # the bag of a history is made of those of items, so it has their numbers
        assert schema.readers[tables[0]] is schema.readers["title"]
        assert {f.table for f in schema.queries} <= set(schema.readers)


def test_a_history_may_not_have_a_table_of_other_values():
    wrong = {"history.title": {"kind": "words", "width": 16, "table": "words"}}
    options = FeatureOptions(
        item=TOLD,
        query={**wrong, "words": {"kind": "words", "table": "words"}, "maker": TOLD["maker"]},
        width=16,
        text_bits=10,
    )
    with pytest.raises(InputError, match=r"'history\.title' the table 'words', whose values are"):
        fitted(queries=QUERIES, options=options)


# How much one feature tells about another.


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
    schema = fitted(table, options=FeatureOptions(item={"price": "ignored"}), histories=True)
    found = schema.information(schema.of_items(table))
    two, four = math.log(2), math.log(4)
    # a picture is there where the shape is round; colour and shape say nothing of each other; the
    # id says all of each
    expected = [[four, two, two, two], [two, two, 0, two], [two, 0, two, 0], [two, two, 0, two]]
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_a_number_counts_as_its_nearest_knot():
    knots = Knots(np.array([0.0, 10.0, 20.0]))
    table = pa.table({"id": [*"abcdef"], "x": [1.0, 4.0, 6.0, 14.0, 15.0, None]})
    schema = fitted(table, options=FeatureOptions(), histories=True)
    schema = Schema(schema.items, schema.queries, None, 50, {**schema.readers, "x": knots})
    found = schema.information(schema.of_items(table))
    # 0, 0, 10, 10, 20 (half-way counts once) and missing: shares 1/3, 1/3, 1/6, 1/6
    assert found[1, 1] == pytest.approx(2 / 3 * math.log(3) + 1 / 3 * math.log(6))
    assert found[0, 1] == pytest.approx(found[1, 1])


def test_in_several_blocks_it_is_the_same(monkeypatch):
    schema = fitted(histories=True)
    bags = schema.of_items(ITEMS)
    whole = schema.information(bags)
    monkeypatch.setattr("thresher.data.features.ROWS", 2)
    np.testing.assert_allclose(schema.information(bags), whole, atol=1e-12)


# Written and read.


def test_saved_and_loaded_it_reads_the_same(both, tmp_path):
    both.save(tmp_path)
    loaded = Schema.load(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {"schema.json", "values.parquet"}
    for name in ("items", "queries", "history", "longest"):
        assert getattr(loaded, name) == getattr(both, name), name
    assert list(loaded.readers) == list(both.readers)
    kinds_of = {type(reader) for reader in loaded.readers.values()}
    assert kinds_of == {Values, Knots, Hashed, Vectors}
    for make in (lambda s: s.of_items(ITEMS), lambda s: s.of_queries(QUERIES)):
        before, after = make(both), make(loaded)
        assert list(before) == list(after)
        assert all((before[name] != after[name]).nnz == 0 for name in before)


def test_a_table_without_a_value_is_written_too(tmp_path):
    schema = fitted(histories=True, counts=([0, 0, 0], None))
    assert len(schema.readers["id"]) == 0
    schema.save(tmp_path)
    assert Schema.load(tmp_path).of_items(ITEMS)["id"].shape == (3, 0)


# What is refused.


def ignoring(names):
    return dict.fromkeys(names, "ignored")


TWO = {"title": "words", "maker": "category"}
REFUSED = {
    "nothing of items": (
        {"item": ignoring(ITEMS.column_names)},
        {"histories": True},
        r"every column is ignored on the side of the item, .* a kind in features\.item",
    ),
    "nothing of queries": (
        {"query": ignoring(QUERIES.column_names)},
        {"queries": QUERIES},
        r"side of the query, .* features\.query",
    ),
    "no history": ({}, {}, r"side of the query"),
    "two histories": (
        {"query": {"seen": "history"}},
        {"queries": QUERIES.append_column("seen", QUERIES["history"])},
        r"a query has 2 histories \(history, seen\), .* features\.query\.history = \"ignored\"",
    ),
    "a history beside events": (
        {},
        {"queries": QUERIES, "histories": True},
        r"a query has 2 histories \(history, that of the events\)",
    ),
    "no table of queries": (
        {"query": {"age": "number"}},
        {"histories": True},
        r"features\.query names 'age', and there is no table of queries; .* in data\.queries",
    ),
    "told of no history": (
        {"query": {"history.title": "words"}},
        {"queries": QUERIES.select(["id", "age"])},
        r"names 'history\.title', and queries have no history; leave it out",
    ),
    "across kinds": (
        {"item": {name: {"kind": kind, "table": "t"} for name, kind in TWO.items()}},
        {"histories": True},
        r"features\.item\.title \(words, .*maker \(category, .* share the table 't'",
    ),
    "text as a number": (
        {"item": {"maker": "number"}},
        {"histories": True},
        r"'maker' is to be a number, and row 1 holds 'north'",
    ),
    "vectors of two lengths": (
        {"item": {"shelf": "vector"}},
        {"histories": True},
        None,
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_refused(name):
    told, options, words = REFUSED[name]
    if words is None:
        schema = fitted(options=FeatureOptions(**told, text_bits=10), **options)
        with pytest.raises(InputError, match=r"'shelf' holds vectors of 2 numbers and, in row 2,"):
            schema.of_items(ITEMS)
        return
    with pytest.raises(InputError, match=words) as caught:
        fitted(options=FeatureOptions(**told, text_bits=10), **options)
    assert "\n" not in str(caught.value)


def test_a_table_that_lacks_a_column_is_refused(both):
    with pytest.raises(InputError, match="the table of items has no column 'maker'"):
        both.of_items(ITEMS.drop_columns("maker"))
    with pytest.raises(InputError, match="the table of queries has no column 'words'"):
        both.of_queries(QUERIES.drop_columns("words"))
