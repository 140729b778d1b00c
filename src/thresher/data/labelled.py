"""Queries whose true items are known: what a model is measured and calibrated on."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from jaxtyping import Int64

from thresher.data.dataset import Dataset
from thresher.data.relation import Relation
from thresher.data.tables import require_columns, text_of


@dataclass(frozen=True)
class Labelled:
    """Some queries and their true items; a query may have none.

    Args:
        queries: their table.
        texts: the text of each.
        relation: their true items.
        ignored: items that are never ranked for them.
    """

    queries: pa.Table
    texts: list[str]
    relation: Relation
    ignored: Relation

    @classmethod
    def of(cls, data: Dataset, rows: Int64[np.ndarray, " rows"]) -> "Labelled":
        """The queries of these rows of a dataset."""
        queries = data.queries.take(pa.array(rows))
        texts = text_of(queries, data.query_columns)
        return cls(queries, texts, data.relation.take(rows), data.ignored.take(rows))

    def __len__(self) -> int:
        return len(self.texts)

    def ids(self) -> list[str]:
        """The id of each query."""
        return self.queries["id"].to_pylist()

    def column(self, name: str) -> list[str]:
        """The values of a column as text; a missing one is the empty string.

        Raises:
            InputError: there is no such column.
        """
        require_columns(self.queries, [name], "the table of queries")
        values = self.queries[name].cast(pa.string()).to_pylist()
        return ["" if value is None else value for value in values]
