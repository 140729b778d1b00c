"""What is searched: the items, their vectors, and the words that the learned confidence reads."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from thresher.data.tables import read_table, text_of, write_table
from thresher.decide.evidence import Evidence, Known
from thresher.errors import InputError
from thresher.retrieve import Index, build
from thresher.retrieve import load as load_index
from thresher.retrieve.options import IndexOptions
from thresher.retrieve.sparse import SparseExact
from thresher.towers import Tower
from thresher.towers.known import KnownItems
from thresher.towers.tfidf import TfIdf


@dataclass(frozen=True)
class Catalogue:
    """Items with an index over their vectors.

    Args:
        items: table with `id` and the text columns.
        columns: the text columns.
        index: finds the items closest to a vector.
        evidence: what the learned confidence knows of items and of training queries.
    """

    items: pa.Table
    columns: tuple[str, ...]
    index: Index
    evidence: Evidence

    @classmethod
    def build(
        cls,
        items: pa.Table,
        columns: tuple[str, ...],
        tower: Tower,
        options: IndexOptions,
        known: Known | None = None,
        own: KnownItems | None = None,
    ) -> "Catalogue":
        """Encodes the items and indexes them.

        Args:
            items: the catalogue.
            columns: its text columns.
            tower: encodes items, and known queries.
            options: which index.
            known: training queries with their items; those of other items are left out.
            own: what training learnt of single items; an item it does not know has its text alone.

        Raises:
            InputError: for an empty catalogue.
        """
        if not len(items):
            raise InputError("the catalogue has no items; give a table with at least one row")
        texts = text_of(items, columns)
        ids = items["id"].to_pylist()
        rows = tower.encode(texts)
        if own is not None:
            rows = own.vectors(rows, ids)
        index = SparseExact(rows) if isinstance(tower, TfIdf) else build(rows, kind=options.kind)
        return cls(items, columns, index, Evidence.build(texts, ids, known, tower.encode))

    def save(self, folder: Path) -> None:
        """Writes everything into a folder."""
        write_table(self.items, folder / "items.parquet")
        sparse = isinstance(self.index, SparseExact)
        about = {"columns": list(self.columns), "sparse": sparse}
        (folder / "catalogue.json").write_text(json.dumps(about) + "\n", "utf-8")
        self.index.save(folder / "vectors")
        self.evidence.save(folder / "evidence")

    @classmethod
    def load(cls, folder: Path) -> "Catalogue":
        """Reads what `save` wrote.

        Raises:
            InputError: when a file is missing or damaged.
        """
        try:
            about: dict[str, Any] = json.loads((folder / "catalogue.json").read_text("utf-8"))
            vectors = folder / "vectors"
            items, columns = read_table(folder / "items.parquet"), tuple(about["columns"])
            index = SparseExact.load(vectors) if about["sparse"] else load_index(vectors)
            evidence = Evidence.load(folder / "evidence", text_of(items, columns))
            return cls(items, columns, index, evidence)
        except InputError:
            raise
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"the index in {folder} cannot be read ({error}); run `thresher index` again"
            ) from error

    def ids(self, rows: np.ndarray) -> list[str | None]:
        """The item ids of rows; None for row -1."""
        taken = self.items["id"].take(pa.array(np.maximum(rows, 0))).to_pylist()
        return [i if r >= 0 else None for i, r in zip(taken, rows, strict=True)]

    def texts(self, rows: np.ndarray) -> list[str]:
        """The texts of item rows; empty for row -1."""
        taken = text_of(self.items.take(pa.array(np.maximum(rows, 0))), self.columns)
        return [t if r >= 0 else "" for t, r in zip(taken, rows, strict=True)]
