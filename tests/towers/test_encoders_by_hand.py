"""The encoders by hand: what each kind of value becomes."""

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thresher.errors import InputError
from thresher.towers.encoders import ENCODERS
from thresher.towers.encoders.base import Reading, Seen
from thresher.towers.encoders.number import Number
from thresher.towers.encoders.text import Text
from thresher.towers.encoders.vector import Vector


def column(values, type=None):
    return pa.chunked_array([pa.array(values, type)])


def fitted(values, kind, *, counts=None, type=None, more=(), **how):
    """An encoder fitted to one column, or to several."""
    seen = []
    for each in (values, *more):
        own = column(each, type)
        seen.append(
            Seen(own, np.ones(len(own), np.int64) if counts is None else np.array(counts), "x")
        )
    return ENCODERS[kind].fit(seen, Reading(kind=kind, **how))


def rows(encoder, values, type=None):
    """What each row holds: {row of the table: weight}."""
    found = encoder.read(column(values, type), "x")
    assert found.shape == (len(values), len(encoder))
    return [
        dict(zip(row.indices.tolist(), row.data.tolist(), strict=True))
        for row in (found[i] for i in range(len(values)))
    ]


def named(encoder, values, type=None):
    """The same by the names of the values."""
    known = encoder.known.to_pylist()
    return [{known[place]: w for place, w in row.items()} for row in rows(encoder, values, type)]


def known(values, kind, **options):
    return sorted(fitted(values, kind, **options).known.to_pylist())


def about(row):
    return pytest.approx(row, abs=1e-6)


# Words.


def words_of(encoder, texts, asked):
    """The weights of a text by its words, which stand alone among the texts."""
    names = {next(iter(rows(encoder, [word])[0])): word for text in texts for word in text.split()}
    return [{names[place]: w for place, w in row.items()} for row in rows(encoder, asked)]


def test_words_by_hand():
    texts = ["red mug", "red red cup", "", "blue mug"]
    encoder = fitted(texts, "words")
    # 4 rows: idf of red and mug ln(5 / 3) + 1 = 1.510826, of cup and blue ln(5 / 2) + 1 = 1.916291
    assert sorted(encoder.rarity.tolist()) == about([1.510826, 1.510826, 1.916291, 1.916291])
    found = words_of(encoder, texts, ["red mug", "cup RED, red", "", "mug blue", "grey pot"])
    # twice red: (1 + ln 2) 1.510826 = 2.558050; with cup the length is sqrt(6.543620 + 3.672171)
    # = 3.196215; mug with blue: sqrt(2.282595 + 3.672171) = 2.440239
    assert found == [
        about({"red": math.sqrt(0.5), "mug": math.sqrt(0.5)}),
        about({"red": 2.558050 / 3.196215, "cup": 1.916291 / 3.196215}),
        {},
        about({"mug": 1.510826 / 2.440239, "blue": 1.916291 / 2.440239}),
        {},
    ]


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
    encoder = fitted(texts, "words")
    assert words_of(encoder, texts, [asked]) == [about(slow_words(texts, asked))]


def test_without_a_unit_length_the_table_carries_the_rarity():
    encoder = fitted(["red mug", "red"], "words", unit=False)
    (row,) = rows(encoder, ["mug mug"])
    assert list(row.values()) == about([1 + math.log(2)])
    lengths = np.linalg.norm(encoder.start(4096, generator()), axis=1)
    # of 2 rows, red in both: 1; mug in one: ln(3 / 2) + 1
    assert sorted(lengths.tolist()) == pytest.approx([1, 1.405465], rel=0.05)


def generator():
    import torch

    return torch.Generator().manual_seed(0)


# Ids and categories.


def test_categories_by_hand():
    encoder = fitted([["a", "b"], ["b", "c", "d"], None, []], "categories")
    assert sorted(encoder.known.to_pylist()) == ["a", "b", "c", "d"]
    found = named(encoder, [["a", "b"], ["c", "a", "c", "d"], [], None, ["b", "zz"], ["zz"], ["a"]])
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


