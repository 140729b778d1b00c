"""Columns that stand on both sides, compared: equal, near, contradicting, missing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from jaxtyping import Float32, Int64

from thresher.data.column_kinds import kind_of, number_of
from thresher.data.tables import require_columns, text_of
from thresher.data.tokens import words
from thresher.errors import InputError
from thresher.rerank import pairs
from thresher.rerank.texts import Texts, flat_text

_NAMES = (
    "equal",
    "one begins the other",
    "item's in the query's text",
    "query's in the item's text",
    "contradicting",
    "missing",
)
PARTS: Mapping[str, tuple[str, ...]] = {
    "text": ("item words found", "query words found", "missing"),
    "code": (*_NAMES, "one character apart"),
    "number": ("equal", "relative difference", "within 5 %", "contradicting", "missing"),
    "category": _NAMES,
}


@dataclass(frozen=True)
class Compared:
    """A column of both queries and items, and how its values are compared.

    Args:
        name: of the column on both sides.
        kind: "text" by the words in common, "code" letter by letter, "number" by the difference,
            "category" (a brand, a colour) as names.

    Raises:
        InputError: there is no such kind.
    """

    name: str
    kind: str

    def __post_init__(self) -> None:
        if self.kind not in PARTS:
            raise InputError(
                f"column {self.name!r} is compared as {self.kind!r}; use one of {', '.join(PARTS)}"
            )


def compared_columns(
    items: pa.Table,
    queries: pa.Table | None,
    text: Sequence[str] = (),
    ignored: Sequence[str] = (),
) -> tuple[Compared, ...]:
    """Propose which columns to compare, and how: those of the same name on both sides.

    Args:
        items: the catalogue.
        queries: their columns; None without any.
        text: columns that are read as text, of either side.
        ignored: columns to leave out.
    """
    if queries is None:
        return ()
    left_out = {"id", "split", *text, *ignored}
    found = []
    for name in items.column_names:
        if name in queries.column_names and name not in left_out:
            kind, other = (kind_of(table, name) for table in (items, queries))
            if kind and other:
                # Codes on one side and numbers on the other are names on both.
                found.append(Compared(name, kind if kind == other else "category"))
    return tuple(found)


@dataclass(frozen=True)
class CompareColumns:
    """The values of items in compared columns, as flat arrays.

    Args:
        compare: the columns.
        values: of each: numbers; or where the bytes of each value begin, and the bytes, without
            spaces and signs; or where the words of each value begin, their numbers, the vocabulary
            and the idf.
    """

    compare: tuple[Compared, ...]
    values: tuple[tuple[np.ndarray, ...], ...]

    @classmethod
    def build(cls, items: pa.Table, compare: Sequence[Compared]) -> "CompareColumns":
        """Read the values of the items.

        Raises:
            InputError: a column is missing.
        """
        require_columns(items, [c.name for c in compare], "the table of items")
        found = [(c.kind, text_of(items, [c.name])) for c in compare]
        values = (_vocabulary(v) if kind == "text" else _values(kind, v) for kind, v in found)
        return cls(tuple(compare), tuple(values))

    @property
    def names(self) -> tuple[str, ...]:
        """The features, in order."""
        return tuple(f"{c.name}, {part}" for c in self.compare for part in PARTS[c.kind])

    def arrays(self) -> dict[str, np.ndarray]:
        """What there is to save; `of` takes it back."""
        return {f"column_{i}_{j}": a for i, v in enumerate(self.values) for j, a in enumerate(v)}

    @classmethod
    def of(cls, compare: Sequence[Compared], arrays: Mapping[str, np.ndarray]) -> "CompareColumns":
        """The columns of saved arrays."""
        sizes = {"number": 1, "text": 4}
        values = (
            tuple(arrays[f"column_{i}_{j}"] for j in range(sizes.get(c.kind, 2)))
            for i, c in enumerate(compare)
        )
        return cls(tuple(compare), tuple(values))

    def read(
        self,
        queries: pa.Table,
        query: Texts,
        items: Texts,
        rows: Int64[np.ndarray, "Q k"],
        out: Float32[np.ndarray, "Q k F"],
    ) -> None:
        """Fill in how each query and candidate agree; places without a candidate stay as they are.

        Args:
            queries: their columns.
            query: texts of the queries, in which values of items are looked for.
            items: texts of the items.
            rows: candidates.
            out: the features in the order of `names`.

        Raises:
            InputError: a column is missing.
        """
        require_columns(queries, [c.name for c in self.compare], "the table of queries")
        at = 0
        for column, values in zip(self.compare, self.values, strict=True):
            part = out[..., at : at + len(PARTS[column.kind])]
            at += part.shape[-1]
            given = text_of(queries, [column.name])
            if column.kind == "number":
                pairs.number_features(_values("number", given)[0], values[0], rows, part)
            elif column.kind == "text":
                found = Texts.of(given)
                pairs.shared_words((found.word_start, found.word), values, rows, part)
            else:
                own = _values(column.kind, given)
                pairs.name_features(own, values, query, items, rows, part)


def _values(kind: str, values: Sequence[str]) -> tuple[np.ndarray, ...]:
    """Numbers, or the letters and digits of values, so that "PS-LX300" meets "pslx300"."""
    if kind == "number":
        return (np.array([number_of(value) for value in values], np.float64),)
    return flat_text(["".join(words(value)) for value in values])


def _vocabulary(values: Sequence[str]) -> tuple[np.ndarray, ...]:
    texts = Texts.of(values)
    whole = (texts.word & 1).astype(bool)
    vocabulary, word = np.unique(texts.word[whole], return_inverse=True)
    start = np.concatenate([[0], np.cumsum(whole)])[texts.word_start]
    seen = np.append(np.bincount(word, minlength=len(vocabulary)), 0)
    idf = np.log((1 + len(values)) / (1 + seen)) + 1
    return start.astype(np.int64), word.astype(np.int32), vocabulary, idf.astype(np.float32)
