"""What the values of a column are: numbers, codes, texts, or names such as brands."""

import re
from collections.abc import Sequence
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from thresher.data.tables import text_of
from thresher.errors import InputError

Kind = Literal["text", "code", "number", "category"]
_NUMBER = re.compile(r"-?\d[\d.,]*")
_ONLY_NUMBER = re.compile(r"\W*\d[\d.,]*\W*")
_GROUPED = {
    ",": re.compile(r"-?\d{1,3}(?:,\d{3})+(?:\.\d*)?"),
    ".": re.compile(r"-?\d{1,3}(?:\.\d{3})+,\d*"),
}
# A column is of numbers, of codes, of text when so many of its values look like it; long numbers,
# such as EANs, are codes.
_NUMBERS, _CODES, _LONG_TEXT, _LONG_NUMBER = 0.95, 0.6, 4, 7
_LOOKED_AT = 10_000  # rows whose values decide


def kind_of(table: pa.Table, name: str) -> Kind | None:
    """What a column holds by its first 10,000 values; None where it is empty, or of vectors.

    A "number" may stand beside a currency. A "code" is one word or two with a digit, such as a
    model number or an EAN. "text" has more than four words on average, a "category" (a brand, a
    colour, a list of names) fewer.

    Example:
        >>> table = pa.table({"price": ["$9.99"], "modelno": ["DSC-W120"]})
        >>> kind_of(table, "price"), kind_of(table, "modelno")
        ('number', 'code')
    """
    column = table[name].slice(0, _LOOKED_AT)
    if pa.types.is_nested(column.type) and not pa.types.is_string(column.type.value_type):
        return None
    try:
        given = [v for v in text_of(pa.table({name: column}), [name]) if v.strip()]
    except InputError:
        return None
    if not given:
        return None
    sizes = [len(v.split()) for v in given]
    digits = [sum(c.isdigit() for c in v) for v in given]
    if np.mean([_ONLY_NUMBER.fullmatch(v) is not None for v in given]) >= _NUMBERS:
        return "number" if np.median(digits) < _LONG_NUMBER else "code"
    if np.mean([d > 0 and size <= 2 for d, size in zip(digits, sizes, strict=True)]) >= _CODES:
        return "code"
    return "text" if np.mean(sizes) > _LONG_TEXT else "category"


def column_kinds(table: pa.Table) -> dict[str, Kind]:
    """The kind of each column but ids and splits; columns without one are left out."""
    named = [name for name in table.column_names if name not in ("id", "split")]
    return {name: kind for name in named if (kind := kind_of(table, name))}


def number_of(value: str) -> float:
    """The first number of a value, NaN where there is none: "$1,299.00", "12,5", "2.499,00 EUR".

    Example:
        >>> number_of("$1,299.00"), number_of("12,5"), number_of("2.499,00 EUR")
        (1299.0, 12.5, 2499.0)
    """
    found = _NUMBER.search(value)
    if not found:
        return np.nan
    text = found[0]
    for mark, grouped in _GROUPED.items():
        if grouped.fullmatch(text):
            text = text.replace(mark, "")
    try:
        return float(text.replace(",", "."))
    except ValueError:  # a version, such as 1.2.3
        return np.nan


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
