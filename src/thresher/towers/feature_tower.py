"""One tower for queries and items of any features: text, brand, price, a picture, a history."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import pyarrow as pa
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Float32
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from thresher.data.dataset import Dataset
from thresher.data.histories import Histories, histories_of
from thresher.data.queries import Queries
from thresher.data.tokens import Tokens
from thresher.errors import InputError
from thresher.towers.bags import Bags, weighted_sums
from thresher.towers.encode import vectors
from thresher.towers.encoders.base import Bag
from thresher.towers.features import Feature, FeatureOptions, Side
from thresher.towers.history import HistoryEncoder, HistoryKind, check_history
from thresher.towers.inputs import Features, QueryTable
from thresher.towers.item_parts import ItemParts, item_parts
from thresher.towers.quantised import quantised, read_tables, restored, write_tables
from thresher.towers.schema import Schema
from thresher.towers.sums import Part, unit_sums
from thresher.types import Inputs

Combine = Literal["sum", "concat"]

WIDEST = 65_536  # numbers of a vector, and whatever else is counted in [tower]
_ROWS = 4096  # rows that are encoded at a time
_SHORT = 0.3  # of a value's length; 0.1 and 1 were each worse on one of two sets (docs/log.md)


class FeatureTower(nn.Module):
    """Reads items and queries of any features through one tower.

    Equation, with the weights w and tables E of `thresher.towers.encoders`, shared by both sides:
        e_f(x) = sum over values t of feature f of x of w_t E_t
    "sum":
        z(x)   = normalise(sum_f e_f(x) + u(x))
    where u is what the encoder of histories makes of the items that a query had
    (`thresher.towers.history`), each as sum_f e_f. What is missing adds nothing; a row of which
    nothing is known becomes one of zeros, and scores 0 with everything.
    "concat":
        z(x)   = normalise(L_n relu(... relu(L_1 [e_1(x); e_2(x); ...])))
    with layers for each side, whose features are as wide as each is configured; of a history the
    features of its items are averaged. A missing feature has a learned default d_f. The layers of
    both sides start from the same numbers where they have the same shape, so that an untrained
    tower ranks items by what they share with the query.

    A sum learns from few labels, and reads text well; layers find what features say together, of
    sides that have little in common. A row is the same alone or in a batch.

    Source:    "sum" of a text: the bag of n-grams of Joulin et al. 2017 (fastText); of histories:
               the set-up of CROLoss, CIKM 2022, arXiv 2208.02971; leaving ids out: Volkovs et al.,
               *DropoutNet*, NeurIPS 2017, reconstructed for sums. "concat" and feature dropout: the
               two towers of Yao et al., CIKM 2021, arXiv 2007.12865, section 3.
    Differs:   one table for both sides; in a concatenation a missing feature has the default of a
               masked one; the start of every layer.

    Args:
        combine: "sum", or "concat" with layers.
        dim: width D of the vectors; 128 to 512 is usual for text, 32 to 128 for histories.
        layers: widths of the hidden layers of "concat"; () or (1024,) is usual.
        encoder: of histories in a sum: "mean", "gru" or "attention".
        encoder_layers: of "gru" and "attention"; 1 or 2 is usual.
        heads: of "attention"; a divisor of dim.
        interests: vectors a query, from its history, side by side; 1 to 8 is usual.
        max_history: most items of a history that are read, the last ones; 20 to 50 is usual.
        dropout: share of numbers left out in training: of the embeddings of "concat", of the
            events of "gru" and "attention"; 0 to 0.5 is usual.
        token_dropout: share of the tokens of a "text" left out in training.
        id_dropout: share of the items of a sum whose id is left out in training, where more than
            the id is known; 0 to 0.5 is usual.
        feature_dropout: share of the features of an item left out in training, each by itself; 0
            to 0.5 is usual.
        ngram_range: shortest and longest character n-gram of a "text"; (0, 0) for none.
        bits: the tokens of a "text" are hashed to 2 ** bits numbers; those seen get a vector each.
        seed: of the random start.
    Memory:    values with a vector * width floats; a batch costs its rows, and with histories its
               distinct items and n * max_history * D floats. The gradients of the tables are
               sparse: they hold the rows in use.
    Raises:    InputError for a setting out of range.

    Example:
        >>> FeatureTower(combine="concat", layers=(256,), dim=64).dim
        64
    """

    trained = True

    def __init__(
        self,
        *,
        combine: Combine = "sum",
        dim: int = 256,
        layers: tuple[int, ...] = (),
        encoder: HistoryKind = "mean",
        encoder_layers: int = 1,
        heads: int = 2,
        interests: int = 1,
        max_history: int = 50,
        dropout: float = 0.1,
        token_dropout: float = 0.2,
        id_dropout: float = 0.1,
        feature_dropout: float = 0.0,
        ngram_range: tuple[int, int] = (2, 3),
        bits: int = 17,
        seed: int = 0,
    ) -> None:
        given = {k: v for k, v in locals().items() if k not in ("self", "__class__")}
        super().__init__()
        _check(given)
        self._settings = {k: v for k, v in given.items() if k != "seed"}
        self.combine, self.dim, self.interests, self.seed = combine, dim, interests, seed
        self.max_history = max_history
        self.dropout, self.token_dropout = dropout, token_dropout
        self.id_dropout, self.feature_dropout = id_dropout, feature_dropout
        self.schema = Schema((), (), None, {})
        self.tables = nn.ParameterList()
        self.defaults = nn.ParameterDict()
        self.layers = nn.ModuleDict()
        self.history: HistoryEncoder | None = None
        self._catalogue: Features | None = None

    def fit(self, data: Dataset, features: FeatureOptions) -> None:
        """Takes the features of a dataset and draws the start; once, before an optimiser.

        InputError as `Schema.fit`: a column is missing or holds what it may not.
        """
        keys = ("combine", "dim", "bits", "ngram_range")
        events = data.part("train").queries.histories is not None
        schema = Schema.fit(data, features, **{k: self._settings[k] for k in keys})
        self._shape(schema, histories=events or schema.history is not None)
        # The encoder of histories, where there is one, draws from the seed itself.
        generator = torch.Generator().manual_seed(self.seed + (self.history is not None))
        with torch.no_grad():
            for table, encoder in zip(self.tables, schema.encoders.values(), strict=True):
                table.copy_(encoder.start(table.shape[1], generator))
            for side, default in self.defaults.items():
                # Short, so that what is missing says little at first. Not zeros: of a row that has
                # nothing but defaults the direction would be 0 / 0, its gradient without bound.
                for part in default.split([f.width for f in schema.features(cast(Side, side))]):
                    nn.init.normal_(part, std=_SHORT / math.sqrt(len(part)), generator=generator)
            for side in self.layers:
                for number, linear in enumerate(self._stack(side), 1):
                    own = torch.Generator().manual_seed(self.seed + number)
                    nn.init.orthogonal_(linear.weight, generator=own)
                    nn.init.zeros_(linear.bias)
        self.describe(data.items)

    def _shape(self, schema: Schema, *, histories: bool) -> None:
        self.schema, self._histories = schema, histories
        if not histories and self.interests > 1:
            raise InputError(
                f"tower.interests is {self.interests}, and queries have no history; leave it out"
            )
        self._number = {name: number for number, name in enumerate(schema.encoders)}
        widths = {f.table: f.width for f in (*schema.queries, *schema.items)}
        for name, encoder in schema.encoders.items():
            self.tables.append(nn.Parameter(torch.empty(len(encoder), widths[name])))
        if self.combine == "concat":
            for side, features in (("item", schema.items), ("query", schema.queries)):
                width = sum(f.width for f in features)
                self.defaults[side] = nn.Parameter(torch.empty(width))
                sizes = pairwise((width, *self._settings["layers"], self.dim))
                self.layers[side] = nn.ModuleList(nn.Linear(m, n) for m, n in sizes)
        elif histories:
            keys = ("encoder", "heads", "interests", "max_history", "dropout")
            given = {k: self._settings[k] for k in keys}
            layers = self._settings["encoder_layers"]
            self.history = HistoryEncoder(self.dim, layers=layers, seed=self.seed, **given)

    def describe(self, items: pa.Table) -> None:
        """Takes a catalogue, to whose rows histories refer; InputError for a column as in `fit`."""
        self._items = items
        self._catalogue = Features.of("item", self.schema.read("item", items))

    def items(self) -> Features:
        """The items of the catalogue; InputError where there is none yet."""
        if self._catalogue is None:
            raise InputError("the tower has no catalogue yet; call fit or describe first")
        return self._catalogue

    def parts(self, *, masked: bool) -> ItemParts:
        """The parts of the items of the catalogue, for views; see `item_parts`."""
        return item_parts(self.schema, self._items, self.items(), masked=masked)

    def queries(self, queries: Queries) -> QueryTable:
        """Queries, prepared once; InputError for a column as in `fit`."""
        table, rows, histories = queries.table, queries.rows, queries.histories
        own: Mapping[str, Bags] = {
            f.name: Bags.empty(0) for f in self.schema.queries if not f.name.startswith("history.")
        }
        if table is not None and own:
            own = Features.of("query", self.schema.read("query", table)).bags
        if rows is None:
            rows = np.full(len(queries), -1)
        if not self._histories:
            histories = None
        elif histories is None and table is not None and self.schema.history in table.column_names:
            every, _ = histories_of(table, str(self.schema.history), self._items)
            histories = every.take(rows)
        elif histories is None:
            nothing = torch.zeros(len(queries), dtype=torch.int64)
            histories = Histories(nothing[:0], nothing, nothing)
        averaged = None
        if self.combine == "concat" and histories is not None:
            averaged = self._averaged()
        shares = self.history is not None and self.interests == 1
        run = max(1, self.max_history // 2) if shares else 1
        return QueryTable(own, torch.from_numpy(rows), histories, averaged, self.max_history, run)

    def _averaged(self) -> dict[str, Bag]:
        """The bags of the items of which a history has the average."""
        widths = {f.name: len(self.schema.encoders[f.table]) for f in self.schema.items}
        names = [f.name[8:] for f in self.schema.queries if f.name.startswith("history.")]
        return {name: self.items().bags[name].csr(widths[name]) for name in names}

    def forward(self, inputs: Features) -> Float[Tensor, "n V"]:
        """Unit rows; of queries with K interests K unit rows of D numbers side by side."""
        if self.combine == "concat":
            return self._concatenated(inputs)
        rows = self._sum(inputs)
        if inputs.histories is None:
            return F.normalize(rows, dim=1)
        return F.normalize(rows[:, None] + self._users(inputs.histories), dim=2).flatten(1)

    def encode(self, inputs: Inputs) -> Float32[np.ndarray, "n V"]:
        """See `Tower`; sums without histories by the loops of `thresher.towers.sums`."""
        if self.combine == "concat" or self._histories or self.tables[0].device.type != "cpu":
            return vectors(self, inputs)
        starts = range(0, max(len(inputs), 1), _ROWS)
        parts = [self._unit_sums(cast(Features, inputs[i : i + _ROWS])) for i in starts]
        return np.concatenate(parts)

    def _unit_sums(self, inputs: Features) -> Float32[np.ndarray, "n D"]:
        parts: list[Part] = []
        for feature in self.schema.features(inputs.side):
            table, bags = self.tables[self._number[feature.table]], inputs.bags[feature.name]
            rows, weights, start = bags.tokens.numpy(), bags.weights.numpy(), bags.offsets.numpy()
            parts.append((table.detach().numpy(), rows, weights, start))
        return unit_sums(parts, len(inputs), self.dim)

    def _sum(self, inputs: Features) -> Float[Tensor, "n D"]:
        hidden = self._hidden(inputs)
        total = torch.zeros(len(inputs), self.dim, device=self.tables[0].device)
        for feature in self.schema.features(inputs.side):
            gone = None if hidden is None else hidden[feature.name]
            total = total + self._embedded(inputs, feature, gone)
        return total

    def _users(self, histories: Histories) -> Float[Tensor, "n K D"]:
        """What the encoder makes of histories; each of their items is encoded once."""
        items = self.items()
        padded = Features("item", {name: bags.padded() for name, bags in items.bags.items()})

        def encoded(rows: Tensor) -> Tensor:
            if len(rows) and int(rows.max()) >= len(items):
                raise InputError(
                    f"a history names item row {int(rows.max())}, and the catalogue has "
                    f"{len(items)} items; call describe with the catalogue that it refers to"
                )
            # What fills up short histories is nothing.
            return self._sum(padded.take(rows.where(rows >= 0, len(items))))

        return cast(HistoryEncoder, self.history).read(histories, encoded)

    def _concatenated(self, inputs: Features) -> Float[Tensor, "n D"]:
        features = self.schema.features(inputs.side)
        defaults = self.defaults[inputs.side].split([f.width for f in features])
        hidden = self._hidden(inputs)
        parts = []
        unknown = torch.ones(len(inputs), dtype=torch.bool)
        for feature, default in zip(features, defaults, strict=True):
            nothing = inputs.bags[feature.name].offsets.diff() == 0
            unknown &= nothing.cpu()
            if hidden is not None:
                nothing = nothing | hidden[feature.name]
            rows = self._embedded(inputs, feature, None)
            parts.append(torch.where(nothing.to(rows.device)[:, None], default, rows))
        x = F.dropout(torch.cat(parts, dim=1), self.dropout, self.training)
        *between, last = self._stack(inputs.side)
        for linear in between:
            x = F.relu(linear(x))
        rows = F.normalize(last(x), dim=1)
        if self.training or inputs.side == "item":
            return rows
        # Of a query of which nothing is known the layers would make something all the same.
        return rows.masked_fill(unknown.to(rows.device)[:, None], 0.0)

    def _embedded(
        self, inputs: Features, feature: Feature, gone: Bool[Tensor, " n"] | None
    ) -> Float[Tensor, "n w"]:
        """What is known of one feature, zeros where it is missing or gone."""
        table = self.tables[self._number[feature.table]]
        bags = inputs.bags[feature.name]
        if feature.kind == "text":
            bags = bags.weighed(F.dropout(bags.weights, self.token_dropout, self.training))
        if gone is not None and bool(gone.any()):
            kept = ~gone.repeat_interleave(bags.offsets.diff())
            bags = bags.weighed(bags.weights * kept)
        if self.training:
            bags = bags.weighty()
        if not len(bags.tokens):
            return torch.zeros(len(bags), table.shape[1], device=table.device)
        return weighted_sums(table, bags.to(table.device))

    def _hidden(self, inputs: Features) -> dict[str, Bool[Tensor, " n"]] | None:
        """Which features of which items are left out in training; None for none."""
        if not self.training or inputs.side != "item":
            return None
        hidden = {name: torch.zeros(len(inputs), dtype=torch.bool) for name in inputs.bags}
        if self.feature_dropout:
            hidden = {n: torch.rand(len(inputs)) < self.feature_dropout for n in inputs.bags}
        ids = [f.name for f in self.schema.items if f.kind == "id"]
        if self.combine == "sum" and self.id_dropout and ids:
            others = [b.offsets.diff() > 0 for n, b in inputs.bags.items() if n not in ids]
            if others:
                left = (torch.rand(len(inputs)) < self.id_dropout) & torch.stack(others).any(0)
                hidden |= {name: hidden[name] | left for name in ids}
        return hidden

    def _stack(self, side: str) -> Sequence[nn.Linear]:
        return [cast(nn.Linear, layer) for layer in cast(nn.ModuleList, self.layers[side])]

    def parameter_groups(self) -> Mapping[str, list[nn.Parameter]]:
        """The tables, whose gradients are sparse, and all others."""
        layers = [p for name, p in self.named_parameters() if not name.startswith("tables.")]
        return {"table": list(self.tables), "layers": layers}

    def settings(self) -> dict[str, Any]:
        """The constructor's arguments, without the seed, which only the start needs."""
        return dict(self._settings)

    @torch.no_grad()
    def quantise(self) -> None:
        """Rounds the tables, once trained, to eight bits a number; see `quantised`."""
        for table in self.tables:
            table.copy_(torch.from_numpy(restored(*quantised(table.detach().cpu().numpy()))))

    def save(self, folder: Path) -> None:
        """Writes the schema, the tables, and all other weights to `model.safetensors`."""
        self.schema.save(folder)
        write_tables([table.detach().cpu().numpy() for table in self.tables], folder)
        metadata = {"histories": str(int(self._histories))}
        state = {k: v for k, v in self.state_dict().items() if not k.startswith("tables.")}
        save_file(state, folder / "model.safetensors", metadata=metadata)

    @classmethod
    def load(cls, folder: Path, **settings: Any) -> "FeatureTower":
        """A tower of these settings with the weights that were written; it needs `describe`."""
        given: Any = {k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()}
        tower = cls(**given)
        with safe_open(str(folder / "model.safetensors"), "pt") as file:
            histories = file.metadata()["histories"] == "1"
        tower._shape(Schema.load(folder), histories=histories)
        state = load_file(folder / "model.safetensors")
        for number, table in enumerate(read_tables(folder)):
            whole = restored(*table) if isinstance(table, tuple) else table.copy()
            state[f"tables.{number}"] = torch.from_numpy(whole)
        tower.load_state_dict(state)
        return tower


def _check(given: Mapping[str, Any]) -> None:
    for name in ("dim", "encoder_layers", "heads", "interests", "max_history"):
        if not 1 <= given[name] <= WIDEST:
            raise InputError(f"tower.{name} must be 1 to {WIDEST:,}, got {given[name]}")
    for name in ("dropout", "token_dropout", "id_dropout", "feature_dropout"):
        if not 0 <= given[name] < 1:
            raise InputError(f"tower.{name} must lie in [0, 1), got {given[name]}")
    if any(width < 1 for width in given["layers"]):
        raise InputError(f"tower.layers must be widths of 1 or more, got {list(given['layers'])}")
    if given["layers"] and given["combine"] == "sum":
        raise InputError("tower.layers are those of combine = 'concat'; leave them out of a sum")
    if given["combine"] == "concat" and (given["encoder"] != "mean" or given["interests"] > 1):
        raise InputError(
            "tower.encoder and tower.interests read histories in a sum; with combine = 'concat' "
            "leave them out"
        )
    check_history(given["encoder"], given["dim"], given["heads"])
    Tokens(bits=given["bits"], ngram_range=tuple(given["ngram_range"]))
