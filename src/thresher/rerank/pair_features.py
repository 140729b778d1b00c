"""Pair features of a query and a candidate: the numbers that the re-ranker weighs."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Int64
from scipy import sparse

from thresher.data.codes import AGREEMENT, Codes, agreement, codes_of
from thresher.data.tokens import Tokens, idf, log_counts, words
from thresher.rerank.term_weights import TERM_FEATURES, TermWeights
from thresher.rerank.rowwise import overlap, present, unit_rows, weighted_overlap

TOKENS = Tokens(bits=17)
WORDS = Tokens(bits=20, ngram_range=(0, 0), pairs=False, parts=False)
# Words, joined neighbours and the letters and digits of codes: what term weights are learnt of.
SPELLINGS = Tokens(bits=20, ngram_range=(0, 0))
BLOCK = 2048
MOST_NAMES = 16

ABSOLUTE = (
    "score",
    "tf-idf",
    "best alias, score",
    "best alias, tf-idf",
    "aliases, log",
    "rare pieces of the item found",
    "rare pieces of the query found",
    "rare words of the item found",
    "rare words of the query found",
    "rare words of the item missing",
    "rare words of the query missing",
    *TERM_FEATURES,
    *AGREEMENT,
)
# Features that say more beside the best other candidate than alone: all but the count.
RELATIVE = tuple(name for name in ABSOLUTE if name != "aliases, log")
# Of these the lowest leads, not the highest.
AGAINST = (
    "rare words of the item missing",
    "rare words of the query missing",
    *TERM_FEATURES[:2],
    "query code not in the item, characters",
    "numbers only in the item",
    "numbers only in the query",
    "units that differ",
)
_WAY = np.array([-1 if name in AGAINST else 1 for name in RELATIVE], np.float32)
OF_QUERY = (
    "candidates within .02",
    "candidates within .05",
    "candidates within .10",
    "spread of the candidates",
    "words",
    "characters",
    "rarest word",
)
NAMES = (*ABSOLUTE, *(f"{name}, lead" for name in RELATIVE), *OF_QUERY)


@dataclass(frozen=True)
class QueryAliases:
    """Training queries and the item of each: other names under which an item goes.

    Args:
        texts: of the queries.
        item_ids: the item of each.
        counts: how many training pairs an item has, where more than stand here.
    """

    texts: tuple[str, ...]
    item_ids: tuple[str, ...]
    counts: Mapping[str, int] = field(default_factory=dict)

    def few(self, most: int) -> "QueryAliases":
        """At most so many names an item, spread evenly over those it has; all are counted."""
        have = Counter(self.item_ids)
        seen: Counter[str] = Counter()
        kept = []
        for i, item in enumerate(self.item_ids):
            place, total = seen[item], have[item]
            seen[item] += 1
            # The j-th of `most` shares of `total` begins where place * most // total steps up.
            if total <= most or place * most // total != (place - 1) * most // total:
                kept.append(i)
        asked = {item: total for item, total in have.items() if total > most}
        texts, ids = (tuple(x[i] for i in kept) for x in (self.texts, self.item_ids))
        return QueryAliases(texts, ids, {**asked, **self.counts})


Encode = Callable[[Sequence[str]], Any]


@dataclass(frozen=True)
class Evidence:
    """What is known of each item besides its vector: tokens, codes, and the queries it had.

    Args:
        texts: of the items.
        counts: token counts of the items [N, V].
        word_counts: word counts of the items.
        aliases: training queries, sorted by item row.
        alias_vectors: their unit vectors, dense or sparse [M, D].
        alias_counts: their token counts [M, V].
        alias_start: where each item's aliases begin; the last entry is M.
        asked: how many training queries each item had, those not kept included.
    """

    texts: list[str]
    counts: sparse.csr_matrix
    word_counts: sparse.csr_matrix
    aliases: QueryAliases
    alias_vectors: Any
    alias_counts: sparse.csr_matrix
    alias_start: Int64[np.ndarray, " N1"]
    asked: Int64[np.ndarray, " N"]

    @classmethod
    def build(
        cls, texts: list[str], ids: Sequence[str], aliases: QueryAliases | None, encode: Encode
    ) -> "Evidence":
        """Tokenises the items and the aliases; aliases of other items are left out.

        Of an item with many aliases 16 stay: each candidate is compared with all of its own.
        """
        rows = {item: row for row, item in enumerate(ids)}
        given = (aliases or QueryAliases((), ())).few(MOST_NAMES)
        inside = [i for i, item in enumerate(given.item_ids) if item in rows]
        inside.sort(key=lambda i: rows[given.item_ids[i]])
        kept = QueryAliases(
            tuple(given.texts[i] for i in inside),
            tuple(given.item_ids[i] for i in inside),
            {item: count for item, count in given.counts.items() if item in rows},
        )
        at = np.array([rows[item] for item in kept.item_ids], np.int64)
        start = np.searchsorted(at, np.arange(len(ids) + 1)).astype(np.int64)
        vectors = encode(kept.texts)
        if isinstance(vectors, np.ndarray):
            vectors = vectors.astype(np.float16)
        counts = TOKENS.counts(kept.texts)
        asked = np.diff(start)
        asked[[rows[item] for item in kept.counts]] = list(kept.counts.values())
        own = (TOKENS.counts(texts), WORDS.counts(texts))
        return cls(texts, *own, kept, vectors, counts, start, asked)

    def save(self, folder: Path) -> None:
        """Writes the arrays; texts of items are the catalogue's to keep."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("counts", "word_counts", "alias_counts"):
            sparse.save_npz(folder / f"{name}.npz", getattr(self, name))
        if isinstance(self.alias_vectors, np.ndarray):
            np.save(folder / "alias_vectors.npy", self.alias_vectors, allow_pickle=False)
        else:
            sparse.save_npz(folder / "alias_vectors.npz", self.alias_vectors)
        np.save(folder / "alias_start.npy", self.alias_start, allow_pickle=False)
        np.save(folder / "asked.npy", self.asked, allow_pickle=False)
        aliases = self.aliases
        lines = {"texts": aliases.texts, "item_ids": aliases.item_ids, "counts": dict(aliases.counts)}
        (folder / "aliases.json").write_text(json.dumps(lines, ensure_ascii=False), "utf-8")

    @classmethod
    def load(cls, folder: Path, texts: list[str]) -> "Evidence":
        """Reads what `save` wrote."""
        lines = json.loads((folder / "aliases.json").read_text("utf-8"))
        dense = folder / "alias_vectors.npy"
        vectors = (
            np.load(dense, allow_pickle=False)
            if dense.exists()
            else sparse.load_npz(folder / "alias_vectors.npz")
        )
        return cls(
            texts,
            sparse.load_npz(folder / "counts.npz"),
            sparse.load_npz(folder / "word_counts.npz"),
            QueryAliases(tuple(lines["texts"]), tuple(lines["item_ids"]), lines["counts"]),
            vectors,
            sparse.load_npz(folder / "alias_counts.npz"),
            np.load(folder / "alias_start.npy", allow_pickle=False),
            np.load(folder / "asked.npy", allow_pickle=False),
        )


