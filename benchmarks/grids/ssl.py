"""Self-supervised arms against a plain tower that is tuned as long, on data or over a map of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from grids import runs, ssl_map, ssl_paper
from grids.command import Done
from grids.ssl_arms import NAMES, PLAIN
from grids.ssl_data import Looked, look
from grids.ssl_figure import gain_map, gain_panels
from grids.ssl_gain import gain, markdown, popularity
from grids.ssl_map import Terrain
from grids.ssl_paper_figure import paper_bars
from grids.ssl_tuning import Tuned, Tuning
from thresher.errors import InputError
from thresher.jobs import table
from thresher.jobs.cells import Outcome
from thresher.jobs.compare import write_table
from thresher.jobs.table import Column
from thresher.report.figures import to_png
from thresher.report.item_figures import heat_map

GRIDS = ("arms", "map", "paper")
FIGURE, INFORMATION = "figure.png", "information.png"
LOGQ: Mapping[str, Sequence[bool]] = {"both": (False, True), "on": (True,), "off": (False,)}
KINDS = ("head", "tail", "unseen")
"""Of the items to find: of the most popular tenth, of the others in training, never in training."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to run.

    Args:
        data: a folder of items with pairs or events, the TOML of a features run, or events that
            ship; of the grid "arms", the map makes its own.
        out: folder of the cells, the table and the figures.
        grid: "arms" has every arm on the data, for each share and logQ; "map" some arms on made-up
            data over the sparsity of labels and the correlation of features; "paper" the arms of
            the paper as published, on a tenth of the pairs, and beside them the same arms tuned.
        arms: by name; all, or those of the map, when empty. The plain tower is always there.
        shares: of the training pairs, of "arms".
        logq: "both", "on" or "off".
        trials: of each arm for each share and logQ, on the first seed; 0 for none, of "paper".
        seeds: of the chosen ones; of split, first weights and order of training.
        at: the metric on validation by which the best trial of each arm is chosen.
        terrain: of "map".
        items: of the made-up catalogue of "paper", where data is "generated".
        hidden: widths of the layers of "paper".
        overrides: `section.key=value` for every cell.

    Raises:
        InputError: for an unknown grid or arm, or numbers out of range.
    """

    data: str | None = None
    out: Path
    grid: str = "arms"
    arms: Sequence[str] = ()
    shares: Sequence[float] = (1.0, 0.1)
    logq: str = "both"
    trials: int = 4
    seeds: Sequence[int] = (0, 1, 2)
    at: str = "recall@10"
    terrain: Terrain = field(default_factory=Terrain)
    items: int = 20_000
    hidden: Sequence[int] = ssl_paper.HIDDEN
    overrides: Sequence[str] = ()

    def __post_init__(self) -> None:
        runs.among("--grid", [self.grid], GRIDS)
        runs.among("--arm", self.arms, ssl_paper.ROWS if self.grid == "paper" else NAMES)
        runs.among("--logq", [self.logq], LOGQ)
        runs.check_seeds(self.seeds)
        if self.trials < (least := int(self.grid != "paper")):
            raise InputError(f"--trials must be at least {least}, got {self.trials}")
        if not self.hidden or min(self.hidden) < 1:
            raise InputError(f"--hidden must be widths of 1 or more, got {list(self.hidden)}")
        shares = self.shares
        if not shares or not all(0 < s <= 1 for s in shares) or len(set(shares)) < len(shares):
            raise InputError(
                f"--share must be above 0 and up to 1, each once, got {list(self.shares)}"
            )
        if (self.data is None) != (self.grid == "map"):
            needs = "makes its own data; leave out --data" if self.data else "needs --data"
            raise InputError(f"--grid {self.grid} {needs}, or give another --grid")

    def named(self) -> list[str]:
        """The arms, the plain tower first."""
        usual = NAMES if self.grid == "arms" else ssl_map.ARMS
        return list(dict.fromkeys([PLAIN, *(self.arms or usual)]))

    def look(self, base: runs.Base) -> Looked:
        """Loads the data of a base once, to see which arms it allows."""
        return look(base, self.named(), self.at, self.overrides, self.seeds[0])


def ssl(
    request: Request, *, jobs: int, report: Callable[[Outcome], None] = lambda outcome: None
) -> Done:
    """Runs what is missing of a grid, and writes the table and the figures into its folder.

    Args:
        request: what to run.
        jobs: processes at a time, at least 1.
        report: called with each cell that has ended, at once.

    Raises:
        InputError: the data, the metric or an override cannot be used.
    """
    r = request
    tuning = Tuning(r.out, r.trials, r.at, r.seeds, r.overrides, jobs, report)
    page, values = {"arms": _arms, "map": _map, "paper": _paper}[r.grid](r, tuning)
    found: dict[str, Any] = {
        "table": page,
        "grid": r.grid,
        "at": r.at,
        "trials": r.trials,
        "seeds": list(r.seeds),
        "set": list(r.overrides),
        **values,
    }
    write_table(r.out, found)
    return Done(page, found)


def _paper(request: Request, tuning: Tuning) -> tuple[str, dict[str, Any]]:
    """The rows of the paper's set-up, and the same arms tuned on the same data."""
    r, seeds = request, request.seeds
    base = ssl_paper.base_of(str(r.data), r.items, r.out)
    rows = list(dict.fromkeys([PLAIN, *(r.arms or ssl_paper.USUAL)]))
    arms = ssl_paper.arms_of(rows)
    looked = look(base, arms, ssl_paper.AT, r.overrides, seeds[0])
    planned = ssl_paper.cells(looked, rows, seeds, r.hidden, r.overrides, r.out)
    _, values = runs.measured(
        [cell for of in zip(*planned.cells.values(), strict=True) for cell in of],
        jobs=tuning.jobs,
        report=tuning.report,
        program=ssl_paper.PROGRAM,
    )
    found = {w: ssl_paper.rows_at(w, planned.cells, values) for w in ssl_paper.WHEN}
    page = ssl_paper.page(base.name, found, seeds)
    page = "\n\n".join([_head(request, base.name), page, *(f"- {s}" for s in planned.left_out)])
    to_png(paper_bars(found, ssl_paper.AT), r.out / FIGURE)
    shown = {"data": base.name, "hidden": list(r.hidden), **ssl_paper.as_json(found)}
    if not r.trials:
        return page, shown
    tuned = replace(r, grid="arms", arms=[*arms, "every id"], shares=(ssl_paper.SHARE,))
    beside, more = _arms(tuned, tuning, base=base, figure="tuned.png")
    return f"{page}\n\n## Tuned\n\n{beside}", {**shown, "tuned": more}


