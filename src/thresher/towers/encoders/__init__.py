"""Encoders: what the values of each kind of feature are numbered by, and how their vectors start.

One file for each family of kinds. A new encoder is its file, its test, and its line in `ENCODERS`
(docs/guides/encoders.md).
"""

from collections.abc import Mapping
from types import MappingProxyType

from thresher.towers.encoders.base import Encoder
from thresher.towers.encoders.number import Number
from thresher.towers.encoders.text import Text
from thresher.towers.encoders.values import Values
from thresher.towers.encoders.vector import Vector

ENCODERS: Mapping[str, type[Encoder]] = MappingProxyType(
    {
        "id": Values,
        "category": Values,
        "categories": Values,
        "words": Text,
        "text": Text,
        "number": Number,
        "vector": Vector,
    }
)
"""Kind of a feature -> its encoder."""
