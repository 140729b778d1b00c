"""Columns become weighted rows of tables: by hand, and row by row as all at once."""

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thresher.data.values import (
    Hashed,
    Knots,
    Reader,
    Vectors,
    entries,
    fit_hashed,
    fit_knots,
    fit_values,
    fit_vectors,
    numbers,
    unit,
)
from thresher.errors import InputError


def column(values, type=None):
    return pa.chunked_array([pa.array(values, type)])


def fitted(values, kind, *, fewest=1, buckets=0, counts=None, type=None):
    """A reader of named values, and the names of its rows."""
    own = column(values, type)
    counts = np.ones(len(own), np.int64) if counts is None else np.array(counts)
    reader = fit_values([(own, counts)], kind, "x", fewest=fewest, buckets=buckets)
    return reader, reader.known.to_pylist()


def rows(reader, values, type=None):
    """What each row holds: {number of the table's row: weight}."""
    found = reader.of(column(values, type), "x")
    assert found.shape == (len(values), len(reader))
    assert found.dtype == np.float32
    return [
        dict(zip(row.indices.tolist(), row.data.tolist(), strict=True))
        for row in (found[i] for i in range(len(values)))
    ]


def named(reader, values, type=None):
    """The same by the names of the values."""
    known = reader.known.to_pylist()
    return [{known[place]: w for place, w in row.items()} for row in rows(reader, values, type)]


def about(row):
    return pytest.approx(row, abs=1e-6)


# Words.


def test_words_by_hand():
    reader, known = fitted(["Red mug", "red RED cup", None, "blue mug"], "words")
    assert sorted(known) == ["blue", "cup", "mug", "red"]
    # 4 rows: idf of red and mug ln(5 / 3) + 1 = 1.510826, of cup and blue ln(5 / 2) + 1 = 1.916291
    rarity = dict(zip(known, reader.rarity.tolist(), strict=True))
    assert rarity == about({"red": 1.510826, "mug": 1.510826, "cup": 1.916291, "blue": 1.916291})
    found = named(reader, ["red mug", "cup red, red", "", "mug blue", "grey pot"])
    # twice red: (1 + ln 2) 1.510826 = 2.558050; with cup the length is sqrt(6.543620 + 3.672171)
    # = 3.196215; mug with blue: sqrt(2.282595 + 3.672171) = 2.440239
    assert found == [
        about({"red": math.sqrt(0.5), "mug": math.sqrt(0.5)}),
        about({"red": 2.558050 / 3.196215, "cup": 1.916291 / 3.196215}),
        {},
        about({"mug": 1.510826 / 2.440239, "blue": 1.916291 / 2.440239}),
        {},
    ]


def test_a_word_of_a_list_of_texts_counts_like_one_of_a_text():
    reader, _ = fitted([["red mug", "red cup"], ["pot"]], "words")
    assert named(reader, [["red mug", "red cup"]]) == named(reader, ["red mug red cup"])


def test_frequent_words_weigh_less_and_none_is_negative():
    # in all rows, in 4 of 8, in 1: idf ln(9 / 9) + 1, ln(9 / 5) + 1, ln(9 / 2) + 1
    texts = ["a b c"] + ["a b"] * 3 + ["a"] * 4
    reader, known = fitted(texts, "words")
    expected = {"a": 1.0, "b": 1.587787, "c": 2.504077}
    assert dict(zip(known, reader.rarity.tolist(), strict=True)) == about(expected)


def slow_words(texts, asked):
    """{word: weight} of a text, by loops over the equation."""
    split = [text.split() for text in texts]
    weights = {}
    for word in sorted(set(asked.split())):
        seen = sum(word in row for row in split)
        if seen:
            times = asked.split().count(word)
            weights[word] = (1 + math.log(times)) * (math.log((1 + len(texts)) / (1 + seen)) + 1)
    length = math.sqrt(sum(w * w for w in weights.values()))
    return {word: w / length for word, w in weights.items()}


