"""A second stage: a vector for each item, learnt with the tower at rest, and fused with its own."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor, nn

from thresher.errors import InputError
from thresher.losses.hinge import HardestHinge
from thresher.objective import Objective, Term
from thresher.towers.encode import Rows
from thresher.towers.item_embeddings import ClassifierRows, fused
from thresher.towers.model import RetrievalModel
from thresher.training.batches import QUERY_ITEM, Pairs
from thresher.training.loop import train
from thresher.training.options import TrainOptions


@dataclass(frozen=True, kw_only=True)
class ClassifierOptions:
    """One-vs-all classifiers beside the tower; the keys of the `[classifiers]` table.

    Args:
        epochs: passes over the training pairs with the tower at rest; 0 for no classifiers.
        learning_rate: of the classifiers.
        margin: by which a true item's score shall lead.
        weight: share of the classifier in an item's vector, from 0 to 1.
    """

    epochs: int = 0
    learning_rate: float = 0.01
    margin: float = 0.2
    weight: float = 0.5

    def __post_init__(self) -> None:
        if self.epochs < 0 or not self.learning_rate > 0 or not 0 <= self.weight <= 1:
            raise InputError(
                f"classifiers.epochs is {self.epochs}, learning_rate {self.learning_rate} and "
                f"weight {self.weight}; give 0 or more, above 0, and from 0 to 1"
            )
        if not 0 < self.margin < math.inf:
            raise InputError(f"classifiers.margin must be a number above 0, got {self.margin}")


class _AtRest(nn.Module):
    """Queries are vectors already; items are numbers, whose vectors are learnt."""

    def __init__(self, classifiers: ClassifierRows) -> None:
        super().__init__()
        self.classifiers = classifiers
        self.dim = classifiers.dim

    def forward(self, inputs: Rows) -> Tensor:
        own: Tensor = self.classifiers(inputs.rows) if inputs.rows.ndim == 1 else inputs.rows
        return own

    def parameter_groups(self) -> Mapping[str, list[nn.Parameter]]:
        """The vectors of the items."""
        return {"table": list(self.parameters())}


Measure = Callable[[Float32[np.ndarray, "N D"]], Mapping[str, float]]


def train_classifiers(
    model: RetrievalModel,
    pairs: Pairs,
    options: ClassifierOptions,
    how: TrainOptions,
    folder: Path,
    *,
    measure: Measure | None = None,
    resume: bool = False,
    fingerprint: str = "",
    quiet: bool = False,
) -> tuple[Float32[np.ndarray, "N D"], Mapping[str, float]]:
    """Learns a vector for each item on fixed query vectors, beginning at the item's own.

    **Source**: the second stage of NGAME (Dahiya et al., WSDM 2023): classifiers start from label
    embeddings, the encoder is frozen, and both scores are added.

    The model, trained on these pairs in the way of `how`, stays as it is; `measure` gives
    validation metrics of fused item vectors; all else is as in `train`.

    Returns:
        A unit row for each item, and the validation metrics of the fused vectors.
    """
    items = model.vectors(pairs.items)
    rows = ClassifierRows(torch.from_numpy(items)).to(next(model.parameters()).device)
    stage = RetrievalModel(_AtRest(rows))
    objective = Objective([Term("main", HardestHinge(margin=options.margin), links=QUERY_ITEM)])

    def validate() -> Mapping[str, float]:
        return measure(fused(items, rows.vectors(), options.weight)) if measure else {}

    queries = Rows(torch.from_numpy(model.vectors(pairs.queries)))
    metrics = train(
        stage,
        objective,
        replace(pairs, queries=queries, items=Rows(torch.arange(len(items)))),
        _second(options, how),
        folder,
        validate=validate if measure is not None else None,
        resume=resume,
        fingerprint=fingerprint,
        quiet=quiet,
    )
    return rows.vectors(), metrics


def _second(options: ClassifierOptions, how: TrainOptions) -> TrainOptions:
    """How classifiers are trained, where the model was trained so."""
    return replace(
        how,
        epochs=options.epochs,
        learning_rate=options.learning_rate,
        cluster_from_epoch=-1 if how.cluster_from_epoch < 0 else 0,
        negatives="batch",
        hard_negatives=0,
        mini_batch_size=0,
        precision="float32",
    )
