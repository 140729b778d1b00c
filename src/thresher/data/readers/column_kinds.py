"""What the columns of a table from elsewhere seem to hold, as a proposal."""

import re
from typing import Any

import pyarrow as pa

_ROWS = 10_000
_NUMBER = re.compile(r"[$€£]?\s*[+-]?(?:0|[1-9][0-9.,]*|0?[.,][0-9]+|0[.,][0-9]+)\s*[$€£%]?")
_LONG = 8  # digits; longer whole numbers are codes, such as an EAN
_MOST = 0.8


def column_kinds(table: pa.Table) -> dict[str, str]:
    """The kind of each column but ids and splits: text, code, number or category.

    Numbers may stand beside a currency. A code is a word with a digit, such as a model number or an
    EAN. A category is short and repeats; lists are categories too. Columns of objects are left out.

    Example:
        >>> column_kinds(pa.table({"id": ["1"], "price": ["$9.99"], "modelno": ["DSC-W120"]}))
        {'price': 'number', 'modelno': 'code'}
    """
    named = [name for name in table.column_names if name not in ("id", "split")]
    kinds = {name: _kind(table[name].slice(0, _ROWS)) for name in named}
    return {name: kind for name, kind in kinds.items() if kind}


def _kind(column: pa.ChunkedArray) -> str | None:
    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return "number"
    if "struct" in str(kind):
        return None
    if kind != pa.string():
        return "category"
    values = [value.strip() for value in column.to_pylist() if value and value.strip()]
    if not values:
        return "text"
    whole = _share(value.isdigit() and len(value) >= _LONG for value in values)
    if _share(_NUMBER.fullmatch(value) for value in values) >= _MOST and whole < _MOST:
        return "number"
    if _share(" " not in value and any(map(str.isdigit, value)) for value in values) >= _MOST:
        return "code"
    words = sum(value.count(" ") + 1 for value in values) / len(values)
    repeats = len(set(values)) <= len(values) / 2
    return "category" if repeats and words <= 4 else "text"


def _share(said: Any) -> float:
    found = [bool(value) for value in said]
    return sum(found) / len(found)
