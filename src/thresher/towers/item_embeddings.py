"""What an artifact keeps of single items: vectors of their own, by id."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32, Int64
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from torch import Tensor, nn

from thresher.errors import InputError
from thresher.towers.labels import PrototypeLabels, SharedLabels

LABELS: Mapping[str, Any] = {"shared": SharedLabels, "prototype": PrototypeLabels}


@dataclass(frozen=True)
class ItemEmbeddings:
    """What training learned of each item beside the tower; a new item has the tower's vector alone.

    `ids` are those of the items that were there in training. The labels make an item's vector from
    the tower's and its number; `weight` is the share of the classifier of each item in its vector.
    Both are None where there are none.
    """

    ids: tuple[str, ...]
    labels: SharedLabels | PrototypeLabels | None = None
    classifiers: Float32[np.ndarray, "N D"] | None = None
    weight: float = 0.0

    @torch.no_grad()
    def vectors(
        self, text: Float32[np.ndarray, "n D"], ids: Sequence[str], *, rows: int = 65536
    ) -> Float32[np.ndarray, "n D"]:
        """The vectors that are searched, from those of the tower, so many rows at a time.

        `text` are unit rows, one for each item of `ids`, known or not.
        """
        number = {name: row for row, name in enumerate(self.ids)}
        known = np.array([number.get(name, -1) for name in ids], np.int64)
        out = np.array(text)
        if self.labels is not None:
            self.labels.eval()
            for i in range(0, len(out), rows):
                part = slice(i, i + rows)
                at = torch.from_numpy(known[part])
                made = self.labels(torch.from_numpy(out[part]), at, torch.full_like(at, -1))
                out[part] = made[:, : out.shape[1]].numpy()
        if self.classifiers is not None:
            there = known >= 0
            out[there] = fused(out[there], self.classifiers[known[there]], self.weight)
        return out

    def save(self, folder: Path) -> None:
        """Writes everything into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        about: dict[str, Any] = {"ids": list(self.ids), "weight": self.weight}
        if self.labels is not None:
            kind = next(k for k, made_by in LABELS.items() if type(self.labels) is made_by)
            about["labels"] = {"kind": kind, **self.labels.settings()}
            self.labels.save(folder)
        if self.classifiers is not None:
            save_file({"rows": self.classifiers}, folder / "classifiers.safetensors")
        (folder / "items.json").write_text(json.dumps(about) + "\n", "utf-8")

    @classmethod
    def load(cls, folder: Path) -> "ItemEmbeddings | None":
        """Reads what `save` wrote; None where nothing was; InputError where a file is damaged."""
        if not (folder / "items.json").exists():
            return None
        try:
            about = json.loads((folder / "items.json").read_text("utf-8"))
            labels = about.get("labels")
            rows = folder / "classifiers.safetensors"
            return cls(
                tuple(about["ids"]),
                LABELS[labels.pop("kind")].load(folder, **labels) if labels else None,
                load_file(rows)["rows"] if rows.exists() else None,
                about["weight"],
            )
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
            raise InputError(
                f"the item embeddings in {folder} cannot be read ({str(error).splitlines()[0]}); "
                "train the model again"
            ) from error


class ClassifierRows(nn.Module):
    """A vector for each item, which starts where its label vector is and is then free to move.

    Equation:  w(l) = normalise(W_l),  W a copy of the label vectors of the items seen in training

    Source:    the second stage of NGAME (Dahiya et al., WSDM 2023): classifiers initialised from
               label embeddings, over a frozen encoder.
    Memory:    the rows; the gradient is sparse, it holds the rows in use.
    """

    def __init__(self, start: Float[Tensor, "N D"]) -> None:
        super().__init__()
        self.dim = start.shape[1]
        self.table = nn.Parameter(start.detach().clone())

    def forward(self, rows: Int64[Tensor, " n"]) -> Float[Tensor, "n D"]:
        """Unit rows of the items of these numbers."""
        return F.normalize(F.embedding(rows.to(self.table.device), self.table, sparse=True), dim=1)

    def vectors(self) -> Float32[np.ndarray, "N D"]:
        """Unit rows of all items."""
        return F.normalize(self.table.detach(), dim=1).cpu().numpy()


def fused(
    label_vectors: Float32[np.ndarray, "n D"],
    classifier_vectors: Float32[np.ndarray, "n D"],
    weight: float,
) -> Float32[np.ndarray, "n D"]:
    """One vector an item whose score is the weighted mean of label score and classifier score.

    Equation:  v = (1 - weight) z + weight w,  so  q . v = (1 - weight) q . z + weight q . w
    of unit rows z of the labels and w of the classifiers, with a weight in [0, 1].

    The query's vector is the same in both scores, so fusing vectors before the search is fusing
    scores after it, for every item and not only for those that one of the two retrieves. v is
    shorter than 1 where z and w disagree, as a mean of two cosines asks; do not normalise it. An
    item without a classifier, added after training, keeps its label vector: do not pass it.

    Source:    NGAME (Dahiya et al., WSDM 2023) adds the scores of encoder and classifier.
    """
    return np.float32(1 - weight) * label_vectors + np.float32(weight) * classifier_vectors
