"""A customer's history to a unit vector beside those of the items that may come next."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32, Int64
from safetensors.torch import load_file, save_file
from scipy import sparse
from torch import Tensor, nn

from thresher.data.dataset import Dataset
from thresher.data.histories import Histories
from thresher.data.queries import Queries
from thresher.data.schema import Feature, FeatureOptions, Read
from thresher.data.tables import require_columns
from thresher.errors import InputError
from thresher.towers.bags import Bags, weighted_sums
from thresher.towers.encode import vectors
from thresher.towers.interests import Interests
from thresher.towers.item_tokens import ItemTokens
from thresher.towers.windows import CausalAttention, Mean, Recurrent

Kind = Literal["mean", "gru", "attention"]


class HistoryTower(nn.Module):
    """Reads the events of a user, and the items, out of one table of vectors.

    Equation:
        e_i  = E[id_i] + sum over words t of w_it E_t + sum over category values c of w_ic E_c
        z(i) = normalise(e_i)
        z(u) = normalise(encoder(e of the user's events, oldest first) W + b)
    with the weights of `thresher.towers.item_tokens`. An item that no training event names, or that
    was added since, has no E[id]: its words and categories stand for it. The encoder is a mean, a
    recurrent network or causal self-attention (`thresher.towers.windows`); with K interests it is
    K weighted means over what the encoder makes of each event (`thresher.towers.interests`). W
    starts as the identity: untrained, the mean encoder's user is the mean of its items.

    A user without events, and an item of which nothing is known, become rows of zeros: they score
    0 with everything. A row is the same alone or in a batch, whatever stands beside it.

    In training `id_dropout` leaves the id out of some of the items that have words or categories,
    so that these learn to carry an item alone.

    Source:    one table for histories, positives and negatives, the mean and the linear layer: the
               set-up of CROLoss, CIKM 2022, arXiv 2208.02971. Leaving ids out: Volkovs et al.,
               *DropoutNet*, NeurIPS 2017, reconstructed for sums.
    Differs:   words and categories are ours, and the start of W.

    Args:
        encoder: "mean", "gru" or "attention".
        dim: width D of the vectors; 32 to 128 is usual.
        max_history: most events that are read, the last ones; 20 to 50 is usual.
        interests: vectors a user, side by side; 1 to 8 is usual.
        layers: of "gru" and "attention"; 1 or 2 is usual.
        heads: of "attention"; a divisor of dim.
        dropout: of "gru" and "attention", a share of numbers; 0 to 0.5 is usual.
        id_dropout: share of items whose id is left out in training; 0 to 0.5 is usual.
        word_bits: words are hashed to 2 ** word_bits numbers; those in use get a row each.
        seed: of the random start.
    Memory:    (items with a training event + category values + words) * dim floats; a batch the
               distinct items in it and n * max_history * dim floats. The gradient of the table is
               sparse: it holds the rows in use.
    Raises:    InputError for a setting out of range.

    Example:
        >>> tower = HistoryTower(dim=32)
        >>> tower.start_from(items, text_columns=["title"], counts=counts)  # doctest: +SKIP
        >>> tower(Histories.of(sequences, 50)) @ tower(torch.arange(10)).T  # doctest: +SKIP
    """

    def __init__(
        self,
        *,
        encoder: Kind = "mean",
        dim: int = 64,
        max_history: int = 50,
        interests: int = 1,
        layers: int = 1,
        heads: int = 2,
        dropout: float = 0.1,
        id_dropout: float = 0.1,
        word_bits: int = 18,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self._settings: dict[str, Any] = {
            "encoder": encoder,
            "dim": dim,
            "max_history": max_history,
            "interests": interests,
            "layers": layers,
            "heads": heads,
            "dropout": dropout,
            "id_dropout": id_dropout,
            "word_bits": word_bits,
        }
        _check(self._settings)
        self.dim, self.max_history, self.interests = dim, max_history, interests
        self.id_dropout, self.seed = id_dropout, seed
        generator = torch.Generator().manual_seed(seed)
        self.encoder = _encoder(self._settings)
        self.encoder.start(generator)
        self.pooling: Interests | None = None
        if interests > 1:
            self.pooling = Interests(dim, interests=interests, max_history=max_history)
            self.pooling.start(generator)
        self.linear = nn.Linear(dim, dim)
        nn.init.eye_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)
        self._read(ItemTokens.none(bits=word_bits))

    def start_from(
        self,
        items: pa.Table,
        text_columns: Sequence[str],
        category_columns: Sequence[str],
        counts: Int64[np.ndarray, " N"],
    ) -> None:
        """Takes the catalogue and draws a table for what it holds; once, before an optimiser.

        Args:
            items: a column `id`, and those named next; `forward` refers to its rows.
            text_columns: columns that are read as text; none for ids and categories alone.
            category_columns: columns of one value, or of a list of values, an item.
            counts: training events of each item; one without any gets no vector of its own.

        Raises:
            InputError: a column is missing or holds what cannot be read; not one count an item.
        """
        names = {"text_columns": text_columns, "category_columns": category_columns}
        bits = self._settings["word_bits"]
        self._read(ItemTokens.seen_in(items, counts, **names, bits=bits))
        generator = torch.Generator().manual_seed(self.seed + 1)
        nn.init.normal_(self.table, std=1 / math.sqrt(self.dim), generator=generator)
        self.describe(items)

    def describe(self, items: pa.Table) -> None:
        """Takes another catalogue, in any order, to whose rows `forward` refers from now on.

        An item that training did not know is what its words and categories say.

        Raises:
            InputError: a column is missing or holds what cannot be read.
        """
        # The last row, of no item, is what fills up short histories.
        rows = sparse.vstack([self.tokens.of(items), _rows(1, len(self.tokens))], format="csr")
        self.catalogue = Bags.from_csr(rows)

    def forward(self, inputs: Histories | Int64[Tensor, " n"]) -> Float[Tensor, "n V"]:
        """Unit rows of users, or of the items of these rows of the catalogue.

        V is D, and for users with K interests K * D: unit vectors side by side.

        Raises:
            InputError: there is no item of this row in the catalogue.
        """
        if isinstance(inputs, Histories):
            return self._users(inputs)
        vectors, at = self._items(inputs, lowest=0)
        return F.normalize(vectors, dim=1)[at]

    def _users(self, histories: Histories) -> Float[Tensor, "n V"]:
        vectors, at = self._items(histories.table(self.max_history, padding=-1), lowest=-1)
        events = vectors.index_select(0, at.flatten()).view(*at.shape, self.dim)
        lengths = histories.lengths().clamp(max=self.max_history).to(events.device)
        there, lengths = lengths > 0, lengths.clamp(min=1)
        if self.pooling is None:
            users = self.encoder(events, lengths)[:, None]
        else:
            users = self.pooling(self.encoder.states(events, lengths), lengths)
        return (F.normalize(self.linear(users), dim=2) * there[:, None, None]).flatten(1)

    def _items(
        self, rows: Int64[Tensor, "*shape"], *, lowest: int
    ) -> tuple[Float[Tensor, "U D"], Int64[Tensor, "*shape"]]:
        """Vectors of the distinct items among these rows, and where each row's stands."""
        distinct, at = rows.unique(return_inverse=True)
        items = len(self.catalogue) - 1
        if len(distinct) and not lowest <= int(distinct[0]) <= int(distinct[-1]) < items:
            raise InputError(
                f"items {int(distinct[0])} to {int(distinct[-1])} were asked for, and there are "
                f"{items} in the catalogue, numbered from 0; give it to start_from or describe"
            )
        bags = self.catalogue.take(distinct.where(distinct >= 0, items))
        if self.training and self.id_dropout:
            bags = self._without_ids(bags)
        return weighted_sums(self.table, bags.to(self.table.device)), at.to(self.table.device)

    def _without_ids(self, bags: Bags) -> Bags:
        """The id left out of some of the items that have more than an id."""
        left = (torch.rand(len(bags)) < self.id_dropout) & (bags.offsets.diff() > 1)
        # An id is the first token of its item.
        first = bags.offsets[:-1][left]
        weights = bags.weights.clone()
        weights[first[bags.tokens[first] < len(self.tokens.ids)]] = 0
        return replace(bags, weights=weights)

    def tables(self) -> list[nn.Parameter]:
        """The parameters whose gradients are sparse."""
        return [self.table]

    def dense(self) -> list[nn.Parameter]:
        """All others."""
        return [p for p in self.parameters() if p is not self.table]

    def settings(self) -> dict[str, Any]:
        """The constructor's arguments, without the seed, which only the start needs."""
        return dict(self._settings)

    def save(self, folder: Path) -> None:
        """Writes `model.safetensors`, and what its table's rows are to `tokens.parquet`."""
        self.tokens.save(folder / "tokens.parquet")
        save_file(self.state_dict(), folder / "model.safetensors")

    @classmethod
    def load(cls, folder: Path, **settings: Any) -> "HistoryTower":
        """A tower of these settings with the weights that were written; it needs `describe`."""
        tower = cls(**settings)
        tower._read(ItemTokens.load(folder / "tokens.parquet"))
        tower.load_state_dict(load_file(folder / "model.safetensors"))
        return tower

    trained = True

    @property
    def schema(self) -> Read:
        """What is read of an item, and of a user."""
        tokens = self.tokens
        kinds = [("id", "id"), *((name, "words") for name in tokens.text_columns)]
        kinds += [(name, "categories") for name in tokens.category_columns]
        items = tuple(Feature(name=name, kind=kind) for name, kind in kinds)
        return Read(items, (Feature(name="history", kind="history"),))

    def fit(self, data: Dataset, features: FeatureOptions) -> None:
        """Take the catalogue and draw the table; see `start_from`.

        Raises:
            InputError: queries have no history, or a column cannot be read.
        """
        if data.part("train").queries.histories is None:
            raise InputError(
                "this tower reads histories, and queries have none; name events in [data], or "
                "set tower.kind = 'features'"
            )
        chosen = {n: f for n in features.item if (f := features.configured("item", n)) is not None}
        categories = [n for n, f in chosen.items() if f.kind in ("category", "categories")]
        texts = [n for n, f in chosen.items() if f.kind in ("words", "text")]
        texts = [*(n for n in data.item_text if n not in texts), *texts]
        for name in (*texts, *categories):
            require_columns(data.items, [name], data.items_path)
        self.start_from(data.items, texts, categories, data.item_counts())

    def items(self) -> Int64[Tensor, " N"]:
        """The inputs of the catalogue: its row numbers."""
        return torch.arange(len(self.catalogue) - 1)

    def queries(self, queries: Queries) -> Histories:
        """The inputs of users.

        Raises:
            InputError: they have no history.
        """
        if queries.histories is None:
            raise InputError("this model reads histories of users; give events")
        return queries.histories

    def encode(self, inputs: Histories | Int64[Tensor, " n"]) -> Float32[np.ndarray, "n V"]:
        """Unit rows without dropout and without gradient."""
        return vectors(self, inputs)

    def parameter_groups(self) -> Mapping[str, list[nn.Parameter]]:
        """Parameters by the learning rate they take; gradients of the table are sparse."""
        return {"table": self.tables(), "layers": self.dense()}

    def _read(self, tokens: ItemTokens) -> None:
        """A table for these tokens, not yet drawn, and a catalogue of no item."""
        self.tokens = tokens
        self.table = nn.Parameter(torch.empty(len(tokens), self.dim))
        self.catalogue = Bags.from_csr(_rows(1, len(tokens)))


def _rows(count: int, columns: int) -> sparse.csr_matrix:
    return sparse.csr_matrix((count, columns), dtype=np.float32)


def _encoder(settings: Mapping[str, Any]) -> Mean | Recurrent | CausalAttention:
    if settings["encoder"] == "mean":
        return Mean()
    sizes = {name: settings[name] for name in ("layers", "dropout")}
    if settings["encoder"] == "gru":
        return Recurrent(settings["dim"], **sizes)
    return CausalAttention(
        settings["dim"], heads=settings["heads"], max_history=settings["max_history"], **sizes
    )


def _check(settings: Mapping[str, Any]) -> None:
    if settings["encoder"] not in get_args(Kind):
        raise InputError(
            f"encoder is {settings['encoder']!r}; choose one of {', '.join(get_args(Kind))}"
        )
    for name in ("dim", "max_history", "interests", "layers", "heads"):
        if settings[name] < 1:
            raise InputError(f"{name} must be at least 1, got {settings[name]}")
    for name in ("dropout", "id_dropout"):
        if not 0 <= settings[name] < 1:
            raise InputError(f"{name} must lie in [0, 1), got {settings[name]}")
    if settings["encoder"] == "attention" and settings["dim"] % settings["heads"]:
        raise InputError(
            f"dim {settings['dim']} cannot be shared by {settings['heads']} heads; give a divisor"
        )
