"""What an artifact keeps of single items: their own vectors, by id."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from thresher.errors import InputError
from thresher.towers.classifiers import fused
from thresher.towers.labels import PrototypeLabels, SharedLabels

LABELS: Mapping[str, Any] = {"shared": SharedLabels, "prototype": PrototypeLabels}


@dataclass(frozen=True)
class ItemEmbeddings:
    """What training learnt of each item beside the tower; an item that is new has its text alone.

    Args:
        ids: of the items that were there in training.
        labels: makes an item's vector from that of its text and its number; None to leave it.
        classifiers: a classifier for each item, or None.
        weight: share of the classifier in an item's vector.
    """

    ids: tuple[str, ...]
    labels: SharedLabels | PrototypeLabels | None = None
    classifiers: Float32[np.ndarray, "N D"] | None = None
    weight: float = 0.0

    @torch.no_grad()
    def vectors(
        self, text: Float32[np.ndarray, "n D"], ids: Sequence[str], *, rows: int = 65536
    ) -> Float32[np.ndarray, "n D"]:
        """The vectors that are searched, from those of the items' texts.

        Args:
            text: unit rows, one an item.
            ids: of these items, known or not.
            rows: items at a time.
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
        """Reads what `save` wrote; None where nothing was, for a model of texts alone.

        Raises:
            InputError: when a file is damaged.
        """
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
                f"the items' own vectors in {folder} cannot be read "
                f"({str(error).splitlines()[0]}); train again"
            ) from error
