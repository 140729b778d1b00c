"""The two sides of a matching: one text tower for both, and what items have beside their text."""

from collections.abc import Mapping
from typing import Any, final

import numpy as np
from jaxtyping import Float, Float32
from torch import Tensor, nn

from thresher.towers.encode import vectors
from thresher.towers.labels import LabelInputs
from thresher.types import Embeddings, Inputs


@final
class RetrievalModel(nn.Module):
    """Encodes queries by their text, and items by their text and what training learnt of each.

    Args:
        tower: text to unit rows of `tower.dim` numbers, for queries and items alike.
        labels: what an item's vector has beside its text (`thresher.towers.labels`); nothing when
            left out.
    """

    def __init__(self, tower: Any, labels: nn.Module | None = None) -> None:
        super().__init__()
        self.tower, self.labels = tower, labels

    def forward(self, inputs: Inputs) -> Tensor:
        """Rows of queries, or of items when the inputs are those of items."""
        if isinstance(inputs, LabelInputs) and self.labels is not None:
            rows: Tensor = self.labels(self.tower(inputs.text), inputs.rows, inputs.own)
            return rows
        text: Tensor = self.tower(inputs)
        return text

    def vectors(self, inputs: Inputs) -> Float32[np.ndarray, "n D"]:
        """What is searched with, or searched: rows without dropout and without gradient."""
        # A prototype stands before the text that it is made of.
        return np.ascontiguousarray(vectors(self, inputs)[:, : self.tower.dim])


def halves(embeddings: Embeddings) -> Mapping[str, Float[Tensor, "C D"]]:
    """The views of label prototypes [prototype | text]: item, text, and text - prototype."""
    prototype, text = embeddings["item"].chunk(2, dim=1)
    return {"item": prototype, "text": text, "text_minus_prototype": text - prototype}
