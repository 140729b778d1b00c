"""Towers: queries and items to unit vectors."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from thresher.errors import InputError
from thresher.lazy import Registry
from thresher.towers.encoders import ENCODERS
from thresher.towers.features import FeatureOptions
from thresher.towers.tower import Tower

__all__ = [
    "ENCODERS",
    "TOWERS",
    "FeatureOptions",
    "Tower",
    "build_tower",
    "default_objective",
    "default_tower",
    "default_training",
    "load_tower",
    "save_tower",
]

TOWERS: Mapping[str, type[Tower]] = Registry(
    {
        "features": "thresher.towers.feature_tower:FeatureTower",
        "sentence": "thresher.towers.sentence:SentenceTower",
        "tfidf": "thresher.towers.tfidf:TfIdf",
        "vectors": "thresher.towers.vectors:Vectors",
    }
)
"""Kind of a tower in a configuration -> its class, imported when it is looked up."""


def build_tower(kind: str, *, base: str | Path = ".", **settings: Any) -> Tower:
    """A tower of `TOWERS` that was not trained yet; its relative paths start from `base`."""
    made: Any = TOWERS[kind](**settings)
    if kind == "vectors":
        made.base = Path(base)
    tower: Tower = made
    return tower


def default_tower(configured: Mapping[str, Any] | None = None, *, events: bool) -> dict[str, Any]:
    """The keys of `[tower]` that a run of pairs, or of events, has beside those configured."""
    if (configured or {}).get("kind", "features") != "features":
        return {}
    combine = (configured or {}).get("combine", "sum")
    dim = 128 if combine == "concat" else 64 if events else 256
    return {"kind": "features", "combine": combine, "dim": dim}


def default_training(
    kind: str, settings: Mapping[str, Any], *, events: bool, decides: bool
) -> dict[str, Any]:
    """The keys of `[train]` that a run with this tower has when it does not say otherwise.

    `settings` are those of the tower, `decides` says whether the run can be calibrated.
    """
    if kind == "sentence":
        return {"learning_rate": 2e-5, "head_learning_rate": 5e-4}
    concat = kind == "features" and settings.get("combine", "sum") == "concat"
    if not (concat or events):
        return {}
    metric = "P@1" if decides else "recall@10" if concat else "recall@50"
    rates = (0.1, 1e-3) if concat else (0.3, 3e-3)
    return {
        "logq": True,
        "cluster_from_epoch": -1,
        "metric": metric,
        "learning_rate": rates[0],
        "layer_learning_rate": rates[1],
    }


def default_objective(*, events: bool, decides: bool) -> Sequence[Mapping[str, Any]]:
    """The terms of a run that names none."""
    if events:
        return ({"kind": "croloss"},)
    kinds = ("softmax", "alc", "tcm") if decides else ("softmax",)
    return tuple({"kind": kind} for kind in kinds)


def save_tower(tower: Tower, folder: Path) -> None:
    """Writes a tower's kind, settings and weights into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    kind = next(name for name, made_by in TOWERS.items() if type(tower) is made_by)
    described = {"kind": kind, **tower.settings()}
    (folder / "tower.json").write_text(json.dumps(described, indent=2) + "\n", "utf-8")
    tower.save(folder)


def load_tower(folder: Path) -> Tower:
    """Reads what `save_tower` wrote; the tower needs a catalogue, see `Tower.describe`.

    InputError where a file is missing, truncated or of another tower.
    """
    try:
        described = json.loads((folder / "tower.json").read_text("utf-8"))
        return TOWERS[described.pop("kind")].load(folder, **described)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise InputError(
            f"the tower in {folder} cannot be read ({str(error).splitlines()[0]}); train again"
        ) from error
