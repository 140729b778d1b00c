"""Several runs on several seeds, in one table.

`python -m thresher.jobs.compare FOLDER` trains and measures one of them.
"""

import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from thresher import __version__
from thresher.config import Config, read
from thresher.data.options import FILES
from thresher.errors import InputError
from thresher.files import atomic_write, write_json
from thresher.jobs import table
from thresher.jobs.cells import (
    WORK,
    Cell,
    Outcome,
    Values,
    cells_at_a_time,
    fingerprint,
    measure_cell,
    run_cells,
)
from thresher.measure import LABELS

PROGRAM = "thresher.jobs.compare"
RUN, TABLE = "run.toml", "table"
_SHOWN = {
    "Ranking": r"((raw|popularity|tfidf|item_knn)/)?(P@1|recall@10)|recall@50|ndcg@10",
    "Decisions": r"((raw|margin|tfidf)/)?(coverage@precision=0\.95|aurc)|certified_.*",
    "Training": r"seconds",
}
"""Head of a block -> the values that it shows, in the order measured."""
_TEMPERED = ("softmax", "croloss", "bpr")
"""Base losses whose scores a temperature divides."""


def compare(
    runs: Sequence[Path | str],
    out: Path | str,
    *,
    seeds: Sequence[int] = (0, 1, 2),
    overrides: Sequence[str] = (),
    split: str = "test",
    jobs: int | None = None,
    keep: bool = False,
    report: Callable[[Outcome], None] = lambda outcome: None,
) -> dict[str, Any]:
    """Train and measure every run on every seed, in processes of their own.

    A cell that was measured before is not run again as long as its run, its data and the version
    are the same, and one that was stopped goes on from its checkpoint.

    Args:
        runs: TOML files; a row each, named as the file is.
        out: folder of the cells, of table.md and of table.json.
        seeds: each gives a run its own split, first weights and order of training.
        overrides: `section.key=value` for every run.
        split: that is measured.
        jobs: cells at a time; half the cores when left out, 1 with a GPU.
        keep: keep the models after measuring.
        report: called with the outcome of each cell as soon as it has ended.

    Returns:
        What table.json holds: `table` (Markdown), `rows` with every number of every seed, their
        means and standard deviations, the cells that `failed`, `notes` of what the numbers do not
        say or say against a run, `cells` in all.

    Raises:
        InputError: a run cannot be read, names or seeds repeat, or data cannot be read.
    """
    names = [Path(run).stem for run in runs]
    _check_once("run", names, "give each run once, in a file of its own name")
    _check_once("seed", seeds, "give each seed once")
    out, at_a_time = Path(out), cells_at_a_time(jobs)
    cells = []
    configs = [read(Path(run), overrides) for run in runs]
    for name, config in zip(names, configs, strict=True):
        for seed in seeds:
            task = {"split": split, "keep": keep}
            cells.append(cell_of(name, seed, seeded(config, seed), out / f"{name}-{seed}", task))
    outcomes = run_cells(cells, PROGRAM, jobs=at_a_time, report=report)
    rows = table.rows_of(outcomes)
    found = {
        "table": table.markdown(rows, _blocks(rows), seeds=len(seeds)),
        "rows": table.as_json(rows),
        "failed": table.failures(outcomes),
        "notes": [*_notes(rows, len(seeds)), *_one_temperature(configs)],
        "cells": len(cells),
        "split": split,
        "seeds": list(seeds),
        "set": list(overrides),
    }
    write_table(out, found)
    return found


def _check_once(what: str, given: Sequence[Any], fix: str) -> None:
    if not given:
        raise InputError(f"no {what} was given; give one or more")
    if twice := [one for one in given if given.count(one) > 1]:
        raise InputError(f"{what} {twice[0]} is given {given.count(twice[0])} times; {fix}")


def seeded(config: Config, seed: int) -> Config:
    """The same run with one seed for split, first weights and order of training."""
    names = [name for name in ("data", "tower", "train") if "seed" in config.sections[name]]
    return config.replace(**{name: {"seed": seed} for name in names})


