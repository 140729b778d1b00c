"""Thresher: train retrieval models, and turn their scores into decisions with evidence."""

__version__ = "0.1.0"
