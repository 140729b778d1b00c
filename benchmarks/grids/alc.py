"""The grid of the ALC paper: backbones bare, with TCM, with ALC, with both; and the ablations."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from grids import runs
from grids.alc_deployer import deployer
from grids.backbones import BACKBONES
from grids.command import Done
from grids.figure import coverage_bars
from grids.variants import FULL, WEIGHTS, Variant, ablations
from thresher.errors import InputError
from thresher.jobs import table
from thresher.jobs.cells import Cell, Outcome
from thresher.jobs.compare import write_table
from thresher.jobs.table import Column, Row
from thresher.report.figures import to_png

FIGURE = "figure.png"
BASELINE = "TF-IDF, margin"

_TARGETS = (0.9, 0.95, 0.98)

BLOCKS: table.Blocks = {
    "Ranking by the tower": [
        Column("P@1", "raw/P@1"),
        Column("P@5", "raw/precision@5"),
        *(Column(f"PSP@{k}", f"raw/PSP@{k}") for k in (1, 5)),
        Column("recall@100", "raw/recall@100"),
        Column("P@1 re-ranked", "P@1"),
    ],
    "Coverage, the threshold chosen on the measured split itself": [
        *(
            Column(f"{title} {target:g}", f"{kind}coverage@precision={target:g}")
            for title, kind in (("raw", "raw/"), ("re-ranked", ""))
            for target in _TARGETS
        ),
        Column("AURC raw", "raw/aurc"),
        Column("AURC re-ranked", "aurc"),
        Column("OPIS raw", "raw/opis"),
    ],
    "Coverage at thresholds that the calibration split certified, and the precision realised": [
        Column(f"{word} {target:g}", f"certified_{what}@precision={target:g}")
        for target in _TARGETS
        for word, what in (("certified", "coverage"), ("realised", "precision"))
    ],
    "Training": [
        Column("seconds", "seconds", "count"),
        Column("pairs/s", "pairs_per_second", "count"),
    ],
}
"""What the table shows: head of a block -> columns."""


class Grid(NamedTuple):
    """What a grid has by default.

    Args:
        variants: of each backbone.
        backbones: to compare.
        split: to measure on.
    """

    variants: Sequence[Variant]
    backbones: Sequence[str]
    split: str


GRIDS: Mapping[str, Grid] = {
    "full": Grid(FULL, ("ngame", "dexa", "prime"), "test"),
    # What is chosen from a table must not have seen the test split.
    "ablations": Grid(tuple(ablations()), ("ngame",), "validation"),
    "deployer": Grid(FULL, ("softmax",), "test"),
}


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to run.

    Args:
        data: a dataset that ships, a folder of tables, or the TOML of a run.
        out: folder of the cells and the table.
        grid: `full`, `ablations`, or `deployer`: every score, at equal training time.
        seeds: each gives every cell its own split, first weights and order of training.
        backbones: to compare; the grid's own when empty.
        split: to measure on; the grid's own when left out.
        overrides: `section.key=value` for every cell.
        keep: keep the models after measuring.
        weights: of the terms that are added, by kind; tune them on validation.

    Raises:
        InputError: there is no such grid, backbone or split, seeds repeat, or a weight is below 0.
    """

    data: str
    out: Path
    grid: str = "full"
    seeds: Sequence[int] = (0, 1, 2)
    backbones: Sequence[str] = ()
    split: str | None = None
    overrides: Sequence[str] = ()
    keep: bool = False
    weights: Mapping[str, float] = field(default_factory=lambda: WEIGHTS)

    def __post_init__(self) -> None:
        runs.among("--grid", [self.grid], GRIDS)
        runs.among("--backbone", self.backbones, BACKBONES)
        runs.among("--split", [self.split] if self.split else [], ("validation", "test"))
        runs.check_seeds(self.seeds)
        if len(set(self.backbones)) < len(self.backbones):
            raise InputError(f"--backbone is {list(self.backbones)}; give each once")
        for kind, weight in self.weights.items():
            if not weight >= 0:
                raise InputError(f"--{kind} must be a weight of 0 or more, got {weight}")


