"""Text to a CSR of hashed tokens: words, product codes and character n-grams."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import UInt8
from scipy import sparse

from thresher.data import tokenise
from thresher.errors import InputError

_WORD = re.compile(r"[^\W_]+")
_PART = re.compile(r"[^\W\d_]+|\d+")
_BLOCK = 4096  # texts that are tokenised at a time


def words(text: str) -> list[str]:
    """The words of a text: runs of letters and digits, case folded, accents removed.

    >>> words("Café-Crème  KIN85AF30")
    ['cafe', 'creme', 'kin85af30']
    """
    if not text.isascii():
        text = unicodedata.normalize("NFKD", text)
        text = "".join(c for c in text if not unicodedata.combining(c))
    return _WORD.findall(text.casefold())


@dataclass(frozen=True)
class Tokens:
    """What of a text counts as a token, and how many numbers tokens are hashed to.

    A text becomes its words; each word's character n-grams with its ends marked; the joined pairs
    of neighbouring words, so that "e5 2670" meets "e52670"; and the runs of letters and of digits
    of a word that mixes both, so that "64gb" meets "64". Hashing means no vocabulary: a word that
    was never seen has numbers too, and nothing is fitted.

    Args:
        bits: tokens are hashed to 2 ** bits numbers; 16 to 20 is usual.
        ngram_range: lengths of the shortest and the longest character n-gram; (0, 0) for none.
        pairs: whether neighbouring words are joined to a token.
        parts: whether words that mix letters and digits are also cut into runs of each.
    """

    bits: int = 17
    ngram_range: tuple[int, ...] = (2, 5)
    pairs: bool = True
    parts: bool = True

    def __post_init__(self) -> None:
        if not 8 <= self.bits <= 24:
            raise InputError(f"bits must lie between 8 and 24, got {self.bits}")
        if len(self.ngram_range) != 2:
            raise InputError(
                f"ngram_range is {list(self.ngram_range)}; give two lengths, the shortest and the "
                "longest, as [2, 5]"
            )
        shortest, longest = self.ngram_range
        if (shortest, longest) != (0, 0) and not 1 <= shortest <= longest:
            raise InputError(
                f"ngram_range is {shortest} to {longest}; give the shortest length, 1 or more, and "
                "the longest, or (0, 0) for no n-grams"
            )

    def counts(self, texts: Sequence[str]) -> sparse.csr_matrix:
        """How often each token occurs in each text: [len(texts), 2 ** bits], float32."""
        blocks = [self._counts(texts[i : i + _BLOCK]) for i in range(0, len(texts), _BLOCK)]
        if len(blocks) == 1:
            return blocks[0]
        empty = sparse.csr_matrix((0, 2**self.bits), dtype=np.float32)
        return sparse.vstack([empty, *blocks], format="csr")

    def _counts(self, texts: Sequence[str]) -> sparse.csr_matrix:
        shape = len(texts), 2**self.bits
        shortest, longest = self.ngram_range
        how = (shape[1] - 1, max(shortest, 1), longest, self.pairs, self.parts)
        return sparse.csr_matrix(tokenise.count(lines(texts), len(texts), *how), shape)


def lines(texts: Sequence[str]) -> UInt8[np.ndarray, " bytes"]:
    """The marked words of texts, a line each, for the compiled tokeniser."""
    marked = "".join("".join(map(_marked, words(text))) + "\n" for text in texts)
    # Its loops look ahead, by two line ends at most.
    return np.frombuffer(f"{marked}\n\n".encode(), np.uint8)


@lru_cache(1 << 16)
def _marked(word: str) -> str:
    """A word with its kind before it, and its parts behind it if it mixes letters and digits."""
    if word.isalpha():
        return chr(tokenise.LETTERS) + word
    if word.isdigit():
        return chr(tokenise.DIGITS) + word
    parts = _PART.findall(word)
    kinds = (tokenise.DIGIT_PART if p.isdecimal() else tokenise.LETTER_PART for p in parts)
    marked = (chr(kind) + part for kind, part in zip(kinds, parts, strict=True))
    return chr(tokenise.MIXED) + word + "".join(marked)


def log_counts(counts: sparse.csr_matrix) -> sparse.csr_matrix:
    """1 + ln(count) where a token occurs: the tenth mention of a word adds less than the first."""
    damped = counts.copy()
    damped.data = (1 + np.log(damped.data)).astype(np.float32)
    return damped


def idf(counts: sparse.csr_matrix) -> np.ndarray:
    """How rare each token is: ln((1 + rows) / (1 + rows with the token)) + 1, float32."""
    seen = np.bincount(counts.indices, minlength=counts.shape[1])
    return (np.log((1 + counts.shape[0]) / (1 + seen)) + 1).astype(np.float32)
