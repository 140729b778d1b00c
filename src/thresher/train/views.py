"""Items drawn from the whole catalogue, seen twice with other features hidden, or as they are."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64, Int64

from thresher.data.masking import Hidden, ViewOptions, draw_masks
from thresher.errors import InputError
from thresher.towers.feature_inputs import Features, FeatureTable
from thresher.types import Inputs, Links

VIEWS, SPREAD = "views", "spread"
"""Links that a term may read: of two views of one item, and of items to themselves."""

_DRAWN, _MASKED, _DROPPED = 5, 6, 7  # beside what the sampler draws from the same seed


def _as_they_are(rows: Features) -> Inputs:
    return rows


@dataclass(frozen=True)
class ItemViews:
    """Draws items and makes views of them, the same for one seed, epoch and step.

    Every item of the catalogue is equally likely, whether any training pair names it or not, and
    stands once in a step.

    **Source**: Yao et al., *Self-supervised learning for large-scale item recommendations*, CIKM
    2021, arXiv 2007.12865, section 3: items drawn uniformly; masking, then dropout of values.

    Args:
        table: the catalogue, by feature.
        options: how views are made.
        ids: which features are ids.
        several: which features have several values, of which some are dropped.
        information: mutual information of the features, where the masking needs it.
        seed: of every draw.
        masked: whether views are made, and not only items drawn as they are.
        joined: from the features of some items to what the tower reads.
    """

    table: FeatureTable
    options: ViewOptions
    ids: Collection[str]
    several: Collection[str]
    information: Float64[np.ndarray, "k k"] | None
    seed: int
    masked: bool = True
    joined: Callable[[Features], Inputs] = _as_they_are

    def checked(self, batch: int, world: int) -> int:
        """How many items each process draws, for a batch of so many pairs over all of them.

        Raises:
            InputError: there are not so many items, the processes cannot share them evenly, or the
                features cannot be masked as told.
        """
        count = self.options.items or batch
        if count > len(self.table):
            source = "views.items" if self.options.items else "train.batch_size"
            raise InputError(
                f"a step draws {count:,} items ({source}) and the catalogue has "
                f"{len(self.table):,}; set views.items to {len(self.table)} or fewer"
            )
        if count % world:
            raise InputError(
                f"views.items {count} cannot be shared by {world} processes; choose a multiple of "
                f"{world}"
            )
        if self.masked:
            self._hidden(0, 0)
        return count // world

    def rows(
        self, count: int, epoch: int, step: int, rank: int, world: int
    ) -> Int64[np.ndarray, " count"]:
        """The items that this process draws, each once over all processes."""
        generator = np.random.default_rng((self.seed, epoch, _DRAWN, step))
        drawn = generator.choice(len(self.table), count * world, replace=False)
        return drawn[rank * count : (rank + 1) * count].astype(np.int64)

    def two(
        self, rows: Int64[np.ndarray, " n"], epoch: int, step: int, rank: int
    ) -> tuple[Inputs, Inputs]:
        """Both views of these items; all items of a step, on all processes, hide the same."""
        items = self.table.take(torch.from_numpy(rows))
        names = list(self.table.bags)
        seeds = np.random.SeedSequence((self.seed, epoch, _DROPPED, step, rank))
        generator = torch.Generator().manual_seed(int(seeds.generate_state(1)[0]))
        views = []
        for hidden in self._hidden(epoch, step):
            view = items.without([n for n, gone in zip(names, hidden, strict=True) if gone])
            if self.options.value_dropout:
                view = view.thinned(self.several, self.options.value_dropout, generator)
            views.append(self.joined(view))
        return views[0], views[1]

    def plain(self, rows: Int64[np.ndarray, " n"]) -> Inputs:
        """These items as they are."""
        return self.joined(self.table.take(torch.from_numpy(rows)))

    def _hidden(self, epoch: int, step: int) -> Hidden:
        names = list(self.table.bags)
        ids = [number for number, name in enumerate(names) if name in self.ids]
        generator = np.random.default_rng((self.seed, epoch, _MASKED, step))
        return draw_masks(self.options, len(names), ids, generator, self.information)


def itself(left: str, right: str, count: int) -> Links:
    """Row i of one side is the positive of row i of the other; all others are negatives."""
    each = torch.arange(count)
    nothing = torch.zeros((0, 2), dtype=torch.int64)
    return Links(left, right, torch.stack([each, each], dim=1), nothing)
