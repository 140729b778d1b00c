"""What of an item has a vector of its own: its id, the values of its categories, its words."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from jaxtyping import Float32, Int64
from scipy import sparse

from thresher.data.tables import require_columns, text_of
from thresher.data.tokens import Tokens, idf, log_counts
from thresher.errors import InputError


@dataclass(frozen=True)
class ItemTokens:
    """Turns items into bags of tokens: an id, category values and words, numbered in that order.

    Equation, for the weight of a token t in item i:
        id         1
        category   1 / sqrt(number of category values of i)
        word       (1 + ln tf_it) idf_t, over the root of the sum of their squares
    so that with random vectors of one length the three parts have one length too.

    What no item with a training event has is left out, since nothing would have been learnt of it:
    the id of an item without one, or of an item added since; a category value or a word that only
    such items have. An item of which nothing is left has an empty bag.

    Args:
        ids: items with a training event.
        categories: for each category column its values.
        text_columns: columns that are read as text.
        words: hashed numbers of the words, ascending (`thresher.data.tokens`, without n-grams
            and joined neighbours).
        rarity: the idf of each word among the items with a training event.
        bits: words are hashed to 2 ** bits numbers.
    Memory:    the ids and values as text; 12 bytes a word.
    """

    ids: Sequence[str]
    categories: Mapping[str, Sequence[str]]
    text_columns: Sequence[str]
    words: Int64[np.ndarray, " W"]
    rarity: Float32[np.ndarray, " W"]
    bits: int

    @classmethod
    def seen_in(
        cls,
        items: pa.Table,
        counts: Int64[np.ndarray, " N"],
        *,
        text_columns: Sequence[str] = (),
        category_columns: Sequence[str] = (),
        bits: int = 18,
    ) -> "ItemTokens":
        """The tokens of the items with a training event.

        Args:
            items: the catalogue: a column `id`, and those named below.
            counts: training events of each item.
            text_columns: columns that are read as text.
            category_columns: columns of one value, or of a list of values, an item.
            bits: words are hashed to 2 ** bits numbers; 16 to 20 is usual.

        Raises:
            InputError: a column is missing or holds what cannot be read; not one count an item.
        """
        if len(counts) != len(items):
            raise InputError(f"{len(counts)} counts for {len(items)} items; give one count an item")
        require_columns(items, ["id", *text_columns, *category_columns], "the table of items")
        known = items.filter(pa.array(counts > 0))
        values = {name: _values(known, name)[1] for name in category_columns}
        words = _words(bits).counts(text_of(known, text_columns))
        there = np.unique(words.indices).astype(np.int64)
        return cls(
            ids=known["id"].cast(pa.string()).to_pylist(),
            categories={name: sorted(set(v.to_pylist())) for name, v in values.items()},
            text_columns=tuple(text_columns),
            words=there,
            rarity=idf(words)[there],
            bits=bits,
        )

    @classmethod
    def none(cls, *, bits: int) -> "ItemTokens":
        """Those of no item."""
        return cls((), {}, (), np.empty(0, np.int64), np.empty(0, np.float32), bits)

    def __len__(self) -> int:
        """Number of tokens."""
        return len(self.ids) + sum(map(len, self.categories.values())) + len(self.words)

    def of(self, items: pa.Table) -> sparse.csr_matrix:
        """The weight of each token in each of these items, known or not: [items, tokens], float32.

        Raises:
            InputError: a column is missing or holds what cannot be read.
        """
        require_columns(items, ["id", *self.text_columns, *self.categories], "the table of items")
        ids = items["id"].cast(pa.string()).combine_chunks()
        own = _marked(np.arange(len(items)), ids, self.ids, len(items))
        values = [
            _marked(*_values(items, name), known, len(items))
            for name, known in self.categories.items()
        ]
        words = log_counts(_words(self.bits).counts(text_of(items, self.text_columns)))
        words = words[:, self.words].multiply(self.rarity)
        parts = [own, _unit(sparse.hstack([own[:, :0], *values])), _unit(words)]
        return sparse.hstack(parts, format="csr", dtype=np.float32)

    def save(self, path: Path) -> None:
        """Writes a parquet file with one row a token: its kind, its value and its idf."""
        values = [value for known in self.categories.values() for value in known]
        kinds = [f"category:{name}" for name, known in self.categories.items() for _ in known]
        table = pa.table(
            {
                "kind": ["id"] * len(self.ids) + kinds + ["word"] * len(self.words),
                "value": [*self.ids, *values, *map(str, self.words.tolist())],
                "idf": np.concatenate(
                    [np.ones(len(self) - len(self.words), np.float32), self.rarity]
                ),
            }
        )
        about = {
            "text_columns": list(self.text_columns),
            "category_columns": list(self.categories),
            "bits": self.bits,
        }
        pq.write_table(table.replace_schema_metadata({"tokens": json.dumps(about)}), path)

    @classmethod
    def load(cls, path: Path) -> "ItemTokens":
        """Reads what `save` wrote."""
        table = pq.read_table(path)
        about = json.loads(table.schema.metadata[b"tokens"])

        def of(kind: str) -> pa.Table:
            return table.filter(pc.equal(table["kind"], kind))

        return cls(
            ids=of("id")["value"].to_pylist(),
            categories={
                name: of(f"category:{name}")["value"].to_pylist()
                for name in about["category_columns"]
            },
            text_columns=tuple(about["text_columns"]),
            words=of("word")["value"].cast(pa.int64()).to_numpy(),
            rarity=of("word")["idf"].to_numpy(),
            bits=about["bits"],
        )


def _words(bits: int) -> Tokens:
    return Tokens(bits=bits, ngram_range=(0, 0), pairs=False)


def _values(items: pa.Table, name: str) -> tuple[np.ndarray, pa.Array]:
    """The category values of a column, as text, and the item of each; null and empty ones not."""
    column = items[name].combine_chunks()
    rows = np.arange(len(items))
    try:
        if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
            rows = pc.list_parent_indices(column).to_numpy()
            column = pc.list_flatten(column)
        text = pc.fill_null(column.cast(pa.string()), "")
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InputError(
            f"column {name!r} holds {items[name].type}, which is no category; choose a column of "
            "text, numbers or lists of these"
        ) from error
    there = pc.not_equal(text, "").to_numpy(zero_copy_only=False)
    return rows[there], text.filter(pa.array(there))


def _marked(
    rows: np.ndarray, values: pa.Array, known: Sequence[str], count: int
) -> sparse.csr_matrix:
    """1 where an item has a known value: [count, known]; unknown values are left out."""
    at = pc.index_in(values, pa.array(known, pa.string()))
    there = at.is_valid().to_numpy(zero_copy_only=False)
    columns = pc.fill_null(at, -1).to_numpy(zero_copy_only=False)[there]
    ones = np.ones(len(columns), np.float32)
    marked = sparse.csr_matrix((ones, (rows[there], columns)), (count, len(known)))
    marked.data[:] = 1  # a value given twice counts once
    return marked


def _unit(matrix: sparse.spmatrix) -> sparse.csr_matrix:
    """The rows, each of length 1 or empty."""
    rows = sparse.csr_matrix(matrix)
    length = np.sqrt(rows.multiply(rows).sum(1)).A1
    rows.data /= np.repeat(length, np.diff(rows.indptr))
    return rows
