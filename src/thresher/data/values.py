"""What a feature's values are numbered by, and the weighted numbers that a row of a column has.

Every kind of feature becomes the same thing, a bag: for each row some numbers of a table of
vectors, with weights. A row without any is one of which nothing is known.
"""

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float32, Float64, Int, Int64
from scipy import sparse

from thresher.data.schema import Kind
from thresher.data.tables import text_of
from thresher.data.tokens import Tokens, idf, log_counts, words
from thresher.errors import InputError

KNOTS = 11
"""Quantiles between which a number is placed: the deciles and both ends."""
_SEPARATOR = "|"
_LISTS = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)


@runtime_checkable
class Reader(Protocol):
    """Turns a column into bags over the rows of one table of vectors."""

    def __len__(self) -> int:
        """Rows of the table."""
        ...

    def of(self, column: pa.ChunkedArray, name: str) -> sparse.csr_matrix:
        """The weights of each row of the column: [rows, len(self)], float32.

        Raises:
            InputError: the column holds what its kind cannot be.
        """
        ...


@dataclass(frozen=True)
class Values:
    """Named values: an id, a category, several categories, or words.

    Equation, for value t of row i, before each row is scaled to the length 1:
        id, category, categories      w_it = 1
        words                         w_it = (1 + ln tf_it) idf_t
    so that with random vectors of one length every feature has one length too.

    A value that is not known goes to one of `buckets` shared rows, by its hash, or is left out.

    Args:
        kind: of the feature.
        known: the values with a row of their own, in the order of the rows.
        rarity: the idf of each known word; 1 for other kinds.
        buckets: rows that the other values share.
    """

    kind: Kind
    known: pa.StringArray
    rarity: Float32[np.ndarray, " V"]
    buckets: int = 0

    def __len__(self) -> int:
        return len(self.known) + self.buckets

    def of(self, column: pa.ChunkedArray, name: str) -> sparse.csr_matrix:
        """See `Reader`."""
        rows, texts = entries(column, self.kind, name)
        places = pc.fill_null(pc.index_in(texts, value_set=self.known), -1).to_numpy()
        strange = np.flatnonzero(places < 0)
        if self.buckets and len(strange):
            hashes = [zlib.crc32(t.encode()) for t in texts.take(pa.array(strange)).to_pylist()]
            places = places.copy()
            places[strange] = len(self.known) + np.array(hashes) % self.buckets
        there = places >= 0
        ones = np.ones(int(there.sum()), np.float32)
        shape = (len(column), len(self))
        # Of several in one place the constructor makes the sum.
        found = sparse.csr_matrix((ones, (rows[there], places[there])), shape)
        if self.kind == "words":
            found = log_counts(found)
            found.data *= np.append(self.rarity, np.ones(self.buckets, np.float32))[found.indices]
        else:
            found.data[:] = 1  # a value given twice counts once
        return unit(found)


@dataclass(frozen=True)
class Knots:
    """Numbers, placed between quantiles of those that were seen.

    Equation:  x between the knots k_j <= x <= k_{j+1} has  w_{j+1} = (x - k_j) / (k_{j+1} - k_j)
    and w_j = 1 - w_{j+1}; below the first and above the last it has that one alone. So its vector
    moves along straight lines from knot to knot, whatever the scale of the numbers, and a far
    outlier is no further than the last knot.

    **Source**: the piecewise linear encoding of Gorishniy et al., *On embeddings for numerical
    features in tabular deep learning*, NeurIPS 2022. **Differs**: only the two knots beside a
    number have a weight.

    Args:
        knots: ascending, each another.
    """

    knots: Float64[np.ndarray, " K"]

    def __len__(self) -> int:
        return len(self.knots)

    def of(self, column: pa.ChunkedArray, name: str) -> sparse.csr_matrix:
        """See `Reader`."""
        values = numbers(column, name)
        rows = np.flatnonzero(~np.isnan(values))
        place = np.interp(values[rows], self.knots, np.arange(len(self.knots)))
        below = np.floor(place).astype(np.int64)
        above = np.minimum(below + 1, len(self.knots) - 1)
        data = np.concatenate([1 - (place - below), place - below]).astype(np.float32)
        found = sparse.csr_matrix(
            (data, (np.tile(rows, 2), np.concatenate([below, above]))), (len(values), len(self))
        )
        found.eliminate_zeros()
        return found


