"""One text encoder for both sides: queries and items are the text of their columns."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from torch import Tensor, nn

from thresher.data.dataset import Dataset
from thresher.data.queries import Queries
from thresher.data.schema import Feature, FeatureOptions, Read
from thresher.data.tables import text_of
from thresher.errors import InputError
from thresher.towers.encode import vectors
from thresher.towers.sentence import SentenceTower
from thresher.towers.text import BagTower
from thresher.towers.tfidf import TfIdf
from thresher.types import Inputs, Table

BLOCK = 65_536  # texts whose tokens are held at a time
TEXT_ENCODERS: Mapping[str, Any] = {"bag": BagTower, "tfidf": TfIdf, "sentence": SentenceTower}


class TextTower(nn.Module):
    """Reads the text of queries and items through one encoder.

    Args:
        encoder: text to unit vectors, one of `TEXT_ENCODERS`.
    """

    interests = 1

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.encoder = encoder
        self.query_text: tuple[str, ...] = ()
        self.item_text: tuple[str, ...] = ()
        self._items: list[str] = []

    @property
    def dim(self) -> int:
        """Width of the vectors; the number of hashed tokens of sparse ones."""
        return int(getattr(self.encoder, "dim", 0))

    @property
    def trained(self) -> bool:
        """Whether there is anything to train."""
        return isinstance(self.encoder, nn.Module)

    @property
    def schema(self) -> Read:
        """What is read of either side."""
        return Read(*(tuple(Feature(name=n, kind="text") for n in side) for side in self._columns))

    @property
    def _columns(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        return self.item_text, self.query_text

    def fit(self, data: Dataset, features: FeatureOptions) -> None:
        """Take what the encoder needs from the texts of items and training queries.

        Raises:
            InputError: one side has no text.
        """
        if not data.item_text or not data.query_text:
            side = "items" if not data.item_text else "queries"
            raise InputError(
                f"this tower reads text, and the {side} have no column title, text or name; name "
                f"one in data.{'item' if side == 'items' else 'query'}_text, or set "
                "tower.kind = 'features'"
            )
        self.item_text, self.query_text = data.item_text, data.query_text
        queries = data.part("train").queries.text(data.query_text)
        self.encoder.start_from([*text_of(data.items, data.item_text), *queries])

    def describe(self, items: pa.Table) -> None:
        """Take a catalogue, whose inputs `items` gives from now on."""
        self._items = text_of(items, self.item_text)

    def items(self) -> Table:
        """The inputs of the catalogue."""
        prepared: Table = self.encoder.prepare(self._items)
        return prepared

    def queries(self, queries: Queries) -> Table:
        """The inputs of queries."""
        prepared: Table = self.encoder.prepare(queries.text(self.query_text))
        return prepared

    def forward(self, inputs: Inputs) -> Tensor:
        """Unit rows of queries or items."""
        rows: Tensor = self.encoder(inputs)
        return rows

    def encode(self, inputs: Any) -> Any:
        """Unit rows without dropout and gradient; sparse ones of an encoder that is not trained."""
        return vectors(self, inputs) if self.trained else self.encoder.weigh(inputs)

    def texts(self, texts: Sequence[str]) -> Any:
        """Unit rows of texts."""
        return self.encoder.encode(texts)

    def parameter_groups(self) -> Mapping[str, list[nn.Parameter]]:
        """Parameters by the learning rate that they take."""
        return {"table": list(self.parameters())}

    def settings(self) -> dict[str, Any]:
        """The encoder's arguments, without the seed, which only the start needs."""
        settings: dict[str, Any] = self.encoder.settings()
        return settings

    def save(self, folder: Path) -> None:
        """Write the weights, and which columns are read."""
        self.encoder.save(folder)
        columns = {"item_text": self.item_text, "query_text": self.query_text}
        (folder / "columns.json").write_text(json.dumps(columns) + "\n", "utf-8")

    @classmethod
    def load(cls, encoder: Any, folder: Path) -> "TextTower":
        """A tower with an encoder that was read, and the columns that were written."""
        tower = cls(encoder)
        columns = json.loads((folder / "columns.json").read_text("utf-8"))
        tower.item_text, tower.query_text = map(tuple, columns.values())
        return tower

    def to(self, *args: Any, **kwargs: Any) -> "TextTower":
        """Move the encoder, where there is anything to move."""
        if self.trained:
            super().to(*args, **kwargs)
        return self

    def device(self) -> torch.device:
        """Where the encoder is."""
        return next(self.parameters()).device
