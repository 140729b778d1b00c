"""Vectors in, hits out: search a catalogue exactly or approximately."""

from thresher.retrieve.ann import FaissIVF, build, load, rebuilt
from thresher.retrieve.exact import Exact
from thresher.retrieve.hits import Hits, search_without
from thresher.retrieve.index import Index

__all__ = ["Exact", "FaissIVF", "Hits", "Index", "build", "load", "rebuilt", "search_without"]
