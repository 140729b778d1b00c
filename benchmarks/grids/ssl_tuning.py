"""Arms tuned alike: as many trials of each on validation, and the best of each on every seed."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from grids import runs
from grids.ssl_arms import Arm, Sections, joined, sections, settings
from grids.ssl_trials import Draw, draws
from thresher.jobs.cells import Cell, Outcome, Values
from thresher.jobs.table import Row


@dataclass(frozen=True)
class Setting:
    """What arms compete in: data, and how all of them train on it.

    Args:
        name: for people, and of the folders of its cells.
        base: what its runs have in common.
        sections: what it adds to the base.
        arms: that compete, by name.
    """

    name: str
    base: runs.Base
    sections: Sections
    arms: Mapping[str, Arm]


class Tuned(NamedTuple):
    """What the arms of a setting came to; one whose trials all failed is missing.

    Args:
        setting: in which.
        rows: by arm, the best trial on every seed.
        chosen: by arm, the settings of that trial.
    """

    setting: Setting
    rows: Mapping[str, Row]
    chosen: Mapping[str, str]


@dataclass(frozen=True)
class Tuning:
    """How arms are tuned.

    Args:
        out: folder of the cells.
        trials: of each arm in each setting, on the first seed.
        at: the metric on validation by which the best is chosen.
        seeds: of split, first weights and order of training.
        overrides: `section.key=value` for every cell.
        jobs: processes at a time.
        report: called with each cell that has ended.
    """

    out: Path
    trials: int
    at: str
    seeds: Sequence[int]
    overrides: Sequence[str]
    jobs: int
    report: Callable[[Outcome], None]

    def cell(self, setting: Setting, name: str, draw: Draw, seed: int) -> Cell:
        """The cell of an arm with the settings of a trial."""
        arm = setting.arms[name]
        merged = joined(setting.sections, sections(arm, draw))
        config = runs.resolve(setting.base, merged, self.overrides, seed)
        title = f"{setting.name}: {name}, {settings(arm, draw)}"
        return runs.cell(title, seed, config, self.out)

    def tuned(self, given: Sequence[Setting]) -> list[Tuned]:
        """Tunes every arm of these settings, then trains the best trial of each on every seed.

        What was measured before, and the best trial on the first seed, is not run again.
        """
        first = self.seeds[0]
        tried = [
            (setting, name, draw, self.cell(setting, name, draw, first))
            for setting in given
            for draw in draws(self.trials)
            for name in setting.arms
        ]
        values = self._measured([cell for *_, cell in tried])
        best: dict[tuple[str, str], tuple[float, Draw]] = {}
        for setting, name, draw, cell in tried:
            score = (values[cell.folder] or {}).get(f"validation/{self.at}")
            if score is not None and score > best.get((setting.name, name), (-math.inf,))[0]:
                best[setting.name, name] = score, draw
        chosen = [
            (setting, name, best[setting.name, name][1])
            for setting in given
            for name in setting.arms
            if (setting.name, name) in best
        ]
        cells = [[self.cell(*one, seed) for seed in self.seeds] for one in chosen]
        values = self._measured([cell for of in cells for cell in of])
        rows: dict[str, dict[str, Row]] = {setting.name: {} for setting in given}
        said: dict[str, dict[str, str]] = {setting.name: {} for setting in given}
        for (setting, name, draw), of in zip(chosen, cells, strict=True):
            known = {c.seed: found for c in of if (found := values[c.folder]) is not None}
            rows[setting.name][name] = Row(name, known)
            said[setting.name][name] = settings(setting.arms[name], draw)
        return [Tuned(setting, rows[setting.name], said[setting.name]) for setting in given]

    def _measured(self, cells: Sequence[Cell]) -> dict[Path, Values | None]:
        """The numbers of each cell by its folder; what was not measured before is run, once."""
        return runs.measured(cells, jobs=self.jobs, report=self.report)[1]
