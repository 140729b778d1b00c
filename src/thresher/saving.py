"""A model as a folder: what `Retriever.save` writes and `Retriever.open` reads."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thresher.artifact import Artifact, Transaction
from thresher.catalogue import Catalogue
from thresher.config import read
from thresher.decide.known import KnownTexts
from thresher.decision import Decision
from thresher.errors import InputError
from thresher.files import read_json, write_json
from thresher.rerank import Examples
from thresher.towers import load_tower, save_tower
from thresher.towers.item_embeddings import ItemEmbeddings

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
        model.examples.save(folder / "examples.safetensors")
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


def read_parts(folder: str | Path) -> tuple[dict[str, Any], str]:
    """The arguments of a `Retriever`, and the fingerprint of its model and index.

    Raises:
        InputError: for a damaged artifact, or a policy of another model or index.
    """
    artifact = Artifact.open(folder)
    try:
        return _parts(artifact), artifact.fingerprint("model", "index")
    except InputError:
        raise
    except Exception as error:  # files that fit their digests and are not what save writes
        said = f"{type(error).__name__}: {error}".splitlines()[0]
        raise InputError(
            f"{folder} cannot be read ({said}): a file is not what Thresher writes; restore "
            "the artifact, or train again"
        ) from error


def _parts(artifact: Artifact) -> dict[str, Any]:
    folder = artifact.part("model")
    settings = read_json(folder / "settings.json", what="the settings", fix="train again")
    config = replace(read(folder / "config.toml"), folder=Path(settings["base"]))
    tower = load_tower(folder / "tower")
    decision, known = None, folder / "known_texts.npy"
    if artifact.has("decision"):
        decision = Decision.load(
            artifact.part("decision"), fitted_on=artifact.fingerprint("model", "index")
        )
        config = config.replace(decide=asdict(decision.options))
    return {
        "config": config,
        "tower": tower,
        "catalogue": Catalogue.load(
            artifact.part("index"), tower, model=artifact.fingerprint("model")
        ),
        "embeddings": ItemEmbeddings.load(folder / "items"),
        "decision": decision,
        "train_queries": settings["train_queries"],
        "known_texts": KnownTexts.load(known) if known.exists() else None,
        "examples": Examples.load(folder / "examples.safetensors"),
        "folder": artifact.folder,
    }
