"""Vectors made elsewhere, in place of a tower of ours."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float32
from safetensors import SafetensorError
from safetensors.numpy import load_file
from torch import nn

from thresher.data.dataset import Dataset
from thresher.data.plain_types import is_list
from thresher.data.queries import Queries
from thresher.data.tables import require_columns
from thresher.data.values import vectors
from thresher.errors import InputError
from thresher.towers.encode import Rows
from thresher.towers.features import Feature, FeatureOptions
from thresher.towers.schema import Schema

_FILES = (".npy", ".safetensors")


class Vectors:
    """Queries and items by vectors that another system made; nothing is trained.

    Each side is read from a column of lists of numbers, or from a file whose rows are those of the
    table of items or of queries, in their order: `.npy`, or `.safetensors` with one tensor. Vectors
    are scaled to the length 1; a query or item without one becomes a row of zeros. Relative paths
    start from `base`.

    Args:
        item_vectors: a column of the items, or a file.
        query_vectors: a column of the queries, or a file.

    Raises:
        InputError: a file or column is missing, of another width or length, or not finite.
    """

    trained, interests = False, 1

    def __init__(self, *, item_vectors: str, query_vectors: str) -> None:
        self.item_vectors, self.query_vectors, self.base = item_vectors, query_vectors, Path()
        self.dim = 0
        items, queries = (
            (Feature(name="vector", kind="vector", columns=(source,)),)
            for source in (item_vectors, query_vectors)
        )
        self.schema = Schema(items, queries, None, {})

    def fit(self, data: Dataset, features: FeatureOptions) -> None:
        """Takes the width of the items' vectors, and the catalogue."""
        self.dim = 0
        self.describe(data.items)

    def describe(self, items: pa.Table) -> None:
        """Takes a catalogue."""
        self._items = Rows(torch.from_numpy(self._read(self.item_vectors, items, "item")))

    def items(self) -> Rows:
        """The vectors of the catalogue."""
        return self._items

    def queries(self, queries: Queries) -> Rows:
        """The vectors of queries."""
        table, rows = queries.table, queries.rows
        if table is None or rows is None:
            raise InputError(
                "the tower 'vectors' reads queries from a table, and there is none; name it in "
                "data.queries"
            )
        found = self._read(self.query_vectors, table, "query")[rows]
        found[rows < 0] = 0
        return Rows(torch.from_numpy(found))

    def encode(self, inputs: Rows) -> Float32[np.ndarray, "n D"]:
        """The rows as they are."""
        return inputs.rows.numpy()

    def parameter_groups(self) -> Mapping[str, list[nn.Parameter]]:
        """None."""
        return {}

    def settings(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"item_vectors": self.item_vectors, "query_vectors": self.query_vectors}

    def save(self, folder: Path) -> None:
        """Writes where the vectors lie; they stay there."""
        about = {"base": str(self.base.resolve()), "dim": self.dim}
        (folder / "vectors.json").write_text(json.dumps(about) + "\n", "utf-8")

    @classmethod
    def load(cls, folder: Path, **settings: Any) -> "Vectors":
        """A tower of these settings; it needs `describe`."""
        tower = cls(**settings)
        about = json.loads((folder / "vectors.json").read_text("utf-8"))
        tower.base, tower.dim = Path(about["base"]), about["dim"]
        return tower

    def _read(self, source: str, table: pa.Table, side: str) -> Float32[np.ndarray, "n D"]:
        where = f"tower.{side}_vectors"
        if source.endswith(_FILES):
            path = self.base / source
            found = _file(path)
            if found.ndim != 2 or len(found) != len(table):
                raise InputError(
                    f"{where}: {path} holds an array of the shape {list(found.shape)}, and the "
                    f"table has {len(table):,} rows; give one row of numbers for each, in their "
                    "order, or name a column"
                )
        else:
            found = self._column(source, table, where)
        self.dim = self.dim or found.shape[1]
        if found.shape[1] != self.dim or not np.isfinite(found).all():
            raise InputError(
                f"{where} has {found.shape[1]} numbers a row, all to be finite, and items have "
                f"{self.dim}; give vectors of one width, made by one system"
            )
        length = np.linalg.norm(found, axis=1, keepdims=True)
        return (found / np.where(length > 0, length, 1)).astype(np.float32)

    def _column(self, name: str, table: pa.Table, where: str) -> Float32[np.ndarray, "n D"]:
        require_columns(table, [name], f"the table of {where}")
        column = table[name]
        if not is_list(column.type):
            raise InputError(f"{where}: column {name!r} holds {column.type}; give lists of numbers")
        known = column.drop_null()
        size = self.dim or (len(known[0]) if len(known) else 0)
        there, rows = vectors(column, name, size)
        found = np.zeros((len(table), size), np.float32)
        found[there] = rows
        return found


def _file(path: Path) -> np.ndarray:
    try:
        if path.suffix == ".npy":
            return np.load(path, allow_pickle=False)
        tensors = list(load_file(path).values())
    except (OSError, ValueError, SafetensorError) as error:
        raise InputError(
            f"{path} cannot be read ({str(error).splitlines()[0]}); give a .npy file, or "
            "safetensors with one tensor"
        ) from error
    if len(tensors) != 1:
        raise InputError(f"{path} holds {len(tensors)} tensors; give a file with one")
    return tensors[0]
