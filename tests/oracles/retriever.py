"""A retriever whose scores are written down: what a model must offer to be measured."""

from types import SimpleNamespace

import numpy as np
import pyarrow as pa

from thresher.data.parts import Part
from thresher.data.queries import Queries
from thresher.decide.policy import Policy
from thresher.evaluate import RecommendOptions
from thresher.retrieve import Hits


class Catalogue:
    """Items named item-0, item-1, ... with a title each."""

    def __init__(self, titles, counts):
        ids = [f"item-{row}" for row in range(len(titles))]
        self.items = pa.table({"id": ids, "title": titles})
        self.train_counts = np.array(counts)
        self.item_text = self.query_text = ("title",)

    def ids(self, rows):
        return self.items["id"].combine_chunks().take(pa.array(rows, mask=rows < 0))

    def texts(self, rows):
        return self.items["title"].combine_chunks().take(pa.array(rows, mask=rows < 0))

    def vectors(self, rows):
        return np.eye(len(self.items), 3, dtype=np.float32)[rows]

    @property
    def index(self):
        return SimpleNamespace(search=self._search)

    def _search(self, vectors, k):
        scores = vectors @ self.vectors(np.arange(len(self.items))).T
        rows = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        return Hits(rows, np.take_along_axis(scores, rows, axis=1))

    def over(self, items, *_):
        return Catalogue(items["title"].to_pylist(), [0] * len(items))


class FakeRetriever:
    """Scores of each query, by its number in `parts["test"]`, before and after re-ranking.

    Args:
        scores: queries x items, of the tower.
        reranked: the same of the re-ranker; its highest is the confidence.
        parts: of the data.
        titles: of the items.
        counts: training pairs of each item.
        policy: the decision; None for a run that only lists.
        ks: lengths of the lists.
        folder: where the artifact lies.
    """

    train_queries, data, embeddings = 100, None, None

    def __init__(
        self,
        scores,
        parts,
        titles,
        counts,
        *,
        reranked=None,
        policy=None,
        ks=(1, 2, 3),
        folder=None,
    ):
        self.scores, self.reranked = scores, scores if reranked is None else reranked
        self.parts, self.policy, self.folder = parts, policy, folder
        self.fingerprint = ""
        self.catalogue = Catalogue(titles, counts)
        outcomes = SimpleNamespace(certify=lambda target, **_: {one: policy for one in target})
        self.decision = SimpleNamespace(outcomes=outcomes)
        self.options = SimpleNamespace(scorer="reranker", confidence_level=0.9, by=None)
        self.config = Config(ks)
        self.tower = SimpleNamespace(
            schema=SimpleNamespace(items=[]), describe=lambda items: None, trained=True
        )

    def known(self, queries):
        return None

    @property
    def items(self):
        return self.catalogue.items

    def hits(self, queries, k, *, allow=None, ignored=None):
        return None, self._best(self.scores, queries, k, allow, ignored)

    def lists(self, queries, k, *, ignored=None):
        return self._best(self.scores, queries, k, None, ignored)

    def propose(self, queries, *, depth, allow=None, ignored=None):
        hits = self._best(self.reranked, queries, depth, allow, ignored)
        tower = self._best(self.scores, queries, depth, allow, ignored)
        confidence = hits.scores[:, 0].astype(np.float64)
        return SimpleNamespace(hits=hits, tower=tower, confidence=confidence)

    def labelled(self, split, queries=None, pairs=None, *, without_pairs=None):
        return self.parts["given" if queries else split]

    def _best(self, scores, queries, k, allow, ignored):
        own = scores[[int(i.rpartition("-")[2]) for i in queries.ids.to_pylist()]].copy()
        own[:, [] if allow is None else ~allow] = -np.inf
        if ignored is not None:
            own[tuple(ignored.pairs().T)] = -np.inf
        rows = np.argsort(-own, axis=1, kind="stable")[:, :k]
        found = np.take_along_axis(own, rows, axis=1).astype(np.float32)
        return Hits(np.where(np.isneginf(found), -1, rows), found)


class Config:
    """Sections of a run, as far as a measurement reads them."""

    objective = ({"name": "softmax", "links": "query_item", "weight": 1.0},)

    def __init__(self, ks):
        paths = dict.fromkeys(("bundled", "items", "queries", "pairs", "events"))
        self.sections = {"tower": {"kind": "features"}, "train": {"seed": 3}}
        self.sections["data"] = paths | {"bundled": "shop", "seed": 0}
        self.recommend = RecommendOptions(ks=ks)

    def build(self, section):
        if section == "recommend":
            return self.recommend
        return SimpleNamespace(propensity="other")


def part_of(truth, texts, *, categories=None, histories=None, targets=None, ignored=None):
    """A part of queries q-0, q-1, ... with the relation of their true items."""
    from thresher.data.relation import Relation

    columns = {"id": [f"q-{row}" for row in range(len(texts))], "title": texts}
    if categories is not None:
        columns["category"] = categories
    table = Queries.of_table(pa.table(columns))
    queries = Queries(table.ids, table.table, table.rows, histories)
    none = Relation.none(truth.shape)
    return Part(queries, truth, none if ignored is None else ignored, targets)


def policy_at(accept_at, *, target=0.95):
    """A certified policy that accepts from this confidence."""
    return Policy(accept_at, target, 0.9, 300, 2, 400, 300.0, 300)
