"""The training of the CROLoss paper, which the library's own is not.

Ids alone: a user is the mean of the vectors of the history through one linear layer, both sides of
length 1. Glorot start, Adam on all rows at one rate, negatives drawn uniformly and shared by a
batch, validation by steps, the best weights restored. Losses and metrics are the library's.
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from thresher.data.histories import Histories
from thresher.data.parts import Part
from thresher.data.sequences import ranges
from thresher.types import Links, Loss, Matching

Temperature = Literal["fixed", "learned", "by rank"]
START = 10.0
"""1 / T where a learned temperature starts, and by which its rank is counted."""


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What the paper's training has and a run's TOML has not.

    Args:
        steps: at most.
        validate_every: steps between two looks at validation.
        patience: looks without a better one before training stops.
        first_target: fewest events before a target, which is then the position of it from 0.
        temperature: "fixed" is that of the loss; "learned" one number for all, and "by rank" one
            that follows the rank (`Sharpness`), each with a loss whose temperature is 1.
    """

    steps: int = 4000
    validate_every: int = 200
    patience: int = 5
    first_target: int = 4
    temperature: Temperature = "fixed"


class Draws:
    """Training examples: each user equally likely, then each of the user's targets.

    Args:
        part: the training examples of a dataset of events.
        first_target: see `Setup`.
    """

    def __init__(self, part: Part, first_target: int) -> None:
        assert part.queries.histories is not None
        assert part.groups is not None
        self.histories = part.queries.histories
        lengths = self.histories.lengths().numpy()
        self.rows = np.flatnonzero(lengths >= first_target)
        users = part.groups[self.rows]
        self.first = np.flatnonzero(np.diff(users, prepend=-1))
        self.counts = np.diff(np.append(self.first, len(users)))
        self.targets = part.truth.indices

    def __call__(
        self, count: int, generator: np.random.Generator
    ) -> tuple[Histories, Int64[np.ndarray, " n"]]:
        """So many histories, and the item that came next in each."""
        users = generator.integers(0, len(self.first), count)
        places = (generator.random(count) * self.counts[users]).astype(np.int64)
        rows = self.rows[self.first[users] + places]
        return self.histories.take(rows), self.targets[rows]


class Vectors(nn.Module):
    """One table of items for histories, positives and negatives, and a linear layer for users.

    Equation:  u = mean of e_i over the last events of a user, times W, plus c;  s = cos(u, e_j)
    """

    def __init__(self, items: int, dim: int, *, max_history: int, seed: int) -> None:
        super().__init__()
        self.max_history = max_history
        generator = torch.Generator().manual_seed(seed)
        self.table = nn.Parameter(torch.empty(items, dim))
        self.linear = nn.Linear(dim, dim)
        for weight in (self.table, self.linear.weight):
            nn.init.xavier_uniform_(weight, generator=generator)
        nn.init.zeros_(self.linear.bias)

    def users(self, histories: Histories) -> Float[Tensor, "n D"]:
        """Unit vectors of users, by the last `max_history` events of each."""
        counts = histories.lengths().clamp(max=self.max_history).numpy()
        events = histories.items[torch.from_numpy(ranges(histories.last.numpy() - counts, counts))]
        starts = torch.from_numpy(np.cumsum(counts) - counts)
        means = F.embedding_bag(events, self.table, starts, mode="mean")
        return F.normalize(self.linear(means))

    def items(self, rows: Tensor | None = None) -> Float[Tensor, "n D"]:
        """Unit vectors of items; of all of them without rows."""
        return F.normalize(self.table if rows is None else F.embedding(rows, self.table))


class Sharpness(nn.Module):
    """A learned 1 / T: scores times it, for a loss whose temperature is 1.

    Equation:  ln b_i = c - g ln x_i,   x_i = 1 + sum over negatives j of sigmoid(10 (s_ij - s_ip))
    The rank x carries no gradient. c starts at ln 10 and g at 0; without `by_rank` g stays there.
    """

    def __init__(self, *, by_rank: bool) -> None:
        super().__init__()
        self.log_b = nn.Parameter(torch.tensor(float(np.log(START))))
        self.by_rank = nn.Parameter(torch.zeros(())) if by_rank else None

    def forward(self, scores: Float[Tensor, "Q C"]) -> Float[Tensor, "Q C"]:
        """The scores of a positive, in the first column, and of negatives, each row times its b."""
        if self.by_rank is None:
            return scores * self.log_b.exp()
        with torch.no_grad():
            above = torch.sigmoid(START * (scores[:, 1:] - scores[:, :1])).sum(1)
        return scores * (self.log_b - self.by_rank * above.log1p()).exp()[:, None]


class Scored(NamedTuple):
    """The scores of a batch: the positive first, then the negatives that all rows share.

    Args:
        scores: cosines.
        same: row and column of each negative that is the row's positive, and counts for nothing.
    """

    scores: Float[Tensor, "Q C"]
    same: Int64[Tensor, "X 2"]


