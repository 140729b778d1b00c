"""Rows of old and of new items in one: what is taken from where, and compared columns of both."""

import numpy as np
import pyarrow as pa

from thresher.rerank import PairFeatures
from thresher.rerank.changed import Splice, spliced, take
from thresher.rerank.columns import Compared

COMPARE = [
    Compared("price", "number"),
    Compared("brand", "category"),
    Compared("ean", "code"),
    Compared("about", "text"),
]
ROWS = [
    ("a", "Sony PS-1 deck", "9.5", "Sony", "123-4567", "old black deck"),
    ("b", "Denon deck", "20", "Denon", "999 1", "silver deck"),
    ("c", "Sony lamp", None, "Sony", None, "lamp of glass"),
    ("d", "Philips lamp 3 W", "3", "Philips", "777", "lamp"),
]
NEW = [
    ("b", "Denon tape", "21", "Marantz", "999 2", "tape of paper"),
    ("e", "x", "1", "y", "z", ""),
]


def table(rows):
    names = ["id", "title", "price", "brand", "ean", "about"]
    return pa.table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))


def built(rows):
    return PairFeatures.build(
        table(rows), text=["title"], query_text=["title"], compare=COMPARE, encode=list
    )


def read(features, rows):
    queries = table([("q", "sony deck of paper", "9", "sony", "1234567", "deck of paper")])
    vectors = np.zeros((1, 1), np.float32)
    scores = np.zeros((1, len(rows)), np.float32)
    return features.read(queries, vectors, np.array([rows]), scores)


def test_runs_of_rows_are_taken_from_both():
    splice = Splice(np.array([0, 1, 5, 3, 6, 7]), 5, np.array([0, 1, 2, 3, -1, -1]))
    assert splice.runs == [(0, 0, 2), (1, 0, 1), (0, 3, 4), (1, 1, 3)]
    old, new = np.array(list("abcde")), np.array(list("xyz"))
    assert "".join(take(splice.runs, old, new)) == "abxdyz"
    assert splice.moved.tolist() == [0, 1, -1, 3, -1]


def test_compared_columns_follow_their_items():
    """b is replaced, c goes, e comes; what depends on no count equals a catalogue built anew."""
    splice = Splice(np.array([0, 4, 3, 5]), 4, np.array([0, 1, 3, -1]))
    found = spliced(built(ROWS), splice, table(NEW))
    anew = built([ROWS[0], NEW[0], ROWS[3], NEW[1]])
    for one, other in zip(found.columns.values[:3], anew.columns.values[:3], strict=True):
        for own, expected in zip(one, other, strict=True):
            np.testing.assert_array_equal(own, expected)
    alone = [
        i
        for i, name in enumerate(found.names)
        if name.startswith(("price", "brand", "ean")) or "code" in name or "number" in name
    ]
    assert len(alone) > 20
    np.testing.assert_array_equal(
        read(found, [0, 1, 2, 3])[..., alone], read(anew, [0, 1, 2, 3])[..., alone]
    )


def test_items_that_stay_have_the_features_of_before():
    """Counts over the catalogue, such as how rare a word is, stay as they were."""
    splice = Splice(np.array([0, 4, 3, 5]), 4, np.array([0, 1, 3, -1]))
    before, after = built(ROWS), spliced(built(ROWS), splice, table(NEW))
    np.testing.assert_array_equal(read(after, [0, 2]), read(before, [0, 3]))


def test_a_new_word_of_a_text_column_weighs_as_an_unknown_one():
    splice = Splice(np.array([0, 4, 3, 5]), 4, np.array([0, 1, 3, -1]))
    before, after = built(ROWS), spliced(built(ROWS), splice, table(NEW))
    place = after.names.index("about, item words found")
    # Of "tape of paper" the query has "of" and "paper"; "of" was in one of four items, the
    # others in none: ln(5 / 2) + 1 and ln(5) + 1.
    of, other = np.log(5 / 2) + 1, np.log(5) + 1
    assert read(after, [1])[0, 0, place] == np.float32((of + other) / (of + 2 * other))
    assert read(before, [2])[0, 0, place] < 1
