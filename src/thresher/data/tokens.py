"""Text to a CSR of hashed tokens: words, product codes and character n-grams."""

import re
import unicodedata
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import sparse
from sklearn.feature_extraction import FeatureHasher

from thresher.errors import InputError

_WORD = re.compile(r"[^\W_]+")
_LETTERS_OR_DIGITS = re.compile(r"[^\W\d_]+|\d+")


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
    ngram_range: tuple[int, int] = (2, 5)
    pairs: bool = True
    parts: bool = True

    def __post_init__(self) -> None:
        if not 8 <= self.bits <= 28:
            raise InputError(f"bits must lie between 8 and 28, got {self.bits}")
        shortest, longest = self.ngram_range
        if (shortest, longest) != (0, 0) and not 1 <= shortest <= longest:
            raise InputError(
                f"ngram_range is {shortest} to {longest}; give the shortest length, 1 or more, and "
                "the longest, or (0, 0) for no n-grams"
            )

    def of(self, text: str) -> Iterator[str]:
        """The tokens of one text, repeated as often as they occur."""
        for piece in self._pieces(text):
            yield from self._of_piece(piece)

    def counts(self, texts: Sequence[str]) -> sparse.csr_matrix:
        """How often each token occurs in each text: [len(texts), 2 ** bits], float32.

        Words repeat far more often than texts, so each distinct word is cut and hashed once:
        counts = (texts x pieces) @ (pieces x tokens).
        """
        numbers: dict[str, int] = {}
        pieces, ends = array("i"), [0]
        for text in texts:
            pieces.extend(numbers.setdefault(p, len(numbers)) for p in self._pieces(text))
            ends.append(len(pieces))
        if not numbers:
            return sparse.csr_matrix((len(texts), 2**self.bits), dtype=np.float32)
        hasher = FeatureHasher(
            2**self.bits, input_type="string", alternate_sign=False, dtype=np.float32
        )
        ones, shape = np.ones(len(pieces), np.float32), (len(texts), len(numbers))
        within = sparse.csr_matrix((ones, np.frombuffer(pieces, np.int32), ends), shape)
        found = within @ hasher.transform(self._of_piece(piece) for piece in numbers)
        found.sort_indices()
        return found

    def _pieces(self, text: str) -> Iterator[str]:
        """The words of a text; then, after a sign that no word has, its joined neighbours."""
        found = words(text)
        yield from found
        if self.pairs:
            for left, right in pairwise(found):
                yield "=" + left + right

    def _of_piece(self, piece: str) -> Iterator[str]:
        if piece[0] == "=":
            yield piece
            return
        yield "=" + piece
        marked = f"<{piece}>"
        shortest, longest = self.ngram_range
        for n in range(max(shortest, 1), min(longest, len(marked)) + 1):
            for i in range(len(marked) - n + 1):
                yield marked[i : i + n]
        if self.parts and not (piece.isalpha() or piece.isdigit()):
            for part in _LETTERS_OR_DIGITS.findall(piece):
                yield "=" + part


def log_counts(counts: sparse.csr_matrix) -> sparse.csr_matrix:
    """1 + ln(count) where a token occurs: the tenth mention of a word adds less than the first."""
    damped = counts.copy()
    damped.data = (1 + np.log(damped.data)).astype(np.float32)
    return damped


def idf(counts: sparse.csr_matrix) -> np.ndarray:
    """How rare each token is: ln((1 + rows) / (1 + rows with the token)) + 1, float32."""
    seen = np.bincount(counts.indices, minlength=counts.shape[1])
    return (np.log((1 + counts.shape[0]) / (1 + seen)) + 1).astype(np.float32)
