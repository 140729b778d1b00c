"""The command line: one verb a job; every command is thin and imports late."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from thresher import __version__
from thresher.cli.bench import app as bench_app
from thresher.cli.data import app as data_app
from thresher.errors import InputError

app = typer.Typer(
    name="thresher",
    help="Say how precise it must be; Thresher says how much you can automate.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(data_app, name="data")
app.add_typer(bench_app, name="bench")

ArtifactArgument = Annotated[Path, typer.Argument(help="Folder that `thresher train` wrote.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object for machines.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress bars.")]
Queries = Annotated[Path | None, typer.Option(help="Table of queries: id and text columns.")]
Items = Annotated[Path | None, typer.Option(help="Table of items: id and text columns.")]
Pairs = Annotated[Path | None, typer.Option(help="Table of true pairs: query_id, item_id.")]


def _version(wanted: bool) -> bool:
    if wanted:
        print(__version__)
        raise typer.Exit
    return wanted


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", is_eager=True, callback=_version),
    ] = False,
) -> None:
    pass


@app.command()
def train(
    config: Annotated[Path | None, typer.Argument(help="TOML of the run; see --dry-run.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of the artifact.")] = Path("runs/model"),
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="section.key=value, as often as needed.")
    ] = None,
    resume: Annotated[bool, typer.Option(help="Go on from a killed run's checkpoint.")] = False,
    dry_run: Annotated[
        bool, typer.Option(help="Check, print the full TOML with all defaults, and stop.")
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train a model, index the catalogue and certify a threshold."""
    from thresher.cli.show import show_training
    from thresher.config import read

    run = read(config, overrides or ())
    if dry_run:
        print(run.to_toml())
        return
    from thresher import jobs

    try:
        result = jobs.train(run, out, resume=resume, quiet=quiet)
    except KeyboardInterrupt:
        _say("stopped", _how_to_go_on(out))
        raise typer.Exit(130) from None
    if result is not None:  # the other processes of torchrun have nothing to say
        # Training was the job, and it is done; whether a threshold exists is asked of `calibrate`.
        _print(result, as_json, show_training)


@app.command()
def evaluate(
    artifact: ArtifactArgument,
    queries: Queries = None,
    items: Items = None,
    pairs: Pairs = None,
    split: Annotated[str, typer.Option(help="Split of the training data to measure on.")] = "test",
    open_catalogue: Annotated[
        float, typer.Option(help="Share of the products to remove first, as in 0.1.")
    ] = 0.0,
    by: Annotated[str | None, typer.Option(help="Also measure by the values of a column.")] = None,
    report: Annotated[bool, typer.Option(help="Write report/report.html as well.")] = True,
    as_json: Json = False,
) -> None:
    """Measure ranking, coverage and what the policy does, on the test split or on other files."""
    from thresher import jobs
    from thresher.cli.show import show_evaluation

    files = {"queries": queries, "items": items, "pairs": pairs}
    metrics = jobs.evaluate(
        artifact,
        files={k: v for k, v in files.items() if v is not None},
        split=split,
        remove_items=open_catalogue,
        by=by,
        report=report,
    )
    _print(metrics, as_json, show_evaluation)


@app.command()
def calibrate(
    artifact: ArtifactArgument,
    target: Annotated[
        float | None, typer.Option(help="Precision to certify, as in 0.95; else the run's own.")
    ] = None,
    confidence: Annotated[
        float | None, typer.Option(help="Probability with which it holds, as in 0.95.")
    ] = None,
    by: Annotated[
        str | None, typer.Option(help="Column of the queries; one threshold for each value.")
    ] = None,
    queries: Queries = None,
    pairs: Pairs = None,
    as_json: Json = False,
) -> None:
    """Choose and certify the threshold on the calibration split, or on your labelled queries."""
    from thresher import jobs
    from thresher.cli.show import show_decision

    files = {"queries": queries, "pairs": pairs}
    decision = jobs.calibrate(
        artifact,
        target=target,
        confidence_level=confidence,
        by=by,
        files={k: v for k, v in files.items() if v is not None},
    )
    _print(decision, as_json, show_decision)
    _answer(decision)


