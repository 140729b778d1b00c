"""A model as a folder: what `Retriever.save` writes and `Retriever.open` reads."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from thresher.artifact import Artifact, Transaction
from thresher.catalogue import Catalogue
from thresher.config import read_saved
from thresher.decide.known import KnownTexts
from thresher.decision import Decision
from thresher.errors import InputError
from thresher.files import read_json, write_json
from thresher.rerank import Examples
from thresher.towers import Tower, load_tower, save_tower
from thresher.towers.sums import read_sums

if TYPE_CHECKING:
    from thresher.retriever import Retriever


def write_model(model: "Retriever", folder: Path) -> None:
    """Write what training learnt, and the run, into a folder."""
    save_tower(model.tower, folder / "tower")
    if model.embeddings is not None:
        model.embeddings.save(folder / "items")
    if model.known_texts is not None:
        model.known_texts.save(folder / "known_texts.npy")
    if model.examples is not None:
        model.examples.save(folder / "examples")
    (folder / "config.toml").write_text(model.config.to_toml(), "utf-8")
    settings = {"base": str(model.config.folder), "train_queries": model.train_queries}
    write_json(folder / "settings.json", settings)


def edit(model: "Retriever", folder: Path) -> Transaction:
    """Changes to a model's folder.

    Raises:
        InputError: the folder holds another model or catalogue by now.
    """
    if Artifact.open(folder).fingerprint("model", "index") != model.fingerprint:
        raise InputError(
            f"{folder} holds another model or catalogue by now than when this one was opened; "
            "open it again"
        )
    return Transaction(folder)


def read_parts(
    folder: str | Path,
) -> tuple[dict[str, Any], dict[str, "partial[Any]"], str]:
    """The arguments of a `Retriever`, what is read later, and the fingerprint of model and index.

    The tower is read when more than vectors of queries is asked of it, where `SumReader` makes
    these; what only calibration and another catalogue need, when they do.

    Raises:
        InputError: for a damaged artifact, or a policy of another model or index.
    """
    artifact = Artifact.open(folder)
    try:
        return *_parts(artifact), artifact.fingerprint("model", "index")
    except InputError:
        raise
    except Exception as error:  # files that fit their digests and are not what save writes
        said = f"{type(error).__name__}: {error}".splitlines()[0]
        raise InputError(
            f"{folder} cannot be read ({said}): a file is not what Thresher writes; restore "
            "the artifact, or train again"
        ) from error


def _parts(artifact: Artifact) -> tuple[dict[str, Any], dict[str, "partial[Any]"]]:
    folder, decision = artifact.part("model"), None
    settings = read_json(folder / "settings.json", what="the settings", fix="train again")
    base = Path(settings["base"])
    if artifact.has("decision"):
        decision = Decision.load(
            artifact.part("decision"), fitted_on=artifact.fingerprint("model", "index")
        )
    options = None if decision is None else decision.options
    config = read_saved(folder / "config.toml", base, options)
    index, model = artifact.part("index"), artifact.fingerprint("model")
    reader: Any = read_sums(folder / "tower")
    tower = load_tower(folder / "tower") if reader is None else None
    reads: Any = reader or tower
    catalogue = Catalogue.load(index, reads, model=model)
    known, examples = folder / "known_texts.npy", folder / "examples"
    later = {"embeddings": partial(_embeddings, folder / "items")}
    if examples.exists():
        later["examples"] = partial(_examples, examples)
    if tower is None:
        later["tower"] = partial(_tower, folder / "tower", catalogue.items)
    given = {
        "config": config,
        "tower": reads,
        "catalogue": catalogue,
        "decision": decision,
        "train_queries": settings["train_queries"],
        "known_texts": KnownTexts.load(known) if known.exists() else None,
        "folder": artifact.folder,
        "reader": reader,
    }
    return given, later


def _tower(folder: Path, items: pa.Table) -> Tower:
    """The tower itself, where more is asked of it than vectors of queries."""
    tower = load_tower(folder)
    tower.describe(items)
    return tower


def _examples(path: Path) -> Examples:
    examples = Examples.load(path)
    if examples is None:
        raise InputError(f"{path} is there no longer: another model was written; open it again")
    return examples


def _embeddings(folder: Path) -> Any:
    from thresher.towers.item_embeddings import ItemEmbeddings  # which imports torch

    return ItemEmbeddings.load(folder)
