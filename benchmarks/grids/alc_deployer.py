"""What a deployer asks of the ALC paper: coverage by each score, at equal training time.

A term costs time, in which the plain loss could train on. So the steps of every objective are timed
in turn in one process, and each gets the epochs that fit into the time of the plain one's.
"""

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from grids import runs
from grids.alc_figure import score_panels
from grids.command import Done
from thresher.config import Config
from thresher.data.dataset import load_dataset
from thresher.files import write_json
from thresher.jobs import table
from thresher.jobs.cells import Cell, Outcome, fingerprint
from thresher.jobs.compare import write_table
from thresher.jobs.objective import build_objective
from thresher.jobs.table import Column
from thresher.report.figures import to_png
from thresher.towers.model import RetrievalModel
from thresher.training.batches import pairs_of
from thresher.training.loop import Run

FIGURE, TIMES = "figure.png", "times.json"
TARGETS = (0.9, 0.95, 0.98)
SCORES: Mapping[str, str] = {"raw": "raw/", "margin": "margin/", "re-ranked": ""}
"""By which an answer is accepted: title to the prefix of its values."""
_ROUNDS, _STEPS = 5, 5  # of which each objective trains in turn; one round before is not counted

BLOCKS: table.Blocks = {
    f"Coverage at a precision of {target:g}": [
        *(Column(title, f"{kind}coverage@precision={target:g}") for title, kind in SCORES.items()),
        Column("certified", f"certified_coverage@precision={target:g}"),
        Column("realised", f"certified_precision@precision={target:g}"),
    ]
    for target in TARGETS
} | {
    "Ranking and training": [
        Column("P@1", "raw/P@1"),
        Column("P@1 re-ranked", "P@1"),
        Column("epochs", "epochs", "count"),
        Column("seconds", "seconds", "count"),
    ]
}
"""What the table shows: head of a block -> columns."""


def equal_epochs(times: Mapping[str, float], epochs: int) -> dict[str, int]:
    """How many epochs each objective has, at least 1, for the time of the first one's.

    Example:
        >>> equal_epochs({"softmax": 0.02, "softmax + ALC": 0.03}, 6)
        {'softmax': 6, 'softmax + ALC': 4}
    """
    first = next(iter(times.values()))
    return {name: max(1, round(epochs * first / each)) for name, each in times.items()}


def step_times(configs: Mapping[str, Config], out: Path) -> dict[str, float]:
    """Processor seconds of a training step by objective, measured in turn; those of before again.

    Args:
        configs: of the runs, which differ in their objective alone.
        out: folder in which the times are kept.
    """
    mark = fingerprint([[dict(t) for t in c.objective] + [c.sections] for c in configs.values()])
    try:
        known = json.loads((out / TIMES).read_text("utf-8"))
    except (OSError, ValueError):
        known = {}
    if known.get("fingerprint") == mark:
        return dict(known["seconds"])
    seconds: dict[str, list[float]] = {name: [] for name in configs}
    with tempfile.TemporaryDirectory() as folder:
        goes = {name: _steps(config, Path(folder)) for name, config in configs.items()}
        for turn in range(_ROUNDS + 1):
            for name, go in goes.items():
                began = time.process_time()
                go()
                if turn:
                    seconds[name].append((time.process_time() - began) / _STEPS)
    found = {name: statistics.median(own) for name, own in seconds.items()}
    write_json(out / TIMES, {"fingerprint": mark, "seconds": found})
    return found


def _steps(config: Config, folder: Path) -> Callable[[], None]:
    """Some steps of a run, going on from one call to the next."""
    data, options = load_dataset(config.build("data"), config.folder), config.build("train")
    tower = config.build("tower")
    tower.fit(data, config.build("features"))
    tower.describe(data.items)
    model = RetrievalModel(tower)
    pairs = pairs_of(model, data.part("train"))
    run = Run(model, build_objective(config, tower.dim), pairs, options, folder)
    model.train()
    batches = (batch for epoch in range(10**6) for batch in run.sampler.epoch(epoch))

    def go() -> None:
        for _ in range(_STEPS):
            run.step(0, 0, next(batches))

    return go


def cells(
    base: runs.Base,
    rows: Mapping[str, Mapping[str, Any]],
    overrides: Sequence[str],
    seeds: Sequence[int],
    out: Path,
    **task: Any,
) -> tuple[list[Cell], dict[str, int]]:
    """The cells, all rows of a seed together, and the epochs of each row.

    Args:
        base: what all have in common.
        rows: name to the sections of the row; the first sets the time.
        overrides: `section.key=value` for every cell.
        seeds: of split, first weights and order of training.
        out: folder of the grid.
        task: of every cell, see `grids.runs.cell`.
    """
    plain = {name: runs.resolve(base, own, overrides, seeds[0]) for name, own in rows.items()}
    first = next(iter(plain.values()))
    epochs = equal_epochs(step_times(plain, out), first.sections["train"]["epochs"])
    found = []
    for seed in seeds:
        for name, own in rows.items():
            also = [*overrides, f"train.epochs={epochs[name]}"]
            config = runs.resolve(base, own, also, seed)
            found.append(runs.cell(name, seed, config, out, **task))
    return found, epochs


def deployer(
    base: runs.Base,
    rows: Mapping[str, Mapping[str, Any]],
    overrides: Sequence[str],
    seeds: Sequence[int],
    out: Path,
    *,
    split: str = "test",
    keep: bool = False,
    jobs: int,
    report: Callable[[Outcome], None] = lambda outcome: None,
) -> Done:
    """Runs what is missing, and writes the table and the figure into its folder; see `cells`.

    Raises:
        InputError: the data or an override cannot be used.
    """
    config = runs.resolve(base, next(iter(rows.values())), overrides, seeds[0])
    runs.check(config, ("calibration", split))
    task = {"splits": {"": split}, "keep": keep}
    planned, epochs = cells(base, rows, overrides, seeds, out, **task)
    outcomes, _ = runs.measured(planned, jobs=jobs, report=report)
    found = []
    for row in table.rows_of(outcomes):
        own = {s: {**values, "epochs": float(epochs[row.name])} for s, values in row.runs.items()}
        found.append(table.Row(row.name, own))
    above = runs.head(base.name, split, seeds, overrides)
    page = f"{above}\n\n{table.markdown(found, BLOCKS, seeds=len(seeds))}"
    values = {
        "table": page,
        "data": base.name,
        "grid": "deployer",
        "split": split,
        "seeds": list(seeds),
        "set": list(overrides),
        "epochs": epochs,
        "rows": table.as_json(found),
        "failed": table.failures(outcomes),
    }
    write_table(out, values)
    to_png(score_panels(found, SCORES, TARGETS), out / FIGURE)
    return Done(page, values)