some_text = st.lists(st.sampled_from("abcd"), max_size=5).map(" ".join)


@settings(max_examples=50, deadline=None)
@given(texts=st.lists(some_text, min_size=1, max_size=6), asked=some_text)
def test_words_are_those_of_the_equation(texts, asked):
    reader, _ = fitted(texts, "words")
    assert named(reader, [asked]) == [about(slow_words(texts, asked))]


# Ids and categories.


def test_categories_by_hand():
    reader, known = fitted([["a", "b"], ["b", "c", "d"], None, []], "categories")
    assert sorted(known) == ["a", "b", "c", "d"]
    found = named(reader, [["a", "b"], ["c", "a", "c", "d"], [], None, ["b", "zz"], ["zz"], ["a"]])
    # n values have 1 / sqrt(n) each; one given twice counts once, one that is not known not at all
    half, third = 1 / math.sqrt(2), 1 / math.sqrt(3)
    assert found == [
        about({"a": half, "b": half}),
        about({"a": third, "c": third, "d": third}),
        {},
        {},
        {"b": 1},
        {},
        {"a": 1},
    ]


def test_a_text_of_categories_is_cut_at_bars():
    reader, known = fitted(["a|b", " b | c d ||", "", None], "categories")
    assert sorted(known) == ["a", "b", "c d"]
    assert named(reader, ["c d|a|a"]) == [about({"c d": 2**-0.5, "a": 2**-0.5})]
    # one category is not
    assert fitted(["a|b", "c"], "category")[1] == ["a|b", "c"]


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
    reader, found = fitted(values, "category", type=type)
    assert found == known
    assert sum(len(row) for row in rows(reader, values, type)) >= len(known)


def test_what_is_cut_from_a_longer_column_is_read_as_it_is():
    whole = pa.chunked_array([pa.array([["a"], ["b", "c"], ["d"]]), pa.array([None, ["e", "b"]])])
    at, texts = entries(whole.slice(1), "categories", "x")
    assert list(zip(at.tolist(), texts.to_pylist(), strict=True)) == [
        *[(0, "b"), (0, "c"), (1, "d"), (3, "e"), (3, "b")]
    ]


def test_what_is_too_rare_has_no_vector_of_its_own():
    values = [["a", "b"], ["b"], ["b", "c"], ["c", "c"]]
    assert sorted(fitted(values, "categories", fewest=2)[1]) == ["b", "c"]
    assert fitted(values, "categories", fewest=3)[1] == ["b"]
    # of words the rows count too, not how often they stand in one
    assert fitted(["mug mug mug", "pot", "pot"], "words", fewest=2)[1] == ["pot"]


def test_an_id_is_counted_by_the_training_pairs_it_stands_in():
    ids, pairs = ["a", "b", "c"], [2, 0, 5]
    assert fitted(ids, "id", counts=pairs)[1] == ["a", "c"]
    assert fitted(ids, "id", counts=pairs, fewest=3)[1] == ["c"]
    assert fitted(ids, "id", counts=pairs, fewest=0)[1] == ids
    reader, _ = fitted(ids, "id", counts=pairs)
    assert rows(reader, ["c", "b", "zz", None]) == [{1: 1}, {}, {}, {}]


def test_a_value_stands_on_both_sides_of_a_table_that_they_share():
    sides = [(column(["a", "b"]), np.array([1, 1])), (column(["b", "c"]), np.array([1, 4]))]
    reader = fit_values(sides, "id", "x", fewest=2, buckets=0)
    assert reader.known.to_pylist() == ["b", "c"]


def test_the_rarity_of_words_is_that_of_both_sides():
    sides = [(column([text] * 2), np.ones(2, np.int64)) for text in ("red mug", "red")]
    reader = fit_values(sides, "words", "x", fewest=1, buckets=0)
    found = dict(zip(reader.known.to_pylist(), reader.rarity.tolist(), strict=True))
    # 4 rows: red in 4, ln(5 / 5) + 1; mug in 2, ln(5 / 3) + 1
    assert found == about({"red": 1.0, "mug": 1.510826})