@dataclass(frozen=True)
class Hashed:
    """Text as words, product codes and pieces of words, hashed (`thresher.data.tokens`).

    Equation:  w_it = (1 + ln tf_it) idf_t, each row scaled to the length 1

    Args:
        bits: tokens are hashed to 2 ** bits numbers.
        rarity: the idf of each number.
    """

    bits: int
    rarity: Float32[np.ndarray, " V"]

    def __len__(self) -> int:
        return 2**self.bits

    def of(self, column: pa.ChunkedArray, name: str) -> sparse.csr_matrix:
        """See `Reader`."""
        found = log_counts(self.counts([column], name, bits=self.bits))
        found.data *= self.rarity[found.indices]
        return unit(found)

    @staticmethod
    def counts(columns: Sequence[pa.ChunkedArray], name: str, *, bits: int) -> sparse.csr_matrix:
        """How often each token stands in each row of these columns."""
        texts = [text for column in columns for text in text_of(pa.table({name: column}), [name])]
        return Tokens(bits=bits, ngram_range=(2, 3)).counts(texts)


@dataclass(frozen=True)
class Vectors:
    """Vectors that were made elsewhere, such as of a picture; scaled to the length 1.

    As a bag whose values are the places of the vector and whose weights are its numbers, it goes
    through a linear layer that is learnt as a table.

    Args:
        size: numbers of each vector.
    """

    size: int

    def __len__(self) -> int:
        return self.size

    def of(self, column: pa.ChunkedArray, name: str) -> sparse.csr_matrix:
        """See `Reader`."""
        there = np.flatnonzero(column.is_valid().to_numpy())
        lengths = pc.list_value_length(column.take(pa.array(there))).to_numpy()
        if len(set(lengths) - {self.size}):
            wrong = int(np.flatnonzero(lengths != self.size)[0])
            raise InputError(
                f"column {name!r} holds vectors of {self.size} numbers and, in row "
                f"{there[wrong] + 1}, one of {lengths[wrong]}; give all one length, or null"
            )
        flat = pc.list_flatten(column).cast(pa.float32()).to_numpy()
        if not np.isfinite(flat).all():
            row = there[int(np.flatnonzero(~np.isfinite(flat))[0]) // self.size]
            raise InputError(
                f"column {name!r} holds a vector with a number that is not finite in row "
                f"{row + 1}; give finite numbers, or null for the whole vector"
            )
        bounds = np.zeros(len(column) + 1, np.int64)
        bounds[there + 1] = self.size
        indices = np.tile(np.arange(self.size), len(there))
        shape = (len(column), self.size)
        return unit(sparse.csr_matrix((flat.copy(), indices, np.cumsum(bounds)), shape))


def entries(
    column: pa.ChunkedArray, kind: Kind, name: str
) -> tuple[Int64[np.ndarray, " E"], pa.StringArray]:
    """The values of a column as text, one after the other, and the row of each.

    Null and empty values are left out. A text that is to be categories or a history is cut at "|".

    Raises:
        InputError: the column holds what is no text, number, truth value or list of these.
    """
    rows, flat = _flat(column, name)
    if kind == "words":
        found = [words(text) for text in flat.to_pylist()]
        counts = np.array([len(each) for each in found], np.int64)
        return np.repeat(rows, counts), pa.array([w for each in found for w in each], pa.string())
    if kind in ("categories", "history"):
        parts = pc.split_pattern(flat, _SEPARATOR)
        rows = rows[pc.list_parent_indices(parts).to_numpy()]
        flat = pc.utf8_trim_whitespace(pc.list_flatten(parts))
    given = pc.not_equal(flat, "").to_numpy(zero_copy_only=False)
    return rows[given], flat.filter(pa.array(given))


def numbers(column: pa.ChunkedArray, name: str) -> Float64[np.ndarray, " rows"]:
    """A column as numbers, NaN where there is none.

    Raises:
        InputError: a value is no finite number; the first one, and its row, are named.
    """
    flat = column.combine_chunks()
    kind = flat.type
    if pa.types.is_dictionary(kind):
        flat = flat.cast(kind.value_type)
    if pa.types.is_string(flat.type) or pa.types.is_large_string(flat.type):
        flat = pc.utf8_trim_whitespace(flat)
        flat = pc.if_else(pc.equal(flat, ""), None, flat)
    try:
        # A whole number of more digits than a fraction has is rounded.
        values = flat.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        row = next(i for i, value in enumerate(flat) if not _is_number(value))
        raise InputError(
            f"column {name!r} is to be a number, and row {row + 1} holds {flat[row].as_py()!r}; "
            "give numbers or nothing there, or read the column as a category or as words"
        ) from error
    infinite = np.flatnonzero(np.isinf(values))
    if len(infinite):
        raise InputError(
            f"column {name!r} is to be a number, and row {infinite[0] + 1} holds "
            f"{values[infinite[0]]}; give finite numbers, or nothing there"
        )
    return np.asarray(values, np.float64)


def fit_values(
    columns: Sequence[tuple[pa.ChunkedArray, Int[np.ndarray, " _"]]],
    kind: Kind,
    name: str,
    *,
    min_count: int,
    buckets: int,
) -> Values:
    """The values that occur often enough in these columns, whose rows count as often as is said.

    Raises:
        InputError: see `entries`.
    """
    texts, counts, rows_with = [], [], []
    for column, weights in columns:
        rows, found = entries(column, kind, name)
        encoded = found.dictionary_encode()
        texts.append(encoded.dictionary)
        size = len(encoded.dictionary)
        # A value that stands several times in a row counts once.
        pairs = np.unique(rows * max(size, 1) + encoded.indices.to_numpy())
        row, place = np.divmod(pairs, max(size, 1))
        counts.append(np.bincount(place, weights[row], minlength=size))
        rows_with.append(np.bincount(place, minlength=size))
    everything = pa.concat_arrays(texts).dictionary_encode()
    place, size = everything.indices.to_numpy(), len(everything.dictionary)
    total = np.bincount(place, np.concatenate(counts), minlength=size)
    seen = np.bincount(place, np.concatenate(rows_with), minlength=size)
    kept = np.flatnonzero(total >= min_count)
    rarity = np.ones(len(kept), np.float32)
    if kind == "words":
        size = sum(len(column) for column, _ in columns)
        rarity = (np.log((1 + size) / (1 + seen[kept])) + 1).astype(np.float32)
    known = everything.dictionary.take(pa.array(kept))
    return Values(kind, known, rarity, buckets)


def fit_knots(columns: Iterable[pa.ChunkedArray], name: str) -> Knots:
    """Knots at the quantiles of the numbers of these columns.

    Raises:
        InputError: a value is no finite number, or there is none.
    """
    values = np.concatenate([numbers(column, name) for column in columns])
    if np.isnan(values).all():
        raise InputError(f"column {name!r} is to be a number, and has none; leave it out")
    return Knots(np.unique(np.nanquantile(values, np.linspace(0, 1, KNOTS))))


def fit_hashed(columns: Sequence[pa.ChunkedArray], name: str, *, bits: int) -> Hashed:
    """The rarity of the tokens of these columns."""
    return Hashed(bits, idf(Hashed.counts(columns, name, bits=bits)))


def fit_vectors(columns: Iterable[pa.ChunkedArray], name: str) -> Vectors:
    """The length of the first vector, which all others must have.

    Raises:
        InputError: the column holds no lists of numbers.
    """
    for column in columns:
        if not any(is_list(column.type) for is_list in _LISTS):
            raise InputError(
                f"column {name!r} is to be a vector, and holds {column.type}; give lists of "
                "numbers, all of one length"
            )
        for length in pc.list_value_length(column).drop_null().unique().to_pylist():
            if length:
                return Vectors(length)
    raise InputError(f"column {name!r} is to be a vector, and has none; leave it out")


def unit(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    """The rows, each of length 1 or empty; one of zeros alone is empty."""
    kept = matrix.copy()
    kept.eliminate_zeros()
    length = np.sqrt(np.bincount(_rows_of(kept), kept.data**2, minlength=kept.shape[0]))
    kept.data = (kept.data / np.repeat(length, np.diff(kept.indptr))).astype(np.float32)
    return kept


def _rows_of(matrix: sparse.csr_matrix) -> Int64[np.ndarray, " E"]:
    return np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))


def _flat(column: pa.ChunkedArray, name: str) -> tuple[Int64[np.ndarray, " E"], pa.StringArray]:
    """The values of a column, those of lists one by one, as text, and their rows."""
    flat: pa.Array = column.combine_chunks()
    rows = np.arange(len(flat))
    if pa.types.is_dictionary(flat.type):
        flat = flat.cast(flat.type.value_type)
    try:
        while any(is_list(flat.type) for is_list in _LISTS):
            rows = rows[pc.list_parent_indices(flat).to_numpy()]
            flat = pc.list_flatten(flat)
        text = pc.fill_null(flat.cast(pa.string()), "")
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InputError(
            f"column {name!r} holds {column.type}, which has no values to name; choose a column of "
            'text, numbers or lists of these, or leave it out as "ignored"'
        ) from error
    given = pc.not_equal(text, "").to_numpy(zero_copy_only=False)
    return rows[given], text.filter(pa.array(given))


def _is_number(value: pa.Scalar) -> bool:
    try:
        value.cast(pa.float64(), safe=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return False
    return True
