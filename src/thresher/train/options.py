"""How to train: the keys of the `[train]` table."""

from dataclasses import dataclass

from thresher.errors import InputError

FEWEST_STEPS = 8
"""Steps of an epoch below which the default batch is made smaller."""


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """How to train.

    Args:
        epochs: passes over the training pairs.
        batch_size: pairs a step, over all processes; when left out 512, or fewer where an epoch
            would have less than 8 steps.
        learning_rate: of the tower, at its highest; 0.03 to 0.3 is usual for a bag of tokens, 1e-5
            to 5e-5 for a pre-trained model. A run that leaves it out takes its tower's own: 0.1,
            or 2e-5 for `sentence`.
        head_learning_rate: of the parameters that losses bring along.
        warmup_ratio: share of all steps in which the rate rises; then it falls to 0 linearly.
        logq: correct the in-batch negatives for how often each item is drawn.
        clustered_from: first epoch, from 0, whose batches hold look-alike items; -1 for never.
        cluster_size: mean number of look-alikes that are kept together.
        chunk: rows encoded at a time with cached gradients; 0 encodes the whole batch at once.
        metric: the validation metric that chooses the best weights; higher is better.
        patience: epochs without a better metric before training stops; 0 for never.
        checkpoint_steps: steps between checkpoints; 0 for one at the end of each epoch.
        seed: of every random choice.
        tensorboard: also log to TensorBoard (extra `track`).
    """

    epochs: int = 5
    batch_size: int | None = None
    learning_rate: float = 0.1
    head_learning_rate: float = 5e-4
    warmup_ratio: float = 0.05
    logq: bool = False
    clustered_from: int = 2
    cluster_size: int = 64
    chunk: int = 0
    metric: str = "P@1"
    patience: int = 0
    checkpoint_steps: int = 0
    seed: int = 0
    tensorboard: bool = False

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"train.{name} must be at least 1, got {value}")
        for name in ("learning_rate", "head_learning_rate"):
            if not getattr(self, name) > 0:
                raise InputError(f"train.{name} must be above 0, got {getattr(self, name)}")
        if not 0 <= self.warmup_ratio <= 1:
            raise InputError(f"train.warmup_ratio must lie in [0, 1], got {self.warmup_ratio}")

    def pairs_a_step(self, pairs: int, world: int) -> int:
        """The batch size for this many training pairs on this many processes.

        Raises:
            InputError: when the processes cannot share a batch evenly.
        """
        if self.batch_size is None:
            return max(1, min(512, pairs // FEWEST_STEPS) // world) * world
        if self.batch_size % world:
            raise InputError(
                f"train.batch_size {self.batch_size} cannot be shared by {world} processes; "
                f"choose a multiple of {world}"
            )
        return self.batch_size
