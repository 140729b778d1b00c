"""From a dataset, a base and what sets a model apart to the cell that trains and measures it."""

import difflib
import inspect
import re
import tempfile
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from thresher import __version__
from thresher.bench.cells import Cell, fingerprint
from thresher.calibration import checked
from thresher.config import Config, read
from thresher.data.bundled import BUNDLED, bundled
from thresher.data.dataset import load_dataset
from thresher.data.feature_data import FeatureData, load_feature_data
from thresher.data.history import load_history
from thresher.data.labelled import Labelled
from thresher.errors import InputError
from thresher.family import Family, Section, family_of
from thresher.jobs.next_items import METRICS, SPLITS, check_asked
from thresher.towers import FEATURES as FEATURES_KIND
from thresher.towers import HISTORY as HISTORY_KIND

RUN = "run.toml"
_TABLES = ("items", "queries", "pairs", "ignored", "events")
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


def base_of(data: str, *, features: bool = False) -> Base:
    """The base of a grid: a dataset that ships, a folder of tables, or a run's TOML.

    The labels and the objective of a TOML are left out: those are what a grid compares.

    Args:
        data: what `--data` says.
        features: whether a folder, or what ships, is read as features, whichever tables it has.

    Raises:
        InputError: there is nothing of that name, a folder lacks a table or has it twice, or the
            file is no run.
    """
    path = Path(data)
    if data in BUNDLED:
        kind = FEATURES_KIND if features else _kind(_tables_in(bundled(data)))
        return Base(data, _sections({"bundled": data}, kind), Path().resolve())
    if path.is_dir():
        held = _tables_in(path, features=features)
        kind = FEATURES_KIND if features else _kind(held)
        return Base(path.resolve().name, _sections(held, kind), path.resolve())
    if path.is_file():
        read(path)
        sections = tomllib.loads(path.read_text("utf-8"))
        kept = {name: table for name, table in sections.items() if name not in _MODEL}
        return Base(path.stem, kept, path.parent.resolve())
    raise InputError(
        f"--data is {data!r}, which is no folder, no file and no dataset that ships; give the "
        f"folder of items, queries and pairs, or of events, the TOML of a run, or "
        f"{' or '.join(BUNDLED)}"
    )


def of_family(base: Base, family: Family) -> Base:
    """The base, when its runs are of this family.

    Raises:
        InputError: when they are not.
    """
    found = family_of(base.sections.get("tower", {}).get("kind"))
    if found is not family:
        holds = {
            "matching": "items, queries and pairs",
            "history": "events and perhaps items",
            "features": "items and pairs, or of events",
        }
        raise InputError(
            f"--data is {base.name}, which is for {found.name} runs; give a folder of "
            f"{holds[family.name]}, or the TOML of a {family.name} run"
        )
    return base


def among(option: str, given: Iterable[str], known: Iterable[str]) -> None:
    """InputError for a value that is not among the known ones, with the nearest of them."""
    names = list(known)
    for name in given:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise InputError(f"{option} must be {' or '.join(names)}, got {name!r}{hint}")


def slug(name: str) -> str:
    """The name of a row as that of a folder."""
    return re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-")


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
    family = family_of(tables.get("tower", {}).get("kind"))
    text = Config(family, tables, merged.get("objective", ()), base.folder).to_toml()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / RUN
        path.write_text(text, "utf-8")
        first = read(path, overrides)
        tower = first.family.kinds["tower"].choices[first.sections["tower"]["kind"]]
        seeded = ["data", "train"]
        seeded += ["tower"] if "seed" in inspect.signature(tower).parameters else []
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
    if task["kind"] != "tfidf":
        decides = {**config.sections, "objective": config.objective, "data": data}
    # Where the tables lie decides nothing, what is in them does.
    paths = config.build("data").paths(config.folder)
    parts = [__version__, task["kind"], task.get("split"), decides]
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


def check_histories(config: Config, depths: Iterable[int]) -> None:
    """The same for histories, and for the N of recall@N that a grid is to choose by.

    Raises:
        InputError: the data cannot be used, nobody is asked in a split, or an N is not measured.
    """
    history = load_history(config.build("data"), config.folder)
    for split in SPLITS:
        check_asked(getattr(history, split), split)
    measured = [k for k in config.sections["ranking"]["depths"] if k <= len(history.items)]
    for depth in depths:
        if depth not in measured:
            raise InputError(
                f"--at {depth} is not measured in a catalogue of {len(history.items):,} items; "
                f"ranking.depths give {', '.join(map(str, measured)) or 'none'}"
            )


def check_features(config: Config, metric: str) -> FeatureData:
    """The same for features, and for the metric that a grid is to choose by; the data of the run.

    Raises:
        InputError: the data cannot be used, nobody is asked in a split, or the metric is none that
            is measured.
    """
    data = load_feature_data(config.build("data"), config.folder)
    for split in SPLITS:
        check_asked(getattr(data, split), split)
    depths = [k for k in config.sections["ranking"]["depths"] if k <= len(data.items)]
    name, _, depth = metric.rpartition("@")
    if name not in METRICS or depth not in map(str, depths):
        raise InputError(
            f"--at is {metric!r}; give one of {', '.join(METRICS)} at a depth that is measured, "
            f"{' or '.join(map(str, depths)) or 'none'} in a catalogue of {len(data.items):,} items"
        )
    return data


def _kind(held: Mapping[str, str]) -> str | None:
    """The tower of tables with events; any of a matching run for others."""
    return HISTORY_KIND if "events" in held else None


def _sections(data: Section, kind: str | None) -> Mapping[str, Section]:
    """The sections of a base."""
    return {"data": data, **({"tower": {"kind": kind}} if kind else {})}


def _tables_in(folder: Path, *, features: bool = False) -> dict[str, str]:
    """The tables of a folder: of events and perhaps items, or of items, queries and pairs.

    With features, users of events may have a table too, and pairs need none of queries.
    """
    found: dict[str, str] = {}
    for name in _TABLES:
        there = [f"{name}{s}{z}" for s in _SUFFIXES for z in ("", ".gz")]
        there = [file for file in there if (folder / file).is_file()]
        if len(there) > 1:
            raise InputError(f"{folder} has {' and '.join(there)}; remove all but one")
        if there:
            found[name] = there[0]
    if "events" in found:
        read = ("events", "items", *(["queries"] if features else []))
        return {name: found[name] for name in read if name in found}
    for name in ("items", "pairs") if features else ("items", "queries", "pairs"):
        if name not in found:
            holds = "items and pairs" if features else "items, queries and pairs"
            raise InputError(
                f"{folder} has no {name} table; a folder of data holds {holds}, or events, each "
                f"as {', '.join(_SUFFIXES)}"
            )
    if features:
        found.pop("ignored", None)
    return found
