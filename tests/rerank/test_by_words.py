"""Candidates that share rare words with a query."""

from itertools import pairwise

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from thresher.rerank import PairFeatures, pair_features

WORDS = ["red", "mug", "ab12", "sony", "tv", "7"]


def built(texts: list[str]) -> PairFeatures:
    items = pa.table({"id": [str(i) for i in range(len(texts))], "title": texts})
    return PairFeatures.build(
        items, text=["title"], query_text=["title"], encode=lambda texts: np.zeros((0, 1))
    )


def found(texts: list[str], queries: list[str], k: int) -> list[list[int]]:
    return built(texts).by_words(pa.table({"title": queries}), k).tolist()


def pieces(text: str) -> set[str]:
    """Words, the letters and digits of those that mix both, and joined neighbours."""
    words = text.split()
    parts = {part for word in words if word == "ab12" for part in ("ab", "12")}
    return {*words, *parts, *(a + b for a, b in pairwise(words))}


def by_hand(texts: list[str], query: str) -> dict[int, float]:
    """The equation of `PairFeatures.by_words`, a pair at a time: a score for each item it finds."""
    each = [pieces(text) for text in texts]
    squared = {
        w: (np.log((1 + len(texts)) / (1 + sum(w in p for p in each))) + 1) ** 2
        for w in set().union(*each)
    }
    scores = {}
    for row, own in enumerate(each):
        shared = own & pieces(query)
        if shared:
            whole = np.sqrt(sum(squared[w] for w in own))
            scores[row] = sum(squared[w] for w in shared) / whole
    return scores


def test_the_rarest_words_lead():
    texts = ["red mug", "red tv", "red sony", "red"]
    # "mug" stands in one item and "red" in all; an item of nothing but "red" is closest to it.
    assert found(texts, ["mug red tall", "red", "blue", ""], 2) == [
        [0, 3],
        [3, 0],
        [-1] * 2,
        [-1] * 2,
    ]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from(WORDS), max_size=4).map(" ".join), min_size=1, max_size=6),
    st.lists(st.sampled_from(WORDS), max_size=4).map(" ".join),
    st.integers(1, 5),
)
def test_as_by_hand(texts, query, k):
    scores, rows = by_hand(texts, query), found(texts, [query], k)[0]
    own = [row for row in rows if row >= 0]
    assert rows == own + [-1] * (k - len(own))
    assert len(set(own)) == len(own) == min(k, len(scores))
    # By score: of equal ones rounding decides, so any of them may stand first.
    best = sorted(scores.values(), reverse=True)[:k]
    np.testing.assert_allclose([scores[row] for row in own], best, rtol=1e-5)


def test_words_of_most_items_find_nothing(monkeypatch):
    monkeypatch.setattr(pair_features, "MANY", 2)
    texts = ["red mug"] * 3 + ["sony tv"] * 2
    assert found(texts, ["red", "tv"], 3) == [[-1, -1, -1], [3, 4, -1]]


def test_without_text_there_are_none():
    items = pa.table({"id": ["a"], "price": [1.0]})
    nothing = PairFeatures.build(items, text=[], query_text=[], encode=lambda texts: None)
    assert nothing.by_words(pa.table({"id": ["q"]}), 2).tolist() == [[-1, -1]]
