"""What a column holds: named values, numbers and vectors, each with its row."""

import math

import pyarrow as pa
import pytest

from thresher.data.values import entries, numbers, vectors
from thresher.errors import InputError


def column(values, type=None):
    return pa.chunked_array([pa.array(values, type)])


def found(values, kind="category", type=None):
    rows, texts = entries(column(values, type), kind, "x")
    return list(zip(rows.tolist(), texts.to_pylist(), strict=True))


def test_categories_are_compared_without_case_and_blanks_and_ids_to_the_letter():
    # the last one is written in full-width letters
    assert found(["Nord", " NORD ", "\uff4e\uff4f\uff52\uff44"]) == [(i, "nord") for i in range(3)]
    assert found(["Nord", "nord"], "id") == [(0, "Nord"), (1, "nord")]


def test_a_text_of_categories_is_cut_at_bars():
    assert found(["a|b", " b | c d ||", "", None], "categories") == [
        *[(0, "a"), (0, "b"), (1, "b"), (1, "c d")]
    ]
    # one category is not
    assert found(["a|b"]) == [(0, "a|b")]


@pytest.mark.parametrize(
    ("values", "type", "known"),
    [
        ([7, 8, None, 7], None, ["7", "8"]),
        ([True, False], None, ["true", "false"]),
        (["cups", None, "cups"], pa.dictionary(pa.int8(), pa.string()), ["cups"]),
        ([[["a"], ["b", "c"]], [["d"]], None], None, ["a", "b", "c", "d"]),
        ([["a", None, ""], ["b"]], None, ["a", "b"]),
        ([["a", "b"], None], pa.list_(pa.string(), 2), ["a", "b"]),
        ([["a"]], pa.large_list(pa.large_string()), ["a"]),
    ],
)
def test_values_of_every_type_are_named(values, type, known):
    assert sorted({value for _, value in found(values, type=type)}) == known


def test_what_is_cut_from_a_longer_column_is_read_as_it_is():
    whole = pa.chunked_array([pa.array([["a"], ["b", "c"], ["d"]]), pa.array([None, ["e", "b"]])])
    at, texts = entries(whole.slice(1), "categories", "x")
    assert list(zip(at.tolist(), texts.to_pylist(), strict=True)) == [
        *[(0, "b"), (0, "c"), (1, "d"), (3, "e"), (3, "b")]
    ]


def test_numbers_of_a_text_file():
    assert numbers(column(["1", " 2.5 ", "", "  ", None, "1e3"]), "x").tolist() == pytest.approx(
        [1, 2.5, math.nan, math.nan, math.nan, 1000], nan_ok=True
    )
    coded = column(["1", "2", "1"]).dictionary_encode()
    assert numbers(coded, "x").tolist() == [1, 2, 1]


def test_a_whole_number_too_long_for_a_fraction_is_rounded():
    assert numbers(column([2**60 + 1, 5]), "x").tolist() == [2.0**60, 5.0]


def test_truth_is_a_number_when_it_is_told_to_be():
    assert numbers(column([True, False]), "x").tolist() == [1.0, 0.0]


BAD_NUMBERS = {
    "text": (["1", "nan", "", "dear", "x"], r"'price' is to be a number, and row 4 holds 'dear'"),
    "lists": ([[1], [2]], r"row 1 holds \[1\]; give numbers or nothing there, or read"),
    "infinite": ([1.0, -math.inf], r"row 2 holds -inf; give finite numbers"),
    "infinite text": (["1", "2", "inf"], r"row 3 holds inf; give finite numbers"),
}


@pytest.mark.parametrize("name", BAD_NUMBERS)
def test_what_is_no_number_is_named_with_its_row(name):
    values, words = BAD_NUMBERS[name]
    with pytest.raises(InputError, match=words):
        numbers(column(values), "price")


BAD_VECTORS = {
    "length": ([[1.0, 2.0], None, [1.0]], r"vectors of 2 numbers and, in row 3, one of 1; give"),
    "none of it": ([[], [1.0, 2.0]], r"in row 1, one of 0"),
    "infinite": ([None, [1.0, 2.0], [math.inf, 0.0]], r"not finite in row 3; give finite numbers"),
    "missing": ([[1.0, None]], r"not finite in row 1"),
}


@pytest.mark.parametrize("name", BAD_VECTORS)
def test_vectors_that_are_none_are_named_with_their_row(name):
    values, words = BAD_VECTORS[name]
    with pytest.raises(InputError, match=words):
        vectors(column(values), "x", 2)


def test_a_column_of_records_has_no_values():
    with pytest.raises(InputError, match=r"column 'x' holds struct<.*which has no values to name"):
        found([{"a": 1}])
