"""Rivals that learn a linear classifier for every product."""

import numpy as np
from scipy import sparse

from contenders.task import Fitted, Task, Texts
from thresher.retrieve.hits import Hits


def pecos(task: Task, *, titles: bool, tree: bool, cost: float = 1.0) -> Fitted:
    """PECOS: a linear classifier for every product; in a tree of products, or all of them."""
    from pecos.xmc import Indexer, LabelEmbeddingFactory
    from pecos.xmc.xlinear.model import XLinearModel

    encode, points, truth, classes = examples(task, titles)
    chain = None
    if tree:
        means = LabelEmbeddingFactory.create(truth, points, method="pifa")
        chain = Indexer.gen(means, threads=task.threads, seed=task.seed)
    model = XLinearModel.train(points, truth, C=chain, threads=task.threads, Cp=cost, Cn=cost)

    def find(queries: Texts, k: int) -> Hits:
        found = model.predict(encode(queries), only_topk=k, beam_size=50, threads=task.threads)
        rows = np.full((len(queries), k), -1)
        scores = np.full((len(queries), k), -np.inf, np.float32)
        for i in range(len(queries)):
            line = slice(found.indptr[i], found.indptr[i + 1])
            order = np.argsort(-found.data[line], kind="stable")
            rows[i, : len(order)] = classes[found.indices[line][order]]
            scores[i, : len(order)] = found.data[line][order]
        return Hits(rows, scores)

    return Fitted(encode, find)


def napkinxc(task: Task, *, titles: bool, cost: float) -> Fitted:
    """napkinXC: a tree of logistic regressions, whose scores are probabilities."""
    from napkinxc.models import PLT

    encode, points, truth, classes = examples(task, titles)
    model = PLT(
        str(task.scratch), threads=task.threads, seed=task.seed, liblinear_c=cost, verbose=False
    )
    model.fit(points, [line.indices.tolist() for line in truth])

    def find(queries: Texts, k: int) -> Hits:
        rows = np.full((len(queries), k), -1)
        scores = np.full((len(queries), k), -np.inf, np.float32)
        for i, line in enumerate(model.predict_proba(encode(queries), top_k=k)):
            for place, (label, probability) in enumerate(line):
                rows[i, place], scores[i, place] = classes[label], probability
        return Hits(rows, scores)

    return Fitted(encode, find)


def examples(task: Task, titles: bool):
    """Features, points, truth and the item row of each class, for linear classifiers.

    A product without an example is no class and cannot be found. With `titles`, every product's own
    title is an example of it.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_union

    own = {"sublinear_tf": True, "dtype": np.float32, "min_df": 2}
    features = make_union(
        TfidfVectorizer(token_pattern=r"\w+", **own),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), **own),
    )
    texts, pairs = list(task.queries), task.pairs
    features.fit([*task.items, *texts])
    truth = sparse.csr_matrix(
        (np.ones(len(pairs), np.float32), pairs.T), shape=(len(texts), len(task.items))
    )
    if titles:
        texts += task.items
        truth = sparse.vstack([truth, sparse.eye(len(task.items), dtype=np.float32)], "csr")
    classes = np.flatnonzero(np.asarray(truth.sum(axis=0))[0])

    def encode(queries: Texts) -> sparse.csr_matrix:
        return sparse.csr_matrix(features.transform(queries), dtype=np.float32)

    return encode, encode(texts), truth[:, classes].tocsr(), classes
