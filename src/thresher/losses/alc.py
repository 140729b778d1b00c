"""Auxiliary learning for coverage: tell each true pair from the hardest false ones in the batch."""

import math
from dataclasses import dataclass
from typing import Any, cast, final

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from thresher.checks import are_numbers
from thresher.errors import InputError
from thresher.losses.pairs import contrast
from thresher.losses.tensors import call
from thresher.losses.tiles import tiles
from thresher.types import Matching, Ratio

FORMS = ("binary", "softmax")
CONTEXTS = ("attention", "pooled", "query_batch")


@final
class HardestPairs(nn.Module):
    """Learn to tell each true pair from the hardest false ones, so that scores separate better.

    It is a regulariser beside a base loss: its head is thrown away after training, and retrieval
    stays as it was.

    Equation:
        G(h_q, h_l) = [h_q; h_l; |h_q - h_l|; h_q * h_l]          g = GELU(W G + b), r numbers
        L           = b1 * L_ql + b2 * L_qb                       over S = {p} + N, N the hardest K
        L_ql  form "binary"   1/2 [ -log sigm(u_p) - mean over n in N of log sigm(-u_n) ],
                              u = w.g + c
              form "softmax"  -log softmax over S of u, at p
        L_qb  context "attention"    -log softmax over S of v, at p;  v = w.z, and z = g +
                                     softmax((A g)(B g)' / sqrt(r)) V g, all of them over S
              context "pooled"       the same with v = w.GELU(W' [G; mean of G over S] + b')
              context "query_batch"  -log softmax at p over two pairs, v = w.g of G(h_q, h_p) and of
                                     G(h_q, mean of h_n over N)

    The hardest negatives of a query are those with the highest scores; the choice carries no
    gradient. The candidates are a set: no head sees a position, so none can learn that the true
    item comes first. A row with fewer than K negatives uses those it has.

    Source: Almagro, Ortego, Jimenez, *Fine-grained auxiliary learning for real-world product
    recommendation*, arXiv 2510.04551 (2025): G, and L = b1 L_ql + b2 L_qb. Reconstructed: L_ql,
    L_qb, the size of the head, K, b1 and b2, which the paper does not give; "binary" and
    "attention" are our first choice.

    Args:
        dim: d, length of the vectors. Left out, the parameters take their shape from the vectors of
            the first call, on these vectors' device and in their type. An optimiser may be made
            before that; moments that it makes at once (Adagrad), DistributedDataParallel, saving
            and loading need the shape, so give `dim` or call the loss once first.
        hidden: r, size of a pair's representation; d if left out.
        hardest: K >= 1 negatives a query; 1, 5 or 10 is usual.
        form: how L_ql compares the true pair with the false ones.
        context: how L_qb lets a pair see the others.
        b1: weight of L_ql, unitless, 0.01 to 1 is usual; 0 leaves L_ql and its parameters out.
        b2: the same for L_qb.
        generator: draws the first weights, uniform in +-1/sqrt(inputs). Left out, one seeded with 0
            does, so that the weights are the same on every run and every process.

    Returns:
        {"query_label": ..., "query_batch": ...}, those in use: sums over positives times their
        weight, and the number of positives.

    Memory: 2^24 scores at a time to choose from, without gradient; then E x (K + 1) x r numbers.

    Raises:
        InputError: an option outside its range, or vectors that are not `dim` long.

    Example:
        >>> loss = HardestPairs(hardest=2)
        >>> loss(torch.eye(4), torch.eye(4)).isfinite().item(), loss.pair.weight.shape
        (True, torch.Size([4, 16]))
    """

    def __init__(
        self,
        dim: int | None = None,
        *,
        hidden: int | None = None,
        hardest: int = 10,
        form: str = "binary",
        context: str = "attention",
        b1: float = 0.1,
        b2: float = 0.1,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        _check(dim, hidden, hardest, form, context, b1, b2)
        self.dim, self.hidden, self.hardest = dim, hidden, hardest
        self.form, self.context, self.b1, self.b2 = form, context, b1, b2
        self.generator = generator
        # Without a shape, heads of any stand in, and nothing is drawn yet.
        self._add_heads(dim or 1, None if dim is None else generator)
        if dim is None:
            for part in self.modules():
                for name in dict(part.named_parameters(recurse=False)):
                    setattr(part, name, nn.UninitializedParameter())

    forward = call

    def ratios(self, m: Matching) -> dict[str, Ratio]:
        """Weighted sums over the positives, and their number."""
        if self.dim is None:
            self._take_shape(m.left)
        if m.left.shape[1] != self.dim:
            raise InputError(
                f"HardestPairs was made for vectors of {self.dim} numbers and received "
                f"{m.left.shape[1]}; give it the dim of the towers, or none"
            )
        seen = hardest_candidates(m, self.hardest)
        edges = m.left.new_full((), len(seen.rows))
        g = self.pair(seen) if self.pair is not None else None
        parts: dict[str, Ratio] = {}
        if self.label is not None:
            loss = _query_label(self.label(g).squeeze(-1), seen.real, self.form)
            parts["query_label"] = Ratio(self.b1 * loss.sum(), edges)
        if self.batch is not None:
            v, real = self.batch(seen, g, self.pair)
            parts["query_batch"] = Ratio(self.b2 * _softmax_at_first(v, real).sum(), edges)
        return parts

    def _add_heads(self, dim: int, generator: torch.Generator | None) -> None:
        hidden = self.hidden or dim
        draw = generator or torch.Generator().manual_seed(0)
        # "pooled" has a representation of its own, twice as wide; all others share g.
        shared = self.b1 > 0 or self.context != "pooled"
        self.pair = _Pair(dim, hidden, draw) if shared else None
        # A constant cancels in a softmax: only the binary form has the c of u = w.g + c.
        biased = self.form == "binary"
        self.label = _Linear(hidden, 1, draw, bias=biased) if self.b1 > 0 else None
        self.batch = _Batch(self.context, dim, hidden, draw) if self.b2 > 0 else None

    @torch.no_grad()
    def _take_shape(self, vectors: Tensor) -> None:
        """Give the parameters, which an optimiser may hold already, shapes and first weights."""
        names = ("hidden", "form", "context", "b1", "b2", "generator")
        options: dict[str, Any] = {name: getattr(self, name) for name in names}
        made = HardestPairs(vectors.shape[1], **options).to(vectors)
        for own, new in zip(self.parameters(), made.parameters(), strict=True):
            cast(nn.UninitializedParameter, own).materialize(new.shape, new.device, new.dtype)
            own.copy_(new)
        self.dim = made.dim


@dataclass(frozen=True)
class Candidates:
    """Each positive, of a left row, with the hardest negatives of its row.

    Its `columns` are the right rows it is compared with, the positive's first. They are not `real`
    where a row had too few negatives and the column means nothing.
    """

    left: Float[Tensor, "Q D"]
    right: Float[Tensor, "C D"]
    rows: Int[Tensor, " E"]
    columns: Int[Tensor, "E S"]
    real: Bool[Tensor, "E S"]


def hardest_candidates(m: Matching, hardest: int) -> Candidates:
    """Choose the negatives with the highest scores of each positive's row, without gradient."""
    rows, hits = m.links.pos.unbind(1)
    top = rows.new_zeros(len(m.left), min(hardest, len(m.right)))
    real = torch.zeros_like(top, dtype=torch.bool)
    for tile in tiles(m):
        scores, top[tile.rows] = tile.hardest(hardest)
        real[tile.rows] = scores != -torch.inf
    columns = torch.cat([hits[:, None], top[rows]], 1)
    real = torch.cat([torch.ones_like(hits[:, None], dtype=torch.bool), real[rows]], 1)
    return Candidates(m.left, m.right, rows, columns, real)


class _Pair(nn.Module):
    """g = GELU(W G + b). W is cut in four, so that [.. ; ..] of 4d numbers a pair never exists."""

    def __init__(self, dim: int, hidden: int, draw: torch.Generator, *, also: int = 0) -> None:
        super().__init__()
        bound = 1 / math.sqrt(4 * dim + also)
        self.weight = _uniform((hidden, 4 * dim), bound, draw)
        self.bias = _uniform((hidden,), bound, draw)

    def forward(self, c: Candidates) -> Float[Tensor, "E S r"]:
        return F.gelu(self.linear(c))

    def linear(self, c: Candidates) -> Float[Tensor, "E S r"]:
        of_left, of_right, of_both = self.weight.tensor_split(
            [c.left.shape[1], 2 * c.left.shape[1]], 1
        )
        # The first two parts of G belong to one vector: once a row and once a column.
        row = F.linear(c.left, of_left, self.bias).index_select(0, c.rows)
        column = (c.right @ of_right.T).index_select(0, c.columns.flatten())
        column = column.unflatten(0, c.columns.shape)
        return contrast(c.left, c.right, c.rows, c.columns, of_both) + row[:, None] + column


class _Linear(nn.Module):
    """nn.Linear with weights drawn from a generator."""

    def __init__(self, inputs: int, outputs: int, draw: torch.Generator, *, bias: bool) -> None:
        super().__init__()
        bound = 1 / math.sqrt(inputs)
        self.weight = _uniform((outputs, inputs), bound, draw)
        self.bias = _uniform((outputs,), bound, draw) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias)


