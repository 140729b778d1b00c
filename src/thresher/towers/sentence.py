"""Any sentence-transformers checkpoint as a tower (extra `text`)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32, Int64
from torch import Tensor, nn

from thresher.errors import InputError


@dataclass(frozen=True)
class Texts:
    """Texts as inputs: the checkpoint's own tokeniser reads them a batch at a time."""

    texts: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, rows: slice) -> "Texts":
        return Texts(self.texts[rows])

    def take(self, rows: Int64[Tensor, " n"]) -> "Texts":
        """The texts of these numbers, in this order."""
        return Texts(tuple(self.texts[i] for i in rows.tolist()))


class SentenceTower(nn.Module):
    """A pre-trained language model as the text tower; slower, and knows synonyms.

    What it saves, sentence-transformers loads: `SentenceTransformer(ARTIFACT/model-.../encoder)`.

    Args:
        checkpoint: name on the hub, or a folder.
        max_tokens: longer texts are cut; 32 is enough for titles. 0 keeps the checkpoint's own.

    Raises:
        InputError: when the extra `text` is not installed or the checkpoint cannot be loaded.
    """

    def __init__(self, *, checkpoint: str, max_tokens: int = 0) -> None:
        super().__init__()
        self.checkpoint, self.max_tokens = checkpoint, max_tokens
        self.encoder = _load(checkpoint)
        if max_tokens:
            self.encoder.max_seq_length = max_tokens
        self.dim = int(self.encoder.get_embedding_dimension() or 0)

    def start_from(self, texts: Sequence[str]) -> None:
        """Nothing: the checkpoint was trained before."""

    def prepare(self, texts: Sequence[str]) -> Texts:
        """Keeps the texts; they are tokenised a batch at a time."""
        return Texts(tuple(texts))

    def forward(self, inputs: Texts) -> Float[Tensor, "rows D"]:
        """Unit rows."""
        tokens = self.encoder.preprocess(list(inputs.texts))
        device = next(self.encoder.parameters()).device
        features = {k: v.to(device) if isinstance(v, Tensor) else v for k, v in tokens.items()}
        return F.normalize(self.encoder(features)["sentence_embedding"], dim=1)

    @torch.no_grad()
    def encode(self, texts: Sequence[str]) -> Float32[np.ndarray, "Q D"]:
        """Unit float32 rows, one a text; sorted by length inside, so little is padded."""
        out = self.encoder.encode(
            list(texts), normalize_embeddings=True, convert_to_numpy=True, show_progress_bar=False
        )
        return out.astype(np.float32).reshape(len(texts), self.dim)

    def settings(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"checkpoint": self.checkpoint, "max_tokens": self.max_tokens}

    def save(self, folder: Path) -> None:
        """Writes `encoder/` as sentence-transformers does."""
        self.encoder.save(str(folder / "encoder"))

    @classmethod
    def load(cls, folder: Path, **settings: Any) -> "SentenceTower":
        """Reads `encoder/` back; the checkpoint that it began from is not needed."""
        tower = cls(**{**settings, "checkpoint": str(folder / "encoder")})
        tower.checkpoint = settings["checkpoint"]
        return tower


def _load(checkpoint: str) -> Any:
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError:
        raise InputError(
            "the tower 'sentence' needs the extra: pip install 'thresher[text]'"
        ) from None
    try:
        return SentenceTransformer(checkpoint)
    except (OSError, ValueError) as error:
        raise InputError(
            f"no sentence-transformers checkpoint {checkpoint!r} could be loaded "
            f"({str(error).splitlines()[0]}); give a folder, or a name on the hub"
        ) from error
