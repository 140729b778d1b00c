"""Which columns tell true pairs from random ones: how often the values of both sides agree."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Int64

from thresher.data.column_kinds import column_kinds, number_of
from thresher.data.parts import Part
from thresher.data.relation import Relation
from thresher.data.tables import text_of
from thresher.data.tokens import words

PAIRS = 5_000
"""Pairs of each sort that are looked at, at most."""
_FAR = 5.0  # times as often in true pairs as in random ones is far more often


@dataclass(frozen=True)
class Agreement:
    """How often a column agrees between the queries and their true items, and between random pairs.

    Equation: true = (true pairs whose two values agree) / (true pairs that have both values), and
    random = the same of pairs of a query and an item drawn from the catalogue that is not true for
    it. Numbers agree when they are equal, anything else when its letters and digits are, without
    regard to case; a code agrees with a text when its letters and digits stand in those of it.

    Args:
        column: of the items.
        kind: text, code, number or category.
        of: what of the queries it is compared with: their column of the same name, or "text".
        pairs: true pairs that have both values, of those drawn.
        filled: their share of the drawn true pairs, a fraction.
        true: share of them that agrees, a fraction.
        random: share of the random pairs with both values that agrees, a fraction.
    """

    column: str
    kind: str
    of: str
    pairs: int
    filled: float
    true: float
    random: float

    @property
    def telling(self) -> bool:
        """Whether it agrees far more often in true pairs: five times as often, and one in ten."""
        return self.true >= 0.1 and self.true >= _FAR * self.random

    def line(self) -> str:
        """The figures for a terminal."""
        where = "in the text of the query" if self.of == "text" else "on both sides"
        far = ", far more often" if self.telling else ""
        return (
            f"{self.column} ({self.kind}) {where}: {self.true:.1%} of true pairs, "
            f"{self.random:.1%} of random ones{far}; {self.filled:.0%} of pairs have both"
        )


def agreements(
    items: pa.Table,
    queries: pa.Table,
    parts: Sequence[Part],
    query_text: Sequence[str],
    *,
    seed: int = 0,
) -> tuple[Agreement, ...]:
    """Compare every column that stands on both sides, and the codes of items with queries' texts.

    Columns in which true pairs agree far more often than random ones come first.

    Args:
        items: the catalogue.
        queries: the table of the queries.
        parts: queries whose pairs may be drawn.
        query_text: columns of the queries' text.
        seed: of the draw of 5,000 true pairs and as many random ones.
    """
    every = np.concatenate([_pairs(part) for part in parts])
    if not len(every):
        return ()
    draw = np.random.default_rng(seed)
    asked, right = draw.permutation(every)[:PAIRS].T
    beside, other = np.resize(asked, PAIRS), draw.integers(len(items), size=PAIRS)
    known = Relation.from_pairs(*every.T, shape=(len(queries), len(items)))
    strange = ~known.contains(beside, other)
    beside, other = beside[strange], other[strange]
    query = queries.take(pa.array(np.concatenate([asked, beside])))
    item = items.take(pa.array(np.concatenate([right, other])))
    true = np.arange(len(query)) < len(asked)
    own = column_kinds(items)
    found = []
    for name, kind in column_kinds(queries).items():
        if name in own:
            kind = kind if kind == own[name] else "category"
            values = (_values(table, (name,), kind) for table in (item, query))
            found.append(_agreement(name, kind, name, true, *values))
    for name, kind in own.items():
        if kind == "code" and query_text:
            texts = _values(query, tuple(query_text), "text")
            found.append(_agreement(name, kind, "text", true, _values(item, (name,), kind), texts))
    return tuple(sorted(found, key=lambda one: (not one.telling, one.random - one.true)))


def _pairs(part: Part) -> Int64[np.ndarray, "p 2"]:
    """The true pairs, by the rows of both tables."""
    pairs, rows = part.truth.pairs(), part.queries.rows
    return pairs if rows is None else np.stack([rows[pairs[:, 0]], pairs[:, 1]], axis=1)


def _values(table: pa.Table, names: tuple[str, ...], kind: str) -> list[str]:
    """What is compared of each row; empty where it has nothing."""
    texts = text_of(table, names)
    if kind == "number":
        numbers = [number_of(text) for text in texts]
        return ["" if np.isnan(number) else repr(number) for number in numbers]
    return ["".join(words(text)) for text in texts]


def _agreement(
    name: str,
    kind: str,
    of: str,
    true: Bool[np.ndarray, " n"],
    items: list[str],
    queries: list[str],
) -> Agreement:
    both = np.array([bool(i and q) for i, q in zip(items, queries, strict=True)])
    agree = [i in q if of == "text" else i == q for i, q in zip(items, queries, strict=True)]
    shares = [
        float(np.array(agree)[mask].mean()) if mask.any() else 0.0
        for mask in (both & true, both & ~true)
    ]
    count = int((both & true).sum())
    return Agreement(name, kind, of, count, count / max(int(true.sum()), 1), *shares)
