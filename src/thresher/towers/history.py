"""A user's events to one vector, or to several: an encoder, perhaps interests, a linear layer."""

from collections.abc import Callable
from typing import Any, Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from thresher.data.histories import Histories
from thresher.errors import InputError
from thresher.towers.interests import Interests
from thresher.towers.windows import CausalAttention, Mean, Recurrent

HistoryKind = Literal["mean", "gru", "attention"]


class HistoryEncoder(nn.Module):
    """Vectors of a user from those of the items in the history.

    Equation:  u = encoder(e of the user's events, oldest first) W + b
    The encoder is a mean, a recurrent network or causal self-attention (`thresher.towers.windows`);
    with K interests it is K weighted means over what the encoder makes of each event
    (`thresher.towers.interests`). W starts as the identity: untrained, the mean encoder's user is
    the mean of its items. Arguments are those of `FeatureTower`.

    Source:    the mean and the linear layer: the set-up of CROLoss, CIKM 2022, arXiv 2208.02971.
    Differs:   the start of W.
    """

    def __init__(
        self,
        dim: int,
        *,
        encoder: HistoryKind,
        layers: int,
        heads: int,
        interests: int,
        max_history: int,
        dropout: float,
        seed: int,
    ) -> None:
        super().__init__()
        self.max_history = max_history
        generator = torch.Generator().manual_seed(seed)
        sizes: dict[str, Any] = {"layers": layers, "dropout": dropout}
        self.encoder: Mean | Recurrent | CausalAttention
        if encoder == "mean":
            self.encoder = Mean()
        elif encoder == "gru":
            self.encoder = Recurrent(dim, **sizes)
        else:
            self.encoder = CausalAttention(dim, heads=heads, max_history=max_history, **sizes)
        self.encoder.start(generator)
        self.pooling: Interests | None = None
        if interests > 1:
            self.pooling = Interests(dim, interests=interests, max_history=max_history)
            self.pooling.start(generator)
        self.linear = nn.Linear(dim, dim)
        nn.init.eye_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(
        self, events: Float[Tensor, "n L D"], lengths: Int64[Tensor, " n"]
    ) -> Float[Tensor, "n K D"]:
        """K vectors a user, not of unit length; zeros for a user without events."""
        there, lengths = lengths > 0, lengths.clamp(min=1)
        if self.pooling is None:
            users = self.encoder(events, lengths)[:, None]
        else:
            users = self.pooling(self.encoder.states(events, lengths), lengths)
        made: Tensor = self.linear(users) * there[:, None, None]
        return made

    def read(
        self, histories: Histories, items: Callable[[Tensor], Tensor]
    ) -> Float[Tensor, "n K D"]:
        """As `forward` of the last `max_history` events of each row.

        Rows that begin together are one pass over the longest of them, from which each takes the
        state after its last event; rows with several interests are read one by one. `items` makes
        vectors of rows of the catalogue, each of which it is asked for once; -1 is no item.
        """
        passes, of, until = histories.passes(self.max_history)
        alone = self.pooling is not None or len(passes) == len(histories)
        if alone:
            passes = histories
        lengths = passes.lengths().clamp(max=self.max_history)
        parts = _by_length(lengths)
        tables = [passes.take(rows).table(self.max_history, padding=-1) for rows in parts]
        distinct, at = torch.cat([t.flatten() for t in tables]).unique(return_inverse=True)
        vectors = items(distinct)
        device, made = vectors.device, []
        for rows, table, places in zip(
            parts, tables, at.split([t.numel() for t in tables]), strict=True
        ):
            events = vectors.index_select(0, places.to(device)).unflatten(0, table.shape)
            own = lengths[rows].to(device)
            made.append(
                self(events, own) if alone else self.encoder.states(events, own).flatten(0, 1)
            )
        order = torch.cat(parts)
        if alone:
            return torch.cat(made).index_select(0, order.argsort().to(device))
        widths = torch.cat(
            [torch.full_like(r, t.shape[1]) for r, t in zip(parts, tables, strict=True)]
        )
        begin = torch.empty_like(order)
        begin[order] = widths.cumsum(0) - widths
        last = (begin[of] + until - 1).clamp(min=0).to(device)
        users: Tensor = self.linear(torch.cat(made).index_select(0, last))
        return (users * (until > 0).to(device)[:, None])[:, None]


def _by_length(lengths: Int64[Tensor, " n"]) -> list[Int64[Tensor, " m"]]:
    """Rows of about one length: up to 8, 16, 32, ...; otherwise most of a table is filling."""
    bounds = 2 ** torch.arange(3, 17)
    of = torch.bucketize(lengths, bounds)
    return [torch.nonzero(of == part)[:, 0] for part in of.unique()] or [torch.arange(0)]


def check_history(encoder: str, dim: int, heads: int) -> None:
    """InputError for heads that cannot share the width."""
    if encoder == "attention" and dim % heads:
        raise InputError(
            f"tower.dim {dim} cannot be shared by {heads} heads; give a multiple of tower.heads"
        )
