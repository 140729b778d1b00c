"""Commands that train and measure whole grids of models."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:
    from thresher.bench.alc import Plan
    from thresher.bench.cells import Outcome

app = typer.Typer(help="Train and measure grids of models.", no_args_is_help=True)


@app.command()
def alc(
    data: Annotated[
        str,
        typer.Option(help="pricerunner; a folder of items, queries and pairs; or a run's TOML."),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the cells, the table and the figure.")],
    grid: Annotated[
        str, typer.Option(help="full: bare, TCM, ALC and both; ablations: their parts.")
    ] = "full",
    seeds: Annotated[list[int] | None, typer.Option(help="0, 1 and 2 when left out.")] = None,
    backbone: Annotated[
        list[str] | None,
        typer.Option(help="ngame, dexa, prime, dexml, softmax or croloss; repeatable."),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="To measure on; test, or validation for ablations.")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(help="Cells at a time; half the cores, or 1 on a GPU.")
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="section.key=value, for every cell.")
    ] = None,
    alc_weight: Annotated[float, typer.Option("--alc", help="Weight of the ALC terms.")] = 1.0,
    tcm_weight: Annotated[float, typer.Option("--tcm", help="Weight of the TCM terms.")] = 0.1,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the models of the cells.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object for machines.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
) -> None:
    """Train the grid of the ALC paper and print one table; measured cells are not run again."""
    from thresher.bench import alc as bench
    from thresher.bench.cells import at_a_time

    request = bench.Request(
        data=data,
        out=out,
        grid=grid,
        seeds=tuple(seeds) if seeds else (0, 1, 2),
        backbones=tuple(backbone or ()),
        split=split,
        overrides=tuple(overrides or ()),
        keep=keep,
        weights={"alc": alc_weight, "tcm": tcm_weight},
    )
    jobs = at_a_time(jobs)
    planned = bench.plan(request)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    watched = console.is_terminal and not quiet
    if watched:
        console.print(_begin(planned, jobs))
    try:
        done = bench.alc(
            planned, jobs=jobs, report=lambda o: console.print(_line(o)) if watched else None
        )
    except KeyboardInterrupt:
        _stopped(console)
    print(json.dumps(done.table, ensure_ascii=False) if as_json else done.page)
    for lost in done.table["failed"]:
        text = f"{lost['name']}, seed {lost['seed']}: {lost['error']} (see {lost['output']})"
        console.print(f"[bold red]failed:[/] {escape(text)}")
    if done.table["failed"]:
        raise typer.Exit(1)


@app.command()
def croloss(
    data: Annotated[
        str,
        typer.Option(help="online-retail; a folder of events and items; or a history run's TOML."),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the cells, the table and the figure.")],
    grid: Annotated[
        str,
        typer.Option(
            help="tuned: each loss, tuned by as many trials; curve: kernels x alpha x Lambda."
        ),
    ] = "tuned",
    loss: Annotated[
        list[str] | None, typer.Option(help="Of tuned; repeatable, all when left out.")
    ] = None,
    trials: Annotated[int, typer.Option(help="Of each loss, on the first seed.")] = 8,
    at: Annotated[
        list[int] | None, typer.Option(help="N of recall@N to tune for; 50 and 500.")
    ] = None,
    kernel: Annotated[
        list[str] | None, typer.Option(help="Of curve; repeatable, all when left out.")
    ] = None,
    temperature: Annotated[float, typer.Option(help="Of curve.")] = 0.1,
    learning_rate: Annotated[float, typer.Option(help="Of curve.")] = 0.1,
    seeds: Annotated[list[int] | None, typer.Option(help="0, 1 and 2 when left out.")] = None,
    jobs: Annotated[
        int | None, typer.Option(help="Cells at a time; half the cores, or 1 on a GPU.")
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="section.key=value, for every cell.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object for machines.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
) -> None:
    """Compare CROLoss with softmax, triplet and BPR; measured cells are not run again."""
    from thresher.bench import croloss as bench
    from thresher.bench.cells import at_a_time

    request = bench.Request(
        data=data,
        out=out,
        grid=grid,
        losses=tuple(loss or ()),
        trials=trials,
        at=tuple(at) if at else (50, 500),
        kernels=tuple(kernel or ()),
        temperature=temperature,
        learning_rate=learning_rate,
        seeds=tuple(seeds) if seeds else (0, 1, 2),
        overrides=tuple(overrides or ()),
    )
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    watched = console.is_terminal and not quiet
    shown = (("recall@50", "validation/recall@50"), ("recall@500", "validation/recall@500"))
    failed: list[Outcome] = []

    def report(outcome: "Outcome") -> None:
        if outcome.values is None:
            failed.append(outcome)
        if watched:
            console.print(_line(outcome, shown))

    try:
        done = bench.croloss(request, jobs=at_a_time(jobs), report=report)
    except KeyboardInterrupt:
        _stopped(console)
    print(json.dumps(done.table, ensure_ascii=False) if as_json else done.page)
    _say_failed(console, failed)


@app.command()
def ssl(
    out: Annotated[Path, typer.Option(help="Folder of the cells, the table and the figures.")],
    data: Annotated[
        str | None,
        typer.Option(
            help="Of arms: online-retail; a folder of items with pairs or events; or a features "
            "run's TOML."
        ),
    ] = None,
    grid: Annotated[
        str, typer.Option(help="arms: every arm on the data; map: some on made-up data.")
    ] = "arms",
    arm: Annotated[
        list[str] | None,
        typer.Option(help="plain, FD, SO, RFM, CFM, ...; repeatable, all when left out."),
    ] = None,
    share: Annotated[
        list[float] | None, typer.Option(help="Of the training pairs, of arms; 1 and 0.1.")
    ] = None,
    logq: Annotated[str, typer.Option(help="both, on or off.")] = "both",
    trials: Annotated[int, typer.Option(help="Of each arm, on the first seed.")] = 4,
    at: Annotated[str, typer.Option(help="Metric on validation to tune for.")] = "recall@10",
    sparsity: Annotated[
        list[float] | None, typer.Option(help="Of map: training pairs an item; 2, 10 and 50.")
    ] = None,
    correlation: Annotated[
        list[float] | None,
        typer.Option(help="Of map: how often features tell the topic; 0, 0.5 and 0.9."),
    ] = None,
    synonyms: Annotated[int, typer.Option(help="Of map: names of each value of a feature.")] = 20,
    unlabelled: Annotated[
        float, typer.Option(help="Of map: share of items that stand in no training pair.")
    ] = 0.3,
    items: Annotated[int, typer.Option(help="Of map: size of the catalogue.")] = 5000,
    seeds: Annotated[list[int] | None, typer.Option(help="0, 1 and 2 when left out.")] = None,
    jobs: Annotated[
        int | None, typer.Option(help="Cells at a time; half the cores, or 1 on a GPU.")
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="section.key=value, for every cell.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object for machines.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
) -> None:
    """Compare self-supervision with a tower tuned as long; measured cells are not run again."""
    from thresher.bench import ssl as bench
    from thresher.bench.cells import at_a_time
    from thresher.bench.ssl_map import Terrain

    usual = Terrain()
    request = bench.Request(
        data=data,
        out=out,
        grid=grid,
        arms=tuple(arm or ()),
        shares=tuple(share) if share else (1.0, 0.1),
        logq=logq,
        trials=trials,
        seeds=tuple(seeds) if seeds else (0, 1, 2),
        at=at,
        terrain=Terrain(
            items=items,
            sparsity=tuple(sparsity or usual.sparsity),
            correlation=tuple(correlation or usual.correlation),
            synonyms=synonyms,
            unlabelled=unlabelled,
        ),
        overrides=tuple(overrides or ()),
    )
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    watched = console.is_terminal and not quiet
    shown = tuple((f"{split} {at}", f"{split}/{at}") for split in ("validation", "test"))
    failed: list[Outcome] = []

    def report(outcome: "Outcome") -> None:
        if outcome.values is None:
            failed.append(outcome)
        if watched:
            console.print(_line(outcome, shown))

    try:
        done = bench.ssl(request, jobs=at_a_time(jobs), report=report)
    except KeyboardInterrupt:
        _stopped(console)
    print(json.dumps(done.table, ensure_ascii=False) if as_json else done.page)
    _say_failed(console, failed)


def _say_failed(console: Console, failed: "Sequence[Outcome]") -> None:
    for lost in failed:
        text = f"{lost.cell.name}, seed {lost.cell.seed}: {lost.error} (see {lost.cell.folder})"
        console.print(f"[bold red]failed:[/] {escape(text)}")
    if failed:
        raise typer.Exit(1)


def _stopped(console: Console) -> NoReturn:
    console.print("[bold red]stopped:[/] the same command goes on from here")
    raise typer.Exit(130) from None


def _begin(planned: "Plan", jobs: int) -> str:
    waiting = planned.waiting()
    before = len(planned.cells) - waiting
    known = f", {before} of them measured before" if before else ""
    return f"{len(planned.cells)} cells{known}; {jobs} at a time, in {planned.request.out}"


_ALC = (("P@1", "raw/P@1"), ("raw coverage@.95", "raw/coverage@precision=0.95"))


def _line(outcome: "Outcome", shown: Sequence[tuple[str, str]] = _ALC) -> str:
    count = f"{outcome.done:>{len(str(outcome.total))}}/{outcome.total}"
    said = "[red]failed[/]"
    if outcome.values is not None:
        numbers = [(name, outcome.values.get(key)) for name, key in shown]
        said = ", ".join(f"{name} {value:.3f}" for name, value in numbers if value is not None)
    left = f"; about {_time(outcome.left)} left" if outcome.left else ""
    name = f"{outcome.cell.name}, seed {outcome.cell.seed}"
    return f"{count}  {escape(name)}: {said} ({_time(outcome.seconds)}){left}"


def _time(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
