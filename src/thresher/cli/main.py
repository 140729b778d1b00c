"""The command line: one verb a job; every command is thin and imports late."""

import json
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from thresher import __version__
from thresher.cli.data import Json, Quiet, read_run
from thresher.cli.data import app as data_app
from thresher.cli.reviews import FromReviews, Since, costs, promote, seconds
from thresher.cli.reviews import app as reviews_app
from thresher.cli.serve import add_serving
from thresher.errors import InputError, interrupted

app = typer.Typer(
    name="thresher",
    help="Say how precise it must be; Thresher says how much you can automate.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # rich takes twice as long to import as all else
)
app.add_typer(data_app, name="data")

ArtifactArgument = Annotated[Path, typer.Argument(help="Folder that `thresher train` wrote.")]
Out = Annotated[
    Path | None,
    typer.Option(help="Table to write: .parquet, .csv, .tsv, .jsonl, .xlsx; else printed."),
]
Queries = Annotated[Path | None, typer.Option(help="Table of queries: id and their columns.")]
Pairs = Annotated[Path | None, typer.Option(help="Table of true pairs: query_id, item_id.")]
On = Annotated[
    str | None,
    typer.Option(help="In parts, on: local, or ray. --out is a folder; what is there is kept."),
]
PartRows = Annotated[int, typer.Option(help="Queries of a part.")]
WithoutPairs = Annotated[
    str | None,
    typer.Option(help="What queries without a pair are: unlabelled (left out) or no_item."),
]
Target = Annotated[
    list[str] | None,
    typer.Option(help="Precision to certify, as in 0.95; repeatable: all answers hold at once."),
]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", help="section.key=value, as often as needed.")
]
Columns = Annotated[
    list[str] | None,
    typer.Option(help="What a column is called in your tables, as in id=offer_id; repeatable."),
]


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
    overrides: Overrides = None,
    columns: Columns = None,
    resume: Annotated[bool, typer.Option(help="Go on from a killed run's checkpoint.")] = False,
    from_reviews: FromReviews = None,
    on: Annotated[
        str | None, typer.Option(help="ray: by several processes that Ray starts.")
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes on Ray.")] = 2,
    dry_run: Annotated[
        bool, typer.Option(help="Check, print the full TOML with all defaults, and stop.")
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train a model, index the catalogue and certify a threshold where labels are kept apart."""
    from thresher.cli.show import show_training
    from thresher.config import read

    changes = [*(overrides or ()), *_renamed(columns)]
    if dry_run:
        print(read(config, changes).to_toml())
        return
    run = read_run(config, changes, "train")
    if on is not None:
        if on != "ray" or from_reviews is not None:
            raise InputError("--on takes ray alone, and then no --from-reviews")
        from thresher.scale.training import train_on_ray

        done = train_on_ray(run, out, workers=workers, resume=resume)
        _print(done, as_json, show_training)
        return
    from thresher.jobs.train import train as train_run

    data = None
    if from_reviews is not None:
        from thresher.jobs.review_training import reviewed

        data = reviewed(run, from_reviews)
    try:
        result = train_run(run, out, data=data, resume=resume, quiet=quiet)
    except (KeyboardInterrupt, SystemError) as error:
        if not interrupted(error):
            raise
        _say("stopped", _how_to_go_on(out))
        raise typer.Exit(130) from None
    if result is not None:  # the other processes of torchrun have nothing to say
        # Training was the job, and it is done; whether a threshold exists is asked of `calibrate`.
        _print(result[1], as_json, show_training)


@app.command()
def evaluate(
    artifact: ArtifactArgument,
    queries: Queries = None,
    items: Annotated[Path | None, typer.Option(help="Another catalogue to measure on.")] = None,
    pairs: Pairs = None,
    without_pairs: WithoutPairs = None,
    split: Annotated[str, typer.Option(help="Split of the training data to measure on.")] = "test",
    open_catalogue: Annotated[
        float, typer.Option(help="Share of the products to remove first, as in 0.1.")
    ] = 0.0,
    by: Annotated[str | None, typer.Option(help="Also measure by the values of a column.")] = None,
    report: Annotated[bool, typer.Option(help="Write report/report.html as well.")] = True,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure ranking, coverage and what the policy does, on the test split or on other files."""
    from thresher.cli.show import show_evaluation
    from thresher.jobs.evaluate import evaluate as evaluate_artifact

    files = {"queries": queries, "items": items, "pairs": pairs}
    metrics = evaluate_artifact(
        artifact,
        files={k: v for k, v in files.items() if v is not None},
        without_pairs=without_pairs,
        split=split,
        remove_items=open_catalogue,
        by=by,
        report=report,
        quiet=quiet,
    )
    _print(metrics, as_json, show_evaluation)


@app.command()
def calibrate(
    artifact: ArtifactArgument,
    target: Target = None,
    confidence_level: Annotated[
        float | None, typer.Option(help="Probability with which it holds, as in 0.95.")
    ] = None,
    by: Annotated[
        str | None, typer.Option(help="Column of the queries; one threshold for each value.")
    ] = None,
    scorer: Annotated[
        str | None, typer.Option(help="reranker, margin or score; else the run's own.")
    ] = None,
    absent: Annotated[
        float | None,
        typer.Option(help="Share of the traffic whose item is not in the catalogue, as in 0.1."),
    ] = None,
    queries: Queries = None,
    pairs: Pairs = None,
    without_pairs: WithoutPairs = None,
    from_reviews: FromReviews = None,
    since: Since = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Choose and certify the threshold on the calibration split, or on your labelled queries."""
    from thresher.cli.show import show_decisions
    from thresher.jobs.calibrate import calibrate as calibrate_artifact

    given = {"confidence_level": confidence_level, "by": by, "scorer": scorer, "absent": absent}
    decision = calibrate_artifact(
        artifact,
        _targets(target) if target else None,
        queries=queries,
        pairs=pairs,
        without_pairs=without_pairs,
        from_reviews=from_reviews,
        since=seconds(since),
        quiet=quiet,
        **{name: value for name, value in given.items() if value is not None},
    )
    _print(decision, as_json, show_decisions)
    _answer(decision)


@app.command()
def certify(
    scores: Annotated[
        Path, typer.Argument(help="Table: score, correct, and perhaps segment and cluster.")
    ],
    target: Target = None,
    confidence_level: Annotated[
        float, typer.Option(help="Probability with which it holds, as in 0.95.")
    ] = 0.95,
    seed: Annotated[int, typer.Option(help="Of the split of the labels.")] = 0,
    as_json: Json = False,
) -> None:
    """Certify a threshold on the scores of any system; no model of ours is needed."""
    from thresher.cli.show import show_decisions
    from thresher.jobs.certify import certify_table

    decision = certify_table(
        scores,
        target=_targets(target or ["0.95"]),
        confidence_level=confidence_level,
        seed=seed,
    )
    _print(decision, as_json, show_decisions)
    _answer(decision)


@app.command()
def index(
    artifact: ArtifactArgument,
    items: Annotated[
        Path | None, typer.Option(help="Table of the new catalogue; else the present one.")
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Put another catalogue behind the model; a changed one has to be calibrated again."""
    from thresher.cli.show import show_index
    from thresher.jobs.index import index as index_artifact

    _print(index_artifact(artifact, items, quiet=quiet), as_json, show_index)


@app.command()
def encode(
    artifact: ArtifactArgument,
    queries: Annotated[Path, typer.Option(help="Parquet file of queries, or a folder of them.")],
    out: Annotated[Path, typer.Option(help="Folder of the vectors, a parquet file a part.")],
    on: On = "local",
    part_rows: PartRows = 65_536,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write the vectors of many queries in parts; the same command goes on where it was killed."""
    from thresher.cli.show import show_parts
    from thresher.scale.job import Job, run

    job = Job(kind="encode", model=artifact, queries=queries, out=out, part_rows=part_rows)
    _print(run(job, on=on or "local", quiet=quiet), as_json, show_parts)


@app.command()
def match(
    artifact: ArtifactArgument,
    queries: Annotated[
        Path | None, typer.Option(help="Table of queries; - reads lines of text.")
    ] = None,
    text: Annotated[list[str] | None, typer.Option(help="One query, as text; repeatable.")] = None,
    out: Out = None,
    top: Annotated[int, typer.Option(help="Candidates a query.")] = 1,
    keep: Annotated[
        list[str] | None,
        typer.Option(help="Column of the queries, or item.NAME of the items, to carry over."),
    ] = None,
    review: Annotated[
        Path | None, typer.Option(help="Table to write of the queries to review alone.")
    ] = None,
    candidates: Annotated[
        Path | None, typer.Option(help="query_id, item_id and score of another search engine.")
    ] = None,
    on: On = None,
    part_rows: PartRows = 65_536,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Find each query's item, and say whether to accept it or to have it reviewed."""
    from thresher.cli.show import show_matches, show_parts
    from thresher.jobs.match import Answers
    from thresher.jobs.match import match as match_queries

    if on is not None:
        from thresher.scale.job import Job, run

        if queries is None or out is None or text or review or candidates:
            raise InputError(
                "--on takes --queries FILE.parquet and --out FOLDER, and none of --text, --review "
                "and --candidates"
            )
        given: dict[str, Any] = {
            "model": artifact,
            "queries": queries,
            "out": out,
            "part_rows": part_rows,
        }
        job = Job(kind="match", top=top, keep=tuple(keep or ()), **given)
        _print(run(job, on=on, quiet=quiet), as_json, show_parts)
        return
    asked = queries or text
    if asked is None or (queries and text):
        raise InputError("give --queries FILE, --queries - for standard input, or --text, one of")
    result = match_queries(
        artifact,
        asked,
        out,
        answers=Answers(top=top, keep=keep or (), review=review),
        candidates=candidates,
        quiet=quiet,
    )
    _print(result, as_json, show_matches)


@app.command()
def recommend(
    artifact: ArtifactArgument,
    events: Annotated[
        Path | None, typer.Option(help="Table of events: user_id, item_id, timestamp.")
    ] = None,
    queries: Annotated[
        Path | None, typer.Option(help="Table of queries, or of what is known of users.")
    ] = None,
    out: Out = None,
    top: Annotated[int, typer.Option(help="Items a user or query.")] = 20,
    history: Annotated[
        bool | None,
        typer.Option(
            "--keep-history/--remove-history",
            help="Whether what a user had may be listed; else as the model was trained.",
        ),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """List the items that users may want next, or those that queries are for."""
    from thresher.cli.show import show_lists
    from thresher.jobs.match import recommend as recommend_items

    remove = None if history is None else not history
    result = recommend_items(
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
    """Show the items whose vectors are closest to those of some items."""
    from thresher.cli.show import show_nearest
    from thresher.jobs.nearest import nearest as nearest_items

    _print(nearest_items(artifact, item, top=top, beside=beside), as_json, show_nearest)


@app.command()
def export(
    artifact: ArtifactArgument,
    out: Annotated[Path, typer.Option(help="New folder to write.")],
    to: Annotated[str, typer.Option(help="onnx, or static for sentence-transformers.")] = "onnx",
    as_json: Json = False,
) -> None:
    """Write the text tower for systems that run without Thresher."""
    from thresher.cli.show import show_export
    from thresher.retriever import Retriever

    _print(Retriever.open(artifact).export(out, to), as_json, show_export)


@app.command()
def report(artifact: ArtifactArgument, as_json: Json = False, quiet: Quiet = False) -> None:
    """Write the HTML report on the test split again."""
    from thresher.jobs.evaluate import evaluate as evaluate_artifact

    metrics = evaluate_artifact(artifact, quiet=quiet)
    where = {"report": str(artifact / "report" / "report.html")}
    _print({**where, **metrics}, as_json, lambda _: where["report"])


@app.command(
    hidden=True, context_settings={"allow_extra_args": True, "ignore_unknown_options": True}
)
def bench() -> None:
    """Say where the benchmarks of 0.1 are."""
    raise InputError(
        "the benchmarks are scripts of the repository since 0.2; run `python benchmarks/alc.py`, "
        "`croloss.py` or `self_supervision.py`, or `thresher compare` for runs of your own"
    )


@app.command()
def compare(
    configs: Annotated[list[Path], typer.Argument(help="TOMLs of the runs to compare.")],
    out: Annotated[Path, typer.Option(help="Folder of the runs and the table.")] = Path(
        "runs/compare"
    ),
    seeds: Annotated[str, typer.Option(help="Seeds, as in 0,1,2.")] = "0,1,2",
    split: Annotated[str, typer.Option(help="Split to measure on.")] = "test",
    overrides: Overrides = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train and measure several runs over seeds, and print one table."""
    from thresher.cli.show import show_comparison
    from thresher.jobs.compare import compare as compare_runs
    from thresher.progress import Bar

    try:
        numbers = [int(seed) for seed in seeds.split(",")]
    except ValueError:
        raise InputError(f"--seeds takes whole numbers, as in 0,1,2, got {seeds!r}") from None
    with Bar("cells", quiet=quiet, delay=0) as bar:
        bar.start("training and measuring", total=len(configs) * len(numbers))
        try:
            result = compare_runs(
                configs,
                out,
                seeds=numbers,
                split=split,
                overrides=overrides or (),
                report=lambda cell: bar.advance(1, note=f"{cell.cell.name}, seed {cell.cell.seed}"),
            )
        except KeyboardInterrupt:
            _say("stopped", "the same command goes on from here")
            raise typer.Exit(130) from None
    _print(result, as_json, show_comparison)
    if result["failed"]:
        raise typer.Exit(1)


for _command in [c for typer_ in (app, data_app, reviews_app) for c in typer_.registered_commands]:
    # Said in full, where a list of commands would cut it short.
    _command.short_help = (_command.callback.__doc__ or "").partition("\n")[0]


def _targets(given: Sequence[str]) -> list[float]:
    """`--target`, repeated or separated by commas."""
    try:
        return [float(one) for text in given for one in text.split(",")]
    except ValueError:
        raise InputError(
            f"--target takes a precision or several, as in 0.9,0.95, got {', '.join(given)!r}"
        ) from None


def _renamed(columns: Sequence[str] | None) -> list[str]:
    """`--columns new=old` as overrides of the run."""
    overrides = []
    for pair in columns or ():
        new, equals, old = pair.partition("=")
        if not equals or not new or not old:
            raise InputError(f"--columns takes name=your_name, as in id=offer_id, got {pair!r}")
        overrides.append(f"data.columns.{new}={json.dumps(old)}")
    return overrides


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


# After the others, in the order in which they are met.
add_serving(app)
app.add_typer(reviews_app, name="reviews")
app.command()(promote)
app.command()(costs)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; what a user got wrong is one sentence, and exit code 2.

    What nobody thought of is a fault of ours: one sentence, the details in a file, exit code 3.

    Args:
        arguments: those of the command line; the process's own when left out.
    """
    try:
        app(args=arguments)
    except InputError as error:
        _say("error", str(error))
        sys.exit(2)
    except Exception as error:
        if interrupted(error):
            _say("stopped", "by Ctrl-C")
            sys.exit(130)
        if isinstance(error, OSError) and error.filename is not None:
            _say("error", f"{error.filename}: {error.strerror}; check the path and the disk")
            sys.exit(2)
        with tempfile.NamedTemporaryFile(
            "w", prefix="thresher-", suffix=".txt", delete=False, encoding="utf-8", errors="replace"
        ) as file:
            file.write("".join(traceback.format_exception(error)))
        what = f"{type(error).__name__}: {error}".splitlines()[0]
        _say("error", f"a fault of Thresher, not yours ({what}); please report {file.name}")
        sys.exit(3)


def _say(what: str, text: str) -> None:
    from rich.console import Console  # slow to import, and seldom needed
    from rich.markup import escape

    Console(stderr=True, highlight=False, soft_wrap=True).print(
        f"[bold red]{what}:[/] {escape(text)}"
    )
