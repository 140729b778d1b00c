"""Texts as flat arrays."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracles.codes import codes_of
from thresher.data.tokenise import TOKEN_BITS, WORD_BITS, murmur
from thresher.data.tokens import Tokens
from thresher.rerank import texts as module
from thresher.rerank.texts import Texts

TITLES = [
    "Bosch KIN85AF30 64 GB",
    "",
    "?!",
    "Ünïted 東京 ab12cd word word x ٣٤ab 1999 2018 2218 15 inches",
    "sony x 12345 lens rf 3111gb rf 3111 gb 4k \uff12\uff17\u00b2 ½",
    "canon rf 3111 made in 2018",
    "64gb 8 kg 128 GB 64gb",
    "word " * 300,
]


def part(texts: Texts, name: str, row: int) -> np.ndarray:
    start = getattr(texts, f"{name}_start")
    return getattr(texts, name)[start[row] : start[row + 1]]


def codes(texts: Texts, row: int) -> set[str]:
    at = texts.code_letter_start
    of_row = range(texts.code_start[row], texts.code_start[row + 1])
    return {bytes(texts.code_letter[at[i] : at[i + 1]]).decode() for i in of_row}


def hashed(text: str) -> int:
    raw = np.frombuffer(text.encode(), np.uint8)
    return murmur(raw, 0, len(raw))


def check(titles: list[str]) -> None:
    texts = Texts.of(titles)
    tokens = Tokens(bits=TOKEN_BITS).counts(titles)
    spelled = Tokens(bits=WORD_BITS, ngram_range=(0, 0)).counts(titles)
    whole = Tokens(bits=WORD_BITS, ngram_range=(0, 0), pairs=False, parts=False).counts(titles)
    for row, title in enumerate(titles):
        token, word = part(texts, "token", row), part(texts, "word", row)
        found = dict(zip(token & (2**TOKEN_BITS - 1), token >> TOKEN_BITS, strict=True))
        row_of = tokens[row]
        expected = np.minimum(row_of.data, 255).astype(int)
        assert found == dict(zip(row_of.indices, expected, strict=True))
        assert set(word >> 1) == set(spelled[row].indices)
        assert set(word[word & 1 == 1] >> 1) == set(whole[row].indices)
        own = codes_of(title)
        assert bytes(part(texts, "letter", row)).decode() == own.joined
        assert codes(texts, row) == set(own.codes)
        assert sorted(part(texts, "number", row)) == sorted(map(hashed, own.numbers))
        units = {(hashed(u), hashed(n)) for u, values in own.units.items() for n in values}
        assert set(map(tuple, part(texts, "unit", row).tolist())) == units


def test_the_arrays_say_what_the_tokeniser_and_the_codes_say():
    check(TITLES)


@given(st.lists(st.text(st.sampled_from("aB9 0é-東٣½gb_.ﬁ\n\x01"), max_size=12), max_size=4))
def test_any_text(titles):
    check(titles)


def test_blocks_are_joined(monkeypatch):
    at_once = Texts.of(TITLES)
    monkeypatch.setattr(module, "_BLOCK", 3)
    for one, other in zip(at_once, Texts.of(TITLES), strict=True):
        np.testing.assert_array_equal(one, other)


def test_no_text():
    texts = Texts.of([])
    assert texts.token_start.tolist() == texts.unit_start.tolist() == [0]
    assert texts.length.shape == (0, 2)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Bosch KIN85AF30", {"kin85af30"}),
        ("canon rf 3111", {"3111", "rf3111"}),
        ("made in 2018", {"in2018"}),
        ("phone 64gb", set()),
        ("phone 6400 gb", set()),
        ("", set()),
    ],
)
def test_codes_by_hand(text, expected):
    assert codes(Texts.of([text]), 0) == expected


def test_words_and_characters_are_counted():
    assert Texts.of(["Café 東京 x1", ""]).length.tolist() == [[3, 8], [0, 0]]
