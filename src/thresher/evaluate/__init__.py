"""Hits in, numbers and pictures out."""

from thresher.evaluate.evaluation import as_json, evaluate, evaluate_slices
from thresher.evaluate.slices import slices_by, slices_by_frequency

__all__ = ["as_json", "evaluate", "evaluate_slices", "slices_by", "slices_by_frequency"]
