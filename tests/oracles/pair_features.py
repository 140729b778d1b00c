"""The pair features as products of sparse matrices and Python sets: slow, and easy to check."""

from collections import Counter

import numpy as np
from scipy import sparse
from sklearn.preprocessing import normalize

from oracles.codes import AGREEMENT, agreement, codes_of
from thresher.data.tokens import Tokens, idf, log_counts, words

TOKENS = Tokens(bits=17)
WORDS = Tokens(bits=20, ngram_range=(0, 0), pairs=False, parts=False)
SPELLINGS = Tokens(bits=20, ngram_range=(0, 0))
ALONE = (
    "score",
    "tf-idf",
    "best alias, score",
    "best alias, tf-idf",
    "training pairs, log",
    "item tokens found",
    "query tokens found",
    "item words found",
    "query words found",
    "item words missing",
    "query words missing",
    "words that queries name, missing",
    "words that items have, missing",
    "words in both, against chance",
    *AGREEMENT,
)
LEADING = tuple(name for name in ALONE if name != "training pairs, log")
LOWEST_LEADS = (
    "item words missing",
    "query words missing",
    "words that queries name, missing",
    "words that items have, missing",
    "query code not in the item, characters",
    "numbers only in the item",
    "numbers only in the query",
    "units that differ",
)
SIGN = np.array([-1 if name in LOWEST_LEADS else 1 for name in LEADING], np.float32)
OF_QUERY = (
    "candidates within 0.02",
    "candidates within 0.05",
    "candidates within 0.10",
    "spread of the candidates",
    "words",
    "characters",
    "rarest word",
)
NAMES = (*ALONE, *(f"{name}, lead" for name in LEADING), *OF_QUERY)


class SlowPairFeatures:
    """The features of texts without columns, in the order of `NAMES`.

    Args:
        texts: of the items.
        aliases: (text, item row) pairs sorted by row, 16 a row at most.
        alias_vectors: of the aliases, dense or sparse.
        train_counts: training pairs of each item.
    """

    def __init__(self, texts, aliases, alias_vectors, train_counts):
        names, self.item_of = [text for text, _ in aliases], np.array([r for _, r in aliases], int)
        self.alias_start = np.searchsorted(self.item_of, np.arange(len(texts) + 1))
        self.alias_vectors, self.train_counts = alias_vectors, train_counts
        counts, found, of_aliases = TOKENS.counts(texts), WORDS.counts(texts), TOKENS.counts(names)
        self.token_idf = idf(sparse.vstack([counts, of_aliases]).tocsr())
        self.items = unit_rows(log_counts(counts), self.token_idf)
        self.alias_rows = unit_rows(log_counts(of_aliases), self.token_idf)
        self.tokens = present(counts)
        self.token_total = self.tokens @ self.token_idf
        self.word_idf = idf(found)
        self.words = present(found)
        self.word_total = self.words @ self.word_idf
        self.spelled = present(SPELLINGS.counts(texts))
        self.weights = term_weights(self.spelled, present(SPELLINGS.counts(names)), self.item_of)
        self.expected_total = self.spelled @ self.weights[:, 0]
        self.codes = [codes_of(text) for text in texts]

    def read(self, texts, vectors, rows, scores):
        """[Q, k, F]"""
        shape, missing = rows.shape, rows < 0
        query = np.repeat(np.arange(shape[0]), shape[1])
        item = np.maximum(rows, 0).ravel()
        counts, found = TOKENS.counts(texts), WORDS.counts(texts)
        lexical = unit_rows(log_counts(counts), self.token_idf)
        of_tokens = coverage(
            present(counts), self.tokens, self.token_total, self.token_idf, query, item
        )
        of_words = coverage(present(found), self.words, self.word_total, self.word_idf, query, item)
        codes = [codes_of(text) for text in texts]
        pairs = zip(query.tolist(), item.tolist(), strict=True)
        agreements = [agreement(codes[q], self.codes[i]) for q, i in pairs]
        features = [
            np.asarray(scores, np.float32).ravel(),
            overlap(lexical, self.items, query, item),
            *self.of_aliases(vectors, lexical, query, item),
            *of_tokens[:2],
            *of_words,
            *self.of_terms(present(SPELLINGS.counts(texts)), query, item),
            *np.array(agreements, np.float32).reshape(-1, len(AGREEMENT)).T,
        ]
        alone = np.stack(features, axis=-1).astype(np.float32).reshape(*shape, -1)
        alone[missing] = np.nan
        lead = leads(SIGN * alone[..., [ALONE.index(name) for name in LEADING]])
        of_query = self.of_query(texts, alone, found)
        of_query = np.broadcast_to(of_query[:, None], (*shape, of_query.shape[1]))
        return np.nan_to_num(np.concatenate([alone, lead, of_query], axis=-1))

    def of_terms(self, queries, query, item):
        shared = weighted_overlap(queries, self.spelled, query, item, self.weights)
        unexpected = (queries @ self.weights[:, 1])[query] - shared[:, 1]
        return [self.expected_total[item] - shared[:, 0], unexpected, shared[:, 2]]

    def of_aliases(self, vectors, lexical, query, item):
        start, stop = self.alias_start[item], self.alias_start[item + 1]
        many = stop - start
        first = np.concatenate([[0], np.cumsum(many)])
        alias = np.repeat(start - first[:-1], many) + np.arange(first[-1])
        asked = np.repeat(query, many)
        close = overlap(vectors, self.alias_vectors, asked, alias)
        alike = overlap(lexical, self.alias_rows, asked, alias)
        best = [np.zeros(len(item), np.float32) for _ in range(2)]
        has = many > 0
        for value, out in ((close, best[0]), (alike, best[1])):
            if has.any():
                out[has] = np.maximum.reduceat(value, first[:-1][has])
        return [*best, np.log1p(self.train_counts[item])]

    def of_query(self, texts, alone, found):
        mixed = 0.6 * alone[..., 0] + 0.4 * alone[..., 1]
        there = ~np.isnan(mixed)
        best = np.max(mixed, axis=1, initial=-np.inf, where=there)
        close = [np.sum(mixed > best[:, None] - gap, axis=1) for gap in (0.02, 0.05, 0.10)]
        below = np.subtract(best[:, None], mixed, out=np.zeros_like(mixed), where=there)
        spread = below.sum(axis=1) / np.maximum(there.sum(axis=1), 1)
        length = [words(text) for text in texts]
        rarest = present(found).multiply(self.word_idf).tocsr().max(axis=1).toarray()[:, 0]
        sizes = [len(w) for w in length], [sum(map(len, w)) for w in length]
        return np.stack([*close, spread, *sizes, rarest], axis=-1).astype(np.float32)


