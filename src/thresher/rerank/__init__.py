"""Pair features of a query and its candidates, and the re-ranker that weighs them."""

from thresher.rerank.aliases import QueryAliases
from thresher.rerank.columns import Compared, compared_columns
from thresher.rerank.examples import Examples
from thresher.rerank.pair_features import PairFeatures
from thresher.rerank.reranker import Reranker, cross_fit
from thresher.rerank.texts import Texts

__all__ = [
    "Compared",
    "Examples",
    "PairFeatures",
    "QueryAliases",
    "Reranker",
    "Texts",
    "compared_columns",
    "cross_fit",
]
