"""Encoders of a window of events: a mean, a recurrent network, causal self-attention.

Each reads vectors [n, L, D], oldest event first, filled up at the end, of rows with at least one
event. `states` gives a vector for every event, which knows only the events up to it; `forward`
one for the user.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

Events = Float[Tensor, "n L D"]
Lengths = Int64[Tensor, " n"]


def ages(lengths: Int64[Tensor, " n"], columns: int) -> Int64[Tensor, "n L"]:
    """How many events of its row came after each one: 0 for the newest; below 0 where none is."""
    return lengths[:, None] - 1 - torch.arange(columns, device=lengths.device)


def newest(states: Events, lengths: Lengths) -> Float[Tensor, "n 1 D"]:
    """The last event's vector of each row."""
    at = (lengths - 1)[:, None, None].expand(-1, 1, states.shape[2])
    return states.gather(1, at)


class Mean(nn.Module):
    """The mean of the events, in no order.

    Equation:  h = (1 / l) sum_j e_j
    Source:    the user tower of CROLoss (CIKM 2022) and of its code, before the linear layer.
    """

    def start(self, generator: torch.Generator) -> None:
        """Draws nothing."""

    def states(self, events: Events, lengths: Lengths) -> Events:
        """The mean of each event and those before it."""
        count = torch.arange(1, events.shape[1] + 1, device=events.device, dtype=events.dtype)
        return (torch.ones(len(count), len(count)).to(events).tril_() / count[:, None]) @ events

    def forward(self, events: Events, lengths: Lengths) -> Float[Tensor, "n D"]:
        """One row a user."""
        there = ages(lengths, events.shape[1]) >= 0
        weights = there / lengths[:, None].to(events.dtype)
        return (weights[:, None] @ events).squeeze(1)


class Recurrent(nn.Module):
    """A gated recurrent unit over the events, perhaps in layers; its last state is the user.

    A share of the numbers of the events is left out in training (dropout).

    Source:    Hidasi et al., *Session-based recommendations with recurrent neural networks*
               (GRU4Rec), ICLR 2016: the network; losses and batches are ours.
    Memory:    n * L * 6 D floats a layer.
    """

    def __init__(self, dim: int, *, layers: int, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        self.unit = nn.GRU(dim, dim, layers, batch_first=True)

    def start(self, generator: torch.Generator) -> None:
        """Draws the weights."""
        _draw(self, generator)

    def states(self, events: Events, lengths: Lengths) -> Events:
        """The state after each event; what fills a row up comes after all of them."""
        # Packed sequences, which would skip the filling, take 3.5 times as long on a CPU.
        return self.unit(F.dropout(events, self.dropout, self.training))[0]

    def forward(self, events: Events, lengths: Lengths) -> Float[Tensor, "n D"]:
        """One row a user."""
        return newest(self.states(events, lengths), lengths).squeeze(1)


class CausalAttention(nn.Module):
    """Self-attention in which an event sees those before it; the last event's vector is the user.

    Equation:
        x_j = e_j                            r is learnt for each age, 0 for the event itself
        x_j = x_j + sum_i<=j softmax_i(LN(x_j) A . LN(x_i) S / sqrt(D / heads) + r_j-i) LN(x_i) V O
        x_j = x_j + relu(LN(x_j) H) F        the last two once a layer, each with biases
    O and F start at 0: untrained, the user is the last event. Dropout leaves out a share of the
    numbers of the events and of what a layer adds in training.

    Source:    Kang and McAuley, *Self-attentive sequential recommendation* (SASRec), ICDM 2018.
    Differs:   the norm stands before both parts of a layer and not after the last; no dropout of
               attention weights; in place of positions a weight for each age of an event seen from
               the one that asks (as in T5, Raffel et al., JMLR 2020), so that the state after an
               event is the same whatever comes later; `forward` asks in the last layer for the
               last event alone.
    Memory:    about n * L * 8 D floats a layer and n * L * L * heads.
    """

    def __init__(
        self, dim: int, *, layers: int, heads: int, max_history: int, dropout: float
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.layers = nn.ModuleList(_Layer(dim, heads, max_history, dropout) for _ in range(layers))

    def start(self, generator: torch.Generator) -> None:
        """Draws the weights."""
        _draw(self, generator)
        for name, parameter in self.layers.named_parameters():
            if name.endswith(("attended.weight", "out.weight", "ages")):
                nn.init.zeros_(parameter)

    def states(self, events: Events, lengths: Lengths) -> Events:
        """Each event with what it sees of those before it."""
        x = F.dropout(events, self.dropout, self.training)
        for layer in self.layers:
            x = layer(x, x)
        return x

    def forward(self, events: Events, lengths: Lengths) -> Float[Tensor, "n D"]:
        """One row a user."""
        x = F.dropout(events, self.dropout, self.training)
        for layer in self.layers[:-1]:
            x = layer(x, x)
        return self.layers[-1](newest(x, lengths), x, lengths).squeeze(1)


class _Layer(nn.Module):
    """One layer of `CausalAttention`."""

    def __init__(self, dim: int, heads: int, max_history: int, dropout: float) -> None:
        super().__init__()
        self.ages = nn.Parameter(torch.zeros(max_history, heads))
        self.heads, self.dropout = heads, dropout
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(2))
        self.asks, self.seen = nn.Linear(dim, dim), nn.Linear(dim, 2 * dim)
        self.attended = nn.Linear(dim, dim)
        self.hidden, self.out = nn.Linear(dim, dim), nn.Linear(dim, dim)

    def forward(
        self,
        x: Float[Tensor, "n A D"],
        events: Float[Tensor, "n L D"],
        lengths: Lengths | None = None,
    ) -> Float[Tensor, "n A D"]:
        """What the layer makes of the events x that ask: all of them, or one a row.

        With `lengths` the last event of each row asks. Without, each sees those up to it; what
        fills a row up then comes after all of its events.
        """
        seen = self.seen(self.norms[0](events)).chunk(2, dim=2)
        asks, keys, values = (
            part.unflatten(2, (self.heads, -1)).transpose(1, 2)
            for part in (self.asks(self.norms[0](x)), *seen)
        )
        columns = events.shape[1]
        if lengths is None:
            lengths = torch.arange(1, columns + 1, device=events.device)
            age = ages(lengths, columns)[None]
        else:
            age = ages(lengths, columns)[:, None]
        bias = F.embedding(age.clamp(min=0), self.ages).permute(0, 3, 1, 2)
        bias = bias.masked_fill((age < 0)[:, None], -torch.inf)
        found = F.scaled_dot_product_attention(asks, keys, values, attn_mask=bias)
        x = x + self._dropped(self.attended(found.transpose(1, 2).flatten(2)))
        return x + self._dropped(self.out(self.hidden(self.norms[1](x)).relu()))

    def _dropped(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training)


def _draw(module: nn.Module, generator: torch.Generator) -> None:
    """Matrices at random, biases 0; norms are left as they are."""
    for name, parameter in module.named_parameters():
        if parameter.dim() == 2:
            nn.init.xavier_uniform_(parameter, generator=generator)
        elif "bias" in name:
            nn.init.zeros_(parameter)