@dataclass(frozen=True)
class Plan:
    """The cells of a request.

    Args:
        request: what to run.
        name: of the data.
        split: that is measured.
        cells: in the order of the table.
        groups: row to its group in the figure.
    """

    request: Request
    name: str
    split: str
    cells: Sequence[Cell]
    groups: Mapping[str, str]


def plan(request: Request) -> Plan:
    """The cells of a request, each with its whole run; no model is trained, nothing is written.

    Raises:
        InputError: the data or an override cannot be used.
    """
    grid = GRIDS[request.grid]
    base = runs.base_of(request.data)
    split = request.split or grid.split
    rows = _described(grid, request.backbones or grid.backbones, request.weights)
    cells = []
    for row in rows:
        for seed in request.seeds:
            config = runs.resolve(base, row.sections, request.overrides, seed)
            task = {"splits": {"": split}, "keep": request.keep}
            cells.append(runs.cell(row.name, seed, config, request.out, **task))
    if any(cell.measured() is None for cell in cells):
        config = runs.resolve(base, rows[0].sections, request.overrides, request.seeds[0])
        runs.check(config, ("calibration", split))
    return Plan(request, base.name, split, cells, {row.name: row.group for row in rows})


class _Described(NamedTuple):
    name: str
    sections: Mapping[str, Any]
    group: str


def _described(
    grid: Grid, backbones: Sequence[str], weights: Mapping[str, float]
) -> list[_Described]:
    """The rows of a grid."""
    rows = []
    for backbone in (BACKBONES[name] for name in backbones):
        for variant in grid.variants:
            added = ({"weight": weights[term["kind"]], **term} for term in variant.terms)
            terms = [*backbone.sections["objective"], *added]
            train = {**backbone.sections.get("train", {}), **variant.train}
            sections = {**backbone.sections, "objective": terms, "train": train}
            group = f"{backbone.title} {variant.group}".strip()
            rows.append(_Described(backbone.title + variant.title, sections, group))
    return rows


def for_deployer(
    request: Request, *, jobs: int, report: Callable[[Outcome], None] = lambda outcome: None
) -> Done:
    """Runs the grid of every score at equal training time; see `grids.alc_deployer`."""
    r, grid = request, GRIDS["deployer"]
    rows = _described(grid, r.backbones or grid.backbones, r.weights)
    of = {row.name: row.sections for row in rows}
    how: Any = {"split": r.split or grid.split, "keep": r.keep, "jobs": jobs, "report": report}
    return deployer(runs.base_of(r.data), of, r.overrides, r.seeds, r.out, **how)


def alc(
    planned: Plan, *, jobs: int, report: Callable[[Outcome], None] = lambda outcome: None
) -> Done:
    """Runs what is missing of a plan, and writes the table and the figure into its folder.

    Args:
        planned: the cells.
        jobs: processes at a time, at least 1.
        report: called with each cell that has ended, at once.
    """
    request = planned.request
    outcomes, _ = runs.measured(planned.cells, jobs=jobs, report=report)
    rows = table.rows_of(outcomes, planned.groups)
    rows = [*([_baseline(rows[0])] if request.grid == "full" else []), *rows]
    above = runs.head(planned.name, planned.split, request.seeds, request.overrides)
    body = table.markdown(rows, BLOCKS, seeds=len(request.seeds))
    found = {
        "table": f"{above}\n\n{body}",
        "data": planned.name,
        "grid": request.grid,
        "split": planned.split,
        "seeds": list(request.seeds),
        "set": list(request.overrides),
        "rows": table.as_json(rows),
        "failed": table.failures(outcomes),
    }
    write_table(request.out, found)
    to_png(coverage_bars(rows, precision=0.95), request.out / FIGURE)
    return Done(found["table"], found)


def _baseline(first: Row) -> Row:
    """Character TF-IDF, which every cell measures beside its model, as a row of its own."""
    mark = "tfidf/"
    values = {
        seed: {key.replace(mark, "raw/", 1): v for key, v in run.items() if key.startswith(mark)}
        for seed, run in first.runs.items()
    }
    return Row(BASELINE, values, BASELINE)
