"""Columns of a table as numbers and times, and the place of the first value that is neither."""

import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
import pyarrow as pa
from jaxtyping import Float64, Int64

from thresher.data.json_lines import line_of
from thresher.data.tables import DELIMITERS, JSON_LINES
from thresher.errors import InputError

Times = Int64[np.ndarray, " E"] | Float64[np.ndarray, " E"]
# What text may stand for, in the order in which it is tried: numbers, dates, dates with a zone.
_TEXT_TIMES = (
    pa.int64(),
    pa.float64(),
    *(pa.timestamp(unit, zone) for unit in ("us", "ns") for zone in (None, "UTC")),
)


@dataclass(frozen=True)
class Column:
    """A column of a file, or some rows of it, with what is needed to say where it is wrong.

    `rows` are the rows of the file that the values are from, the first is 0; `path` is the file, or
    what to call a table in memory.
    """

    name: str
    values: pa.Array
    rows: Int64[np.ndarray, " E"]
    path: str | Path

    def times(self) -> Times:
        """Moments in time as numbers that grow: numbers as they are, dates since 1970 in UTC.

        A column of text is numbers throughout, or ISO dates throughout. InputError where a value is
        missing, infinite, or of another kind than those before it.
        """
        kind = self.values.type
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            kinds: Sequence[pa.DataType] = _TEXT_TIMES
        elif pa.types.is_date(kind):
            kinds = [pa.timestamp("us")]
        elif pa.types.is_boolean(kind):
            kinds = []  # Arrow would make numbers of them
        else:
            whole = pa.types.is_integer(kind) or pa.types.is_timestamp(kind)
            kinds = [pa.int64() if whole else pa.float64()]
        return self._as(
            kinds,
            "no timestamp; use numbers, or dates such as 2011-12-09 or 2011-12-09T08:26:00, the "
            "same in every row",
        )

    def weights(self) -> Float64[np.ndarray, " E"]:
        """Finite numbers that are 0 or more; InputError where a value is missing or is none."""
        allowed = "no weight; give a finite number that is 0 or more, 0 for history only"
        weights = self._as([pa.float64()], allowed)
        if (weights < 0).any():
            self._refuse(int(np.argmax(weights < 0)), allowed)
        return weights

    def _as(self, kinds: Sequence[pa.DataType], allowed: str) -> np.ndarray:
        """The values as numbers, read as the first of these kinds that all of them are."""
        if self.values.null_count:
            self._refuse(int(np.argmax(self.values.is_null().to_numpy(False))), allowed)
        for kind in kinds:
            if self._fits(kind, len(self.values)):
                values = self.values.cast(kind)
                numbers = values if kind == pa.float64() else values.cast(pa.int64())
                finite = np.isfinite(numbers.to_numpy())
                if not finite.all():
                    self._refuse(int(np.argmin(finite)), allowed)
                return numbers.to_numpy()
        # The kind that gets furthest is the one that was meant; name the value that stopped it.
        self._refuse(max(map(self._first_misfit, kinds), default=0), allowed)

    def _fits(self, kind: pa.DataType, first: int) -> bool:
        try:
            self.values[:first].cast(kind)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            return False
        return True

    def _first_misfit(self, kind: pa.DataType) -> int:
        """The first value that is not of a kind; halving finds it in a few casts."""
        sizes = range(1, len(self.values) + 1)
        return bisect.bisect_left(sizes, True, key=lambda size: not self._fits(kind, size))

    def _refuse(self, at: int, allowed: str) -> NoReturn:
        # Text files are counted as an editor counts them, with the header as row 1.
        row, name = int(self.rows[at]), str(self.path).lower().removesuffix(".gz")
        place = f"row {row + (2 if name.endswith(tuple(DELIMITERS)) else 1)}"
        if name.endswith(JSON_LINES):
            place = f"line {line_of(Path(self.path), row)}"
        value = self.values[at].as_py()
        raise InputError(f"{self.path}, {place}: {self.name} {value!r} is {allowed}")