def test_values_that_are_not_known_share_buckets_by_their_hash():
    reader, _ = fitted(["a", "b"], "category", buckets=5)
    assert len(reader) == 7
    # CRC-32 of "123456789" is 0xCBF43926 = 3421780262, the check value of its standard; mod 5 is 2
    assert rows(reader, ["a", "123456789", "", "b"]) == [{0: 1}, {4: 1}, {}, {1: 1}]
    few, _ = fitted([["a"]], "categories", buckets=1)
    # two of one bucket are one value
    assert rows(few, [["x", "y", "a"]]) == [about({0: 2**-0.5, 1: 2**-0.5})]


def test_an_unknown_word_counts_as_one_that_is_common():
    reader, _ = fitted(["red", "blue"], "words", buckets=1)
    # idf of red ln(3 / 2) + 1 = 1.405465; two unknown words in one bucket 1 + ln 2 = 1.693147;
    # the length is sqrt(1.975332 + 2.866748) = 2.200473
    known = {"red": 0, "blue": 1}
    assert rows(reader, ["red grey green"]) == [
        about({known["red"]: 1.405465 / 2.200473, 2: 1.693147 / 2.200473})
    ]


# Numbers.


def test_a_number_lies_between_two_knots():
    assert fit_knots([column(list(range(11)))], "x").knots == pytest.approx(np.arange(11.0))
    reader = Knots(np.arange(11.0))
    assert rows(reader, [2.25, 7.0, None, -5.0, 99.0, 9.5]) == [
        {2: 0.75, 3: 0.25},
        {7: 1},
        {},
        {0: 1},
        {10: 1},
        {9: 0.5, 10: 0.5},
    ]


def test_knots_are_deciles_so_that_the_scale_does_not_matter():
    # of 0, 0, 0, 1, 1000 the deciles at .8 and .9 are 200.8 and 600.4; equal ones are one knot
    reader = fit_knots([column([0, 0, 0, 1]), column([1000, None])], "x")
    # places 2.8, 3.2 and so on between the sorted five: .7 is at 2.8, hence .8
    assert reader.knots.tolist() == pytest.approx([0.0, 0.4, 0.8, 200.8, 600.4, 1000.0])
    assert rows(reader, [100.8]) == [about({2: 0.5, 3: 0.5})]
    one = fit_knots([column([5, 5])], "x")
    assert rows(one, [5, 7, -7, None]) == [{0: 1}, {0: 1}, {0: 1}, {}]


some_numbers = st.lists(st.integers(-(10**6), 10**6).map(lambda n: n / 100), min_size=1, max_size=9)


@settings(max_examples=50, deadline=None)
@given(seen=some_numbers, asked=some_numbers)
def test_the_weights_of_a_number_are_one_and_give_it_back(seen, asked):
    reader = fit_knots([column(seen)], "x")
    found = reader.of(column(asked), "x")
    assert found.sum(axis=1).A1.tolist() == pytest.approx([1] * len(asked), abs=1e-5)
    between = np.clip(asked, min(seen), max(seen))
    back = (found @ reader.knots).tolist()
    assert back == pytest.approx(between.tolist(), rel=1e-4, abs=1e-6 * (1 + np.ptp(seen)))


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


def test_numbers_that_are_all_missing():
    with pytest.raises(InputError, match="'price' is to be a number, and has none; leave it out"):
        fit_knots([column([math.nan, math.nan])], "price")


# Text and vectors.


