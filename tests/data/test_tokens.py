"""What counts as a token, and how rare each is."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracles.tokens import counts_of, tokens_of
from thresher.data import tokens as module
from thresher.data.tokens import Tokens, idf, words
from thresher.errors import InputError

TEXTS = st.text(alphabet="ab1 2éß-_İ漢👩٣", max_size=12) | st.text(max_size=12)
KINDS = [
    Tokens(bits=8),
    Tokens(bits=10, ngram_range=(2, 3)),
    Tokens(bits=9, ngram_range=(1, 1), pairs=False),
    Tokens(bits=9, ngram_range=(3, 12), parts=False),
    Tokens(bits=9, ngram_range=(1, 10**9)),  # as long as a word is
    Tokens(bits=9, ngram_range=(0, 0), pairs=False, parts=False),
]


@pytest.mark.parametrize("tokens", KINDS)
@given(texts=st.lists(TEXTS, max_size=5))
def test_counts_are_those_of_the_tokens_one_by_one(tokens, texts):
    found = tokens.counts(texts)
    assert found.shape == (len(texts), 2**tokens.bits)
    assert found.dtype == np.float32
    assert found.has_canonical_format
    np.testing.assert_array_equal(found.toarray(), counts_of(tokens, texts))


def test_blocks_of_texts_have_the_counts_of_each(monkeypatch):
    texts = ["red mug 64gb", "", "red", "mug mug", "kin85af30"]
    whole = Tokens(bits=12).counts(texts)
    monkeypatch.setattr(module, "_BLOCK", 2)
    found = Tokens(bits=12).counts(texts)
    assert (found != whole).nnz == 0
    assert found.dtype == np.float32


def test_what_counts_as_a_token():
    # "ab" has the 2-grams <a, ab, b> and the 3-grams <ab, ab>; "c1" is also cut in c and 1;
    # the neighbours are joined.
    tokens = ["=ab", "<a", "ab", "b>", "<ab", "ab>", "=c1", "<c", "c1", "1>", "<c1", "c1>"]
    expected = Counter([*tokens, "=c", "=1", "=abc1"])
    assert Counter(tokens_of(Tokens(ngram_range=(2, 3)), "AB c1")) == expected


def test_words_fold_case_and_accents():
    assert words("Café-Crème  KIN85AF30") == ["cafe", "creme", "kin85af30"]


def test_idf_of_a_worked_example():
    alone = Tokens(bits=8, ngram_range=(0, 0), pairs=False, parts=False)
    counts = alone.counts(["a b", "a", "a a"])
    rare, everywhere, unseen = np.log(4 / 2) + 1, 1.0, np.log(4 / 1) + 1
    found = idf(counts)
    assert sorted({round(float(x), 5) for x in found}) == sorted(
        round(float(x), 5) for x in (rare, everywhere, unseen)
    )


@pytest.mark.parametrize(
    "options", [{"bits": 7}, {"bits": 25}, {"ngram_range": (5, 4)}, {"ngram_range": (2,)}]
)
def test_settings_out_of_range(options):
    with pytest.raises(InputError):
        Tokens(**options)
