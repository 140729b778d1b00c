"""The parts of a text, put together, are the text; what one part tells about another."""

from collections import Counter
from itertools import pairwise
from math import log

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction import FeatureHasher

from thresher.data.tokens import Tokens, words
from thresher.errors import InputError
from thresher.towers.bags import Bags
from thresher.towers.feature_inputs import Features
from thresher.towers.text_parts import joined, part_information, part_table

WORDS_ALONE = Tokens(bits=16, longest=0)
TOKENS = Tokens(bits=16, longest=3)
HASHER = FeatureHasher(2**16, input_type="string", alternate_sign=False)
TITLES = st.text(alphabet="abß1 2-é", max_size=14)


def numbered(tokens):
    """Tokens, counted under the numbers that they are hashed to."""
    tokens = list(tokens)
    found = HASHER.transform([tokens]).tocoo()
    return dict(zip(found.col.tolist(), found.data.tolist(), strict=True)) if tokens else {}


def weighted(tokens):
    return {number: 1 + log(count) for number, count in numbered(tokens).items()}


def row_of(bags, row=0):
    """Number of each token of a row to its weight; a token that stands twice counts twice."""
    found = Counter()
    one = bags[row : row + 1]
    for token, weight in zip(one.tokens.tolist(), one.weights.tolist(), strict=True):
        found[token] += weight
    return dict(found)


def parts_of(title):
    """The tokens of the words of letters and of the codes, one word after the other."""
    found = {"words": [], "codes": []}

    def part(word):
        return "codes" if any(c.isdigit() for c in word) else "words"

    for word in words(title):
        found[part(word)] += TOKENS.of(word)
    for left, right in pairwise(words(title)):
        if part(left) == part(right):
            found[part(left)].append("=" + left + right)
    return found


def test_the_parts_of_a_title_and_a_further_column():
    columns = {"title": ["Bosch KIN85 30 Kühlschrank weiß", ""], "kind": ["fridge", "tv set"]}
    table = part_table(columns, WORDS_ALONE)
    assert list(table.bags) == ["words", "codes", "kind"]
    # "bosch" and "kuhlschrank" are no neighbours, "bosch" and "kin85" are of two parts
    letters = ["=bosch", "=kuhlschrank", "=weiss", "=kuhlschrankweiss"]
    assert row_of(table.bags["words"]) == weighted(letters)
    codes = ["=kin85", "=kin", "=85", "=30", "=kin8530"]
    assert row_of(table.bags["codes"]) == weighted(codes)
    assert row_of(table.bags["kind"]) == weighted(["=fridge"])
    assert [len(row_of(table.bags[part], 1)) for part in table.bags] == [0, 0, 3]


def test_a_title_without_words_or_without_codes():
    table = part_table({"title": ["30 40", "red"]}, WORDS_ALONE)
    assert [len(row_of(table.bags["words"], i)) for i in (0, 1)] == [0, 1]
    assert [len(row_of(table.bags["codes"], i)) for i in (0, 1)] == [3, 0]
    nothing = part_table({"title": ["", "!"]}, WORDS_ALONE)
    assert [b.offsets.tolist() for b in nothing.bags.values()] == [[0, 0, 0], [0, 0, 0]]


@settings(max_examples=40)
@given(st.lists(st.tuples(TITLES, TITLES), min_size=1, max_size=4))
def test_put_together_the_parts_are_the_text(rows):
    """But for joined neighbours of two parts, and a token in two parts counts in both."""
    titles, kinds = map(list, zip(*rows, strict=True))
    table = part_table({"title": titles, "kind": kinds}, TOKENS)
    found = joined(table[: len(titles)])
    assert len(found) == len(titles)
    for i, (title, kind) in enumerate(rows):
        expected = Counter()
        for tokens in (*parts_of(title).values(), TOKENS.of(kind)):
            expected.update(weighted(tokens))
        assert row_of(found, i) == pytest.approx(dict(expected), rel=1e-5)
        across = [
            "=" + a + b
            for a, b in pairwise(words(title))
            if any(map(str.isdigit, a)) != any(map(str.isdigit, b))
        ]
        whole = numbered([*TOKENS.of(title), *TOKENS.of(kind)])
        assert set(whole) == set(expected) | set(numbered(across))


def test_joined_keeps_the_rows_apart_and_leaves_out_what_is_hidden():
    first = Bags(torch.tensor([1, 2, 3]).int(), torch.tensor([1.0, 2, 3]), torch.tensor([0, 2, 3]))
    second = Bags(torch.tensor([7, 2]).int(), torch.tensor([0.5, -1]), torch.tensor([0, 0, 2]))
    items = Features("item", {"a": first, "b": second})
    both = joined(items)
    assert both.offsets.tolist() == [0, 2, 5]
    assert both.tokens.tolist() == [1, 2, 3, 7, 2]
    assert both.weights.tolist() == [1, 2, 3, 0.5, -1]
    assert joined(items.without(["a"])).tokens.tolist() == [7, 2]
    assert joined(items.without(["a"])).offsets.tolist() == [0, 0, 2]
    assert joined(items.without(["a", "b"])).offsets.tolist() == [0, 0, 0]
    assert joined(items[1:]).tokens.tolist() == [3, 7, 2]


def test_information_is_that_of_whole_words():
    # Colour and code are independent; the kind is told by the colour alone. Each takes two values
    # half of the time: H = ln 2. Pieces of words, or red1 and a1 joined, would make it larger.
    columns = {"title": ["red a1", "red b2", "blue a1", "blue b2"], "kind": ["x", "x", "y", "y"]}
    h = np.log(2)
    expected = np.array([[h, 0, h], [0, h, 0], [h, 0, h]])
    np.testing.assert_allclose(part_information(columns, TOKENS), expected, atol=1e-12)


def test_a_column_named_as_a_part_is_refused():
    with pytest.raises(InputError, match="'codes', and a part of the text of the first column"):
        part_table({"title": ["a"], "codes": ["b"]}, TOKENS)
