"""CROLoss as published: losses at one temperature; then both temperatures tuned, and learned."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from grids import runs
from grids.command import Done
from grids.croloss_paper_figure import Gains, gain_dots
from grids.paper_training import START, Setup, Temperature
from thresher.errors import InputError
from thresher.jobs import table
from thresher.jobs.cells import Cell, Outcome, Values, run_cells
from thresher.jobs.compare import write_table
from thresher.jobs.table import Column, Row
from thresher.report.figures import to_png

PROGRAM = "grids.paper_cell"
FIGURE = "figure.png"
KS = (50, 100, 200, 500)
CHOSEN_FOR = (50, 500)
Section = Mapping[str, Any]

SECTIONS: Mapping[str, Section] = {
    "data": {"protocol": "users", "history_share": 0.8},
    "tower": {"dim": 32, "max_history": 20},
    "train": {
        "learning_rate": 0.02,
        "batch_size": 256,
        "num_sampled_negatives": 10,
        "sampling_power": 0.0,
        "in_batch_negatives": False,
        "logq": False,
        "metric": "recall@100",
    },
    "recommend": {"remove_history": False, "count_repeats": True, "repeat_boost": 0.0, "ks": KS},
}
"""What all cells have; the rest of the set-up is `paper_training.Setup`."""


def softmax(b: float) -> Section:
    """Cross-entropy at a temperature of 1 / b."""
    return {"kind": "softmax", "temperature": 1 / b}


def lambda_softplus(b: float) -> Section:
    """The Lambda method, at a temperature of 1 / b."""
    return {**_croloss(b, "softplus", 1.0), "rank_kernel": "sigmoid"}


def _croloss(b: float, kernel: str, alpha: float) -> Section:
    return {"kind": "croloss", "kernel": kernel, "alpha": alpha, "temperature": 1 / b}


ARMS: Mapping[str, Callable[[float], Section]] = {
    "CE": softmax,
    "triplet": lambda b: {"kind": "triplet", "margin": 0.5 / b},
    "BPR": lambda b: {"kind": "bpr", "temperature": 1 / b},
    "CROLoss softplus 1": lambda b: _croloss(b, "softplus", 1.0),
    "Lambda softplus 1": lambda_softplus,
    "Lambda exp 1.4": lambda b: {**_croloss(b, "exp", 1.4), "rank_kernel": "sigmoid"},
}
"""Row at the published temperature -> its term at 1 / b."""
TUNED = ("CE", "Lambda softplus 1")
LEARNED: Mapping[str, Temperature] = {"CE, b learned": "learned", "CE, b by rank": "by rank"}
BLOCKS = ("published", "tuned", "learned")


@dataclass(frozen=True, kw_only=True)
class PaperRequest:
    """What to run.

    Args:
        data: a set of histories that ships, a folder with events, or the TOML of a run.
        out: folder of the cells and the table.
        seeds: of split, first weights and draws.
        blocks: of the table; "published" is always run, the others are measured against it.
        bs: 1 / T, from which that of "tuned" is chosen on validation.
        overrides: `section.key=value` for every cell.
        setup: of the training.

    Raises:
        InputError: for an unknown block, or numbers out of range.
    """

    data: str
    out: Path
    seeds: Sequence[int] = (0, 1, 2)
    blocks: Sequence[str] = BLOCKS
    bs: Sequence[float] = (2, 3, 5, 7, 10, 15)
    overrides: Sequence[str] = ()
    setup: Setup = field(default_factory=Setup)

    def __post_init__(self) -> None:
        runs.among("--block", self.blocks, BLOCKS)
        runs.check_seeds(self.seeds)
        if not self.bs or min(self.bs) <= 0:
            raise InputError(f"--b is {list(self.bs)}; give numbers above 0, such as 5 10")
        setup = self.setup
        if min(setup.steps, setup.validate_every, setup.patience, setup.first_target) < 1:
            raise InputError(
                f"--steps is {setup.steps} and --first-target {setup.first_target}; give 1 or more"
            )
        if setup.steps < setup.validate_every:
            raise InputError(
                f"--steps is {setup.steps}, and the first look at validation is after "
                f"{setup.validate_every}; give that or more"
            )


def croloss_paper(
    request: PaperRequest, *, jobs: int, report: Callable[[Outcome], None] = lambda outcome: None
) -> Done:
    """Runs what is missing of the grid, and writes the table and the figure into its folder.

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
    merged = {name: {**base.sections.get(name, {}), **own} for name, own in SECTIONS.items()}
    base = base._replace(sections={**base.sections, **merged})
    cells = cells_of(request, base)
    if any(cell.measured() is None for cell in cells):
        config = runs.resolve(base, {}, request.overrides, request.seeds[0])
        runs.check(config, runs.SPLITS.values(), [config.build("train").metric])
    outcomes = run_cells(cells, PROGRAM, jobs=jobs, report=report, path=runs.BENCHMARKS)
    rows = _compared(table.rows_of(outcomes))
    page, values = _page(request, rows)
    found = {
        "table": runs.head(base.name, "test", request.seeds, request.overrides) + "\n\n" + page,
        "data": base.name,
        "grid": "paper",
        "seeds": list(request.seeds),
        "set": list(request.overrides),
        "setup": asdict(request.setup),
        "rows": table.as_json(rows),
        **values,
    }
    write_table(request.out, found)
    to_png(
        gain_dots({depth: _gains(request, rows, depth) for depth in CHOSEN_FOR}),
        request.out / FIGURE,
    )
    return Done(found["table"], found)


