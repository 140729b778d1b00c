"""Self-supervised arms in the set-up of their paper, read at the best epoch and at the last.

Yao et al. (CIKM 2021) fix what the other grids tune: no logQ, temperature 0.07, Adagrad at 0.01
whose squares start from 0.1, concatenated features, a vector for every id, layers of 1,024 and 128
numbers. What simpler means do for the same tower stands beside it: popularity, no ids, dropout.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from grids import runs
from grids.apps import Apps, write
from grids.ssl_arms import PLAIN, Sections, joined, sections
from grids.ssl_data import Looked
from grids.ssl_gain import gain, markdown
from grids.ssl_map import generated
from grids.ssl_trials import Draw
from thresher.jobs import table
from thresher.jobs.cells import Cell, Values
from thresher.jobs.table import Column, Row

PROGRAM = "grids.ssl_paper_cell"
HIDDEN = (1024, 128)
"""Widths of the layers of both towers."""
GENERATED = "generated"
SHARE = 0.1
WHEN: Mapping[str, str] = {"best": "best epoch on validation", "last": "last epoch"}
AT = "recall@10"
KINDS = ("head", "tail", "unseen")

PAPER = Draw(
    learning_rate=0.01,
    temperature=0.07,
    dropout=0.0,
    accumulator=0.1,
    alpha=1.0,
    value_dropout=0.3,
    feature_dropout=0.3,
)
"""What the paper says, and where it searches (alpha, rates of dropout) what it found best."""

_DROPOUT = PAPER._replace(dropout=0.3)
ROWS: Mapping[str, tuple[str, Draw]] = {
    PLAIN: (PLAIN, PAPER),
    "FD": ("FD", PAPER),
    "SO": ("SO", PAPER),
    "RFM": ("RFM", PAPER),
    "CFM, alpha 0.1": ("CFM", PAPER._replace(alpha=0.1)),
    "CFM, alpha 0.3": ("CFM", PAPER._replace(alpha=0.3)),
    "CFM, alpha 1": ("CFM", PAPER),
    "CFM, alpha 3": ("CFM", PAPER._replace(alpha=3.0)),
    "plain, no id": ("no id", PAPER),
    "plain, dropout 0.3": (PLAIN, _DROPOUT),
    "CFM, alpha 1, dropout 0.3": ("CFM", _DROPOUT),
}
"""A row's name to its arm and its settings."""
USUAL = tuple(name for name in ROWS if name not in ("CFM, alpha 0.1", "CFM, alpha 0.3"))
"""The rows that run when none is named."""

SET_UP: Sections = {
    "data": {"train_share": SHARE},
    "features": {"id_min_count": 0},
    "tower": {"kind": "features", "combine": "concat"},
    "train": {
        "epochs": 20,
        "batch_size": 256,
        "logq": False,
        "metric": AT,
        "layer_learning_rate": PAPER.learning_rate,
        "warmup_ratio": 0.0,
        "cluster_from_epoch": -1,
    },
    "recommend": {"ks": [10, 50]},
}
"""What all arms have; `grids.ssl_paper_cell` reads the one rate as constant."""

_SHARES = {"train": 0.925, "validation": 0.025, "test": 0.05}


def base_of(data: str, items: int, out: Path) -> runs.Base:
    """The base of the runs; made-up app-to-app data is written below `out`, once."""
    if data != GENERATED:
        return runs.base_of(data)
    folder = generated(Apps(items=items), out / "data" / f"apps-{items}", write)
    base = runs.base_of(str(folder))
    own = {**base.sections["data"], "shares": _SHARES}
    return runs.Base(f"app-to-app data of {items:,} items", {**base.sections, "data": own})


def arms_of(rows: Sequence[str]) -> list[str]:
    """The arms that rows have, each once."""
    return list(dict.fromkeys(ROWS[name][0] for name in rows))