def _arms(
    request: Request, tuning: Tuning, *, base: runs.Base | None = None, figure: str = FIGURE
) -> tuple[str, dict[str, Any]]:
    """Every arm on the data of the request."""
    base = runs.base_of(str(request.data)) if base is None else base
    looked = request.look(base)
    panels = [(share, logq) for share in request.shares for logq in LOGQ[request.logq]]
    settings = [
        looked.setting(f"{_percent(share)} of pairs, {_logq(q)}", share=share, logq=q)
        for share, q in panels
    ]
    found = tuning.tuned(settings)
    blocks = []
    for (share, logq), of in zip(panels, found, strict=True):
        block = markdown(of.rows, columns(request.at), request.at, seeds=len(request.seeds))
        blocks.append(f"**{_percent(share)} of the training pairs, {_logq(logq)}**\n\n{block}")
    page = "\n\n".join([_head(request, base.name), *blocks, _chosen(request, found)])
    if looked.left_out:
        page += "\n\n" + "\n".join(f"- {line}" for line in looked.left_out)
    names, information = looked.information()
    to_png(gain_panels(found, request.at, KINDS), request.out / figure)
    to_png(heat_map(names, information), request.out / INFORMATION)
    rows = [
        {"share": share, "logq": logq, **_as_json(of, request.at)}
        for (share, logq), of in zip(panels, found, strict=True)
    ]
    return page, {
        "data": base.name,
        "settings": rows,
        "left_out": looked.left_out,
        "information": {"features": names, "nats": information.tolist()},
    }


