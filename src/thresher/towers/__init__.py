"""Towers: queries and items in, unit vectors out; one interface, and a registry of kinds.

A new kind of tower is a class with the methods of `Tower`, a test, and a line of `TOWERS`.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import pyarrow as pa
from safetensors import SafetensorError
from torch import nn

from thresher.data.dataset import Dataset
from thresher.data.queries import Queries
from thresher.data.schema import FeatureOptions
from thresher.errors import InputError
from thresher.towers.features import FeatureTower
from thresher.towers.history import HistoryTower
from thresher.towers.texts import TEXT_ENCODERS, TextTower
from thresher.towers.vectors import VectorTower

TOWERS: Mapping[str, Any] = {
    **TEXT_ENCODERS,
    "history": HistoryTower,
    "features": FeatureTower,
    "vectors": VectorTower,
}
"""Name in a configuration -> what its settings are the arguments of."""

Section = Mapping[str, Any]


@runtime_checkable
class Tower(Protocol):
    """What every tower can do; one that is trained is an `nn.Module`, called with inputs.

    `dim` is the width of a vector, `interests` the number of vectors of a query, side by side.
    """

    interests: int

    @property
    def dim(self) -> int:
        """Width of the vectors."""
        ...

    @property
    def trained(self) -> bool:
        """Whether there is anything to train."""
        ...

    @property
    def schema(self) -> Any:
        """What is read: `items` and `queries`, each a sequence of features."""
        ...

    def fit(self, data: Dataset, features: FeatureOptions) -> None:
        """Take vocabulary and sizes from the items and the training queries; draw the start."""
        ...

    def describe(self, items: pa.Table) -> None:
        """Take a catalogue, to whose rows histories refer from now on."""
        ...

    def items(self) -> Any:
        """The inputs of the catalogue."""
        ...

    def queries(self, queries: Queries) -> Any:
        """The inputs of queries."""
        ...

    def encode(self, inputs: Any) -> Any:
        """Unit rows without dropout and gradient: float32 [n, dim * interests], or sparse."""
        ...

    def parameter_groups(self) -> Mapping[str, list[nn.Parameter]]:
        """Parameters by the learning rate they take: "table" and "layers"."""
        ...

    def settings(self) -> dict[str, Any]:
        """The constructor's arguments."""
        ...

    def save(self, folder: Path) -> None:
        """Write the weights into a folder."""
        ...


def build_tower(kind: str, **settings: Any) -> Tower:
    """Make a tower that was not trained yet."""
    made = TOWERS[kind](**settings)
    tower: Tower = TextTower(made) if kind in TEXT_ENCODERS else made
    return tower


def default_tower(*, events: bool, decides: bool) -> Section:
    """The tower of a run that names none: by events, by labels kept apart, by neither."""
    return {"kind": "history" if events else "bag" if decides else "features"}


def default_training(kind: str) -> Section:
    """Keys of `[train]` whose default follows from the tower."""
    if kind == "sentence":
        return {"learning_rate": 2e-5, "head_learning_rate": 5e-4}
    if kind == "history":
        return {
            "metric": "recall@50",
            "cluster_from_epoch": -1,
            "logq": True,
            "learning_rate": 0.3,
            "layer_learning_rate": 3e-3,
        }
    if kind == "features":
        return {
            "metric": "recall@10",
            "cluster_from_epoch": -1,
            "logq": True,
            "learning_rate": 0.1,
            "layer_learning_rate": 1e-3,
        }
    return {}


def default_objective(kind: str) -> Sequence[Section]:
    """The terms of a run that names none."""
    if kind == "history":
        return ({"kind": "croloss"},)
    if kind == "features":
        return ({"kind": "softmax"},)
    return ({"kind": "softmax"}, {"kind": "alc"}, {"kind": "tcm"})


def save_tower(tower: Tower, folder: Path) -> None:
    """Write a tower's kind, settings and weights into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    own = tower.encoder if isinstance(tower, TextTower) else tower
    kind = next(name for name, made_by in TOWERS.items() if type(own) is made_by)
    described = {"kind": kind, **tower.settings()}
    (folder / "tower.json").write_text(json.dumps(described, indent=2) + "\n", "utf-8")
    tower.save(folder)


def load_tower(folder: Path) -> Tower:
    """Read what `save_tower` wrote.

    Raises:
        InputError: when a file is missing, truncated or of another tower.
    """
    try:
        described = json.loads((folder / "tower.json").read_text("utf-8"))
        kind = described.pop("kind")
        loaded = TOWERS[kind].load(folder, **described)
        tower: Tower = TextTower.load(loaded, folder) if kind in TEXT_ENCODERS else loaded
        return tower
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise InputError(
            f"the tower in {folder} cannot be read ({str(error).splitlines()[0]}); train again"
        ) from error
