"""What a run retrieves from what: the sections of its TOML, and what each of them builds."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from thresher.data.dataset import DataSpec
from thresher.data.feature_data import FeatureSpec
from thresher.data.history import HistorySpec
from thresher.data.masking import ViewOptions
from thresher.data.schema import FeatureOptions
from thresher.decide.options import DecideOptions
from thresher.errors import InputError
from thresher.evaluate.options import RankingOptions
from thresher.retrieve.options import IndexOptions
from thresher.towers import FEATURES as FEATURES_KIND
from thresher.towers import HISTORY as HISTORY_KIND
from thresher.towers import LEARNING_RATES, TOWERS
from thresher.towers.features import FeatureTower
from thresher.towers.history import HistoryTower
from thresher.train.classifiers import ClassifierOptions
from thresher.train.labels import LABELS
from thresher.train.options import TrainOptions
from thresher.train.views import SPREAD, VIEWS

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
        links: what a term may read, beside the pairs that training offers.
        usual: section to the keys whose usual value is another one here.
    """

    name: str
    order: Sequence[str]
    plain: Mapping[str, Constructor]
    kinds: Mapping[str, Kinds]
    objective: Sequence[Section]
    links: Sequence[str] = ()
    usual: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def unsaid(self, section: str, tower: str) -> Mapping[str, Any]:
        """Values of a section that a run with this kind of tower has when it does not say."""
        rates = LEARNING_RATES.get(tower, {}) if section == "train" else {}
        return {**self.usual.get(section, {}), **rates}


MATCHING = Family(
    name="matching",
    order=(
        "data",
        "tower",
        "labels",
        "objective",
        "views",
        "train",
        "classifiers",
        "index",
        "decide",
    ),
    plain={
        "data": DataSpec,
        "views": ViewOptions,
        "train": TrainOptions,
        "classifiers": ClassifierOptions,
        "index": IndexOptions,
        "decide": DecideOptions,
    },
    kinds={"tower": Kinds(TOWERS, "bag"), "labels": Kinds(LABELS, "text")},
    objective=({"kind": "softmax"}, {"kind": "alc"}, {"kind": "tcm"}),
    links=(VIEWS, SPREAD),
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
    usual={
        "train": {
            "metric": "recall@50",
            "clustered_from": -1,
            "logq": True,
            "learning_rate": 0.3,
            "layer_learning_rate": 3e-3,
        }
    },
)
"""The histories of customers to their next items."""

FEATURES = Family(
    name="features",
    order=("data", "features", "tower", "objective", "views", "train", "index", "ranking"),
    plain={
        "data": FeatureSpec,
        "features": FeatureOptions,
        "views": ViewOptions,
        "train": TrainOptions,
        "index": IndexOptions,
        "ranking": RankingOptions,
    },
    kinds={"tower": Kinds({FEATURES_KIND: FeatureTower}, FEATURES_KIND)},
    objective=({"kind": "softmax"},),
    links=(VIEWS, SPREAD),
    usual={
        "train": {
            "metric": "recall@10",
            "clustered_from": -1,
            "logq": True,
            "learning_rate": 0.1,
            "layer_learning_rate": 1e-3,
        },
        "ranking": {"depths": (10, 50, 100)},
    },
)
"""Queries of any features, a history among them, to items of any features."""

FAMILIES = (MATCHING, HISTORY, FEATURES)


def family_of(tower: Any) -> Family:
    """The family of a run whose tower is of this kind."""
    return next((f for f in FAMILIES if tower in f.kinds["tower"].choices), MATCHING)


def towers() -> list[str]:
    """The kinds of tower that a run may have."""
    return [kind for family in FAMILIES for kind in family.kinds["tower"].choices]


def check_own(raw: Mapping[str, Any], family: Family) -> None:
    """InputError for a section, or a key of [data], that runs of the other family have.

    Args:
        raw: the TOML of a run.
        family: that its tower makes it.
    """
    own = inspect.signature(family.plain["data"]).parameters
    for other in FAMILIES:
        others = inspect.signature(other.plain["data"]).parameters
        strange = [name for name in raw if name in other.order and name not in family.order]
        strange += [
            f"data.{key}" for key in raw.get("data", {}) if key in others and key not in own
        ]
        if strange:
            raise InputError(
                f"{strange[0]} is for {other.name} runs, and the tower makes this a {family.name} "
                f"run; leave it out, or set tower.kind = {other.kinds['tower'].usual!r}"
            )


def check_together(family: Family, sections: Mapping[str, Section]) -> None:
    """InputError for sections that each may be, but not together."""
    train = sections["train"]
    if family is FEATURES:
        if sections["ranking"]["again"]:
            raise InputError(
                f"ranking.again is {sections['ranking']['again']}, which history runs have; leave "
                "it out of a features run"
            )
        return
    if family is HISTORY:
        several = train["mined"] or train["clustered_from"] >= 0 or train["columns"] == "all"
        if sections["tower"]["interests"] > 1 and several:
            raise InputError(
                "train.mined, train.clustered_from and train.columns = 'all' need one vector a "
                "customer; leave them out, or tower.interests"
            )
        return
    of_items = sections["labels"]["kind"] != "text" or sections["classifiers"]["epochs"]
    if sections["tower"]["kind"] == "tfidf" and of_items:
        raise InputError(
            "the tower 'tfidf' learns nothing, so items have nothing of their own; leave out "
            "[labels] and [classifiers], or take the tower 'bag'"
        )
    if sections["labels"]["kind"] == "prototype" and train["columns"] == "all":
        # Each column is made without the query beside it, which only a batch of pairs can do.
        raise InputError(
            "labels.kind = 'prototype' learns from the items of a batch; leave out "
            "train.columns = 'all'"
        )


def check_views(tower: str, objective: Sequence[Section]) -> None:
    """InputError for terms of a matching run on views that its kind of tower cannot make."""
    for term in objective:
        if term["links"] in (VIEWS, SPREAD) and tower != "bag":
            raise InputError(
                f"the term {term['name']!r} reads links {term['links']!r}, which are of parts of a "
                f"bag of tokens, and the tower is {tower!r}; leave the term out, or set "
                "tower.kind = 'bag'"
            )