def _map(request: Request, tuning: Tuning) -> tuple[str, dict[str, Any]]:
    """Some arms on made-up data, at every place of a map."""
    terrain = request.terrain
    places = [(at, logq) for logq in LOGQ[request.logq] for at in terrain.specs()]
    looked = {at: request.look(ssl_map.base_at(terrain, at, request.out)) for at in terrain.specs()}
    settings = [
        looked[at].setting(f"{ssl_map.place(*at)}, {_logq(q)}", share=1.0, logq=q)
        for at, q in places
    ]
    found = tuning.tuned(settings)
    by_place = dict(zip(places, found, strict=True))
    blocks = []
    for logq in LOGQ[request.logq]:
        own = [(ssl_map.place(*at), of) for (at, q), of in by_place.items() if q == logq]
        for metric in (request.at, *(f"{kind}/{request.at}" for kind in KINDS)):
            head = f"**{metric.replace('/', ' ')}, {_logq(logq)}**"
            blocks.append(f"{head}\n\n{ssl_map.markdown(own, metric)}")
    name = f"made-up data of {terrain.items:,} items"
    page = "\n\n".join([_head(request, name), *blocks, _chosen(request, found)])
    shown = {"all": request.at, "unseen": f"unseen/{request.at}"}
    shown_gains = {
        (at, f"{kind}, {_logq(q)}"): ssl_map.gains(of, f"test/{metric}")
        for kind, metric in shown.items()
        for (at, q), of in by_place.items()
    }
    to_png(gain_map(shown_gains, request.at), request.out / FIGURE)
    rows = [
        {"sparsity": at[0], "correlation": at[1], "logq": logq, **_as_json(of, request.at)}
        for (at, logq), of in by_place.items()
    ]
    return page, {"items": terrain.items, "settings": rows}


def columns(at: str) -> list[Column]:
    """What the table of the arms shows before the gain, the metric of the gain among it."""
    shown = dict.fromkeys([at, "recall@10", "recall@50", "map@10"])
    shown |= dict.fromkeys(f"{kind}/recall@10" for kind in KINDS)
    found = [Column(name.replace("/", " "), f"test/{name}", "percent") for name in shown]
    return [*found, Column("pairs/s", "pairs_per_second", "count")]


def _as_json(of: Tuned, at: str) -> dict[str, Any]:
    """Every number of a setting, with the gains."""
    plain = of.rows.get(PLAIN)
    rows = table.as_json([*([popularity(plain)] if plain else []), *of.rows.values()])
    for row in rows:
        name = row["name"]
        found = None
        if plain is not None and name in of.rows and name != PLAIN:
            found = gain(of.rows[name], plain, f"test/{at}")
        row["gain"] = None if found is None else found._asdict()
        row["settings"] = of.chosen.get(name)
    return {"rows": rows}


def _chosen(request: Request, found: Sequence[Tuned]) -> str:
    """Which trial of each arm was the best."""
    lines = [
        f"- {of.setting.name}: {name}, {said}" for of in found for name, said in of.chosen.items()
    ]
    trials = "trial" if request.trials == 1 else "trials"
    head = f"Chosen by {request.at} on validation, from {request.trials} {trials} of each arm:"
    return "\n\n".join([head, "\n".join(lines)])


def _percent(share: float) -> str:
    return f"{100 * share:.4g} %"


def _logq(logq: bool) -> str:
    return "with logQ" if logq else "without logQ"


def _head(request: Request, name: str) -> str:
    seeds = ", ".join(map(str, request.seeds))
    several = len(request.seeds) > 1
    word = "seeds" if several else "seed"
    changed = "".join(f", `{override}`" for override in request.overrides)
    spread = "; mean ± standard deviation" if several else ""
    interval = ", with the 95 % interval of Student's t over seeds" if several else ""
    return (
        f"{name}, split test, {word} {seeds}{spread}{changed}. Percent; pairs a second as they "
        f"are. A gain is in percent of the tuned plain tower on the same seed{interval}."
    )
