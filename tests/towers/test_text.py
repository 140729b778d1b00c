from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from thresher.data.tokens import Tokens, idf, words
from thresher.errors import InputError
from thresher.towers import load_tower, save_tower
from thresher.towers.text import BagTower

TEXTS = ["Café-Crème 64GB", "cafe creme", "", "E5 2670 e52670", "café café café", "!?"]


def tower(**options):
    return BagTower(**{"dim": 16, "bits": 12, **options})


@given(st.lists(st.text(alphabet="ab1 2éß-", max_size=12), max_size=5))
def test_counts_are_those_of_the_tokens_one_by_one(texts):
    """Each word is hashed once for all texts; a text alone has the same counts."""
    tokens = Tokens(bits=16, longest=3)
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
    assert Counter(Tokens(longest=3).of("AB c1")) == expected


def test_words_fold_case_and_accents():
    assert words("Café-Crème  KIN85AF30") == ["cafe", "creme", "kin85af30"]


def test_idf_of_a_worked_example():
    counts = Tokens(bits=8, longest=0, pairs=False, parts=False).counts(["a b", "a", "a a"])
    rare, everywhere, unseen = np.log(4 / 2) + 1, 1.0, np.log(4 / 1) + 1
    found = idf(counts)
    assert sorted({round(float(x), 5) for x in found}) == sorted(
        round(float(x), 5) for x in (rare, everywhere, unseen)
    )


def test_rows_are_unit_and_a_text_without_tokens_is_zero():
    rows = tower().encode(TEXTS)
    lengths = np.linalg.norm(rows, axis=1)
    np.testing.assert_allclose(lengths, [1, 1, 0, 1, 1, 0], atol=1e-6)
    assert tower().encode([]).shape == (0, 16)


def test_one_by_one_or_together():
    t = tower()
    together = t.encode(TEXTS)
    for text, row in zip(TEXTS, together, strict=True):
        np.testing.assert_allclose(t.encode([text])[0], row, atol=1e-6)


def test_the_start_is_a_random_projection_of_tf_idf():
    """Cosines of the untrained tower are near those of TF-IDF, which it projects."""
    texts = ["red car fast", "red car slow", "blue boat", "green boat fast"]
    t = BagTower(dim=4096, bits=12)
    t.start_from(texts)
    counts = t.tokens.counts(texts)
    weights = np.where(counts.toarray() > 0, 1 + np.log(np.maximum(counts.toarray(), 1)), 0)
    weights *= np.log((1 + 4) / (1 + (counts.toarray() > 0).sum(0))) + 1
    weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    rows = t.encode(texts)
    np.testing.assert_allclose(rows @ rows.T, weights @ weights.T, atol=0.08)


def test_dropout_is_for_training_and_follows_the_generator():
    t = tower(token_dropout=0.5)
    bags = t.prepare(TEXTS)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        first = t(bags)
        torch.manual_seed(1)
        again = t(bags)
        other = t(bags)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    t.eval()
    assert torch.equal(t(bags), t(bags))


def test_the_seed_decides_the_start():
    assert torch.equal(tower(seed=3).table, tower(seed=3).table)
    assert not torch.equal(tower(seed=3).table, tower(seed=4).table)


def test_what_is_saved_is_loaded(tmp_path):
    t = tower(longest=3, token_dropout=0.1, seed=5)
    t.start_from(TEXTS)
    save_tower(t, tmp_path / "tower")
    again = load_tower(tmp_path / "tower")
    assert isinstance(again, BagTower)
    assert again.settings() == t.settings()
    np.testing.assert_array_equal(again.encode(TEXTS), t.encode(TEXTS))


@pytest.mark.parametrize(
    "options", [{"dim": 0}, {"token_dropout": 1.0}, {"bits": 7}, {"shortest": 5, "longest": 4}]
)
def test_settings_out_of_range(options):
    with pytest.raises(InputError):
        tower(**options)
