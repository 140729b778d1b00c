"""How to train: the keys of the `[train]` table."""

from dataclasses import dataclass

from thresher.errors import InputError


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """How to train.

    Args:
        epochs: passes over the training pairs.
        batch_size: pairs a step, over all processes.
        learning_rate: of the tower, at its highest; 0.03 to 0.3 is usual for a bag of tokens, 1e-5
            to 5e-5 for a pre-trained model.
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
    batch_size: int = 512
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
            if getattr(self, name) < 1:
                raise InputError(f"train.{name} must be at least 1, got {getattr(self, name)}")
        for name in ("learning_rate", "head_learning_rate"):
            if not getattr(self, name) > 0:
                raise InputError(f"train.{name} must be above 0, got {getattr(self, name)}")
        if not 0 <= self.warmup_ratio <= 1:
            raise InputError(f"train.warmup_ratio must lie in [0, 1], got {self.warmup_ratio}")
