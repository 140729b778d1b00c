"""Pair features of a query and its candidates, and the re-ranker that weighs them."""

from thresher.rerank.columns import Compared, compared_columns
from thresher.rerank.cross_fit import cross_fit
from thresher.rerank.features import PairFeatures
from thresher.rerank.pair_features import QueryAliases
from thresher.rerank.reranker import Reranker

__all__ = [
    "Compared",
    "PairFeatures",
    "QueryAliases",
    "Reranker",
    "compared_columns",
    "cross_fit",
]
