"""What a run retrieves from what: the sections of its TOML, and what each of them builds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from thresher.data.dataset import DataSpec
from thresher.data.history import HistorySpec
from thresher.decide.options import DecideOptions
from thresher.evaluate.options import RankingOptions
from thresher.retrieve.options import IndexOptions
from thresher.towers import HISTORY as HISTORY_KIND
from thresher.towers import LEARNING_RATES, TOWERS
from thresher.towers.history import HistoryTower
from thresher.train.classifiers import ClassifierOptions
from thresher.train.labels import LABELS
from thresher.train.options import TrainOptions

Section = Mapping[str, Any]
Constructor = Callable[..., Any]


class Kinds(NamedTuple):
    """A section that says by its `kind` what it builds.

    Args:
        choices: kind to constructor.
        usual: the kind of a run that names none.
    """

    choices: Mapping[str, Constructor]
    usual: str


@dataclass(frozen=True)
class Family:
    """The sections of a run, and what is usual in them.

    Args:
        name: of the family.
        order: of the sections, `objective` among them.
        plain: section to what it builds.
        kinds: section to what it may build.
        objective: the terms of a run that names none.
        train: keys of `[train]` whose usual value is another one here.
    """

    name: str
    order: Sequence[str]
    plain: Mapping[str, Constructor]
    kinds: Mapping[str, Kinds]
    objective: Sequence[Section]
    train: Mapping[str, Any] = field(default_factory=dict)

    def unsaid(self, tower: str) -> Mapping[str, Any]:
        """Values of `[train]` that a run with this kind of tower has when it does not say."""
        return {**self.train, **LEARNING_RATES.get(tower, {})}


MATCHING = Family(
    name="matching",
    order=("data", "tower", "labels", "objective", "train", "classifiers", "index", "decide"),
    plain={
        "data": DataSpec,
        "train": TrainOptions,
        "classifiers": ClassifierOptions,
        "index": IndexOptions,
        "decide": DecideOptions,
    },
    kinds={"tower": Kinds(TOWERS, "bag"), "labels": Kinds(LABELS, "text")},
    objective=({"kind": "softmax"}, {"kind": "alc"}, {"kind": "tcm"}),
)
"""Texts to the items of a catalogue, with a decision."""

HISTORY = Family(
    name="history",
    order=("data", "tower", "objective", "train", "index", "ranking"),
    plain={
        "data": HistorySpec,
        "train": TrainOptions,
        "index": IndexOptions,
        "ranking": RankingOptions,
    },
    kinds={"tower": Kinds({HISTORY_KIND: HistoryTower}, HISTORY_KIND)},
    objective=({"kind": "croloss"},),
    train={"metric": "recall@50", "clustered_from": -1},
)
"""The histories of customers to their next items."""


def family_of(tower: Any) -> Family:
    """The family of a run whose tower is of this kind."""
    return HISTORY if tower == HISTORY_KIND else MATCHING
