"""CROLoss against softmax, triplet and BPR, tuned alike; and recall against alpha."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from grids import runs
from grids.command import Done
from grids.croloss_figure import alpha_curves
from grids.croloss_trials import ALPHAS, LOSSES, Draw, draws
from thresher.errors import InputError
from thresher.jobs import table
from thresher.jobs.cells import Cell, Outcome, Values
from thresher.jobs.compare import write_table
from thresher.jobs.table import Column, Row
from thresher.losses.croloss import KERNELS
from thresher.report.figures import to_png

FIGURE = "figure.png"
KS = (10, 50, 100, 200, 500)


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to run.

    Args:
        data: a set of histories that ships, a folder with events, or the TOML of a run.
        out: folder of the cells and the table.
        grid: "tuned" tunes every loss by as many trials and measures the best; "curve" has every
            kernel with every alpha, plain and by the Lambda method.
        losses: of "tuned"; all when empty.
        trials: of each loss, on the first seed.
        at: the N of recall@N for which the best trial of each loss is chosen on validation.
        seeds: of the chosen ones, or of the curve; of split, first weights and order of training.
        kernels: of "curve"; all when empty.
        temperature: of "curve".
        learning_rate: of "curve".
        overrides: `section.key=value` for every cell.

    Raises:
        InputError: for an unknown grid, loss or kernel, or numbers out of range.
    """

    data: str
    out: Path
    grid: str = "tuned"
    losses: Sequence[str] = ()
    trials: int = 8
    at: Sequence[int] = (50, 500)
    seeds: Sequence[int] = (0, 1, 2)
    kernels: Sequence[str] = ()
    temperature: float = 0.1
    learning_rate: float = 0.1
    overrides: Sequence[str] = ()

    def __post_init__(self) -> None:
        runs.among("--grid", [self.grid], ("tuned", "curve"))
        runs.among("--loss", self.losses, LOSSES)
        runs.among("--kernel", self.kernels, KERNELS)
        if self.trials < 1 or not self.at or min(self.at) < 1:
            raise InputError(
                f"--trials is {self.trials} and --at {', '.join(map(str, self.at))}; give 1 or more"
            )
        runs.check_seeds(self.seeds)


@dataclass(frozen=True)
class Bench:
    """The grid of a request over its data.

    Args:
        request: what to run.
        base: what all cells have in common.
        jobs: processes at a time.
        report: called with each cell that has ended.
    """

    request: Request
    base: runs.Base
    jobs: int
    report: Callable[[Outcome], None]

    def cell(self, name: str, seed: int, draw: Draw, loss: str) -> Cell:
        """The cell of a loss with the settings of a trial."""
        train = {**self.base.sections.get("train", {}), "learning_rate": draw.learning_rate}
        sections = {"objective": [LOSSES[loss](draw)], "train": train}
        config = runs.resolve(self.base, sections, self.request.overrides, seed)
        return runs.cell(name, seed, config, self.request.out)

    def measured(self, cells: Sequence[Cell]) -> dict[Path, Values | None]:
        """The numbers of each cell by its folder; what was not measured before is run, once."""
        if any(cell.measured() is None for cell in cells):
            request = self.request
            config = runs.resolve(self.base, {}, request.overrides, request.seeds[0])
            at = request.at if request.grid == "tuned" else ()
            runs.check(config, runs.SPLITS.values(), (f"recall@{k}" for k in at))
        return runs.measured(cells, jobs=self.jobs, report=self.report)[1]


def croloss(
    request: Request, *, jobs: int, report: Callable[[Outcome], None] = lambda outcome: None
) -> Done:
    """Runs what is missing of a grid, and writes the table and the figure into its folder.

    Args:
        request: what to run.
        jobs: processes at a time, at least 1.
        report: called with each cell that has ended, at once.

    Raises:
        InputError: the data or an override cannot be used.
    """
    base = runs.base_of(request.data)
    if not base.events:
        raise InputError(f"--data is {base.name}, which has no events; give histories of users")
    base = base._replace(sections={"recommend": {"ks": KS}, **base.sections})
    rows, about = (_tuned if request.grid == "tuned" else _curve)(
        Bench(request, base, jobs, report)
    )
    split = "test" if request.grid == "tuned" else "validation"
    body = table.markdown(rows, blocks(split, measured_ks(rows)), seeds=len(request.seeds))
    above = runs.head(base.name, split, request.seeds, request.overrides) + " Percent."
    found = {
        "table": "\n\n".join([above, body, *about.notes]),
        "data": base.name,
        "grid": request.grid,
        "seeds": list(request.seeds),
        "set": list(request.overrides),
        "rows": table.as_json(rows),
        **about.values,
    }
    write_table(request.out, found)
    if about.curves:
        to_png(alpha_curves(about.curves), request.out / FIGURE)
    return Done(found["table"], found)


class About(NamedTuple):
    """What a grid says beside its table.

    Args:
        notes: paragraphs.
        values: for `table.json`.
        curves: for the figure: N to the name of a line to its (alpha, recall) points.
    """

    notes: Sequence[str]
    values: Mapping[str, Any]
    curves: Mapping[int, Mapping[str, Sequence[tuple[float, float]]]]