class Trainer:
    """Draws batches of a training set, and scores them.

    Args:
        model: of users and items.
        draws: training examples.
        loss: any loss of the library, over the scores times their sharpness.
        sharpness: of a learned temperature.
        batch_size: examples a step.
        negatives: drawn for each example, from all items alike.
        seed: of every draw.
    """

    def __init__(
        self,
        model: Vectors,
        draws: Draws,
        loss: Loss,
        sharpness: Sharpness | None,
        *,
        batch_size: int,
        negatives: int,
        seed: int,
    ) -> None:
        self.model, self.draws, self.loss, self.sharpness = model, draws, loss, sharpness
        self.batch_size, self.negatives = batch_size, negatives
        self.generator = np.random.default_rng(seed)

    def scored(self) -> Scored:
        """The scores of the next batch."""
        histories, targets = self.draws(self.batch_size, self.generator)
        count, size = self.batch_size * self.negatives, len(self.model.table)
        pool = np.sort(self.generator.integers(0, size, count))
        users = self.model.users(histories)
        items = self.model.items(torch.from_numpy(np.concatenate([targets, pool])))
        own, others = items[: len(users)], items[len(users) :]
        scores = torch.cat([(users * own).sum(1, keepdim=True), users @ others.T], dim=1)
        return Scored(scores, torch.from_numpy(hits(targets, pool)))

    def value(self, batch: Scored) -> Tensor:
        """The loss of a batch."""
        scores = batch.scores if self.sharpness is None else self.sharpness(batch.scores)
        return loss_of(self.loss, scores, batch.same)

    def steps(self, count: int, learning_rate: float) -> Iterator[int]:
        """Take so many steps; each is yielded when it is done."""
        learned = [] if self.sharpness is None else [*self.sharpness.parameters()]
        adam = torch.optim.Adam([*self.model.parameters(), *learned], lr=learning_rate, fused=True)
        for step in range(1, count + 1):
            adam.zero_grad()
            self.value(self.scored()).backward()
            adam.step()
            yield step


def hits(
    targets: Int64[np.ndarray, " Q"], pool: Int64[np.ndarray, " M"]
) -> Int64[np.ndarray, "X 2"]:
    """Row and column where a sorted pool, from column 1 on, has a row's own target."""
    first = np.searchsorted(pool, targets)
    counts = np.searchsorted(pool, targets, side="right") - first
    return np.stack([np.repeat(np.arange(len(targets)), counts), 1 + ranges(first, counts)], axis=1)


def loss_of(loss: Loss, scores: Float[Tensor, "Q C"], same: Int64[Tensor, "X 2"]) -> Tensor:
    """A loss over scores, of which the first of each row is its positive's."""
    rows = torch.arange(len(scores))
    pos = torch.stack([rows, torch.zeros_like(rows)], dim=1)
    # Rows have positives of their own: the scores are made already, and no right side is read.
    unread = scores.new_empty(1).expand(scores.shape[1], scores.shape[1])
    m = Matching(scores, unread, Links("query", "item", pos, same), shared=True)
    m.made["all"] = scores
    (ratio,) = loss.ratios(m).values()
    return ratio.value()


def trained(
    trainer: Trainer, setup: Setup, learning_rate: float, validate: Callable[[], float]
) -> dict[str, float]:
    """Train until validation stops getting better, and restore the best weights.

    Returns:
        The steps that were taken, and those of the weights that are kept.
    """
    modules = nn.ModuleList([trainer.model])
    if trainer.sharpness is not None:
        modules.append(trainer.sharpness)
    best, kept, at, step = -1.0, copy.deepcopy(modules.state_dict()), 0, 0
    for step in trainer.steps(setup.steps, learning_rate):
        if step % setup.validate_every == 0:
            if (value := validate()) > best:
                best, kept, at = value, copy.deepcopy(modules.state_dict()), step
            elif step - at >= setup.patience * setup.validate_every:
                break
    modules.load_state_dict(kept)
    return {"steps": step, "best_step": at}


def hardest_share(trainer: Trainer, *, share: float = 0.01, batches: int = 8) -> float:
    """How much of the gradient falls on each example's hardest negatives.

    Equation:  sum over examples i and the 1 % of negatives j with the highest s_ij of |dL / ds_ij|,
               over the same sum of all negatives

    Args:
        trainer: whose next batches are looked at; no weight moves.
        share: of the negatives.
        batches: that are added up.
    """
    on_top = on_all = 0.0
    for _ in range(batches):
        with torch.no_grad():
            batch = trainer.scored()
        scores = batch.scores.requires_grad_()
        (gradient,) = torch.autograd.grad(trainer.value(Scored(scores, batch.same)), scores)
        pull = gradient[:, 1:].abs()
        hard = scores.detach().clone()
        hard[tuple(batch.same.T)] = -torch.inf
        hard = hard[:, 1:]
        top = hard.topk(max(1, round(share * hard.shape[1])), dim=1).indices
        on_top += float(pull.gather(1, top).sum())
        on_all += float(pull.sum())
    return on_top / on_all if on_all else float("nan")
