"""Queries of any kind: rows of a table, histories of events, or both."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Int, Int64

from thresher.data.histories import Histories
from thresher.data.tables import require_columns, text_of


@dataclass(frozen=True)
class Queries:
    """What is looked for.

    Args:
        ids: of each query or user.
        table: columns of queries, or of users; None without any.
        rows: the row of each query in the table, -1 for none; None without a table.
        histories: the items that each had, oldest first; None where queries have no history.
    """

    ids: pa.StringArray
    table: pa.Table | None = None
    rows: Int64[np.ndarray, " n"] | None = None
    histories: Histories | None = None

    @classmethod
    def of_table(cls, table: pa.Table) -> "Queries":
        """Every row of a table; numbered from 0 where it has no column `id`."""
        if "id" in table.column_names:
            ids = table["id"].cast(pa.string()).combine_chunks()
        else:
            ids = pa.array([str(row) for row in range(len(table))], pa.string())
        return cls(ids, table, np.arange(len(table)))

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: Int[np.ndarray, " n"]) -> "Queries":
        """The queries of these numbers, in this order."""
        return Queries(
            self.ids.take(pa.array(rows)),
            self.table,
            None if self.rows is None else self.rows[rows],
            None if self.histories is None else self.histories.take(torch.from_numpy(rows)),
        )

    def aligned(self) -> pa.Table:
        """The columns of the queries, a row each; null where one has no row."""
        if self.table is None or self.rows is None:
            return pa.table({"id": self.ids})
        if np.array_equal(self.rows, np.arange(len(self.table))):
            return self.table
        return self.table.take(pa.array(self.rows, mask=self.rows < 0))

    def values(self, name: str) -> pa.ChunkedArray:
        """A column of the queries.

        Raises:
            InputError: there is no such column.
        """
        table = self.aligned()
        require_columns(table, [name], "the table of queries")
        return table[name]

    def column(self, name: str) -> list[str]:
        """The values of a column as text; a missing one is the empty string."""
        values = self.values(name).cast(pa.string()).to_pylist()
        return ["" if value is None else value for value in values]

    def text(self, columns: Sequence[str]) -> list[str]:
        """The text of each query, its columns joined by blanks; empty without columns."""
        if not columns:
            return [""] * len(self)
        return text_of(self.aligned(), columns)
