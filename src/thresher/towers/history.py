"""A user's events to one vector, or to several: an encoder, perhaps interests, a linear layer."""

from typing import Any, Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

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


def check_history(encoder: str, dim: int, heads: int) -> None:
    """InputError for heads that cannot share the width."""
    if encoder == "attention" and dim % heads:
        raise InputError(
            f"tower.dim {dim} cannot be shared by {heads} heads; give a multiple of tower.heads"
        )
