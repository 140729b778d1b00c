"""The data of a grid of arms: a look at its features before any cell runs."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Float64

from thresher.bench import runs
from thresher.bench.ssl_arms import Arm, Sections, usable
from thresher.bench.ssl_tuning import Setting
from thresher.data.features import Schema
from thresher.errors import InputError
from thresher.jobs.features import schema_of

_DECIDED = ("train.logq", "data.train_share")


class Looked(NamedTuple):
    """What a look at the data of a base found.

    Args:
        base: of its runs.
        sections: what all arms need in it.
        arms: that its features allow, by name.
        left_out: a sentence for each other one.
        schema: its features.
        items: its catalogue.
    """

    base: runs.Base
    sections: Sections
    arms: dict[str, Arm]
    left_out: list[str]
    schema: Schema
    items: pa.Table

    def setting(self, name: str, *, share: float, logq: bool) -> Setting:
        """Arms on this share of the training pairs, with logQ or without."""
        sections = {"data": {"train_share": share}, "train": {"logq": logq}, **self.sections}
        return Setting(name, self.base, sections, self.arms)

    def information(self) -> Float64[np.ndarray, "k k"]:
        """The mutual information of the features of its items, in nats."""
        return self.schema.information(self.schema.of_items(self.items))


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
    config = runs.resolve(base, {}, overrides, seed)
    data = runs.check_features(config, at)
    schema, train = schema_of(config, data), config.build("train")
    arms, left_out = usable(names, schema, config.sections["features"])
    sections: Sections = {}
    drawn = train.pairs_a_step(len(data.relation.indices), 1)
    # A step draws as many items as pairs, and a small catalogue has fewer.
    if config.sections["views"]["items"] is None and drawn > len(data.items):
        sections = {"views": {"items": len(data.items)}}
    return Looked(base, sections, arms, left_out, schema, data.items)
