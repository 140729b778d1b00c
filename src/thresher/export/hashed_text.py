"""The text tower as a module of sentence-transformers; a copy of this file lies in the export."""

import math
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from sentence_transformers.sentence_transformer.modules import InputModule

from .encode import Tokeniser

_FILES = ("tokeniser.json", "model.safetensors")


class HashedText(InputModule):
    """The weighted sum of the vectors of a text's tokens; `Normalize` comes after it.

    Args:
        tokeniser: of `tokeniser.json`.
        rows: the table of vectors, [V, D].
        about: the text of `tokeniser.json`, to be written again.
    """

    def __init__(self, tokeniser: Tokeniser, rows: torch.Tensor, about: str) -> None:
        super().__init__()
        self.tokenizer: Any = tokeniser
        self.table = torch.nn.Parameter(rows)
        self._about = about

    def preprocess(
        self, inputs: list[Any], prompt: str | None = None, **_: Any
    ) -> dict[str, torch.Tensor]:
        """Texts as numbers of rows and weights, filled up with a weight of 0."""
        texts = [(prompt or "") + text for text in inputs]
        tokens, weights = self.tokenizer.padded(self.tokenizer.bags(texts))
        return {"input_ids": torch.from_numpy(tokens), "weights": torch.from_numpy(weights)}

    def forward(self, features: dict[str, torch.Tensor], **_: Any) -> dict[str, torch.Tensor]:
        """The sums [n, D] as `sentence_embedding`."""
        sums = F.embedding_bag(
            features["input_ids"], self.table, per_sample_weights=features["weights"], mode="sum"
        )
        features["sentence_embedding"] = sums
        return features

    @property
    def max_seq_length(self) -> float:
        """Texts are read whole."""
        return math.inf

    def get_embedding_dimension(self) -> int:
        """D."""
        return self.table.shape[1]

    def save(self, output_path: str, *_: Any, **__: Any) -> None:
        """Write the table and how a text is read; after more training in single precision."""
        (Path(output_path) / _FILES[0]).write_text(self._about, "utf-8")
        save_file({"table": self.table.detach().contiguous()}, Path(output_path) / _FILES[1])

    @classmethod
    def load(cls, model_name_or_path: str, **where: Any) -> "HashedText":
        """Read what an export, or `save`, wrote."""
        keys = ("subfolder", "token", "cache_folder", "revision", "local_files_only")
        given = {key: where[key] for key in keys if key in where}
        about, weights = (
            str(cls.load_file_path(model_name_or_path, filename=name, **given)) for name in _FILES
        )
        found = load_file(weights)
        rows = found["table"].float()
        if "scale" in found:
            rows = rows * found["scale"][:, None]
        return cls(Tokeniser(about), rows, Path(about).read_text("utf-8"))