class Reader:
    """Reads the evidence for candidates: everything of the catalogue that is worked out once.

    Args:
        evidence: of the catalogue.
    """

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        both = sparse.vstack([evidence.counts, evidence.alias_counts]).tocsr()
        self._rarity = idf(both)
        self._items = unit_rows(log_counts(evidence.counts), self._rarity)
        self._alias_lexical = unit_rows(log_counts(evidence.alias_counts), self._rarity)
        self._pieces = present(evidence.counts)
        self._piece_total = self._pieces @ self._rarity
        self._word_rarity = idf(evidence.word_counts)
        self._words = present(evidence.word_counts)
        self._word_total = self._words @ self._word_rarity
        self._terms = TermWeights.learn(
            present(SPELLINGS.counts(evidence.texts)),
            present(SPELLINGS.counts(evidence.aliases.texts)),
            np.repeat(np.arange(len(evidence.texts)), np.diff(evidence.alias_start)),
        )
        self._codes = [codes_of(text) for text in evidence.texts]

    def read(
        self,
        texts: Sequence[str],
        vectors: Any,
        rows: Int64[np.ndarray, "Q k"],
        scores: Float32[np.ndarray, "Q k"],
    ) -> Float32[np.ndarray, "Q k F"]:
        """The features of every candidate, in the order of `NAMES`; a missing one has zeros.

        Args:
            texts: of the queries.
            vectors: their unit rows.
            rows: candidates of each query.
            scores: their scores.

        Memory: a block of 2,048 queries x k candidates x the tokens of both texts.
        """
        blocks = [slice(i, i + BLOCK) for i in range(0, len(texts), BLOCK)]
        read = [self._block(texts[b], vectors[b], rows[b], scores[b]) for b in blocks]
        return np.concatenate(read) if read else np.zeros((0, rows.shape[1], len(NAMES)), "f4")

    def _block(
        self,
        texts: Sequence[str],
        vectors: Any,
        rows: Int64[np.ndarray, "Q k"],
        scores: Float32[np.ndarray, "Q k"],
    ) -> Float32[np.ndarray, "Q k F"]:
        shape, missing = rows.shape, rows < 0
        query = np.repeat(np.arange(shape[0]), shape[1])
        item = np.maximum(rows, 0).ravel()
        counts = TOKENS.counts(texts)
        lexical = unit_rows(log_counts(counts), self._rarity)
        found = WORDS.counts(texts)
        pieces = self._coverage(
            present(counts), self._pieces, self._piece_total, self._rarity, query, item
        )
        word = self._coverage(
            present(found), self._words, self._word_total, self._word_rarity, query, item
        )
        features = [
            scores.ravel(),
            overlap(lexical, self._items, query, item),
            *self._alias_features(vectors, lexical, query, item),
            *pieces[:2],
            *word,
            *self._terms.features(present(SPELLINGS.counts(texts)), query, item),
            *_agreements([codes_of(t) for t in texts], self._codes, query, item),
        ]
        absolute = np.stack(features, axis=-1).astype(np.float32).reshape(*shape, -1)
        absolute[missing] = np.nan
        relative = leads(_WAY * absolute[..., [ABSOLUTE.index(name) for name in RELATIVE]])
        of_query = self._of_query(texts, absolute, found)
        spread = np.broadcast_to(of_query[:, None], (*shape, of_query.shape[1]))
        return np.nan_to_num(np.concatenate([absolute, relative, spread], axis=-1))

    @staticmethod
    def _coverage(
        left: sparse.csr_matrix,
        right: sparse.csr_matrix,
        right_total: np.ndarray,
        rarity: np.ndarray,
        query: np.ndarray,
        item: np.ndarray,
    ) -> list[np.ndarray]:
        """Shares of the item's and the query's rarity that the other has; what each lacks."""
        shared = weighted_overlap(left, right, query, item, rarity[:, None])[:, 0]
        mine, theirs = (left @ rarity)[query], right_total[item]
        return [
            shared / np.maximum(theirs, 1e-6),
            shared / np.maximum(mine, 1e-6),
            theirs - shared,
            mine - shared,
        ]

    def _alias_features(
        self, vectors: Any, lexical: sparse.csr_matrix, query: np.ndarray, item: np.ndarray
    ) -> list[np.ndarray]:
        """How close the closest alias of each candidate is, by vector and by words."""
        start, stop = self.evidence.alias_start[item], self.evidence.alias_start[item + 1]
        many = stop - start
        first = np.concatenate([[0], np.cumsum(many)])
        known = np.repeat(start - first[:-1], many) + np.arange(first[-1])
        asked = np.repeat(query, many)
        close = overlap(vectors, self.evidence.alias_vectors, asked, known)
        alike = overlap(lexical, self._alias_lexical, asked, known)
        best = [np.full(len(item), 0.0, np.float32) for _ in range(2)]
        has = many > 0
        for value, out in ((close, best[0]), (alike, best[1])):
            if has.any():
                out[has] = np.maximum.reduceat(value, first[:-1][has])
        return [*best, np.log1p(self.evidence.asked[item])]

    def _of_query(
        self, texts: Sequence[str], absolute: np.ndarray, found: sparse.csr_matrix
    ) -> np.ndarray:
        """What holds for all candidates of a query: how many are close, how much text there is."""
        mixed = 0.6 * absolute[..., 0] + 0.4 * absolute[..., 1]
        there = ~np.isnan(mixed)
        best = np.max(mixed, axis=1, initial=-np.inf, where=there)
        close = [np.sum(mixed > best[:, None] - gap, axis=1) for gap in (0.02, 0.05, 0.10)]
        below = np.subtract(best[:, None], mixed, out=np.zeros_like(mixed), where=there)
        spread = below.sum(axis=1) / np.maximum(there.sum(axis=1), 1)
        length = [words(text) for text in texts]
        rarest = present(found).multiply(self._word_rarity).tocsr().max(axis=1).toarray()[:, 0]
        return np.stack(
            [
                *close,
                spread,
                [len(w) for w in length],
                [sum(map(len, w)) for w in length],
                rarest,
            ],
            axis=-1,
        ).astype(np.float32)


def leads(features: Float32[np.ndarray, "Q k S"]) -> Float32[np.ndarray, "Q k S"]:
    """Each candidate's feature minus the best of the others; 0 for a candidate without others."""
    padded = np.where(np.isnan(features), -np.inf, features)
    ordered = np.sort(padded, axis=1)
    best, second = ordered[:, -1:], ordered[:, -2:-1] if features.shape[1] > 1 else ordered[:, -1:]
    others = np.where(padded == best, second, best)
    with np.errstate(invalid="ignore"):
        return np.where(np.isfinite(others), features - others, 0.0)


def _agreements(
    queries: list[Codes], items: list[Codes], query: np.ndarray, item: np.ndarray
) -> list[np.ndarray]:
    pairs = zip(query.tolist(), item.tolist(), strict=True)
    table = np.array([agreement(queries[q], items[i]) for q, i in pairs], np.float32)
    return list(table.reshape(-1, len(AGREEMENT)).T)