def test_text_is_cut_and_hashed():
    reader = fit_hashed([column(["ab", "ab", None])], "x", bits=12)
    assert len(reader) == 4096
    # "ab" is itself and <a ab b> <ab ab>: six tokens, in 2 of 3 rows each
    (row, other, nothing) = rows(reader, ["ab", "ab abc", ""])
    assert sorted(row.values()) == about([1 / math.sqrt(6)] * 6)
    # one more of a word that was seen nowhere has tokens too, shared and its own
    assert set(row) < set(other)
    assert nothing == {}
    # ln(4 / 3) + 1 where seen, ln(4 / 1) + 1 elsewhere
    assert sorted(set(reader.rarity.tolist())) == about([1.287682, 2.386294])


def test_text_on_both_sides_has_one_rarity():
    reader = fit_hashed([column(["ab"]), column(["ab", "cd"])], "x", bits=12)
    (row,) = rows(reader, ["ab"])
    assert reader.rarity[list(row)].tolist() == about([1 + math.log(4 / 3)] * 6)


def test_vectors_by_hand():
    reader = fit_vectors([column([None, [3.0, 4.0]])], "x")
    assert reader == Vectors(2)
    given = [[3.0, -4.0], None, [0.0, 5.0], [0.0, 0.0]]
    expected = [about({0: 0.6, 1: -0.8}), {}, {1: 1}, {}]
    assert rows(reader, given) == expected
    assert rows(reader, given, pa.list_(pa.float64(), 2)) == expected
    assert rows(reader, [[6, 8], [1, 0]], pa.list_(pa.int16())) == [about({0: 0.6, 1: 0.8}), {0: 1}]


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
        Vectors(2).of(column(values), "x")


def test_a_column_of_no_vectors():
    with pytest.raises(InputError, match=r"'x' is to be a vector, and holds string; give lists"):
        fit_vectors([column(["a"])], "x")
    with pytest.raises(InputError, match=r"'x' is to be a vector, and has none"):
        fit_vectors([column([None, []], pa.list_(pa.float32()))], "x")


# What all of them do.


def test_rows_of_length_one_or_empty():
    found = unit(Knots(np.arange(3.0)).of(column([0.5, None, 2.0]), "x"))
    assert found.toarray().tolist() == [
        pytest.approx([2**-0.5, 2**-0.5, 0]),
        [0, 0, 0],
        [0, 0, 1],
    ]


READERS = {
    "id": lambda c: fit_values([(c, np.ones(len(c), np.int64))], "id", "x", fewest=1, buckets=2),
    "words": lambda c: fit_values(
        [(c, np.ones(len(c), np.int64))], "words", "x", fewest=2, buckets=2
    ),
    "categories": lambda c: fit_values(
        [(c, np.ones(len(c), np.int64))], "categories", "x", fewest=2, buckets=0
    ),
    "text": lambda c: fit_hashed([c], "x", bits=10),
}
texts = st.lists(st.one_of(st.none(), st.text("ab |é", max_size=6)), min_size=1, max_size=6)


@settings(max_examples=30, deadline=None)
@given(seen=texts, asked=texts)
@pytest.mark.parametrize("name", READERS)
def test_a_row_is_the_same_alone_and_of_length_one_or_empty(name, seen, asked):
    reader = READERS[name](column(seen, pa.string()))
    assert isinstance(reader, Reader)
    whole = reader.of(column(asked, pa.string()), "x")
    lengths = np.sqrt(whole.multiply(whole).sum(axis=1).A1)
    assert ((abs(lengths - 1) < 1e-5) | (np.diff(whole.indptr) == 0)).all()
    for i in range(len(asked)):
        alone = reader.of(column(asked[i : i + 1], pa.string()), "x")
        assert (alone != whole[i]).nnz == 0


def test_the_readers_are_readers():
    for reader in (Knots(np.arange(2.0)), Vectors(3), Hashed(8, np.ones(256, np.float32))):
        assert isinstance(reader, Reader)


def test_a_column_of_records_has_no_values():
    with pytest.raises(InputError, match=r"column 'x' holds struct<.*which has no values to name"):
        fitted([{"a": 1}], "category")
