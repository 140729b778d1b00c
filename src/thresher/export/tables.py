"""What of a model an export holds: the tables of its tower, and how a row is read."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32, Int8

from thresher.errors import InputError
from thresher.towers.encoders.base import Encoder
from thresher.towers.encoders.text import Text
from thresher.towers.encoders.values import Values
from thresher.towers.quantised import Table, exactly_quantised, restored
from thresher.towers.schema import Schema
from thresher.towers.sums import SumReader
from thresher.towers.tower import Reader

READ = ("text", "words", "category", "categories", "id")
"""Kinds of features that an export can read by itself."""


@dataclass(frozen=True)
class Tables:
    """All tables of a tower under each other, and how a row becomes rows of them.

    Args:
        rows: float32 [V, D], or int8 where the tower was rounded to eight bits a number.
        scale: float32 [V], by which a row of int8 is multiplied; None for float32.
        about: what `tokeniser.json` says.
    """

    rows: Float32[np.ndarray, "V D"] | Int8[np.ndarray, "V D"]
    scale: Float32[np.ndarray, " V"] | None
    about: dict[str, Any]

    @classmethod
    def of(cls, tower: Reader) -> "Tables":
        """Those of a tower that is a sum of texts and named values.

        Raises:
            InputError: the tower is of another kind, or reads something else.
        """
        given = _tables(tower)
        _check(tower.schema)
        sides = {
            side: [{k: asdict(f)[k] for k in ("name", "columns", "table")} for f in features]
            for side, features in (("query", tower.schema.queries), ("item", tower.schema.items))
        }
        first, tables = 0, []
        for name, encoder in tower.schema.encoders.items():
            tables.append({"name": name, "first": first, **_described(encoder)})
            first += len(encoder)
        about = {"format": 1, "dim": tower.dim, "sides": sides, "tables": tables}
        return cls(*_joined(given), about)


def _tables(tower: Reader) -> Sequence[Table]:
    """The tables of a sum without histories; InputError for any other tower."""
    if isinstance(tower, SumReader):
        return [tower.tables[name] for name in tower.schema.encoders]
    combine = getattr(tower, "combine", None)
    if combine is None:
        there = "; sentence-transformers loads the folder tower/encoder of its model as it is"
        raise InputError(
            f"only a tower of kind 'features' is exported, and this is a {type(tower).__name__}"
            + there * hasattr(tower, "checkpoint")
        )
    if combine != "sum" or getattr(tower, "_histories", False):
        raise InputError(
            "a tower with layers or histories is not exported; train one of texts with "
            "tower.combine = 'sum' and no events"
        )
    tables: Any = getattr(tower, "tables", ())
    return [exactly_quantised(table.detach().cpu().numpy()) for table in tables]


def _check(schema: Schema) -> None:
    for side, features in (("query", schema.queries), ("item", schema.items)):
        for feature in features:
            if feature.kind not in READ:
                raise InputError(
                    f"features.{side}.{feature.name} is of kind {feature.kind!r}, which is not "
                    f"exported; leave it out with features.{side}.{feature.name} = 'ignored' and "
                    "train again"
                )
        if not any(feature.name == "text" for feature in features):
            raise InputError(f"this model reads no text of a {side}, so there is no text tower")


def _described(encoder: Encoder) -> Mapping[str, Any]:
    """What `thresher.export.encode` needs to read a column as this encoder does."""
    if isinstance(encoder, Text):
        reads = {**asdict(encoder.reads()), "reads": "text", "buckets": encoder.buckets}
        rarity = encoder.rarity.tolist() if encoder.unit else []
        more = {"unit": encoder.unit, "rarity": rarity, "unseen": encoder.unseen}
        return {**reads, **more, "tokens": encoder.tokens.tolist()}
    if not isinstance(encoder, Values):
        raise TypeError(type(encoder).__name__)
    keys = ("kind", "unit", "buckets")
    plain = {key: getattr(encoder, key) for key in keys}
    return {"reads": "values", **plain, "values": encoder.known.to_pylist()}


def _joined(tables: Sequence[Table]) -> tuple[np.ndarray, np.ndarray | None]:
    """Tables under each other: in eight bits where all are, otherwise in single precision."""
    if all(isinstance(table, tuple) for table in tables):
        values, scales = zip(*tables, strict=True)
        return np.concatenate([v[:] for v in values]), np.concatenate([s[:] for s in scales])
    whole = [restored(t[0][:], t[1][:]) if isinstance(t, tuple) else t[:] for t in tables]
    return np.concatenate(whole), None