def cells_of(request: PaperRequest, base: runs.Base) -> list[Cell]:
    """Every cell of the blocks, each once: seed after seed within a row."""
    told = [(name_of(arm, START), term(START), request.setup) for arm, term in ARMS.items()]
    if "tuned" in request.blocks:
        at = [b for b in request.bs if b != START]
        told += [(name_of(arm, b), ARMS[arm](b), request.setup) for arm in TUNED for b in at]
    if "learned" in request.blocks:
        for name, how in LEARNED.items():
            told.append((name, softmax(1.0), replace(request.setup, temperature=how)))
    found = []
    for name, term, setup in told:
        for seed in request.seeds:
            config = runs.resolve(base, {"objective": [term]}, request.overrides, seed)
            found.append(runs.cell(name, seed, config, request.out, **asdict(setup)))
    return found


def name_of(arm: str, b: float) -> str:
    """The row of an arm at 1 / T = b."""
    return f"{arm}, b {b:g}"


def _compared(rows: Sequence[Row]) -> list[Row]:
    """With the gain over CE at the published temperature, seed by seed."""
    by_name = {row.name: row for row in rows}
    base = by_name[name_of("CE", START)]
    return [_against(row, base, "gain") for row in rows]


def _against(row: Row, base: Row, prefix: str) -> Row:
    """The row with its relative gain in recall over another row of the same seed."""

    def gains(seed: int, values: Values) -> dict[str, float | None]:
        found: dict[str, float | None] = dict(values)
        for k in KS:
            own = values.get(f"test/recall@{k}")
            other = base.runs.get(seed, {}).get(f"test/recall@{k}")
            if own is not None and other:
                found[f"{prefix}@{k}"] = own / other - 1
        return found

    return replace(row, runs={seed: gains(seed, values) for seed, values in row.runs.items()})


def _gains(request: PaperRequest, rows: Sequence[Row], depth: int) -> Gains:
    """The rows of the figure: at the published b, at the b chosen for this N, and learned."""
    by_name = {row.name: row.spread(f"gain@{depth}") for row in rows}
    found = {
        "published": {name_of(a, START): by_name[name_of(a, START)] for a in ARMS if a != "CE"}
    }
    if "tuned" in request.blocks:
        best = {arm: name_of(arm, chosen_b(rows, arm, request.bs, depth)) for arm in TUNED}
        found["tuned"] = {f"{arm}, b tuned": by_name[name] for arm, name in best.items()}
    if "learned" in request.blocks:
        found["learned"] = {name: by_name[name] for name in LEARNED}
    return found