def test_categories_as_long_as_they_are_rare():
    encoder = fitted([["a", "b"], ["b"], None], "categories", unit=False, buckets=1)
    assert rows(encoder, [["a", "b"], ["zz"]]) == [{0: 1, 1: 1}, {2: 1}]
    # of 3 rows: a in one, b in two, others in none
    rarity = {"a": math.log(4 / 2) + 1, "b": math.log(4 / 3) + 1}
    assert encoder.lengths.tolist() == about([rarity[v] for v in encoder.known.to_pylist()])
    assert encoder.rarest == pytest.approx(math.log(4) + 1)


def test_what_is_too_rare_has_no_vector_of_its_own():
    values = [["a", "b"], ["b"], ["b", "c"], ["c", "c"]]
    assert known(values, "categories", min_count=2) == ["b", "c"]
    assert known(values, "categories", min_count=3) == ["b"]
    # of words the rows count too, not how often they stand in one
    assert len(fitted(["mug mug mug", "pot", "pot"], "words", min_count=2)) == 1


def test_an_id_is_counted_by_the_training_pairs_it_stands_in():
    ids, pairs = ["a", "b", "c"], [2, 0, 5]
    assert known(ids, "id", counts=pairs) == ["a", "c"]
    assert known(ids, "id", counts=pairs, min_count=3) == ["c"]
    assert known(ids, "id", counts=pairs, min_count=0) == ids
    encoder = fitted(ids, "id", counts=pairs)
    assert rows(encoder, ["c", "b", "zz", None]) == [{1: 1}, {}, {}, {}]


def test_a_value_stands_on_both_sides_of_a_table_that_they_share():
    assert known(["a", "b"], "category", more=[["b", "c"]], min_count=2) == ["b"]
    # 4 rows: red in 4, ln(5 / 5) + 1; mug in 2, ln(5 / 3) + 1
    encoder = fitted(["red mug"] * 2, "words", more=[["red"] * 2])
    assert sorted(encoder.rarity.tolist()) == about([1.0, 1.510826])


def test_values_that_are_not_known_share_buckets_by_their_hash():
    encoder = fitted(["a", "b"], "category", buckets=5)
    assert len(encoder) == 7
    # CRC-32 of "123456789" is 0xCBF43926 = 3421780262, the check value of its standard; mod 5 is 2
    assert rows(encoder, ["a", "123456789", "", "b"]) == [{0: 1}, {4: 1}, {}, {1: 1}]
    few = fitted([["a"]], "categories", buckets=1)
    # two of one bucket are one value
    assert rows(few, [["x", "y", "a"]]) == [about({0: 2**-0.5, 1: 2**-0.5})]


def test_unknown_words_of_one_bucket_are_one_word():
    encoder = fitted(["red", "blue"], "words", buckets=1)
    # idf of red ln(3 / 2) + 1 = 1.405465, of a word that nobody used ln(3) + 1 = 2.098612; two of
    # them in one bucket (1 + ln 2) 2.098612 = 3.553259; the length is sqrt(1.975332 + 12.625650)
    (row,) = rows(encoder, ["red grey green"])
    assert sorted(row.values()) == about([1.405465 / 3.821123, 3.553259 / 3.821123])
    assert row[2] == pytest.approx(3.553259 / 3.821123)


# Numbers.


def test_a_number_lies_between_two_knots():
    assert fitted(list(range(11)), "number").knots == pytest.approx(np.arange(11.0))
    encoder = Number(np.arange(11.0))
    assert rows(encoder, [2.25, 7.0, None, -5.0, 99.0, 9.5]) == [
        {2: 0.75, 3: 0.25},
        {7: 1},
        {},
        {0: 1},
        {10: 1},
        {9: 0.5, 10: 0.5},
    ]


def test_knots_are_deciles_so_that_the_scale_does_not_matter():
    # of 0, 0, 0, 1, 1000 the deciles at .8 and .9 are 200.8 and 600.4; equal ones are one knot
    encoder = fitted([0, 0, 0, 1], "number", more=[[1000, None]])
    # places 2.8, 3.2 and so on between the sorted five: .7 is at 2.8, hence .8
    assert encoder.knots.tolist() == pytest.approx([0.0, 0.4, 0.8, 200.8, 600.4, 1000.0])
    assert rows(encoder, [100.8]) == [about({2: 0.5, 3: 0.5})]
    one = fitted([5, 5], "number")
    assert rows(one, [5, 7, -7, None]) == [{0: 1}, {0: 1}, {0: 1}, {}]


