"""What the columns of a table from elsewhere seem to hold, as a proposal."""

import re
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

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


def with_numbers(table: pa.Table, names: Sequence[str]) -> tuple[pa.Table, list[str]]:
    """Columns of text as numbers, without currencies and with nulls for what is empty.

    A column with a value that is no number stays as it is, and a clause says so.
    """
    notes = []
    for name in names:
        bare = pc.replace_substring_regex(table[name], r"[$€£%\s]", "")
        bare = pc.if_else(pc.equal(bare, ""), None, bare)
        grouped = pc.match_substring_regex(bare, r"^[+-]?\d{1,3}(,\d{3})+(\.\d+)?$")
        bare = pc.if_else(grouped, pc.replace_substring(bare, ",", ""), bare)
        plain = pc.match_substring_regex(bare, r"^[+-]?(\d+\.?\d*|\.\d+)$")
        strange = table[name].filter(pc.invert(pc.fill_null(plain, True)))
        if len(strange):
            notes.append(
                f"{name} stays text: {strange[0].as_py()!r} is no number; correct or empty it to "
                "have numbers"
            )
            continue
        column = pc.replace_substring_regex(bare, r"^\+", "").cast(pa.float64())
        table = table.set_column(table.column_names.index(name), name, column)
    return table, notes


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
