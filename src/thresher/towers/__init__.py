"""Towers: text in, unit vectors out."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from safetensors import SafetensorError

from thresher.errors import InputError
from thresher.towers.sentence import SentenceTower
from thresher.towers.text import BagTower
from thresher.towers.tfidf import TfIdf
from thresher.types import Table


@runtime_checkable
class Tower(Protocol):
    """What every tower can do. One that learns is an `nn.Module` besides."""

    def start_from(self, texts: Sequence[str]) -> None:
        """Takes what it needs from the texts of catalogue and training queries, such as the idf."""
        ...

    def prepare(self, texts: Sequence[str]) -> Table:
        """Tokenises once; batches are taken from what it returns."""
        ...

    def encode(self, texts: Sequence[str]) -> Any:
        """Unit rows: float32 [n, D], or a sparse matrix for the `tfidf` tower."""
        ...

    def settings(self) -> dict[str, Any]:
        """The constructor's arguments."""
        ...

    def save(self, folder: Path) -> None:
        """Writes the weights into a folder."""
        ...

    @classmethod
    def load(cls, folder: Path, **settings: Any) -> "Tower":
        """A tower of these settings with the weights that were written."""
        ...


TOWERS: Mapping[str, type[Tower]] = {
    "bag": BagTower,
    "tfidf": TfIdf,
    "sentence": SentenceTower,
}
HISTORY = "history"
"""The kind of the tower that reads histories, not texts (`thresher.towers.history`)."""
FEATURES = "features"
"""The kind of the tower that reads features (`thresher.towers.features`)."""
READ = {HISTORY: "histories of customers", FEATURES: "features"}
"""What is read by the kinds of tower that read no texts."""

LEARNING_RATES: Mapping[str, Mapping[str, float]] = {
    "sentence": {"learning_rate": 2e-5, "head_learning_rate": 5e-4},
}
"""The rates at which a kind of tower is trained when a run does not say, where not the usual."""


def save_tower(tower: Tower, folder: Path) -> None:
    """Writes a tower's kind, settings and weights into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    kind = next(name for name, made_by in TOWERS.items() if type(tower) is made_by)
    described = {"kind": kind, **tower.settings()}
    (folder / "tower.json").write_text(json.dumps(described, indent=2) + "\n", "utf-8")
    tower.save(folder)


def load_tower(folder: Path) -> Tower:
    """Reads what `save_tower` wrote.

    Raises:
        InputError: when a file is missing, truncated or of another tower, or the tower reads
            histories or features.
    """
    try:
        described = json.loads((folder / "tower.json").read_text("utf-8"))
        if (kind := described.pop("kind")) not in (HISTORY, FEATURES):
            return TOWERS[kind].load(folder, **described)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise InputError(
            f"the tower in {folder} cannot be read ({str(error).splitlines()[0]}); train it anew"
        ) from error
    raise InputError(
        f"the tower in {folder} reads {READ[kind]}, not texts; `thresher recommend`, "
        "`evaluate` and `report` are for it"
    )
