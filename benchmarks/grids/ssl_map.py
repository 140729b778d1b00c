"""Where self-supervision helps: made-up data, from sparse labels to dense, and of any features."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any, TypeVar

from grids import runs, synthetic
from grids.ssl_arms import PLAIN
from grids.ssl_gain import Gain, gain, popularity, said
from grids.ssl_tuning import Tuned
from grids.synthetic import Synthetic
from thresher.errors import InputError
from thresher.files import write_json

ARMS = (PLAIN, "FD", "RFM", "CFM", "NoMasking")
"""Those that a map has when none are named."""
Spec = TypeVar("Spec", bound=Any)  # a dataclass that says what to write
_MARK = "synthetic.json"
_NOTHING = 0.005  # a plain tower below this finds nothing that an arm could find more of


@dataclass(frozen=True, kw_only=True)
class Terrain:
    """Which data sets a map has.

    Args:
        items: of each, and as many queries, or as many as there are pairs where these are fewer.
        sparsity: training pairs an item; 2 is sparse, 50 is dense.
        correlation: how often a value tells its item's topic, in [0, 1].
        synonyms: names of each value; with 1 labels soon reach every name, with 20 most stand in
            few items.
        unlabelled: share of the items that stand in no training pair, in [0, 1].
        seed: of the data.

    Raises:
        InputError: a number is out of its range.
    """

    items: int = 5000
    sparsity: Sequence[float] = (2.0, 10.0, 50.0)
    correlation: Sequence[float] = (0.0, 0.5, 0.9)
    synonyms: int = 20
    unlabelled: float = 0.3
    seed: int = 0

    def __post_init__(self) -> None:
        for option, given in (("sparsity", self.sparsity), ("correlation", self.correlation)):
            if not given or len(set(given)) < len(given):
                raise InputError(f"--{option} must be given once each, got {list(given)}")
        if not min(self.sparsity) > 0:
            raise InputError(f"--sparsity must be above 0, got {min(self.sparsity):g}")
        self.specs()

    def specs(self) -> dict[tuple[float, float], Synthetic]:
        """The data set of each sparsity and correlation."""
        return {
            (sparsity, correlation): Synthetic(
                items=self.items,
                queries=max(1, min(self.items, round(sparsity * self.items))),
                pairs=max(1, round(sparsity * self.items)),
                correlation=correlation,
                synonyms=self.synonyms,
                unlabelled=self.unlabelled,
                seed=self.seed,
            )
            for sparsity, correlation in product(self.sparsity, self.correlation)
        }


def place(sparsity: float, correlation: float) -> str:
    """A place on the map, for people and folders."""
    return f"{sparsity:g} pairs an item, correlation {correlation:g}"


def generated(
    spec: Spec, folder: Path, write: Callable[[Spec, Path], object] = synthetic.write
) -> Path:
    """The folder with this data in it, which is written unless it is there."""
    mark, told = folder / _MARK, asdict(spec)
    try:
        if json.loads(mark.read_text("utf-8")) == told:
            return folder
    except (OSError, ValueError):
        pass  # nothing whole lies there
    write(spec, folder)
    write_json(mark, told)
    return folder


def base_at(terrain: Terrain, at: tuple[float, float], out: Path) -> runs.Base:
    """The base of the runs at a place of the map, its data written below `out`."""
    folder = out / "data" / runs.slug(f"{terrain.items} items {place(*at)}")
    return runs.base_of(str(generated(terrain.specs()[at], folder)))


def gains(of: Tuned, key: str) -> dict[str, Gain | None]:
    """The gain over the plain tower of each other arm of a place."""
    plain = of.rows.get(PLAIN)
    if plain is not None and (plain.spread(key).mean or 0) < _NOTHING:
        plain = None  # more than nothing is no percentage
    others = [name for name in of.setting.arms if name != PLAIN]
    return {
        name: gain(of.rows[name], plain, key) if plain and name in of.rows else None
        for name in others
    }


def markdown(places: Sequence[tuple[str, Tuned]], at: str) -> str:
    """A row for each place: popularity and the plain tower, and how much each arm gains.

    Args:
        places: by name, what the arms came to.
        at: the metric, on the test split.
    """
    key = f"test/{at}"
    arms = [name for name in places[0][1].setting.arms if name != PLAIN]
    titles = ["popularity", PLAIN, *(f"gain of {name}" for name in arms)]
    lines = ["| | " + " | ".join(titles) + " |", "|-" * (len(titles) + 1) + "|"]
    for name, of in places:
        found, plain = gains(of, key), of.rows.get(PLAIN)
        cells = ["-", "-"]
        if plain is not None:
            cells = [row.spread(key).text("percent") for row in (popularity(plain), plain)]
        cells += [said(found[arm]) for arm in arms]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