def _columns(over: str) -> dict[str, list[Column]]:
    return {
        "": [
            *(Column(f"recall@{k}", f"test/recall@{k}", "percent") for k in KS),
            *(Column(f"{over} @{k}", f"gain@{k}", "percent") for k in CHOSEN_FOR),
        ]
    }


ASIDE = [
    Column("hardest 1 % at start", "hardest_share_at_start", "percent"),
    Column("hardest 1 % at end", "hardest_share", "percent"),
    Column("head recall@50", "test/head/recall@50", "percent"),
    Column("tail recall@50", "test/tail/recall@50", "percent"),
    Column("best step", "best_step", "count"),
    Column("b", "b"),
    Column("g", "by_rank"),
    Column("seconds", "seconds", "count"),
]


def _page(request: PaperRequest, rows: Sequence[Row]) -> tuple[str, dict[str, Any]]:
    """The blocks of the table, and what was chosen."""
    by_name, seeds = {row.name: row for row in rows}, len(request.seeds)
    published = [by_name[name_of(arm, START)] for arm in ARMS]
    over = "over CE"
    parts = [
        f"Percent. `{over}` is the relative gain over CE at b = 10, seed by seed; `hardest 1 %` is "
        "the share of the gradient that falls on the hardest 1 % of negatives, before the first "
        "step and with the weights that are kept.",
        f"**As published, b = {START:g} for all**",
        _table(published, _columns(over), seeds),
    ]
    values: dict[str, Any] = {}
    if "tuned" in request.blocks:
        chosen = {d: {arm: chosen_b(rows, arm, request.bs, d) for arm in TUNED} for d in CHOSEN_FOR}
        tuned, lines = [], []
        for depth, of in chosen.items():
            for arm, b in of.items():
                row = by_name[name_of(arm, b)]
                tuned.append(replace(row, name=f"{arm}, for N = {depth}: b {b:g}"))
            ce, ours = (by_name[name_of(arm, of[arm])] for arm in TUNED)
            gain = _against(ours, ce, "tuned").spread(f"tuned@{depth}").text("percent")
            lines.append(f"- Both tuned for N = {depth}: Lambda against CE {gain} % in recall.")
            values[f"tuned@{depth}"] = _against(ours, ce, "tuned").spread(f"tuned@{depth}")
        parts += ["**b of both chosen on validation**", _table(tuned, _columns(over), seeds)]
        parts.append("\n".join(lines))
        at = [by_name[name] for arm in TUNED for b in request.bs
              if (name := name_of(arm, b)) in by_name]  # fmt: skip
        key = {"": [Column(f"validation recall@{d}", f"validation/recall@{d}", "percent")
                    for d in CHOSEN_FOR]}  # fmt: skip
        parts += ["**Each b**", _table(at, {"": [*key[""], *_columns(over)[""][-2:]]}, seeds)]
        values["chosen"] = chosen
    if "learned" in request.blocks:
        learned = [by_name[name] for name in LEARNED]
        parts += ["**b learned, ln b = c - g ln rank**", _table(learned, _columns(over), seeds)]
    parts += ["**Beside**", _table(rows, {"": ASIDE}, seeds)]
    return "\n\n".join(parts), values


def _table(rows: Sequence[Row], blocks: table.Blocks, seeds: int) -> str:
    return table.markdown(rows, blocks, seeds=seeds).removeprefix("****\n\n")


def chosen_b(rows: Sequence[Row], arm: str, bs: Sequence[float], depth: int) -> float:
    """The b with the best mean recall@depth on validation, the published one where none is known.

    Of equal ones the one named first.
    """
    points = _curve(rows, arm, bs, depth)
    return max(points, key=lambda point: point[1])[0] if points else START


def _curve(
    rows: Sequence[Row], arm: str, bs: Sequence[float], depth: int
) -> list[tuple[float, float]]:
    """Mean validation recall@depth against b."""
    by_name = {row.name: row for row in rows}
    found = []
    for b in dict.fromkeys([*bs, START]):
        row = by_name.get(name_of(arm, b))
        mean = None if row is None else row.spread(f"validation/recall@{depth}").mean
        if mean is not None:
            found.append((b, mean))
    return sorted(found)
