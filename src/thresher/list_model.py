"""What models that list items have in common: how they are written, opened and asked."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pyarrow as pa
from safetensors import SafetensorError

from thresher.artifact import Artifact, Edit
from thresher.config import Config
from thresher.data.tables import read_table, write_table
from thresher.errors import InputError
from thresher.evaluate.options import RankingOptions
from thresher.retrieve import Index
from thresher.retrieve import load as load_index


class Saved(Protocol):
    """A tower that is written to a folder."""

    def settings(self) -> dict[str, Any]:
        """What makes a tower like it."""

    def save(self, folder: Path) -> None:
        """Writes its weights."""


T = TypeVar("T")
M = TypeVar("M", bound="ListModel")


class ListModel:
    """A trained tower over a catalogue that is listed from."""

    tower: Saved
    items: pa.Table
    index: Index
    options: RankingOptions

    def depths(self) -> tuple[int, ...]:
        """How deep lists are measured: as told, as far as the catalogue reaches."""
        fitting = tuple(k for k in self.options.depths if k <= len(self.items))
        return fitting or (len(self.items),)

    def checked(self, k: int) -> None:
        """InputError when the catalogue has not k items."""
        if not 1 <= k <= len(self.items):
            raise InputError(
                f"{k} items are asked for, and the catalogue has {len(self.items)}; ask for 1 to "
                f"{len(self.items)}"
            )


def write(model: ListModel, kind: str, config: Config, out: Path) -> Artifact:
    """Writes the model and index of a new artifact, and makes them current together.

    Args:
        model: what is written.
        kind: of its tower.
        config: of the run that it comes from.
        out: folder of the artifact.
    """

    def write_model(folder: Path) -> None:
        (folder / "tower").mkdir()
        described = {"kind": kind, **model.tower.settings()}
        (folder / "tower" / "tower.json").write_text(json.dumps(described, indent=2) + "\n")
        model.tower.save(folder / "tower")
        (folder / "config.toml").write_text(config.to_toml(), "utf-8")
        settings = {"base": str(config.folder), "ranking": asdict(model.options)}
        (folder / "settings.json").write_text(json.dumps(settings, indent=2) + "\n", "utf-8")

    def write_index(folder: Path) -> None:
        write_table(model.items, folder / "items.parquet")
        model.index.save(folder / "vectors")

    edit = Edit(out, fresh=True)
    edit.write("model", write_model)
    edit.write("index", write_index)
    return edit.commit()


def opened(
    folder: Path,
    kind: str,
    load: Callable[..., T],
    made: Callable[[T, pa.Table, Index, RankingOptions], M],
    *,
    otherwise: str,
) -> M:
    """The model of an artifact.

    Args:
        folder: of the artifact.
        kind: of tower that it has to have.
        load: the tower from its folder and settings.
        made: the model from tower, catalogue, index and how lists are ranked.
        otherwise: what to say of a tower of another kind.

    Raises:
        InputError: for an artifact that is damaged, or has a tower of another kind.
    """
    artifact = Artifact.open(folder)
    model, index = artifact.part("model"), artifact.part("index")
    try:
        settings = json.loads((model / "tower" / "tower.json").read_text("utf-8"))
        if (found := settings.pop("kind")) != kind:
            raise InputError(f"{folder} was trained with the tower {found!r}, {otherwise}")
        ranking = json.loads((model / "settings.json").read_text("utf-8"))["ranking"]
        return made(
            load(model / "tower", **settings),
            read_table(index / "items.parquet"),
            load_index(index / "vectors"),
            RankingOptions(**{**ranking, "depths": tuple(ranking["depths"])}),
        )
    except InputError:
        raise
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise InputError(
            f"the model in {folder} cannot be read ({str(error).splitlines()[0]}); train it anew"
        ) from error
