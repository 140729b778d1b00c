"""What the layers say to each other: inputs, links, a matching, a ratio; and two protocols.

Shape letters, everywhere in the project: Q left rows (queries), C right rows (candidates, the
columns of the score matrix), D dimension, E positive pairs, X ignored pairs, N catalogue items,
k retrieved items a query.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


@runtime_checkable
class Inputs(Protocol):
    """Rows that a tower turns into vectors: has a length and can be cut into slices of rows.

    A plain tensor is one; so is a bag of tokens (`thresher.towers.bags.Bags`).
    """

    def __len__(self) -> int:
        """Number of rows."""

    def __getitem__(self, rows: slice, /) -> "Inputs":
        """The rows of a slice, as inputs of the same kind."""


@runtime_checkable
class Table(Inputs, Protocol):
    """Inputs of a whole catalogue or query set, prepared once, from which batches are taken."""

    def take(self, rows: Int[Tensor, " n"], /) -> Inputs:
        """The rows of these numbers, in this order."""


Embeddings = Mapping[str, Tensor]


@dataclass(frozen=True)
class Links:
    """Which pairs of rows of two named inputs are positive, and which are ignored.

    Every pair that is in neither list is a negative; no pair is in both. A left row may have
    several positives, or none. To call a loss with plain tensors no links are needed
    (`thresher.losses.call`).

    Args:
        left: name of the input (or of its vectors) whose rows are the left side.
        right: the same for the right side, the columns of the score matrix.
        pos: positive pairs (left row, column).
        ignored: pairs that are neither positive nor negative, such as other true items of a query.
        log_q: natural log of the probability with which each column was sampled into the batch.
        blocks: a left row i is compared with the columns i, i + blocks, i + 2 blocks, ... (modulo
            blocks) and no others; both sides of every pair, and the numbers of rows and of columns,
            fit.

    Example:
        >>> pos, none = torch.tensor([[0, 0], [1, 1]]), torch.zeros(0, 2, dtype=torch.long)
        >>> Links("query", "item", pos, none).shift(10).pos.tolist()
        [[0, 10], [1, 11]]
    """

    left: str
    right: str
    pos: Int[Tensor, "E 2"]
    ignored: Int[Tensor, "X 2"]
    log_q: Float[Tensor, " C"] | None = None
    blocks: int = 1

    def shift(self, columns: int) -> "Links":
        """The same links when `columns` other columns stand before this side's own."""
        by = torch.tensor([0, columns], device=self.pos.device)
        return replace(self, pos=self.pos + by, ignored=self.ignored + by)

    def to(self, device: torch.device) -> "Links":
        """The same links on another device."""
        log_q = None if self.log_q is None else self.log_q.to(device)
        return replace(self, pos=self.pos.to(device), ignored=self.ignored.to(device), log_q=log_q)


@dataclass(frozen=True)
class Batch:
    """Named inputs, which may differ in size, and the links between them."""

    inputs: Mapping[str, Inputs]
    links: Mapping[str, Links]


@dataclass(frozen=True)
class Matching:
    """What a loss sees: left vectors against right vectors, and the links between them.

    That of several losses is `shared`: they keep in `made` what one makes and others need too.
    """

    left: Float[Tensor, "Q D"]
    right: Float[Tensor, "C D"]
    links: Links
    shared: bool = False
    made: dict[str, Tensor] = field(default_factory=dict, init=False, repr=False, compare=False)

    def scores(self) -> Float[Tensor, "Q C"]:
        """Inner products; higher is closer."""
        return self.left @ self.right.T

    def positives(self) -> Bool[Tensor, "Q C"]:
        """True where a pair is positive."""
        return self._mask(self.links.pos)

    def negatives(self) -> Bool[Tensor, "Q C"]:
        """True where a pair is neither positive nor ignored."""
        return ~(self._mask(self.links.pos) | self._mask(self.links.ignored))

    def _mask(self, pairs: Int[Tensor, "P 2"]) -> Bool[Tensor, "Q C"]:
        m = torch.zeros(len(self.left), len(self.right), dtype=torch.bool, device=self.left.device)
        m[pairs[:, 0], pairs[:, 1]] = True
        return m


class Ratio(NamedTuple):
    """A loss before it is divided: a sum, and the count that divides it.

    Sums and counts of tiles, blocks and processes are added first, and divided once, in the
    objective: the mean of means would weigh a process with few pairs as much as one with many.
    """

    num: Float[Tensor, ""]
    den: Float[Tensor, ""]

    def value(self) -> Float[Tensor, ""]:
        """The sum over the count; 0 with zero gradient where nothing was counted."""
        return self.num / self.den.where(self.den > 0, 1)


@runtime_checkable
class Loss(Protocol):
    """A frozen dataclass, or a final `nn.Module` when it has parameters of its own.

    Those of `thresher.losses` can be called with plain tensors too: `__call__ = call`.
    """

    def ratios(self, m: Matching) -> dict[str, Ratio]:
        """One ratio for each named part of the loss; a loss of one part names it ''."""


Encoder = Callable[[str, Inputs], Tensor]
"""Turns the rows of a named input into unit vectors [len(inputs), D]."""
