"""TF-IDF over hashed tokens: the baseline that needs no training and that every report shows."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file
from scipy import sparse
from sklearn.preprocessing import normalize

from thresher.data.tokens import Tokens, idf, log_counts
from thresher.errors import InputError


class TfIdf:
    """Texts as sparse unit rows; texts that share rare words and rare pieces of words are close.

    Equation:  x_t = (1 + ln tf_t) (ln((1 + N) / (1 + df_t)) + 1), rows scaled to unit length

    Source:    Salton and Buckley 1988, sublinear tf; the smoothed idf is scikit-learn's.

    Args:
        bits: tokens are hashed to 2 ** bits numbers.
        ngram_range: shortest and longest character n-gram; (0, 0) for none.
    """

    def __init__(self, *, bits: int = 17, ngram_range: tuple[int, int] = (2, 5)) -> None:
        self.tokens = Tokens(bits=bits, ngram_range=tuple(ngram_range))
        self.rarity = np.ones(2**bits, np.float32)

    def start_from(self, texts: Sequence[str]) -> None:
        """Counts in how many of the texts, usually the catalogue's, each token occurs."""
        self.rarity = idf(self.tokens.counts(texts))

    def prepare(self, texts: Sequence[str]) -> sparse.csr_matrix:
        """Token counts of texts."""
        return self.tokens.counts(texts)

    def encode(self, texts: Sequence[str]) -> sparse.csr_matrix:
        """Sparse unit rows [len(texts), 2 ** bits]; a text without a token is a row of zeros."""
        return self.weigh(self.prepare(texts))

    def weigh(self, counts: sparse.csr_matrix) -> sparse.csr_matrix:
        """The same from token counts that are there already."""
        weighed = log_counts(counts).multiply(self.rarity).tocsr()
        return normalize(weighed, copy=False) if weighed.shape[0] else weighed

    def settings(self) -> dict[str, Any]:
        """The constructor's arguments."""
        t = self.tokens
        return {"bits": t.bits, "ngram_range": list(t.ngram_range)}

    def save(self, folder: Path) -> None:
        """Writes `model.safetensors`."""
        save_file({"rarity": self.rarity}, folder / "model.safetensors")

    @classmethod
    def load(cls, folder: Path, **settings: Any) -> "TfIdf":
        """A tower of these settings with the weights that were written."""
        tower = cls(**settings)
        rarity = load_file(folder / "model.safetensors")["rarity"]
        if rarity.shape != tower.rarity.shape:
            raise InputError(f"{folder} holds the weights of another vocabulary, {rarity.shape}")
        tower.rarity = rarity
        return tower
