"""How to train: the keys of the `[train]` table."""

import math
from dataclasses import dataclass
from typing import Literal

from thresher.errors import InputError

MOST, MOST_SHARED = 512, 4096
"""Pairs of a default batch, and where it reads the histories of a user's pairs together."""
FEWEST_STEPS = 8
"""Steps of an epoch below which the default batch is made smaller."""


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """How to train.

    Args:
        epochs: passes over the training pairs.
        batch_size: pairs a step, over all processes; when left out 512, or 4,096 where a user's
            events are read together, or fewer where an epoch would have less than 8 steps.
        learning_rate: of the tables of the tower, or of all of a `sentence` tower, at its highest;
            0.03 to 0.3 is usual for tables, 1e-5 to 5e-5 for a pre-trained model. What a run has
            that leaves this and others out depends on its tower (`thresher.towers`).
        head_learning_rate: of the parameters that losses bring along.
        label_learning_rate: of the vectors that items have of their own, with `[labels]`.
        layer_learning_rate: of all layers: of the tower, and of label prototypes.
        initial_accumulator: what Adagrad's squares of the gradients of each row of a table start
            from; 0, or 1e-5 to 1e-2 with larger learning rates, so that rare values, of which
            little is known, stay near their start.
        warmup_ratio: share of all steps in which the rate rises; then it falls to 0 linearly.
        positives: "every" takes each true pair once an epoch; "one" each query once, with one of
            its true items drawn at random, or each user once, with one event of the history;
            "rare" the same, rare items drawn more often, by inverse propensity.
        negatives: what a query is compared with: the items of the "batch", or of the whole
            "catalogue".
        hard_negatives: items a query that are added to the batch, drawn from its closest wrong
            ones, which are searched before each epoch from the second on.
        num_sampled_negatives: items a query that are drawn from the catalogue into the batch.
        sampling_power: b; an item is drawn in proportion to its training pairs to the power b: 0
            draws all items alike, 1 by popularity, 0.75 is usual between.
        in_batch_negatives: whether the items of the other queries of a batch are negatives, beside
            hard and sampled ones.
        logq: correct for how often each item stands in a batch.
        cluster_from_epoch: first epoch, from 0, whose batches hold look-alike queries; -1 for
            never.
        cluster_size: number of look-alikes that are kept together in the last epoch.
        cluster_growth: how many times larger the clusters are in each epoch than in the one before.
        mini_batch_size: rows encoded at a time with cached gradients; 0 encodes the whole batch.
        metric: the validation metric that chooses the best weights; higher is better.
        patience: epochs without a better metric before training stops; 0 for never.
        checkpoint_steps: steps between checkpoints; 0 for one at the end of each epoch.
        precision: "bfloat16" computes the tower in half precision, for a GPU.
        seed: of every random choice.
        tensorboard: also log to TensorBoard (extra `track`).
    """

    epochs: int = 5
    batch_size: int | None = None
    learning_rate: float = 0.1
    head_learning_rate: float = 0.01
    label_learning_rate: float = 5e-3
    layer_learning_rate: float = 5e-4
    initial_accumulator: float = 0.0
    warmup_ratio: float = 0.05
    positives: Literal["every", "one", "rare"] = "every"
    negatives: Literal["batch", "catalogue"] = "batch"
    hard_negatives: int = 0
    num_sampled_negatives: int = 0
    sampling_power: float = 0.0
    in_batch_negatives: bool = True
    logq: bool = False
    cluster_from_epoch: int = 2
    cluster_size: int = 64
    cluster_growth: float = 1.0
    mini_batch_size: int = 0
    metric: str = "P@1"
    patience: int = 0
    checkpoint_steps: int = 0
    precision: Literal["float32", "bfloat16"] = "float32"
    seed: int = 0
    tensorboard: bool = False

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"train.{name} must be at least 1, got {value}")
        for name in (f"{of}learning_rate" for of in ("", "head_", "label_", "layer_")):
            if not getattr(self, name) > 0:
                raise InputError(f"train.{name} must be above 0, got {getattr(self, name)}")
        if not 0 <= self.warmup_ratio <= 1:
            raise InputError(f"train.warmup_ratio must lie in [0, 1], got {self.warmup_ratio}")
        at_least_0 = ("hard_negatives", "num_sampled_negatives", "sampling_power")
        for name in (*at_least_0, "initial_accumulator", "mini_batch_size", "seed"):
            if not 0 <= getattr(self, name) < math.inf:
                raise InputError(f"train.{name} must be 0 or more, got {getattr(self, name)}")
        if self.cluster_size < 1 or self.cluster_growth < 1:
            raise InputError(
                "train.cluster_size and cluster_growth must be at least 1, got "
                f"{self.cluster_size} and {self.cluster_growth}"
            )
        self._check_negatives()

    def _check_negatives(self) -> None:
        added = self.hard_negatives or self.num_sampled_negatives
        whole = self.negatives == "catalogue"
        if self.logq and (self.hard_negatives or whole):
            raise InputError(
                "train.logq corrects how items are drawn into a batch of pairs; set it to false "
                "with train.hard_negatives or train.negatives = 'catalogue'"
            )
        if added and whole:
            raise InputError(
                "train.hard_negatives and train.num_sampled_negatives add nothing to "
                "train.negatives = 'catalogue'; leave them out"
            )
        if not (self.in_batch_negatives or added):
            raise InputError(
                "train.in_batch_negatives = false leaves a query without negatives; add "
                "train.num_sampled_negatives = 10, or train.hard_negatives"
            )

    def cluster_size_at(self, epoch: int) -> int | None:
        """How many look-alikes an epoch keeps together; None where its batches are random."""
        if not 0 <= self.cluster_from_epoch <= epoch:
            return None
        return max(2, round(self.cluster_size / self.cluster_growth ** (self.epochs - 1 - epoch)))

    def pairs_a_step(self, pairs: int, world: int, *, most: int = MOST) -> int:
        """The batch size for so many pairs; InputError where processes cannot share it evenly."""
        if self.batch_size is None:
            return max(1, min(most, pairs // FEWEST_STEPS) // world) * world
        if self.batch_size % world:
            raise InputError(
                f"train.batch_size {self.batch_size} cannot be shared by {world} processes; "
                f"choose a multiple of {world}"
            )
        return self.batch_size
