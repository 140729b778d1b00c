"""What is trained: a tower, and what each item has beside what the tower reads."""

from collections.abc import Mapping
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn

from thresher.towers.encode import vectors
from thresher.towers.labels import TABLES, LabelInputs, LabelTable
from thresher.types import Embeddings, Inputs, Table


@final
class RetrievalModel(nn.Module):
    """Encodes queries by a tower, and items by it and by what training learned of each.

    The labels are what an item's vector has beside the tower's (`thresher.towers.labels`), or None.
    """

    def __init__(self, tower: Any, labels: Any = None) -> None:
        super().__init__()
        self.tower, self.labels = tower, labels

    def items(self) -> Table:
        """The items of the tower's catalogue, prepared once."""
        items: Table = self.tower.items()
        if self.labels is None:
            return items
        return LabelTable(items, torch.arange(len(items)))

    def forward(self, inputs: Inputs) -> Tensor:
        """Rows of queries, or of items when the inputs are those of items."""
        if isinstance(inputs, LabelInputs) and self.labels is not None:
            rows: Tensor = self.labels(self.tower(inputs.text), inputs.rows, inputs.own)
            return rows
        encoded: Tensor = self.tower(inputs)
        return encoded

    def vectors(self, inputs: Inputs) -> Float32[np.ndarray, "n V"]:
        """What is searched with, or searched: rows without dropout and without gradient."""
        found = vectors(self, inputs)
        if self.labels is not None:
            # A prototype stands before the text that it is made of.
            found = np.ascontiguousarray(found[:, : self.tower.dim])
        return found

    def parameter_groups(self) -> Mapping[str, list[nn.Parameter]]:
        """Parameters by learning rate: those of the tower, `label` for the items' own vectors."""
        groups = {name: list(own) for name, own in self.tower.parameter_groups().items()}
        for name, parameter in () if self.labels is None else self.labels.named_parameters():
            groups.setdefault("label" if name in TABLES else "layers", []).append(parameter)
        return groups


def halves(embeddings: Embeddings) -> Mapping[str, Float[Tensor, "C D"]]:
    """The views of label prototypes [prototype | text]: item, text, text_minus_prototype."""
    prototype, text = embeddings["item"].chunk(2, dim=1)
    return {"item": prototype, "text": text, "text_minus_prototype": text - prototype}
