"""Vectors that were made elsewhere, one an item and one a query: nothing to train."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float32
from torch import nn

from thresher.data.dataset import Dataset
from thresher.data.queries import Queries
from thresher.data.schema import Feature, FeatureOptions, Read
from thresher.data.tables import require_columns
from thresher.errors import InputError

MIN_LENGTH = 1e-12  # of a vector, below which it says nothing


class VectorTower:
    """Reads a column of vectors on either side, scaled to unit length.

    Args:
        item_column: of the items, lists of as many numbers in every row.
        query_column: the same of the queries.

    Raises:
        InputError: a vector is missing, not finite, or of another width.
    """

    interests = 1
    trained = False

    def __init__(self, *, item_column: str = "vector", query_column: str = "vector") -> None:
        self.item_column, self.query_column = item_column, query_column
        self.dim = 0
        self._items: Float32[np.ndarray, "N D"] = np.zeros((0, 0), np.float32)

    @property
    def schema(self) -> Read:
        """What is read of either side."""
        columns = (self.item_column,), (self.query_column,)
        return Read(*(tuple(Feature(name=n, kind="vector") for n in side) for side in columns))

    def fit(self, data: Dataset, features: FeatureOptions) -> None:
        """Take the width of the vectors."""
        self.dim = unit_vectors(data.items, self.item_column, "items").shape[1]

    def describe(self, items: pa.Table) -> None:
        """Take a catalogue, whose vectors `items` gives from now on."""
        self._items = self._checked(unit_vectors(items, self.item_column, "items"), "items")

    def items(self) -> Float32[np.ndarray, "N D"]:
        """The vectors of the catalogue."""
        return self._items

    def queries(self, queries: Queries) -> Float32[np.ndarray, "n D"]:
        """The vectors of queries."""
        table = queries.aligned()
        return self._checked(unit_vectors(table, self.query_column, "queries"), "queries")

    def encode(self, inputs: Float32[np.ndarray, "n D"]) -> Float32[np.ndarray, "n D"]:
        """The same vectors."""
        return inputs

    def parameter_groups(self) -> Mapping[str, list[nn.Parameter]]:
        """Nothing is trained."""
        return {}

    def settings(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"item_column": self.item_column, "query_column": self.query_column}

    def save(self, folder: Path) -> None:
        """Write the width."""
        np.save(folder / "dim.npy", np.array(self.dim), allow_pickle=False)

    @classmethod
    def load(cls, folder: Path, **settings: Any) -> "VectorTower":
        """Read what `save` wrote."""
        tower = cls(**settings)
        tower.dim = int(np.load(folder / "dim.npy", allow_pickle=False))
        return tower

    def _checked(self, rows: Float32[np.ndarray, "n D"], side: str) -> Float32[np.ndarray, "n D"]:
        if rows.shape[1] != self.dim and len(rows):
            raise InputError(
                f"the vectors of the {side} have {rows.shape[1]} numbers and those of training "
                f"{self.dim}; make both with the same model"
            )
        return rows


def unit_vectors(table: pa.Table, column: str, side: str) -> Float32[np.ndarray, "n D"]:
    """A column of lists of numbers as unit rows; a vector of zeros stays one.

    Raises:
        InputError: the column is missing, or a row is no vector like the others.
    """
    require_columns(table, [column], f"the table of {side}")
    lists = table[column].combine_chunks()
    if not len(lists):
        return np.zeros((0, 0), np.float32)
    try:
        flat = lists.flatten().cast(pa.float32()).to_numpy(zero_copy_only=False)
        rows = flat.reshape(len(lists), -1)
    except (AttributeError, ValueError, pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise InputError(
            f"the column {column!r} of the {side} holds {lists.type}, and not one list of as many "
            "numbers in every row; give vectors of one width"
        ) from None
    if lists.null_count or not np.isfinite(rows).all():
        raise InputError(
            f"a vector in the column {column!r} of the {side} is missing or not finite; give every "
            "row one"
        )
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(length > MIN_LENGTH, length, 1.0), np.float32)
