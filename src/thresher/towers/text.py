"""Text to a unit vector through a bag of hashed tokens, each with a vector of its own."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from thresher.data.tokens import Tokens, idf, log_counts
from thresher.errors import InputError
from thresher.towers.bags import Bags, weighted_sums
from thresher.towers.encode import vectors


class BagTower(nn.Module):
    """A fast text tower: it reads words, pieces of words and product codes, in any language.

    Equation:  h(x) = normalise( sum_t (1 + ln tf_t) E_t )
    where t runs over the hashed tokens of the text and E_t is the token's vector, whose length is
    the token's weight. The lengths start from the idf of the texts given to `start_from`, so the
    untrained tower is a random projection of TF-IDF.

    Args:
        dim: width D of the vectors; 128 to 512 is usual.
        bits: tokens are hashed to 2 ** bits rows of the table.
        ngram_range: shortest and longest character n-gram; (0, 0) for none.
        token_dropout: share of a text's tokens left out at random in training.
        seed: of the table's random start.
    Memory:    2 ** bits * dim floats.
    Source:    bag of n-grams as in Joulin et al. 2017 (fastText); the start from idf is ours.
    """

    def __init__(
        self,
        *,
        dim: int = 256,
        bits: int = 17,
        ngram_range: tuple[int, int] = (2, 3),
        token_dropout: float = 0.2,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not 0 <= token_dropout < 1:
            raise InputError(f"token_dropout must lie in [0, 1), got {token_dropout}")
        if dim < 1:
            raise InputError(f"dim must be at least 1, got {dim}")
        self.dim = dim
        self.tokens = Tokens(bits=bits, ngram_range=tuple(ngram_range))
        self.token_dropout = token_dropout
        table = torch.empty(2**bits, dim)
        nn.init.normal_(
            table, std=1 / math.sqrt(dim), generator=torch.Generator().manual_seed(seed)
        )
        self.table = nn.Parameter(table)

    def start_from(self, texts: Sequence[str]) -> None:
        """Scales the token vectors by the idf of these texts; call it once, before training."""
        with torch.no_grad():
            self.table.mul_(torch.from_numpy(idf(self.tokens.counts(texts)))[:, None])

    def prepare(self, texts: Sequence[str]) -> Bags:
        """Tokenises once; what it returns can be cut into rows and given to `forward`."""
        return Bags.from_csr(log_counts(self.tokens.counts(texts)))

    def forward(self, bags: Bags) -> Float[Tensor, "rows D"]:
        """Unit rows; a text without a token becomes a row of zeros."""
        bags = bags.to(self.table.device)
        weights = F.dropout(bags.weights, self.token_dropout, self.training)
        return F.normalize(weighted_sums(self.table, replace(bags, weights=weights)), dim=1)

    def encode(self, texts: Sequence[str]) -> Float32[np.ndarray, "Q D"]:
        """Unit float32 rows, one a text; the same whether texts come one by one or together."""
        # Blocks of texts, so that the tokens of a large table are never held all at once.
        blocks = [texts[i : i + 65536] for i in range(0, len(texts), 65536)]
        rows = [vectors(self, self.prepare(block)) for block in blocks]
        return np.concatenate(rows) if rows else np.zeros((0, self.dim), np.float32)

    def settings(self) -> dict[str, Any]:
        """The constructor's arguments, without the seed, which only the start needs."""
        t = self.tokens
        sizes = {"bits": t.bits, "ngram_range": list(t.ngram_range)}
        return {"dim": self.dim, **sizes, "token_dropout": self.token_dropout}

    def save(self, folder: Path) -> None:
        """Writes `model.safetensors`."""
        save_file(self.state_dict(), folder / "model.safetensors")

    @classmethod
    def load(cls, folder: Path, **settings: Any) -> "BagTower":
        """A tower of these settings with the weights that were written."""
        tower = cls(**settings)
        tower.load_state_dict(load_file(folder / "model.safetensors"))
        return tower
