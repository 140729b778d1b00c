"""The columns that a query and an item have both, such as price and brand, compared."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from thresher.data.column_kinds import number_of
from thresher.data.tokens import words
from thresher.rerank.pairs import NEAR

Agreement = Literal["equal", "near", "differs", "missing"]
_AMOUNT = re.compile(r"\W*([A-Za-z]{1,3}\s+)?\d[\d.,\s]*\W*[A-Za-z]{0,3}")


@dataclass(frozen=True)
class Field:
    """A column that queries and items have both.

    Args:
        name: of the column.
        query, item: the values, as text.
        agreement: "equal"; "near" for numbers within 5 % and for names of which one begins the
            other; "differs"; "missing" where a side has none.
        change: the item's number against the query's, as in 0.25 for a quarter more.
    """

    name: str
    query: str
    item: str
    agreement: Agreement
    change: float | None = None


def compare(query: Mapping[str, Any], item: Mapping[str, Any]) -> list[Field]:
    """Compare the columns that both sides have.

    Numbers are equal, within 5 % ("near") or differ; names are equal without case, spaces and
    signs, or one begins the other.

    Example:
        >>> [(f.name, f.agreement) for f in compare({"price": "$99"}, {"price": 101.0})]
        [('price', 'near')]
    """
    return [_field(name, _text(query[name]), _text(item[name])) for name in query if name in item]


def _field(name: str, query: str, item: str) -> Field:
    if not query or not item:
        return Field(name, query, item, "missing")
    a, b = number_of(query), number_of(item)
    if _is_amount(query) and _is_amount(item) and not math.isnan(a + b):
        change = (b - a) / abs(a) if a else None
        gap = abs(a - b) / max(abs(a), abs(b), 1e-9)
        kind: Agreement = "equal" if gap < 1e-6 else "near" if gap <= NEAR else "differs"
        return Field(name, query, item, kind, change if kind != "equal" else None)
    first, second = ("".join(words(value)) or value for value in (query, item))
    if first == second:
        return Field(name, query, item, "equal")
    near = first.startswith(second) or second.startswith(first)
    return Field(name, query, item, "near" if near else "differs")


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    return f"{value:.12g}" if isinstance(value, float) else str(value).strip()


def _is_amount(value: str) -> bool:
    """Whether a value is a number, beside a currency or a unit at most: no code, no name."""
    return _AMOUNT.fullmatch(value) is not None