class _Batch(nn.Module):
    """L_qb's logits: a pair's score that depends on the other pairs of its row."""

    def __init__(self, context: str, dim: int, hidden: int, draw: torch.Generator) -> None:
        super().__init__()
        self.context = context
        if context == "attention":
            self.attend = nn.ModuleList(_Linear(hidden, hidden, draw, bias=False) for _ in "abv")
        if context == "pooled":
            self.own = _Pair(dim, hidden, draw, also=4 * dim)
            self.mean = _uniform((hidden, 4 * dim), 1 / math.sqrt(8 * dim), draw)
        self.score = _Linear(hidden, 1, draw, bias=False)

    def forward(
        self, c: Candidates, g: Tensor | None, pair: _Pair | None
    ) -> tuple[Float[Tensor, "E T"], Bool[Tensor, "E T"]]:
        """Logits, the positive's first, and which of them count."""
        real = c.real
        if self.context == "attention" and g is not None:
            seen = self._attention(g, real)
        elif self.context == "query_batch" and pair is not None:
            c = _against_mean(c)
            seen, real = pair(c), c.real
        else:
            seen = F.gelu(self.own.linear(c) + (_mean_pair(c) @ self.mean.T)[:, None])
        return self.score(seen).squeeze(-1), real

    def _attention(self, g: Tensor, real: Tensor) -> Tensor:
        asks, answers, values = (layer(g) for layer in self.attend)
        weights = asks @ answers.mT / math.sqrt(g.shape[-1])
        # The positive is always real, so no row of weights is empty.
        weights = weights.masked_fill(~real[:, None], -torch.inf).softmax(-1)
        return torch.baddbmm(g, weights, values)


