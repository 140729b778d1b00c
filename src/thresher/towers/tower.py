"""What every tower can do."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import pyarrow as pa

from thresher.data.dataset import Dataset
from thresher.data.queries import Queries
from thresher.towers.features import FeatureOptions
from thresher.towers.schema import Schema

if TYPE_CHECKING:
    from torch import nn

    from thresher.types import Table


@runtime_checkable
class Reader(Protocol):
    """What makes vectors of queries; the same as in `Tower`."""

    dim: int
    interests: int
    schema: Schema

    def describe(self, items: pa.Table) -> None:
        """See `Tower`."""

    def queries(self, queries: Queries) -> Any:
        """See `Tower`."""

    def encode(self, inputs: Any) -> Any:
        """See `Tower`."""


@runtime_checkable
class Tower(Protocol):
    """Queries and items to vectors; one that is trained is an `nn.Module` besides.

    Args:
        dim: width D of a vector.
        interests: vectors a query, side by side; an item has one.
        trained: whether it learns; what does not learns nothing from the loop and needs none.
        schema: the features of items and queries: name, kind and columns.
    """

    dim: int
    interests: int
    trained: bool
    schema: Schema

    def fit(self, data: Dataset, features: FeatureOptions) -> None:
        """Takes what it needs from the catalogue and the training queries, and draws the start."""

    def describe(self, items: pa.Table) -> None:
        """Takes a catalogue, another one or the same; histories refer to its rows."""

    def items(self) -> "Table":
        """The items of that catalogue, prepared once."""

    def queries(self, queries: Queries) -> "Table":
        """Queries, prepared once; batches are taken from what it returns."""

    def encode(self, inputs: Any) -> Any:
        """Unit rows: float32 [n, dim], of queries [n, dim * interests]; sparse for `tfidf`."""

    def parameter_groups(self) -> "Mapping[str, list[nn.Parameter]]":
        """Its parameters by learning rate: `table` at `learning_rate`, `layers` at their own."""

    def settings(self) -> dict[str, Any]:
        """The constructor's arguments."""

    def save(self, folder: Path) -> None:
        """Writes all but the settings and the catalogue into a folder."""

    @classmethod
    def load(cls, folder: Path, **settings: Any) -> "Tower":
        """A tower of these settings as it was written; it needs `describe`."""
