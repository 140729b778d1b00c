"""TF-IDF over hashed tokens: the baseline that needs no training and that every report shows."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from safetensors.numpy import load_file, save_file
from scipy import sparse
from torch import nn

from thresher.data.dataset import Dataset
from thresher.data.queries import Queries
from thresher.data.tables import text_of
from thresher.data.tokens import Tokens, idf, log_counts
from thresher.errors import InputError
from thresher.towers.encoders.base import unit
from thresher.towers.features import FeatureOptions
from thresher.towers.schema import Schema, text_schema


class TfIdf:
    """Texts as sparse unit rows; texts that share rare words and rare pieces of words are close.

    Equation:  x_t = (1 + ln tf_t) (ln((1 + N) / (1 + df_t)) + 1), rows scaled to unit length

    Source:    Salton and Buckley 1988, sublinear tf; the smoothed idf is scikit-learn's.

    Args:
        bits: tokens are hashed to 2 ** bits numbers.
        ngram_range: shortest and longest character n-gram; (0, 0) for none.
    """

    trained, interests = False, 1

    def __init__(self, *, bits: int = 17, ngram_range: tuple[int, int] = (2, 5)) -> None:
        self.tokens = Tokens(bits=bits, ngram_range=tuple(ngram_range))
        self.dim = 2**bits
        self.rarity = np.ones(2**bits, np.float32)
        self.schema = Schema((), (), None, {})
        self._items = sparse.csr_matrix((0, self.dim), dtype=np.float32)

    def fit(self, data: Dataset, features: FeatureOptions) -> None:
        """Counts in how many items and training queries each token occurs."""
        self.schema = text_schema(data)
        queries = data.part("train").queries.text(data.query_text)
        self.rarity = idf(self.tokens.counts([*text_of(data.items, data.item_text), *queries]))
        self.describe(data.items)

    def describe(self, items: pa.Table) -> None:
        """Takes a catalogue."""
        self._items = self.tokens.counts(text_of(items, self.schema.items[0].columns))

    def items(self) -> Any:
        """Token counts of the items."""
        return self._items

    def queries(self, queries: Queries) -> Any:
        """Token counts of queries."""
        return self.tokens.counts(queries.text(self.schema.queries[0].columns))

    def encode(self, inputs: sparse.csr_matrix) -> sparse.csr_matrix:
        """Sparse unit rows [n, 2 ** bits]; a text without a token is a row of zeros."""
        weighed = log_counts(inputs).multiply(self.rarity).tocsr()
        return unit(weighed)

    def parameter_groups(self) -> Mapping[str, list[nn.Parameter]]:
        """None."""
        return {}

    def settings(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"bits": self.tokens.bits, "ngram_range": list(self.tokens.ngram_range)}

    def save(self, folder: Path) -> None:
        """Writes `model.safetensors` and the text columns."""
        self.schema.save(folder)
        save_file({"rarity": self.rarity}, folder / "model.safetensors")

    @classmethod
    def load(cls, folder: Path, **settings: Any) -> "TfIdf":
        """A tower of these settings as it was written; it needs `describe`."""
        settings["ngram_range"] = tuple(settings["ngram_range"])
        tower = cls(**settings)
        tower.schema = Schema.load(folder)
        rarity = load_file(folder / "model.safetensors")["rarity"]
        if rarity.shape != tower.rarity.shape:
            raise InputError(f"{folder} holds the weights of another vocabulary, {rarity.shape}")
        tower.rarity = rarity
        return tower
