"""What users give, as a model reads it."""

from types import SimpleNamespace

from thresher.asked import left_empty, query_table
from thresher.cli.show import show_matches


def model(*text, read=(), compared=()):
    """As much of a model as reads queries."""
    schema = SimpleNamespace(queries=[SimpleNamespace(columns=[name]) for name in read])
    compare = [SimpleNamespace(name=name) for name in compared]
    catalogue = SimpleNamespace(query_text=text, features=SimpleNamespace(compare=compare))
    return SimpleNamespace(catalogue=catalogue, reader=SimpleNamespace(schema=schema))


def test_a_text_fills_the_first_text_column_and_leaves_the_others_empty():
    asked = model("title", "brand", read=("title", "colour"), compared=("price", "brand"))
    assert left_empty(asked) == ["brand", "colour", "price"]
    (row,) = query_table(asked, ["red mug"]).to_pylist()
    assert row == {"title": "red mug", "brand": None, "colour": None, "price": None}
    assert left_empty(model("title", read=("title",))) == []


def test_what_is_promised_for_texts_says_which_columns_they_lack():
    policy = {"target_precision": 0.95, "segments": {}}
    counts = {"queries": 1, "accepted": 1, "review": 0, "known_texts": 0, "certified": True}
    found = {**counts, "policy": policy, "matches": [], "left_empty": ["brand", "price"]}
    note, head = show_matches(found).splitlines()
    assert note.startswith("a text leaves brand, price empty")
    assert head.startswith("1 query: 1 accepted")
    assert show_matches({**found, "left_empty": []}) == head
    uncertified = {**found, "certified": False}
    assert len(show_matches(uncertified).splitlines()) == 1
