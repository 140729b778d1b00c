"""Two towers over features: each feature has a vector, side by side they go through layers."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32
from safetensors.torch import load_file, save_file
from scipy import sparse
from torch import Tensor, nn

from thresher.data.dataset import Dataset
from thresher.data.features import Bag, Counted, Schema
from thresher.data.histories import Histories, histories_of
from thresher.data.queries import Queries
from thresher.data.schema import Feature, FeatureOptions
from thresher.errors import InputError
from thresher.towers.bags import Bags, weighted_sums
from thresher.towers.encode import vectors
from thresher.towers.feature_inputs import Features, FeatureTable, QueryTable, Side

_SHORT = 0.3  # of a value's length; 0.1 and 1 were each worse on one of two sets (docs/log.md)


class FeatureTower(nn.Module):
    """Reads items and queries of any features, each side through layers of its own.

    Equation:
        e_f(x) = sum over values t of feature f of x of w_t E_t     d_f where x has no value of f
        z(x)   = normalise(L_n relu(... relu(L_1 [e_1(x); e_2(x); ...])))
    with the weights of `thresher.data.values`. d_f is learnt, one vector for each feature of each
    side: a feature that is missing, and one that is masked (`thresher.data.masking`), is the same
    to the tower. Tables E are shared by the features that name one table, in particular by an
    item's id and the ids in a history. A row is the same alone or in a batch.

    The layers of both sides start from the same numbers where they have the same shape, so that
    an untrained tower ranks items by what they share with the query.

    **Source**: the two towers of Yao et al., *Self-supervised learning for large-scale item
    recommendations*, CIKM 2021, arXiv 2007.12865, section 3: concatenated embeddings, layers, a
    default embedding for a masked feature. Feature dropout in the item tower is their baseline
    "FD", after Volkovs et al., *DropoutNet*, NeurIPS 2017. **Differs**: a missing feature has the
    default embedding too; the start of the layers.

    Args:
        layers: widths of the layers, the last is that of the vectors; (128,) to (1024, 128) is
            usual.
        dropout: share of the numbers of the embeddings left out in training; 0 to 0.5 is usual.
        feature_dropout: share of the features of an item left out in training, each by itself; 0
            to 0.5 is usual.
        seed: of the random start.
    Memory:    values with a vector * width floats; a batch costs its rows. The gradients of the
               tables are sparse: they hold the rows in use.
    Raises:    InputError for a setting out of range.

    Example:
        >>> tower = FeatureTower(layers=(256, 64))
        >>> tower.dim
        64
    """

    def __init__(
        self,
        *,
        layers: tuple[int, ...] = (128,),
        dropout: float = 0.1,
        feature_dropout: float = 0.0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not layers or min(layers) < 1:
            raise InputError(f"tower.layers must be widths of 1 or more, got {list(layers)}")
        for name, share in (("dropout", dropout), ("feature_dropout", feature_dropout)):
            if not 0 <= share < 1:
                raise InputError(f"tower.{name} must lie in [0, 1), got {share}")
        self.widths, self.dim = tuple(layers), layers[-1]
        self.dropout, self.feature_dropout, self.seed = dropout, feature_dropout, seed
        self.embeddings = nn.ParameterList()
        self.defaults = nn.ParameterDict()
        self.layers = nn.ModuleDict()
        self._schema: Schema | None = None
        self._catalogue: tuple[pa.Table, Mapping[str, Bag]] | None = None

    def start_from(self, schema: Schema) -> None:
        """Draws tables and layers for the features of a schema; once, before an optimiser."""
        self._shape(schema)
        generator = torch.Generator().manual_seed(self.seed)
        with torch.no_grad():
            for table in self.embeddings:
                nn.init.normal_(table, std=1 / math.sqrt(table.shape[1]), generator=generator)
            for name, features in self._sides():
                # Short, so that what is missing says little at first. Not zeros: of a row that has
                # nothing but defaults the direction would be 0 / 0, its gradient without bound.
                for part in self.defaults[name].split([f.width for f in features]):
                    nn.init.normal_(part, std=_SHORT / math.sqrt(len(part)), generator=generator)
            for side in self.layers:
                for number, linear in enumerate(self._stack(side), 1):
                    own = torch.Generator().manual_seed(self.seed + number)
                    nn.init.orthogonal_(linear.weight, generator=own)
                    nn.init.zeros_(linear.bias)

    def _shape(self, schema: Schema) -> None:
        self._schema = schema
        self._number = {name: number for number, name in enumerate(schema.readers)}
        widths = {f.table: f.width for f in (*schema.queries, *schema.items)}
        for name, reader in schema.readers.items():
            self.embeddings.append(nn.Parameter(torch.empty(len(reader), widths[name])))
        for side, features in self._sides():
            width = sum(f.width for f in features)
            self.defaults[side] = nn.Parameter(torch.empty(width))
            sizes = pairwise((width, *self.widths))
            self.layers[side] = nn.ModuleList(nn.Linear(m, n) for m, n in sizes)

    def _sides(self) -> Iterable[tuple[Side, Sequence[Feature]]]:
        return (("item", self.known().items), ("query", self.known().queries))

    def _stack(self, side: str) -> Iterable[nn.Linear]:
        return cast(Iterable[nn.Linear], self.layers[side])

    def known(self) -> Schema:
        """The features that it reads.

        Raises:
            InputError: it was given none yet.
        """
        if self._schema is None:
            raise InputError("the tower knows no features yet; give it a schema with start_from")
        return self._schema

    interests = 1
    trained = True

    @property
    def schema(self) -> Schema:
        """What is read of an item and of a query."""
        return self.known()

    def fit(self, data: Dataset, features: FeatureOptions) -> None:
        """Fit the schema to the items and training queries, and draw the start; see `start_from`.

        Raises:
            InputError: a column is absent, empty, or not what it is configured to be.
        """
        train = data.part("train")
        queries = None
        if (table := train.queries.table) is not None:
            counts = np.zeros(len(table), np.int64)
            if train.queries.rows is not None:
                np.add.at(counts, train.queries.rows, train.truth.counts())
            queries = Counted(table, counts, data.queries_path)
        if table is not None and table is data.items:  # queries are items: what is configured of these holds for both
            features = replace(features, query={**features.item, **features.query})
        self.start_from(
            Schema.fitted(
                Counted(data.items, data.part("train").truth.item_counts(), data.items_path),
                queries,
                features,
                histories=train.queries.histories is not None,
            )
        )

    def describe(self, items: pa.Table) -> None:
        """Take a catalogue, to whose rows histories refer from now on.

        Raises:
            InputError: a column is missing, or holds what it may not.
        """
        self._catalogue = items, self.known().of_items(items)

    def catalogue(self) -> tuple[pa.Table, Mapping[str, Bag]]:
        """The items, and the bags of their features.

        Raises:
            InputError: `describe` was not called yet.
        """
        if self._catalogue is None:
            raise InputError("the tower knows no items yet; give it a catalogue with describe")
        return self._catalogue

    def items(self) -> FeatureTable:
        """The inputs of the catalogue."""
        return FeatureTable.of("item", self.catalogue()[1])

    def queries(self, queries: Queries) -> QueryTable:
        """The inputs of queries: their own columns, and what the items of their history have.

        Raises:
            InputError: a column is missing, or holds what it may not.
        """
        schema, (items, bags) = self.known(), self.catalogue()
        own: dict[str, Bags] = {}
        histories, at = queries.histories, None
        if queries.table is not None and queries.rows is not None:
            found = schema.of_queries(queries.table)
            own = {name: Bags.from_csr(_with_nothing(bag)) for name, bag in found.items()}
            at = torch.from_numpy(queries.rows)
            if histories is None and schema.history is not None:
                histories, _ = histories_of(queries.aligned(), schema.history, items)
        read = {f.name for f in schema.queries}
        if histories is None and any(name.startswith("history.") for name in read):
            raise InputError("this model reads histories of users; give events")
        if histories is not None:
            histories = _latest(histories, schema.max_history)
        kept = {name: bag for name, bag in bags.items() if f"history.{name}" in read}
        return QueryTable(own, at, histories, kept)

    def encode(self, inputs: FeatureTable | QueryTable) -> Float32[np.ndarray, "n D"]:
        """Unit rows without dropout and without gradient."""
        return vectors(self, inputs)

    def parameter_groups(self) -> Mapping[str, list[nn.Parameter]]:
        """Parameters by the learning rate they take; gradients of the tables are sparse."""
        return {"table": self.tables(), "layers": self.dense()}

    def features(self, side: Side) -> Sequence[Feature]:
        """The features of a side, in the order of its embedding."""
        return self.known().items if side == "item" else self.known().queries

    def forward(self, inputs: Features) -> Float[Tensor, "n D"]:
        """Unit rows of items or queries."""
        features = self.features(inputs.side)
        defaults = self.defaults[inputs.side].split([f.width for f in features])
        parts = [self._embedded(inputs, f, d) for f, d in zip(features, defaults, strict=True)]
        x = F.dropout(torch.cat(parts, dim=1), self.dropout, self.training)
        *hidden, last = self._stack(inputs.side)
        for linear in hidden:
            x = F.relu(linear(x))
        return F.normalize(last(x), dim=1)

    def _embedded(
        self, inputs: Features, feature: Feature, default: Float[Tensor, " w"]
    ) -> Float[Tensor, "n w"]:
        bags = inputs.bags[feature.name]
        nothing = bags.offsets.diff() == 0
        if self.training and self.feature_dropout and inputs.side == "item":
            nothing = nothing | (torch.rand(len(bags)) < self.feature_dropout)
        if bool(nothing.all()):
            return default.expand(len(bags), -1)
        table = self.embeddings[self._number[feature.table]]
        rows = weighted_sums(table, bags.to(table.device))
        return torch.where(nothing.to(table.device)[:, None], default, rows)

    def tables(self) -> list[nn.Parameter]:
        """The parameters whose gradients are sparse."""
        return list(self.embeddings)

    def dense(self) -> list[nn.Parameter]:
        """All others."""
        return [*self.defaults.parameters(), *self.layers.parameters()]

    def settings(self) -> dict[str, Any]:
        """The constructor's arguments, without the seed, which only the start needs."""
        shares = {"dropout": self.dropout, "feature_dropout": self.feature_dropout}
        return {"layers": list(self.widths), **shares}

    def save(self, folder: Path) -> None:
        """Writes `model.safetensors`, and the schema."""
        if self._schema is not None:
            self._schema.save(folder)
        save_file(self.state_dict(), folder / "model.safetensors")

    @classmethod
    def load(cls, folder: Path, **settings: Any) -> "FeatureTower":
        """A tower of these settings with the weights that were written."""
        tower = cls(**{**settings, "layers": tuple(settings["layers"])})
        tower._shape(Schema.load(folder))
        tower.load_state_dict(load_file(folder / "model.safetensors"))
        return tower


def _latest(histories: Histories, count: int) -> Histories:
    """The last so many events of each row."""
    first = torch.maximum(histories.first, histories.last - count)
    return Histories(histories.items, first, histories.last)


def _with_nothing(bag: Bag) -> Bag:
    """A last row without a value, for a query that the table lacks."""
    return sparse.vstack([bag, sparse.csr_matrix((1, bag.shape[1]), dtype=bag.dtype)], format="csr")
