"""Train with an objective in the trainers of other libraries."""

from collections.abc import Iterable, Sequence
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from thresher.distributed import all_sum, gather, rank, world
from thresher.errors import InputError
from thresher.objective import Objective, Term
from thresher.types import Links, Loss


@final
class SentenceTransformersLoss(nn.Module):
    """The `loss` of a SentenceTransformerTrainer: any losses of `thresher.losses`, on cosines.

    The data set has the columns (anchor, positive), then perhaps hard negatives, then perhaps
    `label`. Positive j is the item of anchor j; each anchor is compared with every positive and
    hard negative of the batch, on all processes. With labels, which are whole numbers such as a
    product's, a positive of an equal label is true as well; without them the positives of other
    anchors are negatives, so that repeated texts need `batch_sampler="no_duplicates"`.

    The logs of the last batch are in `objective.logs`. Parameters of losses, such as the head of
    `HardestPairs`, are trained by the trainer, at its learning rate, and averaged over processes.

    Args:
        model: the SentenceTransformer that is trained.
        terms: losses, pairs of a loss and its weight, or terms, as in `Objective`.
        block: anchors that are scored at a time, as in `Objective`.

    Raises:
        InputError: fewer than two columns of texts, or labels that are not whole numbers.

    Example:
        >>> from thresher.losses import HardestPairs, Softmax, ThresholdConsistentMargin
        >>> terms = [Softmax(), HardestPairs(), (ThresholdConsistentMargin(), 0.5)]
        >>> def loss(model):  # SentenceTransformerTrainer(model, ..., loss=loss)
        ...     return SentenceTransformersLoss(model, terms)
    """

    def __init__(
        self,
        model: nn.Module,
        terms: Sequence[Term | Loss | tuple[Loss, float]],
        *,
        block: int | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.objective = Objective(terms, block=block)
        self._averaged = False

    def forward(
        self, sentence_features: Iterable[dict[str, Any]], labels: Tensor | None = None
    ) -> Tensor:
        """The total of a batch."""
        columns = [
            F.normalize(self.model(features)["sentence_embedding"].float(), dim=1)
            for features in sentence_features
        ]
        if len(columns) < 2:
            raise InputError(
                f"the data set has {len(columns)} column of texts; give an anchor and a positive"
            )
        items = torch.cat(columns[1:])
        total, self.objective.logs = self.objective.reduce(
            {"query": columns[0], "item": items},
            {"query_item": _links(len(columns[0]), len(items), labels, items.device)},
        )
        self._average_heads()
        return total

    def _average_heads(self) -> None:
        # DistributedDataParallel wraps the model, not the losses. A head of HardestPairs has its
        # shapes from the first call on, before the first backward.
        if self._averaged:
            return
        self._averaged = True
        for parameter in self.objective.parameters():
            parameter.register_hook(lambda gradient: all_sum(gradient) / world())


def _links(rows: int, columns: int, labels: Tensor | None, device: torch.device) -> Links:
    """Which of the positives of all processes, each with as many columns, are true."""
    own = torch.arange(rows, device=device)
    pairs = torch.stack([own, own], 1)
    if labels is not None:
        if labels.ndim != 1 or labels.is_floating_point():
            raise InputError(
                f"labels are {labels.dtype} {list(labels.shape)}; give one whole number a row, "
                "equal where the item is the same"
            )
        row, other = (labels[:, None] == gather(labels)).nonzero().unbind(1)
        # The positives of a process are the first of its columns.
        column = other // rows * columns + other % rows - rank() * columns
        pairs = torch.stack([row, column], 1)
    return Links("query", "item", pairs, pairs[:0])
