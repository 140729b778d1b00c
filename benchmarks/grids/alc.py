"""The grid of the ALC paper: backbones bare, with TCM, with ALC, with both; and the ablations."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from thresher.bench import runs, table
from thresher.bench.backbones import BACKBONES
from thresher.bench.cells import OUTPUT, Cell, Outcome, Values, run, write_json, write_whole
from thresher.bench.figure import coverage_bars, save
from thresher.bench.table import Column, Row
from thresher.bench.variants import FULL, WEIGHTS, Variant, ablations
from thresher.errors import InputError
from thresher.family import MATCHING
from thresher.jobs.next_items import SPLITS

PROGRAM = "thresher.bench.cell"
TABLE, FIGURE = "table", "figure.png"
BASELINE = "TF-IDF, no training"

_TARGETS = (0.9, 0.95, 0.98)


def _short(share: float) -> str:
    return f"{share:.2f}".removeprefix("0")


BLOCKS: table.Blocks = {
    "Ranking by the tower": [
        *(Column(f"{name}@{k}", f"raw/{name}@{k}") for name in ("P", "PSP") for k in (1, 3, 5)),
        Column("recall@100", "raw/recall@100"),
        Column("P@1 learned", "learned/P@1"),
    ],
    "Coverage, the threshold chosen on the measured split itself": [
        *(
            Column(f"{kind} {_short(target)}", f"{kind}/coverage@precision={target:g}")
            for kind in ("raw", "learned")
            for target in _TARGETS
        ),
        Column("AURC raw", "raw/aurc"),
        Column("AURC learned", "learned/aurc"),
        Column("OPIS raw", "raw/opis", "number"),
    ],
    "Coverage at thresholds that the calibration split certified, and the precision realised": [
        Column(f"{word} {_short(target)}", f"certified_{what}@precision={target:g}")
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
        baseline: whether TF-IDF stands beside them.
    """

    variants: Sequence[Variant]
    backbones: Sequence[str]
    split: str
    baseline: bool


GRIDS: Mapping[str, Grid] = {
    "full": Grid(FULL, ("ngame", "dexa", "prime"), "test", baseline=True),
    # What is chosen from a table must not have seen the test split.
    "ablations": Grid(tuple(ablations()), ("ngame",), "validation", baseline=False),
}


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to run.

    Args:
        data: a dataset that ships, a folder of tables, or the TOML of a run.
        out: folder of the cells and the table.
        grid: `full` or `ablations`.
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
        runs.among("--split", [self.split] if self.split else [], SPLITS)
        for name, given in (("--seeds", self.seeds), ("--backbone", self.backbones)):
            twice = [value for value in given if list(given).count(value) > 1]
            if twice:
                raise InputError(f"{name} {twice[0]} is given twice; give each once")
        for kind, weight in self.weights.items():
            if not weight >= 0:
                raise InputError(f"--{kind} must be a weight of 0 or more, got {weight}")
        if min(self.seeds, default=0) < 0:
            raise InputError(f"--seeds must be 0 or more, got {min(self.seeds)}")


