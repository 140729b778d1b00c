"""The data of a grid of arms: a look at its features before any cell runs."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from grids import runs
from grids.ssl_arms import Arm, Sections, usable
from grids.ssl_tuning import Setting
from thresher.errors import InputError
from thresher.towers.feature_tower import FeatureTower

_DECIDED = ("train.logq", "data.train_share")


class Looked(NamedTuple):
    """What a look at the data of a base found.

    Args:
        base: of its runs.
        sections: what all arms need in it.
        arms: that its features allow, by name.
        left_out: a sentence for each other one.
        tower: with its features and its catalogue, untrained.
    """

    base: runs.Base
    sections: Sections
    arms: dict[str, Arm]
    left_out: list[str]
    tower: FeatureTower

    def setting(self, name: str, *, share: float, logq: bool) -> Setting:
        """Arms on this share of the training pairs, with logQ or without."""
        sections = {"data": {"train_share": share}, "train": {"logq": logq}, **self.sections}
        return Setting(name, self.base, sections, self.arms)

    def information(self) -> tuple[list[str], Float64[np.ndarray, "k k"]]:
        """The parts of its items, and their mutual information in nats."""
        parts = self.tower.parts(masked=True)
        return list(parts.table.bags), parts.information()


def with_features(base: runs.Base) -> runs.Base:
    """A base whose tower concatenates the features of items, as in the paper.

    Raises:
        InputError: its run has another tower.
    """
    tower = {"kind": "features", "combine": "concat", **base.sections.get("tower", {})}
    if (tower["kind"], tower["combine"]) != ("features", "concat"):
        raise InputError(
            f"--data is {base.name}, whose tower is {tower['kind']!r} with combine = "
            f"{tower['combine']!r}; give a folder of items and pairs, or of events, or the TOML of "
            "a run with tower.combine = 'concat'"
        )
    return base._replace(sections={**base.sections, "tower": tower})


def look(
    base: runs.Base, names: Iterable[str], at: str, overrides: Sequence[str], seed: int
) -> Looked:
    """Loads the data once, so that what no cell can use is refused before the first one runs.

    Raises:
        InputError: the data, the metric or an override cannot be used.
    """
    for override in overrides:
        if (key := override.partition("=")[0].strip()) in _DECIDED:
            option = "--logq" if key == "train.logq" else "--share"
            raise InputError(f"--set {override} is what the grid varies; give {option} instead")
    base = with_features(base)
    config = runs.resolve(base, {}, overrides, seed)
    data = runs.check(config, runs.SPLITS.values(), [at])
    tower: FeatureTower = config.build("tower")
    tower.fit(data, config.build("features"))
    arms, left_out = usable(names, tower.schema, config.sections["features"])
    sections: Sections = {}
    drawn = config.build("train").pairs_a_step(len(data.part("train").truth.indices), 1)
    # A step draws as many items as pairs, and a small catalogue has fewer.
    if config.sections["views"]["items"] is None and drawn > len(data.items):
        sections = {"views": {"items": len(data.items)}}
    return Looked(base, sections, arms, left_out, tower)