def cell_of(name: str, seed: int, config: Config, folder: Path, task: Mapping[str, Any]) -> Cell:
    """The cell of a run; where its tables lie decides nothing, what is in them does.

    Args:
        name: its row in the table.
        seed: of the run.
        config: with this seed.
        folder: where it works.
        task: what its program reads besides.

    Raises:
        InputError: a file of the data cannot be read.
    """
    paths = config.build("data").paths(config.folder)
    given = {name: str(path.resolve()) for name, path in paths.items()}
    own = {} if config.sections["data"]["bundled"] else {"data": given}
    decides = {key: value for key, value in config.sections["data"].items() if key not in FILES}
    parts = [__version__, {**config.sections, "data": decides}, list(config.objective), dict(task)]
    run = config.replace(**own).to_toml()
    return Cell(name, seed, folder, fingerprint(parts, paths.values()), {RUN: run}, task)


def train_cell(folder: Path) -> tuple[Any, dict[str, float | None]]:
    """Train the run of a cell, or go on where it was stopped: the model, and the seconds it took.

    The seconds are unknown where the cell was stopped in between.
    """
    from thresher.jobs.train import train
    from thresher.retriever import Retriever

    work = folder / WORK
    if (work / "manifest.json").exists():
        return Retriever.open(work), {"seconds": None}
    resume = bool(list((work / "training").rglob("last.safetensors")))
    trained = train(read(folder / RUN), work, resume=resume, quiet=True)
    if trained is None:
        raise InputError("a cell is one process; do not start it with torchrun")
    return trained[0], {"seconds": None if resume else trained[1]["seconds"]}


def write_table(out: Path, found: Mapping[str, Any]) -> None:
    """Write table.md and table.json."""
    with atomic_write(out / f"{TABLE}.md") as file:
        file.write(found["table"] + "\n")
    write_json(out / f"{TABLE}.json", found)


def _notes(rows: Sequence[table.Row], seeds: int) -> list[str]:
    """That there is no spread, and which runs find less than a baseline."""
    notes = []
    if seeds == 1:
        notes.append("one seed shows no spread; give several, as in --seeds 0,1,2, to tell runs "
                     "apart")  # fmt: skip
    for row in rows:
        for base in ("popularity", "tfidf"):
            for metric in ("P@1", "recall@10"):
                own, other = row.spread(metric).mean, row.spread(f"{base}/{metric}").mean
                if own is not None and other is not None and own < other:
                    name = LABELS[base].partition(",")[0]
                    notes.append(
                        f"{row.name} finds less than {name}: {metric} {own:.3f}, not {other:.3f}"
                    )
                    break
    return notes


def _one_temperature(configs: Sequence[Config]) -> list[str]:
    """That runs differ in their base loss, and none in its temperature."""
    bases = [[term for term in c.objective if term["kind"] in _TEMPERED] for c in configs]
    kinds = {tuple(term["kind"] for term in terms) for terms in bases}
    temperatures = {term["temperature"] for terms in bases for term in terms}
    if not all(bases) or len(kinds) == 1 or len(temperatures) > 1:
        return []
    return [
        f"the losses differ and share one temperature, {temperatures.pop():g}; tune it for each "
        "before you compare them"
    ]


def _blocks(rows: Sequence[table.Row]) -> table.Blocks:
    keys = list(dict.fromkeys(key for row in rows for key in row.measured()))
    return {
        head: [
            table.Column(key, key, "count" if head == "Training" else "share")
            for key in keys
            if re.fullmatch(shown, key)
        ]
        for head, shown in _SHOWN.items()
    }


def _measure(folder: Path, task: Mapping[str, Any]) -> Values:
    model, values = train_cell(folder)
    values |= model.evaluate(task["split"])
    if not task["keep"]:
        shutil.rmtree(folder / WORK, ignore_errors=True)
    return values


if __name__ == "__main__":
    measure_cell(_measure)
