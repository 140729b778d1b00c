"""From a dataset, a base and what sets a model apart to the cell that trains and measures it."""

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from thresher.config import Config, read
from thresher.data.bundled import BUNDLED
from thresher.data.dataset import Dataset, load_dataset
from thresher.data.options import FILES
from thresher.errors import InputError
from thresher.jobs.cells import Cell, Outcome, Values, run_cells
from thresher.jobs.compare import cell_of, seeded

PROGRAM = "grids.cell"
BENCHMARKS = str(Path(__file__).resolve().parent.parent)
SPLITS = {"validation/": "validation", "test/": "test"}
"""What a grid that chooses on validation measures: prefix of the values -> split."""
_SUFFIXES = (".parquet", ".csv", ".tsv", ".jsonl")
_MODEL = ("labels", "objective")  # sections that a grid decides about


class Base(NamedTuple):
    """What the cells of a grid have in common.

    Args:
        name: of the data, for people.
        sections: of a run's TOML, its paths absolute.
    """

    name: str
    sections: Mapping[str, Any]

    @property
    def events(self) -> bool:
        """Whether queries are the histories of users."""
        return "events" in read(self.sections).build("data").named()


def base_of(data: str) -> Base:
    """The base of a grid: a dataset that ships, a folder of tables, or a run's TOML.

    The labels and the objective of a TOML are left out: those are what a grid compares.

    Args:
        data: what `--data` says.

    Raises:
        InputError: there is nothing of that name, a folder has a table twice, or the file is no
            run.
    """
    path = Path(data)
    if data in BUNDLED:
        return Base(data, {"data": {"bundled": data}})
    if path.is_dir():
        return Base(path.resolve().name, {"data": _tables_in(path.resolve())})
    if path.is_file():
        read(path)
        sections = tomllib.loads(path.read_text("utf-8"))
        kept = {name: table for name, table in sections.items() if name not in _MODEL}
        named = {
            key: str((path.parent / value).resolve()) if key in FILES else value
            for key, value in kept.get("data", {}).items()
        }
        return Base(path.stem, {**kept, "data": named})
    raise InputError(
        f"--data is {data!r}, which is no folder, no file and no dataset that ships; give the "
        f"folder of items, queries and pairs, or of events, the TOML of a run, or "
        f"{' or '.join(BUNDLED)}"
    )


def among(option: str, given: Iterable[str], known: Iterable[str]) -> None:
    """InputError for a value that is not among the known ones, with the nearest of them."""
    names = list(known)
    for name in given:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise InputError(f"{option} must be {' or '.join(names)}, got {name!r}{hint}")


def check_seeds(seeds: Sequence[int]) -> None:
    """InputError for seeds that repeat or are below 0."""
    if not seeds or min(seeds) < 0 or len(set(seeds)) < len(seeds):
        raise InputError(f"--seeds must be 0 or more, each once, got {list(seeds)}")


def slug(name: str) -> str:
    """The name of a row as that of a folder."""
    return re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-")


def resolve(base: Base, sections: Mapping[str, Any], overrides: Sequence[str], seed: int) -> Config:
    """The whole run of a cell, every default written out.

    What the sections say wins over the base, the overrides over both, the seed over all.

    Raises:
        InputError: an override, or the base under these sections, is not a valid run.
    """
    merged = {**base.sections, **sections}
    for name in base.sections.keys() & sections.keys():
        merged[name] = {**base.sections[name], **sections[name]}
    return seeded(read(merged, overrides), seed)


def cell(name: str, seed: int, config: Config, out: Path, **task: Any) -> Cell:
    """The cell of a run.

    Args:
        name: its row in the table, and the start of the name of its folder.
        seed: of the run.
        config: as `resolve` gives it.
        out: folder of the grid.
        task: what `grids.cell` reads besides: `splits`, prefix of the values to the split that is
            measured; `keep`, whether the model stays.
    """
    told = {"splits": SPLITS, "keep": False, **task}
    return cell_of(name, seed, config, out / f"{slug(name)}-{seed}", told)


def measured(
    cells: Sequence[Cell], *, jobs: int, report: Any, program: str = PROGRAM
) -> tuple[list[Outcome], dict[Path, Values | None]]:
    """Run what was not measured before, each folder once: how each ended, and its numbers."""
    distinct = {cell.folder: cell for cell in cells}
    outcomes = run_cells([*distinct.values()], program, jobs=jobs, report=report, path=BENCHMARKS)
    return outcomes, {outcome.cell.folder: outcome.values for outcome in outcomes}


def check(config: Config, splits: Iterable[str], metrics: Iterable[str] = ()) -> Dataset:
    """Load the data once, so that what no cell can use is refused before the first one runs.

    Args:
        config: a run of the grid.
        splits: that need queries.
        metrics: such as "recall@50", by which the grid is to choose.

    Raises:
        InputError: the data cannot be used, a split of it is empty, or a metric is not measured.
    """
    data = load_dataset(config.build("data"), config.folder)
    for split in ("train", *splits):
        if not len(data.part(split)):
            raise InputError(
                f"the data has no queries in the split {split!r}; give it a share in [data] shares"
            )
    ks = [k for k in config.build("recommend").ks if k <= len(data.items)]
    for metric in metrics:
        if metric.rpartition("@")[2] not in map(str, ks):
            raise InputError(
                f"--at {metric} is not measured in a catalogue of {len(data.items):,} items; "
                f"recommend.ks are {', '.join(map(str, ks)) or 'none'}"
            )
    return data


def head(name: str, split: str, seeds: Sequence[int], overrides: Sequence[str]) -> str:
    """The line above a table: what was measured."""
    several = len(seeds) > 1
    changed = "".join(f", `{override}`" for override in overrides)
    return (
        f"{name}, split {split}, {'seeds' if several else 'seed'} {', '.join(map(str, seeds))}"
        f"{'; mean ± standard deviation' if several else ''}{changed}."
    )


def _tables_in(folder: Path) -> dict[str, str]:
    """The tables of a folder: items, queries, pairs and ignored, or events."""
    found: dict[str, str] = {}
    for name in FILES:
        there = [f"{name}{s}{z}" for s in _SUFFIXES for z in ("", ".gz")]
        there = [file for file in there if (folder / file).is_file()]
        if len(there) > 1:
            raise InputError(f"{folder} has {' and '.join(there)}; remove all but one")
        if there:
            found[name] = str(folder / there[0])
    if "events" not in found and "pairs" not in found:
        raise InputError(
            f"{folder} has no pairs table and no events; a folder of data holds items, queries "
            f"and pairs, or events, each as {', '.join(_SUFFIXES)}"
        )
    return found
