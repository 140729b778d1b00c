"""Named values: an id, a category, several categories."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float32
from scipy import sparse

from thresher.data.values import entries
from thresher.towers.encoders.base import Bag, Generator, Reading, Seen, Start, random_rows, unit


@dataclass(frozen=True)
class Values:
    """Named values with a vector each: an id, a category, several categories.

    Equation:  w_it = 1 for each value t of row i, and with `unit` each row scaled to the length 1

    A value that is not known goes to one of `buckets` shared vectors, by its hash, or is left out.
    `known` are the values with a vector of their own, in the order of the table; these start
    `lengths` long, and the shared ones `rarest`.
    """

    kind: str
    unit: bool
    known: pa.StringArray
    lengths: Float32[np.ndarray, " V"]
    buckets: int = 0
    rarest: float = 1.0

    def __len__(self) -> int:
        return len(self.known) + self.buckets

    @classmethod
    def fit(cls, seen: Sequence[Seen], how: Reading) -> "Values":
        """The values that occur often enough: ids in training pairs, all others in rows."""
        texts, counts = [], []
        for each in seen:
            rows, found = entries(each.column, how.kind, each.name)
            encoded = found.dictionary_encode()
            texts.append(encoded.dictionary)
            size = max(len(encoded.dictionary), 1)
            # A value that stands several times in a row counts once.
            row, place = np.divmod(np.unique(rows * size + encoded.indices.to_numpy()), size)
            weights = each.counts[row] if how.kind == "id" else None
            counts.append(np.bincount(place, weights, minlength=len(encoded.dictionary)))
        everything = pa.concat_arrays(texts).dictionary_encode()
        places, size = everything.indices.to_numpy(), len(everything.dictionary)
        total = np.bincount(places, np.concatenate(counts), minlength=size)
        kept = np.flatnonzero(total >= how.min_count)
        known = everything.dictionary.take(pa.array(kept))
        if how.unit or how.kind == "id":
            return cls(how.kind, how.unit, known, np.ones(len(kept), np.float32), how.buckets)
        rows_seen = 1 + sum(len(each.column) for each in seen)
        idf = np.log(rows_seen / (1 + total[kept])) + 1
        rarest = float(np.log(rows_seen) + 1)
        return cls(how.kind, how.unit, known, idf.astype(np.float32), how.buckets, rarest)

    def read(self, column: pa.ChunkedArray, name: str) -> Bag:
        """See `Encoder`."""
        rows, texts = entries(column, self.kind, name)
        places = pc.fill_null(pc.index_in(texts, value_set=self.known), -1).to_numpy()
        unknown = np.flatnonzero(places < 0)
        if self.buckets and len(unknown):
            hashes = [zlib.crc32(t.encode()) for t in texts.take(pa.array(unknown)).to_pylist()]
            places = places.copy()
            places[unknown] = len(self.known) + np.array(hashes) % self.buckets
        there = places >= 0
        ones = np.ones(int(there.sum()), np.float32)
        shape = (len(column), len(self))
        found = sparse.csr_matrix((ones, (rows[there], places[there])), shape)
        found.data[:] = 1  # a value given twice counts once
        return unit(found) if self.unit else found

    def start(self, width: int, generator: Generator) -> Start:
        """See `Encoder`."""
        import torch

        lengths = np.append(self.lengths, np.full(self.buckets, self.rarest, np.float32))
        return random_rows(len(self), width, generator) * torch.from_numpy(lengths)[:, None]

    def values(self, bags: Bag) -> Bag:
        """See `Encoder`: an id counts as another one for every item, known or not."""
        return sparse.identity(bags.shape[0], np.float32, "csr") if self.kind == "id" else bags
