"""Hits in, numbers out: every metric by one definition, for every kind of run."""

from thresher.evaluate.bootstrap import intervals
from thresher.evaluate.evaluation import KS, PRECISIONS, as_json, evaluate
from thresher.evaluate.options import RecommendOptions
from thresher.evaluate.slices import item_kinds, slices_by

__all__ = [
    "KS",
    "PRECISIONS",
    "RecommendOptions",
    "as_json",
    "evaluate",
    "intervals",
    "item_kinds",
    "slices_by",
]
