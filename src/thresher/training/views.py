"""Items drawn from the whole catalogue, seen twice with other features hidden, or as they are."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64

from thresher.data.masking import Hidden, ViewOptions, draw_masks
from thresher.errors import InputError
from thresher.towers.inputs import Features
from thresher.towers.item_parts import Divides
from thresher.towers.tower import Tower
from thresher.types import Inputs, Links

VIEWS, SPREAD_OUT = "views", "spread_out"
"""Links that a term may read: of two views of one item, and of items to themselves."""

_DRAWN, _MASKED, _DROPPED = 5, 6, 7  # beside what the sampler draws from the same seed
_TRIES = 100  # of masks, until one shows enough items; there are few of them


@dataclass(frozen=True)
class ItemViews:
    """Draws items and makes views of them, the same for one seed, epoch and step.

    Every item of the catalogue is equally likely, whether any training pair names it or not, and
    stands once in a step. An item of which one of the views would show nothing, since it lacks what
    the other hides, is not drawn: such a view is the same for all of them and tells nothing. Masks
    that would leave too few items are drawn again.

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

    table: Features
    options: ViewOptions
    ids: Collection[str]
    several: Collection[str]
    information: Float64[np.ndarray, "k k"] | None
    seed: int
    masked: bool
    joined: Callable[[Features], Inputs]
    _counts: dict[bytes, int] = field(default_factory=dict, init=False, repr=False, compare=False)

    def checked(self, batch: int, world: int) -> int:
        """How many items each process draws, for a batch of so many pairs over all of them.

        InputError where there are not so many items, or not so many that show something in both
        views; the processes cannot share them evenly; or the features cannot be masked as told.
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
        self._hidden(0, 0, count)
        return count // world

    def rows(
        self, count: int, epoch: int, step: int, rank: int, world: int
    ) -> Int64[np.ndarray, " count"]:
        """The items that this process draws, each once over all processes."""
        wanted = count * world
        hidden = self._hidden(epoch, step, wanted)
        generator = np.random.default_rng((self.seed, epoch, _DRAWN, step))
        drawn, size = np.zeros(0, np.int64), wanted
        while len(drawn) < wanted:
            tried = generator.choice(len(self.table), min(size, len(self.table)), replace=False)
            drawn, size = tried[_shown(self._known[tried], hidden)], 2 * size
        return drawn[rank * count : (rank + 1) * count].astype(np.int64)

    def two(
        self, rows: Int64[np.ndarray, " n"], epoch: int, step: int, rank: int, world: int
    ) -> tuple[Inputs, Inputs]:
        """Both views of the items of a step; all of them, on all processes, hide the same."""
        items = self.table.take(torch.from_numpy(rows))
        names = list(self.table.bags)
        seeds = np.random.SeedSequence((self.seed, epoch, _DROPPED, step, rank))
        generator = torch.Generator().manual_seed(int(seeds.generate_state(1)[0]))
        views = []
        for hidden in self._hidden(epoch, step, len(rows) * world):
            view = items.without([n for n, gone in zip(names, hidden, strict=True) if gone])
            if self.options.value_dropout:
                view = view.thinned(self.several, self.options.value_dropout, generator)
            views.append(self.joined(view))
        return views[0], views[1]

    def plain(self, rows: Int64[np.ndarray, " n"]) -> Inputs:
        """These items as they are."""
        return self.joined(self.table.take(torch.from_numpy(rows)))

    def _hidden(self, epoch: int, step: int, count: int) -> Hidden:
        """What a step that draws so many items hides; nothing where no views are made."""
        # The first masks drawn that leave something of so many items in both views. Where such
        # masks are rare, those of the first step, which `checked` has tried, stand in.
        most, names = 0, list(self.table.bags)
        ids = [number for number, name in enumerate(names) if name in self.ids]
        generator = np.random.default_rng((self.seed, epoch, _MASKED, step))
        for _ in range(_TRIES):
            hidden = Hidden(*np.zeros((2, len(names)), dtype=bool))
            if self.masked:
                hidden = draw_masks(self.options, len(names), ids, generator, self.information)
            if (shown := self._count(hidden)) >= count:
                return hidden
            most = max(most, shown)
        if (epoch, step) != (0, 0):
            return self._hidden(0, 0, count)
        fewer = f"set views.items to {most} or fewer, or " if most else ""
        raise InputError(
            f"a step draws {count:,} items, and both views show something of {most:,} of the "
            f"{len(self.table):,} at most; {fewer}leave out features that few items have"
        )

    def _count(self, hidden: Hidden) -> int:
        """How many items show something in both views; counted once for each masks."""
        key = np.packbits(hidden).tobytes()
        if key not in self._counts:
            self._counts[key] = int(_shown(self._known, hidden).sum())
        return self._counts[key]

    @cached_property
    def _known(self) -> Bool[np.ndarray, "N k"]:
        """Of which item which feature is known."""
        known = [bags.offsets.diff() > 0 for bags in self.table.bags.values()]
        return torch.stack(known, dim=1).numpy()


def _shown(known: Bool[np.ndarray, "n k"], hidden: Hidden) -> Bool[np.ndarray, " n"]:
    """Whether both views of an item show something that is known of it."""
    first, second = (np.any(known[:, ~part], axis=1) for part in hidden)
    return np.asarray(first & second)


def itself(left: str, right: str, count: int) -> Links:
    """Row i of one side is the positive of row i of the other; all others are negatives."""
    each = torch.arange(count)
    nothing = torch.zeros((0, 2), dtype=torch.int64)
    return Links(left, right, torch.stack([each, each], dim=1), nothing)


def views_of(
    options: ViewOptions, tower: Tower, terms: Sequence[Mapping[str, Any]], *, seed: int
) -> ItemViews | None:
    """What terms on views draw from the catalogue of a tower; None where no term reads any.

    Each of the terms of the objective names the `links` that it reads. InputError where the tower
    reads items in one piece, of which nothing can be hidden.
    """
    links = {VIEWS, SPREAD_OUT}.intersection(term["links"] for term in terms)
    if not links:
        return None
    if not isinstance(tower, Divides):
        raise InputError(
            f"a term reads links {sorted(links)[0]!r}, which are of the features of an item, and "
            "this tower reads items in one piece; leave the term out, or set tower.kind = "
            "'features'"
        )
    masked = VIEWS in links
    parts = tower.parts(masked=masked)
    needed = masked and options.masking == "correlated"
    return ItemViews(
        parts.table,
        options,
        ids=parts.ids,
        several=parts.several,
        information=parts.information() if needed else None,
        seed=seed,
        masked=masked,
        joined=parts.joined,
    )
