"""Queries: rows of a table, users with a history, or both."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int, Int64

from thresher.data.histories import Histories
from thresher.data.tables import require_columns, text_of
from thresher.errors import InputError

_KEPT = 8192  # most queries whose texts are kept once they were read


@dataclass(frozen=True)
class Queries:
    """What items are looked for: the columns of each query, its history, or both.

    Args:
        ids: the id of each query or user.
        table: columns of the queries, or of the users; None where they have none.
        rows: the row of each query in `table`, -1 for none; None without a table.
        histories: rows of the items that each user had, oldest first; None without events.

    Example:
        >>> table = pa.table({"id": ["a", "b"], "title": ["red mug", None]})
        >>> Queries.of_table(table).text(["title"])
        ['red mug', '']
    """

    ids: pa.StringArray
    table: pa.Table | None
    rows: Int64[np.ndarray, " n"] | None
    histories: Histories | None

    @classmethod
    def of_table(cls, table: pa.Table) -> "Queries":
        """Every row of a table is a query; its number is its id where there is no column `id`."""
        rows = np.arange(len(table))
        ids = table["id"] if "id" in table.column_names else pa.array(rows)
        return cls(_flat(ids.cast(pa.string())), table, rows, None)

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: Int[np.ndarray, " R"]) -> "Queries":
        """The queries of these numbers, in this order, repeats allowed."""
        histories = self.histories
        return Queries(
            self.ids.take(pa.array(rows)),
            self.table,
            None if self.rows is None else self.rows[rows],
            None if histories is None else histories.take(rows),
        )

    def values(self, name: str) -> pa.ChunkedArray:
        """A column of the queries; InputError where there is no such column."""
        table = self.aligned()
        require_columns(table, [name], "the table of queries")
        return table[name]

    def column(self, name: str) -> list[str | None]:
        """The values of a column as text, None where there is none; InputError as `values`."""
        return self.values(name).cast(pa.string()).to_pylist()

    def text(self, columns: tuple[str, ...] | list[str]) -> list[str]:
        """The columns of each query, joined by a space; empty where there is nothing.

        InputError where a column is missing, or holds what is not text.
        """
        if not columns:
            return [""] * len(self)
        if len(self) > _KEPT:
            return text_of(self.aligned(), columns)
        kept, key = self._texts, tuple(columns)
        if key not in kept:
            kept[key] = text_of(self.aligned(), columns)
        return kept[key]

    @cached_property
    def _texts(self) -> dict[tuple[str, ...], list[str]]:
        """Texts that were asked for, of a block of queries: they are read by several steps."""
        return {}

    def aligned(self) -> pa.Table:
        """The columns of each query, a row each; nulls for one that is not in the table."""
        if self.table is None or self.rows is None:
            return pa.table({"id": self.ids})
        if np.array_equal(self.rows, np.arange(len(self.table))):
            return self.table
        known = pa.array(self.rows, mask=self.rows < 0)
        return self.table.take(known)


def check_ids(
    ids: pa.Array | pa.ChunkedArray, seen: set[int] | None = None, *, before: int = 0
) -> None:
    """InputError for a query without an id, or with that of another.

    `seen` are hashes of the ids of the queries `before` these; their own are added.
    """
    seen = set() if seen is None else seen
    for row, name in enumerate(ids.to_pylist(), before + 1):
        if not name or not name.strip():
            raise InputError(
                f"queries, row {row}: the id is missing; give each row one, or drop it"
            )
        if hash(name) in seen:
            raise InputError(
                f"queries, row {row}: an earlier row has the id {name!r} too; give each its own"
            )
        seen.add(hash(name))


def rows_of(ids: pa.Array | pa.ChunkedArray, known: pa.Array) -> Int64[np.ndarray, " n"]:
    """The row of each id among the known ones; -1 where there is none."""
    return pc.fill_null(_flat(pc.index_in(ids, value_set=known)), -1).to_numpy().astype(np.int64)


def _flat(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
