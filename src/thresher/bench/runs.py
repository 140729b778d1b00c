"""From a dataset, a base and what sets a model apart to the cell that trains and measures it."""

import inspect
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from thresher import __version__
from thresher.bench.cells import Cell, fingerprint
from thresher.calibration import checked
from thresher.config import Config, read
from thresher.data.bundled import BUNDLED
from thresher.data.dataset import load_dataset
from thresher.data.labelled import Labelled
from thresher.errors import InputError
from thresher.towers import TOWERS

SPLITS = ("validation", "test")
RUN = "run.toml"
_TABLES = ("items", "queries", "pairs", "ignored")
_SUFFIXES = (".parquet", ".csv", ".tsv", ".jsonl")
_MODEL = ("labels", "objective")  # sections that a grid decides about


class Base(NamedTuple):
    """What the cells of a grid have in common.

    Args:
        name: of the data, for people.
        sections: of a run's TOML.
        folder: where its relative paths begin.
    """

    name: str
    sections: Mapping[str, Any]
    folder: Path


def base_of(data: str) -> Base:
    """The base of a grid: a dataset that ships, a folder of tables, or a run's TOML.

    The labels and the objective of a TOML are left out: those are what a grid compares.

    Raises:
        InputError: there is nothing of that name, a folder lacks a table or has it twice, or the
            file is no run.
    """
    path = Path(data)
    if data in BUNDLED:
        return Base(data, {"data": {"bundled": data}}, Path().resolve())
    if path.is_dir():
        return Base(path.resolve().name, {"data": _tables_in(path)}, path.resolve())
    if path.is_file():
        read(path)
        sections = tomllib.loads(path.read_text("utf-8"))
        kept = {name: table for name, table in sections.items() if name not in _MODEL}
        return Base(path.stem, kept, path.parent.resolve())
    raise InputError(
        f"--data is {data!r}, which is no folder, no file and no dataset that ships; give the "
        f"folder of items, queries and pairs, the TOML of a run, or {' or '.join(BUNDLED)}"
    )


def resolve(base: Base, sections: Mapping[str, Any], overrides: Sequence[str], seed: int) -> Config:
    """The whole run of a cell, every default written out and every path absolute.

    What the sections say wins over the base, the seed over both, and overrides over all.

    Raises:
        InputError: an override, or the base under these sections, is not a valid run.
    """
    merged = {**base.sections, **sections}
    for name in base.sections.keys() & sections.keys():
        merged[name] = {**base.sections[name], **sections[name]}
    tables = {name: table for name, table in merged.items() if name != "objective"}
    text = Config(tables, merged.get("objective", ()), base.folder).to_toml()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / RUN
        path.write_text(text, "utf-8")
        kind = read(path, overrides).sections["tower"]["kind"]
        seeded = ["data", "train"]
        seeded += ["tower"] if "seed" in inspect.signature(TOWERS[kind]).parameters else []
        config = read(path, [*(f"{name}.seed={seed}" for name in seeded), *overrides])
    data = {
        key: str((base.folder / value).resolve()) if key in _TABLES and value else value
        for key, value in config.sections["data"].items()
    }
    return replace(config, sections={**config.sections, "data": data}, folder=base.folder)


def cell(name: str, seed: int, config: Config, folder: Path, task: Mapping[str, Any]) -> Cell:
    """The cell of a run.

    Args:
        name: its row in the table.
        seed: of the run.
        config: as `resolve` gives it.
        folder: where it works.
        task: what `thresher.bench.cell` is told besides: the `split` to measure on; whether to
            `keep` the model; its `kind`, `model` or `tfidf` for the baseline on the run's data.

    Raises:
        InputError: a file of the data cannot be read.
    """
    data = {key: value for key, value in config.sections["data"].items() if key not in _TABLES}
    decides: Mapping[str, Any] = {"data": data}
    if task["kind"] == "model":
        decides = {**config.sections, "objective": config.objective, "data": data}
    # Where the tables lie decides nothing, what is in them does.
    paths = config.build("data").paths(config.folder)
    parts = [__version__, task["kind"], task["split"], decides]
    mark = fingerprint(parts, [path for path in paths if path is not None])
    return Cell(name, seed, folder, mark, {RUN: config.to_toml()}, task)


def check(config: Config, split: str) -> None:
    """Loads the data once, so that what no cell can use is refused before the first one runs.

    Raises:
        InputError: the data cannot be used, or a split of it is too small.
    """
    data = load_dataset(config.build("data"), config.folder)
    checked(Labelled.of(data, data.rows("calibration")), config.build("decide"))
    for name in ("train", split):
        if not len(data.rows(name)):
            raise InputError(
                f"the data has no queries in the split {name!r}; give it a share in [data] shares"
            )


def _tables_in(folder: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in _TABLES:
        there = [f"{name}{s}{z}" for s in _SUFFIXES for z in ("", ".gz")]
        there = [file for file in there if (folder / file).is_file()]
        if len(there) > 1:
            raise InputError(f"{folder} has {' and '.join(there)}; remove all but one")
        if not there and name != "ignored":
            raise InputError(
                f"{folder} has no {name} table; a folder of data holds items, queries and pairs, "
                f"each as {', '.join(_SUFFIXES)}"
            )
        if there:
            found[name] = there[0]
    return found