def _tuned(bench: Bench) -> tuple[list[Row], About]:
    """The best trial of each loss for each N, on every seed."""
    request = bench.request
    losses = request.losses or tuple(LOSSES)
    trials = [
        (loss, draw, bench.cell(_settings(loss, draw), request.seeds[0], draw, loss))
        for loss in losses
        for draw in draws(request.trials)
    ]
    measured = bench.measured([cell for _, _, cell in trials])
    tried = [(loss, draw, measured[cell.folder]) for loss, draw, cell in trials]
    chosen: dict[str, Draw] = {}
    for depth in request.at:
        for loss in losses:
            key = f"validation/recall@{depth}"
            own = [(v.get(key), d) for other, d, v in tried if v and other == loss]
            known = [(value, draw) for value, draw in own if value is not None]
            if known:
                chosen[f"{loss}, for N = {depth}"] = max(known, key=lambda pair: pair[0])[1]
    cells = [
        bench.cell(_settings(loss, draw), seed, draw, loss)
        for name, draw in chosen.items()
        for loss in [name.partition(", for")[0]]
        for seed in request.seeds
    ]
    values = bench.measured(cells)
    found: dict[str, dict[int, Values]] = {name: {} for name in chosen}
    names = [name for name in chosen for _ in request.seeds]
    for name, cell in zip(names, cells, strict=True):
        if (numbers := values[cell.folder]) is not None:
            found[name][cell.seed] = numbers
    settings = {name: _settings(name.partition(", for")[0], d) for name, d in chosen.items()}
    lines = [f"- {name}: {text}" for name, text in settings.items()]
    said = f"Chosen on validation from {request.trials} trials of each loss:\n\n" + "\n".join(lines)
    return [Row(name, of) for name, of in found.items()], About([said], {"chosen": settings}, {})


def _curve(bench: Bench) -> tuple[list[Row], About]:
    """Every kernel and alpha, plain and by the Lambda method, beside the other losses."""
    request, at = bench.request, bench.request.temperature
    usual = Draw(at, request.learning_rate, 1.0, "softplus")
    terms: dict[str, tuple[Draw, str]] = {
        name: (usual, name) for name in ("softmax", "triplet", "bpr")
    }
    lines: dict[str, dict[float, str]] = {}
    for kernel in request.kernels or KERNELS:
        for loss in ("CROLoss", "CROLoss lambda"):
            line = f"{loss} {kernel}"
            for alpha in ALPHAS:
                name = f"{line}, alpha {alpha:g}"
                lines.setdefault(line, {})[alpha] = name
                terms[name] = usual._replace(alpha=alpha, kernel=kernel), loss
    cells = [bench.cell(name, s, *of) for name, of in terms.items() for s in request.seeds]
    found: dict[str, dict[int, Values]] = {name: {} for name in terms}
    values = bench.measured(cells)
    for cell in cells:
        if (numbers := values[cell.folder]) is not None:
            found[cell.name][cell.seed] = numbers
    rows = [Row(name, of) for name, of in found.items()]
    by_name = {row.name: row for row in rows}

    def points(line: str, depth: int) -> list[tuple[float, float]]:
        key = f"validation/recall@{depth}"
        means = [(alpha, by_name[name].spread(key).mean) for alpha, name in lines[line].items()]
        return [(alpha, mean) for alpha, mean in means if mean is not None]

    ks = measured_ks(rows)
    curves = {depth: {line: points(line, depth) for line in lines} for depth in ks}
    best = {depth: best_alpha(rows, depth) for depth in ks}
    said = [f"- I retrieve N = {depth}: {text}" for depth, text in best.items() if text]
    return rows, About(["\n".join(said)], {"best": best}, curves)


def measured_ks(rows: Sequence[Row]) -> list[int]:
    """The N whose recall on validation was measured."""
    names = {name for row in rows for name in row.measured()}
    found = (re.fullmatch(r"validation/recall@(\d+)", name) for name in names)
    return sorted(int(match[1]) for match in found if match)


def best_alpha(rows: Sequence[Row], depth: int) -> str:
    """Which CROLoss to train when N = depth items are retrieved, from a sweep on validation.

    Returns:
        The name of the row with the highest mean recall@N, and that recall; empty without any.
    """
    key = f"validation/recall@{depth}"
    known = [
        (m, r.name) for r in rows if r.name.startswith("CROLoss") and (m := r.spread(key).mean)
    ]
    if not known:
        return ""
    recall, name = max(known)
    return f"{name} (recall {recall:.4f})"


def blocks(split: str, ks: Sequence[int]) -> table.Blocks:
    """What the table shows: head of a block -> columns, the recall at each of these N."""
    return {
        f"Recall on {split}": [
            *(Column(f"recall@{k}", f"{split}/recall@{k}", "percent") for k in ks),
            Column("nDCG@50", f"{split}/ndcg@50", "percent"),
            Column("hit rate@50", f"{split}/hit_rate@50", "percent"),
        ],
        f"Items that are listed on {split}, and training": [
            Column("coverage@50", f"{split}/catalogue_coverage@50", "percent"),
            Column("popularity@50", f"{split}/popularity@50"),
            Column("rare recall@50", f"{split}/rare/recall@50", "percent"),
            Column("seconds", "seconds", "count"),
            Column("events/s", "pairs_per_second", "count"),
        ],
    }


def _settings(loss: str, draw: Draw) -> str:
    term = {k: v for k, v in LOSSES[loss](draw).items() if k not in ("kind", "rank_kernel")}
    return ", ".join([loss, *(f"{k} {v}" for k, v in term.items()), f"rate {draw.learning_rate}"])
