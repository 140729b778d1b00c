"""Columns that stand on both sides, compared: equal, near, contradicting, missing."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
from jaxtyping import Float32, Int64

from thresher.data.tables import text_of

Kind = Literal["code", "number", "category"]
PARTS = {
    "number": ("equal", "within 5 %", "difference", "missing"),
    "category": ("equal", "in the other's text", "differ", "missing"),
    "code": ("equal", "prefix", "in the other's text", "differ", "missing"),
}
_SIGNS = re.compile(r"[\W_]+")
_NUMBER = re.compile(r"-?\d+(?:[.,]\d+)?")
NEAR = 0.05
"""Relative difference up to which two numbers, such as prices, count as near."""
_MOSTLY = 0.6  # share of the values of a code column that hold a digit
_LOOKED_AT = 10_000  # rows whose values decide how a column is compared


@dataclass(frozen=True)
class Compared:
    """A column of both queries and items, and how its values are compared.

    Args:
        name: of the column on both sides.
        kind: "number" by their difference; "category" as names; "code" as names of which one may
            be a prefix of the other.
    """

    name: str
    kind: Kind


def compared_columns(
    items: pa.Table, queries: pa.Table | None, text: Sequence[str], ignored: Sequence[str] = ()
) -> tuple[Compared, ...]:
    """The columns that queries and items share, and how each is compared.

    Args:
        items: the catalogue.
        queries: their columns; None without any.
        text: columns that are read as text, of either side.
        ignored: columns to leave out.
    """
    if queries is None:
        return ()
    left = {"id", "split", *text, *ignored}
    shared = [n for n in items.column_names if n in queries.column_names and n not in left]
    found = []
    for name in shared:
        kinds = {_kind(table[name].slice(0, _LOOKED_AT)) for table in (items, queries)}
        if None in kinds:
            continue
        kind: Kind = "category" if len(kinds) > 1 else next(iter(k for k in kinds if k))
        found.append(Compared(name, kind))
    return tuple(found)


def column_names(compare: Sequence[Compared]) -> tuple[str, ...]:
    """The names of the features of some columns, in order."""
    return tuple(f"{c.name}, {part}" for c in compare for part in PARTS[c.kind])


def column_features(
    compare: Sequence[Compared],
    items: pa.Table,
    queries: pa.Table,
    rows: Int64[np.ndarray, "Q k"],
    item_text: Sequence[str],
    query_text: Sequence[str],
) -> Float32[np.ndarray, "Q k F"]:
    """How the columns of each query and candidate agree; zeros where there is no candidate."""
    query, item = np.repeat(np.arange(len(rows)), rows.shape[1]), np.maximum(rows, 0).ravel()
    needed = pa.array(np.unique(item))
    place = np.searchsorted(needed.to_numpy(), item)
    taken = items.take(needed)
    texts = [_plain(t) for t in text_of(taken, item_text)] if item_text else [""] * len(taken)
    own = [_plain(t) for t in text_of(queries, query_text)] if query_text else [""] * len(queries)
    parts = []
    for column in compare:
        if column.kind == "number":
            left, right = _numbers(queries[column.name]), _numbers(taken[column.name])
            parts.append(_by_difference(left[query], right[place]))
        else:
            left, right = _names(queries[column.name]), _names(taken[column.name])
            pairs = zip(query.tolist(), place.tolist(), strict=True)
            code = column.kind == "code"
            table = [_as_names(left[q], right[i], own[q], texts[i], code=code) for q, i in pairs]
            parts.append(np.array(table, np.float32).reshape(len(query), -1))
    features = np.concatenate(parts, axis=1).reshape(*rows.shape, -1)
    return np.where((rows < 0)[..., None], np.float32(0), features).astype(np.float32)


def _by_difference(
    query: Float32[np.ndarray, " P"], item: Float32[np.ndarray, " P"]
) -> Float32[np.ndarray, "P 4"]:
    missing = np.isnan(query) | np.isnan(item)
    larger = np.maximum(np.maximum(abs(query), abs(item)), 1e-9)
    with np.errstate(invalid="ignore"):
        difference = np.where(missing, 0.0, abs(query - item) / larger)
    near = ~missing & (difference <= NEAR)
    parts = (~missing & (difference < 1e-6), near, difference, missing)
    return np.stack(parts, axis=1).astype(np.float32)


def _as_names(
    query: str, item: str, query_text: str, item_text: str, *, code: bool
) -> tuple[float, ...]:
    missing = not query or not item
    equal = not missing and query == item
    prefix = not missing and not equal and (query.startswith(item) or item.startswith(query))
    inside = bool(query and query in item_text) or bool(item and item in query_text)
    differ = not missing and not equal and not (code and prefix)
    flags = (equal, prefix, inside, differ, missing) if code else (equal, inside, differ, missing)
    return tuple(map(float, flags))


def _plain(text: str) -> str:
    """Letters and digits alone, in lower case, so that "PS-LX300" meets "pslx300"."""
    return _SIGNS.sub("", unicodedata.normalize("NFKC", text).casefold())


def _names(column: pa.ChunkedArray) -> list[str]:
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        return [_plain(" ".join(map(str, value or ()))) for value in column.to_pylist()]
    return [_plain(str(value)) if value is not None else "" for value in column.to_pylist()]


def _numbers(column: pa.ChunkedArray) -> Float32[np.ndarray, " n"]:
    """The first number of each value; NaN where there is none."""
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        return column.cast(pa.float32()).to_numpy().astype(np.float32)
    found = []
    for value in column.to_pylist():
        match = _NUMBER.search("" if value is None else str(value))
        found.append(float(match[0].replace(",", ".")) if match else np.nan)
    return np.array(found, np.float32)


def _kind(column: pa.ChunkedArray) -> Kind | None:
    """How a column is compared; None for one that cannot be, such as a vector."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return "number"
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return "category" if pa.types.is_string(kind.value_type) else None
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)):
        return None
    given = [text for text in column.cast(pa.string()).to_pylist() if text and text.strip()]
    if not given:
        return None
    whole = sum(bool(re.fullmatch(r"\W*\d+(?:[.,]\d+)?\W*", text.strip())) for text in given)
    if whole >= 0.95 * len(given):
        return "number"
    digits = sum(any(c.isdigit() for c in text) for text in given)
    one_word = sum(len(text.split()) <= 2 for text in given)
    mostly = digits >= _MOSTLY * len(given) and one_word >= _MOSTLY * len(given)
    return "code" if mostly else "category"