def _against_mean(c: Candidates) -> Candidates:
    """Two candidates a positive: the positive, and the mean of its negatives as a new column."""
    negatives = c.real[:, 1:, None]
    mean = (c.right[c.columns[:, 1:]] * negatives).sum(1) / negatives.sum(1).clamp(min=1)
    new = torch.arange(len(mean), device=mean.device) + len(c.right)
    return Candidates(
        c.left,
        torch.cat([c.right, mean]),
        c.rows,
        torch.stack([c.columns[:, 0], new], 1),
        torch.stack([c.real[:, 0], c.real[:, 1:].any(1)], 1),
    )


def _mean_pair(c: Candidates) -> Float[Tensor, "E W"]:
    """Mean of G over the real candidates; its first and last parts need only the mean of h_l."""
    a, b, real = c.left[c.rows], c.right[c.columns], c.real[..., None]
    count = real.sum(1)
    mean = (b * real).sum(1) / count
    gap = ((a[:, None] - b).abs() * real).sum(1) / count
    return torch.cat([a, mean, gap, a * mean], 1)


def _query_label(
    u: Float[Tensor, "E S"], real: Bool[Tensor, "E S"], form: str
) -> Float[Tensor, " E"]:
    if form == "softmax":
        return _softmax_at_first(u, real)
    miss = F.softplus(u[:, 1:]).masked_fill(~real[:, 1:], 0).sum(1)
    return (F.softplus(-u[:, 0]) + miss / real[:, 1:].sum(1).clamp(min=1)) / 2


def _softmax_at_first(
    logits: Float[Tensor, "E S"], real: Bool[Tensor, "E S"]
) -> Float[Tensor, " E"]:
    return logits.masked_fill(~real, -torch.inf).logsumexp(1) - logits[:, 0]


def _uniform(shape: tuple[int, ...], bound: float, draw: torch.Generator) -> nn.Parameter:
    return nn.Parameter(torch.empty(shape).uniform_(-bound, bound, generator=draw))


def _check(
    dim: int | None, hidden: int | None, hardest: int, form: str, context: str, b1: float, b2: float
) -> None:
    least = 1 if dim is None else dim
    inner = 1 if hidden is None else hidden
    for name, size in (("dim", least), ("hidden", inner), ("hardest", hardest)):
        if not (are_numbers(size, whole=True) and size >= 1):
            raise InputError(
                f"{name} of HardestPairs is {size!r}; give 1 or more, as a whole number"
            )
    for name, got, allowed in (("form", form, FORMS), ("context", context, CONTEXTS)):
        if got not in allowed:
            raise InputError(f"{name} of HardestPairs is {got!r}; give one of {allowed}")
    if not (are_numbers(b1, b2) and b1 >= 0 and b2 >= 0 and b1 + b2 > 0):
        raise InputError(
            f"b1 and b2 of HardestPairs are {b1!r} and {b2!r}; give numbers >= 0, one "
            "of them above 0"
        )
