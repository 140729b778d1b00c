"""Texts as flat arrays: hashed tokens, product codes, numbers and units, ready for a pair loop."""

import threading
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Int32, Int64, UInt8, UInt32

from thresher.data import tokenise
from thresher.data.tokens import lines

_BLOCK = 4096
_local = threading.local()


class Texts(NamedTuple):
    """Texts in flat arrays; what is of text i lies between `*_start[i]` and `*_start[i + 1]`.

    Args:
        token_start: see above.
        token: distinct tokens of a text, hashed to 17 bits: words, n-grams, parts, neighbours; plus
            2^17 times how often each occurs, 255 at most.
        word_start: see above.
        word: distinct words, parts of codes and joined neighbours, hashed to 20 bits, times two;
            plus one where it is a word of the text as it stands.
        letter_start: see above.
        letter: UTF-8 bytes of the text without spaces, in which codes are found.
        code_start: where the codes of a text begin in `code_letter_start`.
        code_letter_start: where the bytes of each code begin.
        code_letter: the bytes of the codes.
        number_start: see above.
        number: distinct numbers of a text, hashed.
        unit_start: see above.
        unit: units, hashed, each with the number before it.
        length: numbers of words and of their characters.
    """

    token_start: Int64[np.ndarray, " N1"]
    token: Int32[np.ndarray, " T"]
    word_start: Int64[np.ndarray, " N1"]
    word: Int32[np.ndarray, " W"]
    letter_start: Int64[np.ndarray, " N1"]
    letter: UInt8[np.ndarray, " L"]
    code_start: Int64[np.ndarray, " N1"]
    code_letter_start: Int64[np.ndarray, " C1"]
    code_letter: UInt8[np.ndarray, " K"]
    number_start: Int64[np.ndarray, " N1"]
    number: UInt32[np.ndarray, " M"]
    unit_start: Int64[np.ndarray, " N1"]
    unit: UInt32[np.ndarray, "U 2"]
    length: Int32[np.ndarray, "N 2"]

    @classmethod
    def of(cls, texts: Sequence[str]) -> "Texts":
        """Tokenise texts; the hashes are those of `data.tokens.Tokens`.

        Memory: about 1 KB a text of ten words, and as much again for 4,096 texts at a time.
        """
        blocks = [cls._block(texts[i : i + _BLOCK]) for i in range(0, max(len(texts), 1), _BLOCK)]
        if len(blocks) == 1:
            return blocks[0]
        columns = zip(cls._fields, zip(*blocks, strict=True), strict=True)
        return cls(*(_join(name, arrays) for name, arrays in columns))

    @classmethod
    def _block(cls, texts: Sequence[str]) -> "Texts":
        raw, rows = lines(texts), len(texts)
        *tokens, length = tokenise.tokenise(raw, rows)
        arrays: list[Any] = [*tokens, *tokenise.find_codes(raw, rows), length]
        return cls(*arrays)


class Catalogue(NamedTuple):
    """What is worked out once for items and query aliases; N items, M aliases sorted by item.

    Args:
        token_idf: of each hashed token.
        token_norm: the length of each item's tf-idf vector.
        token_total: the sum of the idf of each item's tokens.
        vocabulary: hashes of the words of items and aliases, ascending.
        word_weights: of each word, and last of words that are not in the vocabulary: the three of
            `TermWeights`, and the idf among items.
        word_total: the sum of the idf of each item's words.
        expected_total: the sum of the first term weight over each item's words and parts.
        alias_start: where each item's aliases begin.
        alias_token_start: where the tokens of each alias begin.
        alias_token: as `Texts.token`, of the aliases.
        alias_norm: as `token_norm`.
        posting_start: where the items of each word of the vocabulary begin; none of unknown words.
        posting: items in which a word stands, as it is, as a part or as joined neighbours.
        rarity: the squared idf of each word, by the items in which it stands.
        rarity_norm: the root of the sum of the rarities of each item's words.
    """

    token_idf: Float32[np.ndarray, " V"]
    token_norm: Float32[np.ndarray, " N"]
    token_total: Float32[np.ndarray, " N"]
    vocabulary: Int32[np.ndarray, " U"]
    word_weights: Float32[np.ndarray, "U1 4"]
    word_total: Float32[np.ndarray, " N"]
    expected_total: Float32[np.ndarray, " N"]
    alias_start: Int64[np.ndarray, " N1"]
    alias_token_start: Int64[np.ndarray, " M1"]
    alias_token: Int32[np.ndarray, " T"]
    alias_norm: Float32[np.ndarray, " M"]
    posting_start: Int64[np.ndarray, " U2"]
    posting: Int32[np.ndarray, " P"]
    rarity: Float32[np.ndarray, " U1"]
    rarity_norm: Float32[np.ndarray, " N"]


def flat_text(values: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Where the UTF-8 bytes of each value begin, and the bytes."""
    raw = [value.encode() for value in values]
    start = np.array([0, *accumulate(map(len, raw))], np.int64)
    return start, np.frombuffer(b"".join(raw), np.uint8)


def scratch(*wanted: Any) -> list[np.ndarray]:
    """Zeros, kept by each thread; they are to be zeros again after use.

    Args:
        wanted: size, type, and a third entry that tells apart several of the same kind.
    """
    kept = _local.__dict__
    for key in wanted:
        if key not in kept:
            kept[key] = np.zeros(*key[:2])
    return [kept[key] for key in wanted]


def _join(name: str, arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Blocks one after the other; where a part begins moves on by what stands before its block."""
    if not name.endswith("start"):
        return np.concatenate(arrays)
    before = accumulate((int(a[-1]) for a in arrays[:-1]), initial=0)
    moved = [a[1:] + by for a, by in zip(arrays, before, strict=True)]
    return np.concatenate([arrays[0][:1], *moved])
