"""What counts as a token, and how rare each is."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thresher.data.tokens import Tokens, idf, words
from thresher.errors import InputError


@given(st.lists(st.text(alphabet="ab1 2éß-", max_size=12), max_size=5))
def test_counts_are_those_of_the_tokens_one_by_one(texts):
    """Each word is hashed once for all texts; a text alone has the same counts."""
    tokens = Tokens(bits=16, ngram_range=(2, 3))
    found = tokens.counts(texts)
    assert found.shape == (len(texts), 2**16)
    for i, text in enumerate(texts):
        alone = tokens.counts([text])
        assert (found[i] != alone).nnz == 0
        # 65,536 numbers: the few tokens of a text hardly collide, but may.
        assert found[i].sum() == len(list(tokens.of(text)))
        assert found[i].nnz <= len(set(tokens.of(text)))


def test_what_counts_as_a_token():
    # "ab" has the 2-grams <a, ab, b> and the 3-grams <ab, ab>; "c1" is also cut in c and 1;
    # the neighbours are joined.
    tokens = ["=ab", "<a", "ab", "b>", "<ab", "ab>", "=c1", "<c", "c1", "1>", "<c1", "c1>"]
    expected = Counter([*tokens, "=c", "=1", "=abc1"])
    assert Counter(Tokens(ngram_range=(2, 3)).of("AB c1")) == expected


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


@pytest.mark.parametrize("options", [{"bits": 7}, {"ngram_range": (5, 4)}])
def test_settings_out_of_range(options):
    with pytest.raises(InputError):
        Tokens(**options)
