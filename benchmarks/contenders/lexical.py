"""Rivals that count words: the nearest text by TF-IDF or BM25."""

from collections.abc import Sequence

import numpy as np

from contenders.task import Fitted, Task, Texts
from thresher.retrieve.hits import Hits
from thresher.retrieve.sparse import SparseExact

NEAR = 100  # labelled texts looked at to find the best products: a product has several


def tfidf(task: Task, *, ngrams: Sequence[int], offers: bool) -> Fitted:
    """The nearest text by scikit-learn's character TF-IDF."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts, owners = task.labelled(offers)
    vectorizer = TfidfVectorizer(
        analyzer="char_wb", ngram_range=tuple(ngrams), sublinear_tf=True, dtype=np.float32
    )
    index = SparseExact(vectorizer.fit_transform(texts))

    def find(queries: Texts, k: int) -> Hits:
        near = index.search(vectorizer.transform(queries), min(NEAR, len(texts)))
        return best_items(np.where(near.rows < 0, -1, owners[near.rows]), near.scores, k)

    return Fitted(vectorizer.transform, find)


def bm25(task: Task, *, ngrams: Sequence[int], offers: bool) -> Fitted:
    """The best text by bm25s, over words and pieces of words."""
    import bm25s
    from sklearn.feature_extraction.text import CountVectorizer

    texts, owners = task.labelled(offers)
    words = CountVectorizer(token_pattern=r"\w+").build_analyzer()
    pieces = CountVectorizer(analyzer="char_wb", ngram_range=tuple(ngrams)).build_analyzer()

    def encode(queries: Texts) -> list[list[str]]:
        return [words(text) + pieces(text) for text in queries]

    index = bm25s.BM25()
    index.index(encode(texts), show_progress=False)

    def find(queries: Texts, k: int) -> Hits:
        rows, scores = index.retrieve(
            encode(queries),
            k=min(NEAR, len(texts)),
            show_progress=False,
            n_threads=task.threads if task.threads > 1 else 0,
        )
        return best_items(owners[rows], scores, k)

    return Fitted(encode, find)


def best_items(owners: np.ndarray, scores: np.ndarray, k: int) -> Hits:
    """The k first different items of ranked texts, each with the score of its best text."""
    rows = np.full((len(owners), k), -1)
    best = np.full((len(owners), k), -np.inf, np.float32)
    for i, line in enumerate(owners):
        first = np.sort(np.unique(line, return_index=True)[1])
        first = first[line[first] >= 0][:k]
        rows[i, : len(first)], best[i, : len(first)] = line[first], scores[i, first]
    return Hits(rows, best)