def few(aliases, most):
    """At most so many of the (text, row) pairs of a row, spread evenly, sorted by row."""
    have, seen, kept = Counter(row for _, row in aliases), Counter(), []
    for text, row in aliases:
        place, total = seen[row], have[row]
        seen[row] += 1
        if total <= most or place * most // total != (place - 1) * most // total:
            kept.append((text, row))
    return sorted(kept, key=lambda pair: pair[1])


def term_weights(items, queries, item_of):
    """[V, 3]: see `TermWeights`; items and queries are matrices of ones."""
    words, paired = items.shape[1], items[item_of]
    said = np.bincount(queries.indices, minlength=words)
    had = np.bincount(paired.indices, minlength=words)
    both = np.bincount(queries.multiply(paired).tocsr().indices, minlength=words)
    rates = [both.sum() / whole.sum() if whole.sum() else 0.5 for whole in (had, said)]
    named, meant = (both + 2 * rates[0]) / (had + 2), (both + 2 * rates[1]) / (said + 2)
    chance = (said + 0.5) / (queries.shape[0] + 1)
    missing = [-np.log(1 - np.minimum(rate, 0.995)) for rate in (named, meant)]
    return np.stack([*missing, np.log(np.maximum(named, 1e-6) / chance)], axis=1).astype(np.float32)


def coverage(left, right, right_total, weight, query, item):
    """Shares of each side's idf that the other has, and what each lacks."""
    shared = weighted_overlap(left, right, query, item, weight[:, None])[:, 0]
    mine, theirs = (left @ weight)[query], right_total[item]
    shares = shared / np.maximum(theirs, 1e-6), shared / np.maximum(mine, 1e-6)
    return [*shares, theirs - shared, mine - shared]


def leads(features):
    """Each candidate's feature minus the best of the others; 0 for a candidate without others."""
    padded = np.where(np.isnan(features), -np.inf, features)
    ordered = np.sort(padded, axis=1)
    best, second = ordered[:, -1:], ordered[:, -2:-1] if features.shape[1] > 1 else ordered[:, -1:]
    others = np.where(padded == best, second, best)
    with np.errstate(invalid="ignore"):
        return np.where(np.isfinite(others), features - others, 0.0)


CHUNK = 1 << 16


def unit_rows(matrix, weights):
    """Each column times its weight, then each row at unit length."""
    weighed = matrix.multiply(weights[None]).tocsr().astype(np.float32)
    return normalize(weighed, copy=False) if weighed.shape[0] else weighed


def present(counts):
    """One where a token occurs, however often."""
    out = counts.copy()
    out.data = np.ones_like(out.data)
    return out


def overlap(left, right, left_rows, right_rows):
    """sum_c left[l, c] right[r, c] for each pair of rows (l, r), dense or sparse.

    Memory: the rows of 65,536 pairs at a time.
    """
    if not isinstance(left, np.ndarray):
        every = np.ones((left.shape[1], 1), np.float32)
        return weighted_overlap(left, right, left_rows, right_rows, every)[:, 0]
    out = np.empty(len(left_rows), np.float32)
    for i in range(0, len(left_rows), CHUNK):
        some = slice(i, i + CHUNK)
        a, b = left[left_rows[some]], right[right_rows[some]].astype(np.float32)
        out[some] = np.einsum("pd,pd->p", a, b)
    return out


def weighted_overlap(left, right, left_rows, right_rows, weights):
    """sum_c left[l, c] right[r, c] weights[c, s] for each pair of rows (l, r) and each s.

    A left row is spread out once, and the right rows of its pairs look their columns up in it: fast
    when the pairs of a left row follow each other.

    Memory: the right rows of 65,536 pairs at a time, and one dense row.
    """
    out = np.empty((len(left_rows), weights.shape[1]), np.float32)
    dense = np.zeros(left.shape[1], np.float32)
    for i in range(0, len(left_rows), CHUNK):
        some = slice(i, i + CHUNK)
        rows, b = left_rows[some], right[right_rows[some]]
        met = np.empty(b.nnz, np.float32)
        edges = np.flatnonzero(np.diff(rows, prepend=-1, append=-1))
        for first, last in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
            begin, end = left.indptr[rows[first]], left.indptr[rows[first] + 1]
            columns = left.indices[begin:end]
            dense[columns] = left.data[begin:end]
            inside = slice(b.indptr[first], b.indptr[last])
            met[inside] = dense[b.indices[inside]]
            dense[columns] = 0.0
        b.data = b.data * met
        out[some] = b @ weights
    return out