@dataclass(frozen=True)
class Plan:
    """The cells of a request.

    Args:
        request: what was asked for.
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

    def waiting(self) -> int:
        """How many cells have to be run."""
        return sum(cell.measured() is None for cell in self.cells)


def plan(request: Request) -> Plan:
    """The cells of a request, each with its whole run; no model is trained, nothing is written.

    Raises:
        InputError: the data or an override cannot be used.
    """
    grid = GRIDS[request.grid]
    base = runs.of_family(runs.base_of(request.data), MATCHING)
    split = request.split or grid.split
    rows = _described(grid, request.backbones or grid.backbones, request.weights)
    cells = []
    for row in rows:
        for seed in request.seeds:
            config = runs.resolve(base, row.sections, request.overrides, seed)
            folder = request.out / f"{runs.slug(row.name)}-{seed}"
            task = {"kind": row.kind, "split": split, "keep": request.keep}
            cells.append(runs.cell(row.name, seed, config, folder, task))
    found = Plan(request, base.name, split, cells, {row.name: row.group for row in rows})
    if found.waiting():
        config = runs.resolve(base, rows[0].sections, request.overrides, request.seeds[0])
        runs.check(config, split)
    return found


class _Described(NamedTuple):
    name: str
    sections: Mapping[str, Any]
    group: str
    kind: str = "model"


def _described(
    grid: Grid, backbones: Sequence[str], weights: Mapping[str, float]
) -> list[_Described]:
    """The rows of a grid; the baseline knows of a run only its data."""
    rows = []
    for backbone in (BACKBONES[name] for name in backbones):
        for variant in grid.variants:
            added = ({"weight": weights[term["kind"]], **term} for term in variant.terms)
            terms = [*backbone.sections["objective"], *added]
            train = {**backbone.sections.get("train", {}), **variant.train}
            sections = {**backbone.sections, "objective": terms, "train": train}
            group = f"{backbone.title} {variant.group}".strip()
            rows.append(_Described(backbone.title + variant.title, sections, group))
    first = [_Described(BASELINE, rows[0].sections, BASELINE, "tfidf")] if grid.baseline else []
    return first + rows


class Done(NamedTuple):
    """What a grid came to.

    Args:
        page: the table as Markdown.
        table: what `table.json` holds: `rows` with every number, and the cells that `failed`.
    """

    page: str
    table: Mapping[str, Any]


def alc(
    planned: Plan, *, jobs: int, report: Callable[[Outcome], None] = lambda outcome: None
) -> Done:
    """Runs what is missing of a plan, and writes the table and the figure into its folder.

    Args:
        planned: the cells.
        jobs: processes at a time, at least 1.
        report: told of each cell that has ended, at once.
    """
    out = planned.request.out
    outcomes = run(planned.cells, PROGRAM, jobs=jobs, report=report)
    rows = _rows(planned, outcomes)
    done = Done(_page(planned, rows), _as_json(planned, rows, outcomes))
    write_whole(out / f"{TABLE}.md", done.page + "\n")
    write_json(out / f"{TABLE}.json", done.table)
    save(coverage_bars(rows, precision=0.95), out / FIGURE)
    return done


def _rows(planned: Plan, outcomes: Sequence[Outcome]) -> list[Row]:
    runs_of: dict[str, dict[int, Values]] = {name: {} for name in planned.groups}
    for outcome in outcomes:
        if outcome.values is not None:
            runs_of[outcome.cell.name][outcome.cell.seed] = outcome.values
    return [Row(name, found, planned.groups[name]) for name, found in runs_of.items()]


def _as_json(planned: Plan, rows: Sequence[Row], outcomes: Sequence[Outcome]) -> dict[str, Any]:
    request = planned.request
    failed = [
        {
            "name": outcome.cell.name,
            "seed": outcome.cell.seed,
            "error": outcome.error,
            "output": str(outcome.cell.folder / OUTPUT),
        }
        for outcome in outcomes
        if outcome.values is None
    ]
    return {
        "data": planned.name,
        "grid": request.grid,
        "split": planned.split,
        "seeds": list(request.seeds),
        "set": list(request.overrides),
        "rows": table.as_json(rows),
        "failed": failed,
    }


def _page(planned: Plan, rows: Sequence[Row]) -> str:
    request = planned.request
    seeds = ", ".join(map(str, request.seeds))
    word = "seed" if len(request.seeds) == 1 else "seeds"
    several = "; mean ± standard deviation" if len(request.seeds) > 1 else ""
    changed = f", {', '.join(f'`{o}`' for o in request.overrides)}" if request.overrides else ""
    head = f"{planned.name}, split {planned.split}, {word} {seeds}{several}{changed}."
    body = table.markdown(rows, BLOCKS, seeds=len(request.seeds))
    return f"{head}\n\n{body}"