@app.command()
def certify(
    scores: Annotated[
        Path, typer.Argument(help="Table: score, correct, and perhaps segment and cluster.")
    ],
    target: Annotated[float, typer.Option(help="Precision to certify, as in 0.95.")] = 0.95,
    confidence_level: Annotated[
        float, typer.Option(help="Probability with which it holds, as in 0.95.")
    ] = 0.95,
    seed: Annotated[int, typer.Option(help="Of the split of the labels.")] = 0,
    as_json: Json = False,
) -> None:
    """Certify a threshold on the scores of any system; no model of ours is needed."""
    from thresher.cli.show import show_decision
    from thresher.jobs.certify import certify_table

    decision = certify_table(scores, target=target, confidence_level=confidence_level, seed=seed)
    _print(decision, as_json, show_decision)
    _answer(decision)


@app.command()
def index(
    artifact: ArtifactArgument,
    items: Annotated[
        Path | None, typer.Option(help="Table of the new catalogue; else the present one.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Put another catalogue behind the model; the policy has to be calibrated again."""
    from thresher import jobs
    from thresher.cli.show import show_index

    _print(jobs.index(artifact, items), as_json, show_index)


@app.command()
def match(
    artifact: ArtifactArgument,
    queries: Annotated[Path, typer.Option(help="Table of queries: id and text columns.")],
    out: Annotated[
        Path | None, typer.Option(help="Table to write: .csv, .parquet or .jsonl; else printed.")
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Find each query's item, and say whether to accept it or to have it reviewed."""
    from thresher import jobs
    from thresher.cli.show import show_matches

    _print(jobs.match(artifact, queries, out, quiet=quiet), as_json, show_matches)


@app.command()
def recommend(
    artifact: ArtifactArgument,
    events: Annotated[
        Path | None, typer.Option(help="Table of events: user_id, item_id, timestamp.")
    ] = None,
    queries: Annotated[
        Path | None, typer.Option(help="Table of queries: id and features, for a features run.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Table to write: .parquet, .csv, .tsv, .jsonl.")
    ] = None,
    top: Annotated[int, typer.Option(help="Items a customer or query.")] = 20,
    history: Annotated[
        bool | None,
        typer.Option(
            "--keep-history/--remove-history",
            help="Whether what a customer had may be listed; else as the model was trained.",
        ),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """List the items that customers may want next, or those that queries are for."""
    from thresher import jobs
    from thresher.cli.show import show_lists

    remove = None if history is None else not history
    result = jobs.recommend(
        artifact, events, out, queries=queries, top=top, remove_history=remove, quiet=quiet
    )
    _print(result, as_json, show_lists)


@app.command()
def nearest(
    artifact: ArtifactArgument,
    item: Annotated[list[str], typer.Option(help="Id of an item; repeatable.")],
    beside: Annotated[
        Path | None, typer.Option(help="Another artifact over the same items, to compare with.")
    ] = None,
    top: Annotated[int, typer.Option(help="Neighbours an item.")] = 10,
    as_json: Json = False,
) -> None:
    """Show the items that a features run sees next to an item."""
    from thresher import jobs
    from thresher.cli.show import show_nearest

    _print(jobs.nearest(artifact, item, top=top, beside=beside), as_json, show_nearest)


@app.command()
def report(
    artifact: ArtifactArgument,
    as_json: Json = False,
) -> None:
    """Write the HTML report on the test split anew."""
    from thresher import jobs

    metrics = jobs.evaluate(artifact)
    where = {"report": str(artifact / "report" / "report.html")}
    _print({**where, **metrics}, as_json, lambda _: where["report"])


def _print(result: Mapping[str, Any], as_json: bool, show: Any) -> None:
    print(json.dumps(result, ensure_ascii=False) if as_json else show(result))


def _answer(decision: Mapping[str, Any]) -> None:
    """The exit code is the answer: 1 when nothing could be certified."""
    if not decision["certified"]:
        raise typer.Exit(1)


def _how_to_go_on(out: Path) -> str:
    if (out / "training" / "last.safetensors").exists():
        return "the same command with --resume goes on from the last checkpoint"
    return "there is no checkpoint yet; train.checkpoint_steps says how often one is written"


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs a command; what a user got wrong is one sentence, and exit code 2.

    Args:
        arguments: those of the command line; the process's own when left out.
    """
    try:
        app(args=arguments)
    except InputError as error:
        _say("error", str(error))
        sys.exit(2)
    except OSError as error:
        if error.filename is None:
            raise
        _say("error", f"{error.filename}: {error.strerror}; check the path and the disk")
        sys.exit(2)


def _say(what: str, text: str) -> None:
    Console(stderr=True, highlight=False, soft_wrap=True).print(
        f"[bold red]{what}:[/] {escape(text)}"
    )
