"""Pair features of a query and a candidate: the numbers that the re-ranker weighs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float32, Int64
from scipy import sparse

from thresher.arrays import read_arrays, write_arrays
from thresher.data.histories import Histories
from thresher.data.tables import read_table, text_of, write_table
from thresher.data.tokenise import TOKEN_BITS
from thresher.errors import InputError
from thresher.files import make_folder, read_json, write_json
from thresher.rerank import pairs
from thresher.rerank.aliases import QueryAliases
from thresher.rerank.columns import CompareColumns, Compared
from thresher.rerank.term_weights import TERM_WEIGHTS, TermWeights
from thresher.rerank.texts import Catalogue, Texts, scratch
from thresher.towers.quantised import quantised, restored

MAX_ALIASES = 16
"""Most aliases that are kept of an item: a candidate is compared with all of its own."""
BLOCK, MANY = 4096, 1000

BASE = ("score", "training pairs, log")
OF_TOKENS = ("tf-idf", "best alias, tf-idf", "item tokens found", "query tokens found")
OF_WORDS = (
    "item words found",
    "query words found",
    "item words missing",
    "query words missing",
    *TERM_WEIGHTS,
)
OF_CODES = (
    "item code, share found in the query",
    "item code in the query, characters",
    "query code in the item, characters",
    "query code not in the item, characters",
    "numbers only in the item",
    "numbers only in the query",
    "numbers in both",
    "units that agree",
    "units that differ",
)
OF_TEXT = ("best alias, score", *OF_TOKENS, *OF_WORDS, *OF_CODES)
OF_HISTORY = ("times in the history, log", "recency in the history")
OF_CANDIDATES = (
    "candidates within 0.02",
    "candidates within 0.05",
    "candidates within 0.10",
    "spread of the candidates",
)
OF_QUERY = ("words", "characters", "rarest word")
# Of these the lowest leads, not the highest.
LOWEST_LEADS = (
    *OF_WORDS[2:6],
    "query code not in the item, characters",
    "numbers only in the item",
    "numbers only in the query",
    "units that differ",
)
_LEAD = ", lead"


@dataclass(frozen=True)
class PairFeatures:
    """What is known of each item besides its vector, worked out once and kept in flat arrays.

    Without text on either side the features are the score, the number of training pairs, and what
    the history of the query says of the candidate.

    Args:
        text: columns that make up the text of an item; perhaps none.
        query_text: the same for queries.
        histories: whether queries have histories.
        aliases: training queries that are kept, ordered by item.
        train_counts: training pairs of each item.
        texts: of the items, as flat arrays.
        catalogue: of the items and their aliases.
        alias_vectors: int8 [M, D] and scales, see `quantised`; or (indptr, indices, data).
        columns: that stand on both sides.
    """

    text: tuple[str, ...]
    query_text: tuple[str, ...]
    histories: bool
    aliases: QueryAliases
    train_counts: Int64[np.ndarray, " N"]
    texts: Texts
    catalogue: Catalogue
    alias_vectors: tuple[np.ndarray, ...]
    columns: CompareColumns

    @classmethod
    def build(
        cls,
        items: pa.Table,
        *,
        text: Sequence[str],
        query_text: Sequence[str],
        compare: Sequence[Compared] = (),
        aliases: QueryAliases | None = None,
        train_counts: Int64[np.ndarray, " N"] | None = None,
        encode: Callable[[Sequence[str]], Any],
        histories: bool = False,
    ) -> "PairFeatures":
        """Work out what belongs to items and aliases; aliases of other items are left out.

        Args:
            items: the catalogue, with `id`.
            text: columns that make up the text of an item; perhaps none.
            query_text: the same for queries.
            compare: columns that stand on both sides.
            aliases: training queries and the item of each.
            train_counts: training pairs of each item; none when left out.
            encode: gives the unit vectors of texts of queries, dense or sparse.
            histories: whether queries have text and histories; those without text have histories.
        """
        ids = items["id"].to_pylist()
        counts = np.zeros(len(ids), np.int64) if train_counts is None else train_counts
        both = bool(text and query_text)
        rows = {item: row for row, item in enumerate(ids)} if both else {}
        kept = (aliases or QueryAliases()).of_rows(rows, MAX_ALIASES)
        item_of = np.array([rows[item] for item in kept.item_ids], np.int64)
        plain = text_of(items, text) if both else [""] * len(ids)
        texts, catalogue = _catalogue(plain, kept.texts, item_of)
        return cls(
            tuple(text),
            tuple(query_text),
            histories or not both,
            kept,
            counts,
            texts,
            catalogue,
            _packed(encode(kept.texts) if kept.texts else np.zeros((0, 1), np.float32)),
            CompareColumns.build(items, compare),
        )

    @property
    def compare(self) -> tuple[Compared, ...]:
        """The columns that stand on both sides."""
        return self.columns.compare

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The features, in order."""
        alone = (*self._alone, *self.columns.names)
        leads = tuple(f"{name}{_LEAD}" for name in self._alone if name != BASE[1])
        of_query = OF_QUERY if self._has_text else ()
        return (*alone, *leads, *OF_CANDIDATES, *of_query)

    def vectors_of(self, texts: Sequence[str]) -> Any:
        """The unit vectors of aliases, by their texts; of one text in several the first.

        Raises:
            KeyError: a text is none of the aliases.
        """
        first = {text: row for row, text in reversed(list(enumerate(self.aliases.texts)))}
        rows = [first[text] for text in texts]
        if len(self.alias_vectors) == 2:
            return restored(*(array[rows] for array in self.alias_vectors))
        indptr, indices, data = self.alias_vectors
        return sparse.csr_matrix((data, indices, indptr))[rows]

    @cached_property
    def _log_counts(self) -> Float32[np.ndarray, " N"]:
        return np.log1p(self.train_counts).astype(np.float32)

    @property
    def _has_text(self) -> bool:
        return bool(self.text and self.query_text)

    @cached_property
    def _alone(self) -> tuple[str, ...]:
        own = OF_TEXT if self._has_text else ()
        return (*BASE, *own, *(OF_HISTORY if self.histories else ()))

    def read(
        self,
        queries: pa.Table,
        vectors: Any,
        rows: Int64[np.ndarray, "Q k"],
        scores: Float32[np.ndarray, "Q k"],
        *,
        histories: Histories | None = None,
        texts: Sequence[Texts] | None = None,
    ) -> Float32[np.ndarray, "Q k F"]:
        """The features of every candidate, in the order of `names`.

        What belongs to a candidate is 0 where there is none.

        Args:
            queries: their columns, a row each.
            vectors: their unit rows, dense or sparse.
            rows: candidates of each query, -1 for none.
            scores: their scores.
            histories: the items that each query has had, oldest first.
            texts: what `tokenised` gave for the queries, where that is known.

        Raises:
            InputError: a column of the queries is missing.
        """
        rows = np.ascontiguousarray(rows, np.int64)
        names = self.names
        out = np.zeros((*rows.shape, len(names)), np.float32)
        pairs.base_features(rows, scores, self._log_counts, out)
        at = len(self._alone)
        for i, query in enumerate(self._tokenised(queries) if texts is None else texts):
            some = slice(i * BLOCK, (i + 1) * BLOCK)
            block = out[some]
            if self._has_text:
                self._read_text(query, vectors[some], rows[some], block)
            if self.compare:
                compared = block[..., at : at + len(self.columns.names)]
                self.columns.read(queries[some], query, self.texts, rows[some], compared)
        if self.histories and histories is not None:
            at -= len(OF_HISTORY)
            events = (histories.items.numpy(), histories.first.numpy(), histories.last.numpy())
            pairs.history_features(events, rows, out[..., at : at + 2])
        compare_candidates(out, rows < 0, names)
        return out

    def tokenised(self, texts: Sequence[str]) -> list[Texts]:
        """The texts of queries in flat arrays, 4,096 at a time; empty where texts are not read."""
        read = texts if self._has_text else [""] * len(texts)
        return [Texts.of(read[i : i + BLOCK]) for i in range(0, len(read), BLOCK)]

    def _tokenised(self, queries: pa.Table) -> list[Texts]:
        return self.tokenised(
            text_of(queries, self.query_text) if self._has_text else [""] * len(queries)
        )

    def by_words(
        self, queries: pa.Table, k: int, *, texts: Sequence[Texts] | None = None
    ) -> Int64[np.ndarray, "Q k"]:
        """The k items that share the rarest words with each query, best first; -1 for none.

        Equation:   s(q, i) = sum of idf_w^2 over the words in both / |idf of the words of i|

        Words that stand in more than a tenth of the items, and in 1,000 or more, find nothing.
        Without text on either side there are none.

        Raises:
            InputError: a column of the queries is missing.
        """
        rows = np.full((len(queries), k), -1, np.int64)
        if self._has_text:
            size = len(self.train_counts)
            sums, touched = scratch((size, "f4"), (size, "i4", "found"))
            most = max(MANY, size // 10)
            for i, query in enumerate(self._tokenised(queries) if texts is None else texts):
                block = rows[i * BLOCK : (i + 1) * BLOCK]
                pairs.by_words(query, self.catalogue, most, sums, touched, block)
        return rows

    def _read_text(self, query: Texts, vectors: Any, rows: np.ndarray, out: np.ndarray) -> None:
        at, c = len(BASE), self.catalogue
        room = tuple(scratch((1 << TOKEN_BITS, "u2"), (len(c.vocabulary) + 1, "u1")))
        self._read_aliases(vectors, rows, out[..., at])
        pairs.text_features(query, self.texts, c, rows, room, out, at + 1)

    def _read_aliases(self, vectors: Any, rows: np.ndarray, out: np.ndarray) -> None:
        start = self.catalogue.alias_start
        if not len(self.aliases.texts):
            return
        if len(self.alias_vectors) == 2:
            dense = np.ascontiguousarray(vectors, np.float32)
            pairs.best_dense(dense, *self.alias_vectors, start, rows, out)
            return
        (weight,) = scratch((vectors.shape[1], "f4"))
        pairs.best_sparse(_csr(vectors), self.alias_vectors, start, rows, weight, out)

    _ABOUT: ClassVar[tuple[str, ...]] = ("text", "query_text", "histories")

    def save(self, folder: Path) -> None:
        """Write what was worked out."""
        make_folder(folder)
        about = {name: getattr(self, name) for name in self._ABOUT}
        compare = [[c.name, c.kind] for c in self.compare]
        write_json(folder / "pair_features.json", {**about, "compare": compare})
        named = {"text": pa.array(self.aliases.texts, pa.string())}
        named["item_id"] = pa.array(self.aliases.item_ids, pa.string())
        write_table(pa.table(named), folder / "aliases.parquet")
        write_arrays(folder, self._arrays())

    def _arrays(self) -> dict[str, np.ndarray]:
        vectors = {f"alias_vectors_{i}": array for i, array in enumerate(self.alias_vectors)}
        own = {**self.texts._asdict(), **self.catalogue._asdict(), **vectors}
        return {**own, **self.columns.arrays(), "train_counts": self.train_counts}

    @classmethod
    def load(cls, folder: Path, items: pa.Table) -> "PairFeatures":
        """Read what `save` wrote; large arrays are mapped into memory.

        Args:
            folder: see above.
            items: the catalogue that it was built of.

        Raises:
            InputError: when a file is missing or damaged, or belongs to another catalogue.
        """
        path = folder / "pair_features.json"
        about = read_json(path, what="the pair features", fix="run `thresher index` again")
        table = read_table(folder / "aliases.parquet")
        try:
            found = read_arrays(folder)
            kept = QueryAliases(table["text"].to_pylist(), table["item_id"].to_pylist())
            compare = tuple(Compared(*column) for column in about["compare"])
            made = cls(
                tuple(about["text"]),
                tuple(about["query_text"]),
                about["histories"],
                kept,
                found["train_counts"],
                Texts(*(found[name] for name in Texts._fields)),
                Catalogue(*(found[name] for name in Catalogue._fields)),
                tuple(found[name] for name in found if name.startswith("alias_vectors_")),
                CompareColumns.of(compare, found),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"the pair features in {folder} cannot be read ({error}); run `thresher index` "
                "again"
            ) from error
        if len(made.train_counts) != len(items):
            raise InputError(
                f"the pair features in {folder} are of {len(made.train_counts):,} items, the "
                f"catalogue has {len(items):,}; run `thresher index` again"
            )
        return made


def compare_candidates(
    features: Float32[np.ndarray, "Q k F"],
    missing: Bool[np.ndarray, "Q k"],
    names: Sequence[str],
) -> None:
    """Fill in the features that compare the candidates of a query with each other.

    Equation: lead of j = x_j - max over others x_i, with -x for features of which the lowest leads;
    candidates within g = the number of j with m_j > max m - g, m = 0.6 score + 0.4 tf-idf (the
    score alone without text); spread = mean of max m - m_j.

    Args:
        features: those of each candidate alone are read, the others written.
        missing: places without a candidate, hidden ones included.
        names: of the features.
    """
    pairs.compare_candidates(features, missing, *_layout(tuple(names)))


def hide(
    features: Float32[np.ndarray, "Q k F"],
    missing: Bool[np.ndarray, "Q k"],
    hidden: Bool[np.ndarray, "Q k"],
    names: Sequence[str],
) -> Float32[np.ndarray, "Q k F"]:
    """The features as they are when some candidates are not in the catalogue.

    Args:
        features: of the candidates.
        missing: places without a candidate.
        hidden: candidates to leave out.
        names: of the features.
    """
    left = features.copy()
    compare_candidates(left, missing | hidden, names)
    return left


@lru_cache(16)
def _layout(names: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray, int, int, int]:
    """Which features lead and which way, the column of tf-idf, and where to write the rest."""
    place = {name: i for i, name in enumerate(names)}
    leading = [name.removesuffix(_LEAD) for name in names if name.endswith(_LEAD)]
    columns = np.array([place[name] for name in leading], np.int64)
    sign = np.array([-1 if name in LOWEST_LEADS else 1 for name in leading], np.float32)
    second = place.get(OF_TOKENS[0], -1)
    return columns, sign, second, place[leading[0] + _LEAD], place[OF_CANDIDATES[0]]


def _catalogue(
    items: Sequence[str], aliases: Sequence[str], item_of: Int64[np.ndarray, " M"]
) -> tuple[Texts, Catalogue]:
    """The flat arrays of items and of aliases."""
    texts, names = Texts.of(items), Texts.of(aliases)
    tokens = np.concatenate([texts.token, names.token]) & ((1 << TOKEN_BITS) - 1)
    seen = np.bincount(tokens, minlength=1 << TOKEN_BITS)
    token_idf = _idf(len(items) + len(aliases), seen)
    norm, total = pairs.token_sums(texts.token_start, texts.token, token_idf)
    alias_norm, _ = pairs.token_sums(names.token_start, names.token, token_idf)
    vocabulary = np.unique(np.concatenate([texts.word, names.word]) >> 1)
    own, other = (np.searchsorted(vocabulary, t.word >> 1).astype(np.int32) for t in (texts, names))
    whole = (texts.word & 1).astype(bool)
    size = len(vocabulary) + 1  # the last is any word that is not in it
    weights = TermWeights.learn(
        (texts.word_start, own), (names.word_start, other), item_of, size
    ).values
    word_idf = _idf(len(items), np.bincount(own[whole], minlength=size))
    df = np.bincount(own, minlength=size)
    rarity = _idf(len(items), df) ** 2
    catalogue = Catalogue(
        token_idf=token_idf,
        token_norm=norm,
        token_total=total,
        vocabulary=vocabulary.astype(np.int32),
        word_weights=np.column_stack([weights, word_idf]),
        word_total=_sums(texts.word_start, np.where(whole, word_idf[own], 0)),
        expected_total=_sums(texts.word_start, weights[own, 0]),
        alias_start=np.searchsorted(item_of, np.arange(len(items) + 1)).astype(np.int64),
        alias_token_start=names.token_start,
        alias_token=names.token,
        alias_norm=alias_norm,
        posting_start=np.concatenate([[0], np.cumsum(df)]).astype(np.int64),
        posting=np.repeat(np.arange(len(items)), np.diff(texts.word_start))[
            np.argsort(own, kind="stable")
        ].astype(np.int32),
        rarity=rarity,
        rarity_norm=np.sqrt(_sums(texts.word_start, rarity[own])),
    )
    texts = texts._replace(word=2 * own + whole.astype(np.int32))
    return Texts(*map(_fixed, texts)), Catalogue(*map(_fixed, catalogue))


def _idf(rows: int, seen: np.ndarray) -> Float32[np.ndarray, " V"]:
    """ln((1 + rows) / (1 + rows with the token)) + 1."""
    return (np.log((1 + rows) / (1 + seen)) + 1).astype(np.float32)


def _sums(start: np.ndarray, values: np.ndarray) -> Float32[np.ndarray, " N"]:
    """The sum of each row's values."""
    running = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    return (running[start[1:]] - running[start[:-1]]).astype(np.float32)


def _packed(vectors: Any) -> tuple[np.ndarray, ...]:
    """Vectors of aliases as they are kept: in eight bits a number, or sparse."""
    dense = isinstance(vectors, np.ndarray)
    return tuple(map(_fixed, quantised(vectors) if dense else _csr(vectors)))


def _csr(matrix: Any) -> tuple[np.ndarray, ...]:
    return matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32), matrix.data.astype("f4")


def _fixed(array: np.ndarray) -> np.ndarray:
    """An array that cannot be written to, as those read from files: one type to compile for."""
    array = np.ascontiguousarray(array)
    array.flags.writeable = False
    return array