class Cells(NamedTuple):
    """The cells of a table.

    Args:
        cells: by row, one for each seed.
        left_out: a sentence for each arm that the features do not allow.
    """

    cells: Mapping[str, Sequence[Cell]]
    left_out: Sequence[str]


def cells(
    looked: Looked,
    rows: Sequence[str],
    seeds: Sequence[int],
    hidden: Sequence[int],
    overrides: Sequence[str],
    out: Path,
) -> Cells:
    """A cell of every row and seed, its layers of these widths; no model is trained."""
    layers = {"tower": {"layers": list(hidden[:-1]), "dim": hidden[-1]}}
    found: dict[str, list[Cell]] = {}
    for name in rows:
        arm, draw = ROWS[name]
        if arm not in looked.arms:
            continue
        merged = joined(SET_UP, layers, looked.sections, sections(looked.arms[arm], draw))
        found[name] = []
        for seed in seeds:
            config = runs.resolve(looked.base, merged, overrides, seed)
            widths = " ".join(map(str, hidden))
            title = f"{looked.base.name}, {widths}: {name}"
            found[name].append(runs.cell(title, seed, config, out))
    return Cells(found, looked.left_out)


def rows_at(
    when: str, given: Mapping[str, Sequence[Cell]], values: Mapping[Path, Values | None]
) -> dict[str, Row]:
    """The rows of the best epoch or of the last, whose values are named as those of other grids."""
    mark, rows = f"{when}/", {}
    for name, of in given.items():
        known: dict[int, Values] = {}
        for one in of:
            if (numbers := values[one.folder]) is not None:
                known[one.seed] = {key.removeprefix(mark): v for key, v in numbers.items()}
        rows[name] = Row(name, known)
    return rows


def columns() -> list[Column]:
    """What a table shows before the gain."""
    shown = [AT, "recall@50", "map@10", *(f"{kind}/{AT}" for kind in KINDS)]
    found = [Column(name.replace("/", " "), f"test/{name}", "percent") for name in shown]
    return [*found, Column("epoch", "epoch", "count"), Column("seconds", "seconds", "count")]


def by_seed(rows: Mapping[str, Row], seeds: Sequence[int]) -> str:
    """The gain of each arm over the plain tower on each seed, in percent."""
    keys = [AT, "recall@50", *(f"{kind}/{AT}" for kind in KINDS)]
    lines = ["| | " + " | ".join(keys) + " |", "|-" * (len(keys) + 1) + "|"]
    for name, row in rows.items():
        if name == PLAIN or PLAIN not in rows:
            continue
        gains = [[_one(row, rows[PLAIN], f"test/{key}", seed) for seed in seeds] for key in keys]
        lines.append(f"| {name} | " + " | ".join(" ".join(own) for own in gains) + " |")
    return "\n".join(lines)


def _one(row: Row, plain: Row, key: str, seed: int) -> str:
    own, base = (Row(r.name, {s: v for s, v in r.runs.items() if s == seed}) for r in (row, plain))
    found = gain(own, base, key)
    return "-" if found is None else f"{found.mean:+.0f}"


def page(name: str, found: Mapping[str, Mapping[str, Row]], seeds: Sequence[int]) -> str:
    """The tables of the best epoch and of the last one, each with its gains by seed."""
    blocks = []
    for when, rows in found.items():
        body = markdown(rows, columns(), AT, seeds=len(seeds))
        blocks.append(f"**{name}, as published, {WHEN[when]}**\n\n{body}")
        blocks.append(
            f"Gain over plain in percent, seeds {', '.join(map(str, seeds))}, {WHEN[when]}:\n\n"
            + by_seed(rows, seeds)
        )
    return "\n\n".join(blocks)


def as_json(found: Mapping[str, Mapping[str, Row]]) -> dict[str, Any]:
    """Every number of every seed, of the best epoch and of the last."""
    return {when: table.as_json([*rows.values()]) for when, rows in found.items()}
