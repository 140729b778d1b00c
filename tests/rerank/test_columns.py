"""Columns that stand on both sides."""

import numpy as np
import pyarrow as pa
import pytest

from thresher.errors import InputError
from thresher.rerank import Compared, compared_columns
from thresher.rerank.columns import PARTS, CompareColumns
from thresher.rerank.texts import Texts


def features(kind, query, item, query_text="", item_text=""):
    """How one value of a query and one of an item agree, by name."""
    compare = [Compared("x", kind)]
    made = CompareColumns.build(pa.table({"x": [item]}), compare)
    out = np.zeros((1, 2, len(PARTS[kind])), np.float32)
    texts = Texts.of([query_text]), Texts.of([item_text])
    made.read(pa.table({"x": [query]}), *texts, np.array([[0, -1]]), out)
    assert (out[0, 1] == 0).all()  # no candidate
    return {part: v for part, v in zip(PARTS[kind], out[0, 0].tolist(), strict=True) if v}


@pytest.mark.parametrize(
    ("query", "item", "expected"),
    [
        ("PS-LX300", "pslx 300", {"equal"}),
        ("PSLX300", "PSLX301", {"one character apart"}),
        ("PSLX300", "PSLX30", {"one begins the other"}),
        ("PSLX300", "XSLX300B", {"contradicting"}),
        ("AB1", "AB2", {"contradicting"}),  # too short to be one character apart
        ("AB", "ABC", {"contradicting"}),  # too short to begin another
        (None, "ABC", {"missing"}),
        ("", None, {"missing"}),
    ],
)
def test_codes(query, item, expected):
    assert set(features("code", query, item)) == expected


def test_codes_in_the_text_of_the_other_side():
    texts = {"query_text": "Sony ps lx300 player", "item_text": "Sony record player"}
    assert set(features("code", None, "PSLX300", **texts)) == {
        "missing",
        "item's in the query's text",
    }
    found = features("code", "record", "xy", **texts)
    assert set(found) == {"contradicting", "query's in the item's text"}


def test_categories_are_names():
    assert set(features("category", "Sony Corp.", "sony")) == {"one begins the other"}
    assert set(features("category", "Sonny", "sonay")) == {"contradicting"}
    assert set(features("category", ["red", "Blue"], ["Red", "blue"])) == {"equal"}


@pytest.mark.parametrize(
    ("query", "item", "expected"),
    [
        (100.0, 100.0, {"equal": 1, "within 5 %": 1}),
        ("$1,000.00", 960, {"relative difference": 0.04, "within 5 %": 1}),
        ("1.000,00 EUR", "900", {"relative difference": 0.1}),
        ("12,5", 50, {"relative difference": 0.75, "contradicting": 1}),
        (None, 1.0, {"missing": 1}),
        ("1.2.3", 1.0, {"missing": 1}),
        (0, 0, {"equal": 1, "within 5 %": 1}),
        (-1, 1, {"relative difference": 1, "contradicting": 1}),
    ],
)
def test_numbers(query, item, expected):
    assert features("number", query, item) == pytest.approx(expected)


def test_texts_by_the_words_in_common():
    # One item: the idf of its words is ln(2 / 2) + 1 = 1, of a new word ln(2 / 1) + 1.
    found = features("text", "red lamp new", "red lamp green big")
    new = np.log(2) + 1
    assert found == pytest.approx({"item words found": 2 / 4, "query words found": 2 / (2 + new)})
    assert features("text", None, "lamp") == {"missing": 1}


def test_kinds_are_proposed_from_the_values():
    items = pa.table(
        {
            "id": ["1", "2"],
            "title": ["a", "b"],
            "brand": ["Sony", "Philips"],
            "modelno": ["PS-LX300", "42PFL 7432D"],
            "price": ["$1,299.00", "12.5"],
            "ean": [5901234123457, 4006381333931],
            "about": ["a red lamp of steel and glass", "a blue lamp of wood and some paper"],
            "vector": [[0.1, 0.2], [0.3, 0.4]],
            "size": [1, 2],
            "none": ["", None],
            "items only": [1, 2],
        }
    )
    queries = items.drop_columns(["items only", "size"]).append_column("size", pa.array(["L", "M"]))
    found = compared_columns(items, queries, text=("title",))
    assert {c.name: c.kind for c in found} == {
        "brand": "category",
        "modelno": "code",
        "price": "number",
        "ean": "code",
        "about": "text",
        "size": "category",
    }
    assert "brand" not in {c.name for c in compared_columns(items, queries, ignored=["brand"])}
    assert compared_columns(items, None) == ()


def test_bad_kinds_and_missing_columns_are_refused():
    with pytest.raises(InputError, match="text, code, number, category"):
        Compared("x", "colour")
    with pytest.raises(InputError, match="price"):
        CompareColumns.build(pa.table({"x": [1]}), [Compared("price", "number")])
    made = CompareColumns.build(pa.table({"x": [1]}), [Compared("x", "number")])
    empty = Texts.of([""])
    with pytest.raises(InputError, match="queries"):
        made.read(pa.table({"y": [1]}), empty, empty, np.array([[0]]), np.zeros((1, 1, 5), "f4"))
