"""Text: words, and hashed pieces of words and product codes."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
from jaxtyping import Float32, Int64
from scipy import sparse

from thresher.data.tables import text_of
from thresher.data.tokens import Tokens, log_counts
from thresher.towers.encoders.base import Bag, Generator, Reading, Seen, Start, random_rows, unit

WORD_BITS = 18
BLOCK = 1 << 17
SHARED = 1024
"""Vectors that tokens unknown in training share, of a "text"."""


@dataclass(frozen=True)
class Text:
    """Text as hashed tokens, those that were seen with a vector each.

    Equation, for token t of row i:
        w_it = (1 + ln tf_it)                E_t starts idf_t long       without `unit`
        w_it = (1 + ln tf_it) idf_t / |w_i|  E_t starts of the length 1  with it
    So without `unit` an untrained row is a random projection of TF-IDF.

    "text" reads words, pieces of words and product codes; "words" whole words alone, in less time
    and space. A token that was not seen has one of `buckets` vectors, drawn and never trained: two
    texts that share a new product code are still close. Without buckets it is left out.

    Source:    bag of n-grams as in Joulin et al. 2017 (fastText); the start from idf is ours.

    `tokens` are the hashed numbers of those that were seen, ascending, `rarity` is the idf of each
    and `unseen` that of any other; all else is as in `Reading`.
    """

    kind: str
    unit: bool
    tokens: Int64[np.ndarray, " V"]
    rarity: Float32[np.ndarray, " V"]
    unseen: float
    bits: int
    ngram_range: Sequence[int]
    buckets: int

    def __len__(self) -> int:
        return len(self.tokens) + self.buckets

    @classmethod
    def fit(cls, seen: Sequence[Seen], how: Reading) -> "Text":
        """The tokens of these columns, and how rare each is."""
        bits = how.bits if how.kind == "text" else WORD_BITS
        reads = _tokens(how.kind, bits, how.ngram_range)
        rows, found = 0, np.zeros(2**bits, np.int64)
        for each in seen:
            counts = reads.counts(_texts(each.column, each.name))
            rows += counts.shape[0]
            found += np.bincount(counts.indices, minlength=len(found))
        known = np.flatnonzero(found >= max(how.min_count, 1)).astype(np.int64)
        idf = (np.log((1 + rows) / (1 + found[known])) + 1).astype(np.float32)
        buckets = how.buckets or (SHARED if how.kind == "text" else 0)
        unseen = float(np.log(1 + rows) + 1)
        return cls(how.kind, how.unit, known, idf, unseen, bits, list(how.ngram_range), buckets)

    def reads(self) -> Tokens:
        """What counts as a token."""
        return _tokens(self.kind, self.bits, self.ngram_range)

    def read(self, column: pa.ChunkedArray, name: str) -> Bag:
        """See `Encoder`."""
        return self.weigh(self.reads().counts(_texts(column, name)))

    def weigh(self, counts: Bag) -> Bag:
        """Bags from how often each hashed token stands in each row."""
        known = len(self.tokens)
        place = np.searchsorted(self.tokens, counts.indices)
        strange = self._ended[place] != counts.indices
        if self.buckets:
            place = np.where(strange, known + counts.indices % self.buckets, place)
        data = counts.data if self.buckets else counts.data * ~strange
        place = place if self.buckets else np.where(strange, 0, place)
        # Tokens of one bucket are added up.
        shape = (counts.shape[0], len(self))
        found = sparse.csr_matrix((data, place, counts.indptr), shape, copy=True)
        found.sum_duplicates()
        found.eliminate_zeros()
        found = log_counts(found)
        if not self.unit:
            return found
        found.data *= self._lengths[found.indices]
        return unit(found)

    def start(self, width: int, generator: Generator) -> Start:
        """See `Encoder`."""
        import torch

        if self.kind == "text":
            # Of all hashed numbers, so that a token's start does not depend on which others occur.
            drawn = _rows_of(self.tokens, 2**self.bits, width, generator)
        else:
            drawn = random_rows(len(self.tokens), width, generator)
        table = torch.cat([drawn, random_rows(self.buckets, width, generator)])
        return table if self.unit else table.mul_(torch.from_numpy(self._lengths)[:, None])

    def values(self, bags: Bag) -> Bag:
        """See `Encoder`."""
        return bags

    # Kept, as a copy of a vocabulary takes longer than the words of a single query.
    @cached_property
    def _ended(self) -> Int64[np.ndarray, " ended"]:
        return np.append(self.tokens, -1)

    @cached_property
    def _lengths(self) -> Float32[np.ndarray, " rows"]:
        return np.append(self.rarity, np.full(self.buckets, self.unseen, np.float32))


def _rows_of(rows: Int64[np.ndarray, " V"], many: int, width: int, generator: Generator) -> Start:
    """These of many random rows, of which no more than a block is held at a time."""
    import torch

    kept = []
    for start in range(0, many, BLOCK):
        block = random_rows(min(BLOCK, many - start), width, generator)
        first, last = np.searchsorted(rows, (start, start + BLOCK))
        kept.append(block[torch.from_numpy(rows[first:last] - start)])
    return torch.cat(kept)


def _tokens(kind: str, bits: int, ngram_range: Sequence[int]) -> Tokens:
    if kind == "words":
        return Tokens(bits=bits, ngram_range=(0, 0), pairs=False)
    return Tokens(bits=bits, ngram_range=tuple(ngram_range))


def _texts(column: pa.ChunkedArray, name: str) -> list[str]:
    return text_of(pa.table({name: column}), [name])
