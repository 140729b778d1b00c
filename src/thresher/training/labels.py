"""What items have beside their text: the keys of the `[labels]` table."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64

from thresher.errors import InputError
from thresher.negatives.clusters import balanced_tree
from thresher.towers.encode import vectors
from thresher.towers.labels import PrototypeLabels, SharedLabels, shared_places
from thresher.types import Table


@dataclass(frozen=True, kw_only=True)
class TextLabels:
    """An item's vector is that of its text, as in NGAME's encoder."""

    def build(self, tower: Any, items: Table, counts: Int64[np.ndarray, " N"], seed: int) -> None:
        """Nothing to learn."""


@dataclass(frozen=True, kw_only=True)
class Shared:
    """Items have vectors beside their text, most of them shared by look-alikes, as in DEXA.

    Args:
        shared: how many vectors are shared; half as many as there are items when left out.
        private: how many of the most frequent items have a vector of their own.
    """

    shared: int | None = None
    private: int = 1000

    def __post_init__(self) -> None:
        if self.private < 0 or (self.shared is not None and self.shared < 1):
            raise InputError(
                f"labels.shared is {self.shared} and labels.private {self.private}; give 1 or more "
                "shared and 0 or more private vectors"
            )

    def build(
        self, tower: Any, items: Table, counts: Int64[np.ndarray, " N"], seed: int
    ) -> SharedLabels:
        """Clusters the items by the vectors of their texts; each cluster shares one.

        InputError for more shared vectors than items.
        """
        count = len(items)
        wanted = max(1, count // 2) if self.shared is None else self.shared
        if wanted > count:
            raise InputError(
                f"labels.shared asks for {wanted} clusters of {count} items; give {count} or fewer"
            )
        draw = np.random.default_rng((seed, 2))
        groups = balanced_tree(vectors(tower, items), leaves=wanted, generator=draw)
        places, rows = shared_places(groups, counts, self.private)
        return SharedLabels(tower.dim, torch.from_numpy(places), rows)


@dataclass(frozen=True, kw_only=True)
class Prototype:
    """An item's vector is made of its text, a vector of its own and its training queries: PRIME."""

    def build(
        self, tower: Any, items: Table, counts: Int64[np.ndarray, " N"], seed: int
    ) -> PrototypeLabels:
        """A layer that starts as the mean of the three."""
        draw = torch.Generator().manual_seed(seed)
        return PrototypeLabels(tower.dim, len(items), generator=draw)