some_numbers = st.lists(st.integers(-(10**6), 10**6).map(lambda n: n / 100), min_size=1, max_size=9)


@settings(max_examples=50, deadline=None)
@given(seen=some_numbers, asked=some_numbers)
def test_the_weights_of_a_number_are_one_and_give_it_back(seen, asked):
    encoder = fitted(seen, "number")
    found = encoder.read(column(asked), "x")
    assert found.sum(axis=1).A1.tolist() == pytest.approx([1] * len(asked), abs=1e-5)
    between = np.clip(asked, min(seen), max(seen))
    back = (found @ encoder.knots).tolist()
    assert back == pytest.approx(between.tolist(), rel=1e-4, abs=1e-6 * (1 + np.ptp(seen)))


def test_numbers_that_are_all_missing():
    with pytest.raises(InputError, match="'x' is to be a number, and has none; ignore it"):
        fitted([math.nan, math.nan], "number")


# Text and vectors.


def test_text_is_cut_and_hashed():
    encoder = fitted(["ab", "ab", None], "text", bits=12)
    # "ab" is itself and <a ab b> <ab ab>: six tokens, in 2 of 3 rows each
    assert len(encoder.tokens) == 6
    row, other, nothing = rows(encoder, ["ab", "ab abc", ""])
    assert sorted(row.values()) == about([1 / math.sqrt(6)] * 6)
    # one more of a word that was seen nowhere has tokens too, shared and its own
    assert set(row) < set(other)
    assert nothing == {}
    # ln(4 / 3) + 1 where seen, ln(4 / 1) + 1 elsewhere
    assert encoder.rarity.tolist() == about([1.287682] * 6)
    assert encoder.unseen == pytest.approx(2.386294)


def test_text_on_both_sides_has_one_rarity():
    encoder = fitted(["ab"], "text", more=[["ab", "cd"]], bits=12)
    (row,) = rows(encoder, ["ab"])
    assert encoder.rarity[list(row)].tolist() == about([1 + math.log(4 / 3)] * 6)


def test_tokens_that_were_not_seen_share_vectors_or_are_left_out():
    alone = Text("text", False, np.array([5, 9]), np.ones(2, np.float32), 2.0, 8, (2, 3), 0)
    shared = Text("text", False, np.array([5, 9]), np.ones(2, np.float32), 2.0, 8, (2, 3), 4)
    from scipy import sparse

    counts = sparse.csr_matrix(([1.0, 1, 1, 1], [5, 6, 10, 255], [0, 4]), (1, 256), np.float32)
    assert alone.weigh(counts).toarray().tolist() == [[1, 0]]
    # 6 and 10 are both 2 mod 4, 255 is 3
    expected = [1, 0, 0, 0, 1 + math.log(2), 1]
    assert shared.weigh(counts).toarray()[0].tolist() == about(expected)


def test_vectors_by_hand():
    encoder = fitted([None, [3.0, 4.0]], "vector")
    assert encoder == Vector(2)
    given = [[3.0, -4.0], None, [0.0, 5.0], [0.0, 0.0]]
    expected = [about({0: 0.6, 1: -0.8}), {}, {1: 1}, {}]
    assert rows(encoder, given) == expected
    assert rows(encoder, given, pa.list_(pa.float64(), 2)) == expected
    assert rows(encoder, [[6, 8], [1, 0]], pa.list_(pa.int16())) == [
        about({0: 0.6, 1: 0.8}),
        {0: 1},
    ]


def test_a_projected_vector_keeps_its_length():
    encoder = Vector(64, 20.0)
    x = encoder.read(column([list(map(float, range(64)))]), "x")
    made = x @ encoder.start(4096, generator()).numpy()
    assert np.linalg.norm(made) == pytest.approx(20, rel=0.1)


def test_a_column_of_no_vectors():
    with pytest.raises(InputError, match=r"'x' is to be a vector, and holds string; give lists"):
        fitted(["a"], "vector")
    with pytest.raises(InputError, match=r"'x' is to be a vector, and has none"):
        fitted([None, []], "vector", type=pa.list_(pa.float32()))
