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

from oracles.tables import dataset
from oracles.tokens import tokens_of
from thresher.data.tokens import Tokens, words
from thresher.errors import InputError
from thresher.towers.bags import Bags
from thresher.towers.feature_tower import FeatureTower
from thresher.towers.features import FeatureOptions
from thresher.towers.item_parts import _joined

TOKENS = Tokens(bits=16, ngram_range=(2, 3))
HASHER = FeatureHasher(2**16, input_type="string", alternate_sign=False)
TITLES = st.text(alphabet="abß1 2-é", max_size=14)


def tower(columns, ngram_range=(2, 3), **more):
    """A sum that reads these text columns of items, and the first as the text of queries."""
    made = FeatureTower(dim=4, bits=16, ngram_range=ngram_range)
    table = {**columns, **more}
    data = dataset(table, {"title": columns["title"], **more}, [(0, 0)], text=True)
    data = type(data)(**{**vars(data), "item_text": tuple(columns)})
    made.fit(data, FeatureOptions())
    return made


def parts(columns, ngram_range=(0, 0), **more):
    return tower(columns, ngram_range, **more).parts(masked=True)


def numbered(tokens):
    """Tokens, counted under the numbers that they are hashed to."""
    tokens = list(tokens)
    found = HASHER.transform([tokens]).tocoo()
    return dict(zip(found.col.tolist(), found.data.tolist(), strict=True)) if tokens else {}


def weighted(tokens):
    return {number: 1 + log(count) for number, count in numbered(tokens).items()}


def row_of(made, bags, row=0):
    """Hashed number of each token of a row to its weight; one that stands twice counts twice."""
    found, own = Counter(), made.schema.encoders["text"].tokens
    one = bags[row : row + 1]
    for token, weight in zip(one.tokens.tolist(), one.weights.tolist(), strict=True):
        found[int(own[token])] += weight
    return dict(found)


def parts_of(title):
    """The tokens of the words of letters and of the codes, one word after the other."""
    found = {"words": [], "codes": []}

    def part(word):
        return "codes" if any(c.isdigit() for c in word) else "words"

    for word in words(title):
        found[part(word)] += tokens_of(TOKENS, word)
    for left, right in pairwise(words(title)):
        if part(left) == part(right):
            found[part(left)].append("=" + left + right)
    return found


def test_the_parts_of_a_title_and_a_further_column():
    columns = {"title": ["Bosch KIN85", "tv"], "kind": ["fridge", "tv set"]}
    made = tower(columns, (0, 0))
    found = made.parts(masked=True)
    assert list(found.table.bags) == ["words", "codes", "kind"]
    assert found.several == ["words", "codes", "kind"]
    assert row_of(made, found.table.bags["words"]) == weighted(["=bosch"])
    # "bosch" and "kin85" are of two parts, and no neighbours in either
    assert row_of(made, found.table.bags["codes"]) == weighted(["=kin85", "=kin", "=85"])
    assert row_of(made, found.table.bags["kind"]) == weighted(["=fridge"])
    assert [len(row_of(made, bags, 1)) for bags in found.table.bags.values()] == [1, 0, 3]


def test_other_features_are_parts_as_they_are():
    found = parts({"title": ["red a1", "blue"]}, shelf=["x", "y"])
    assert list(found.table.bags) == ["shelf", "words", "codes"]
    assert found.several == ["words", "codes"]
    assert list(found.joined(found.table).bags) == ["shelf", "text"]


def test_without_views_an_item_stays_what_it_is():
    made = tower({"title": ["red a1", "blue"]})
    found = made.parts(masked=False)
    assert found.table.bags == made.items().bags
    assert found.joined(found.table).bags == made.items().bags


@settings(max_examples=40)
@given(st.lists(st.tuples(TITLES, TITLES), min_size=1, max_size=4))
def test_put_together_the_parts_are_the_text(rows):
    """But for joined neighbours of two parts, and a token in two parts counts in both."""
    titles, kinds = map(list, zip(*[*rows, ("ab", "1")], strict=True))
    made = tower({"title": titles, "kind": kinds})
    found = made.parts(masked=True)
    whole = found.joined(found.table).bags["text"]
    assert len(whole) == len(titles)
    known = set(made.schema.encoders["text"].tokens.tolist())
    for i, (title, kind) in enumerate(rows):
        expected = Counter()
        for tokens in (*parts_of(title).values(), tokens_of(TOKENS, kind)):
            expected.update({n: w for n, w in weighted(tokens).items() if n in known})
        own = made.schema.encoders["text"].tokens
        kept = whole.tokens < len(own)
        seen = Bags(whole.tokens.where(kept, 0), whole.weights * kept, whole.offsets)
        row = {n: w for n, w in row_of(made, seen, i).items() if w}
        assert row == pytest.approx(dict(expected), rel=1e-5)


def test_joined_keeps_the_rows_apart_and_leaves_out_what_is_hidden():
    first = Bags(torch.tensor([1, 2, 3]).int(), torch.tensor([1.0, 2, 3]), torch.tensor([0, 2, 3]))
    second = Bags(torch.tensor([7, 2]).int(), torch.tensor([0.5, -1]), torch.tensor([0, 0, 2]))
    both, none = _joined([first, second]), Bags.empty(2)
    assert both.offsets.tolist() == [0, 2, 5]
    assert both.tokens.tolist() == [1, 2, 3, 7, 2]
    assert both.weights.tolist() == [1, 2, 3, 0.5, -1]
    assert _joined([none, second]).tokens.tolist() == [7, 2]
    assert _joined([none, second]).offsets.tolist() == [0, 0, 2]
    assert _joined([none, none]).offsets.tolist() == [0, 0, 0]


def test_information_is_that_of_whole_words():
    # Colour and code are independent; the kind is told by the colour alone. Each takes two values
    # half of the time: H = ln 2. Pieces of words, or red1 and a1 joined, would make it larger.
    columns = {"title": ["red a1", "red b2", "blue a1", "blue b2"], "kind": ["x", "x", "y", "y"]}
    h = np.log(2)
    expected = np.array([[h, 0, h], [0, h, 0], [h, 0, h]])
    np.testing.assert_allclose(parts(columns, (2, 3)).information(), expected, atol=1e-12)


def test_a_column_named_as_a_part_is_refused():
    with pytest.raises(InputError, match="'codes', and a part of the text of the first column"):
        parts({"title": ["a"], "codes": ["b"]})
    with pytest.raises(InputError, match="two parts of an item are named 'words'"):
        parts({"title": ["a", "b"]}, words=["x", "y"])
