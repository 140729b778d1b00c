"""Commands about data: audit it, import it, look at it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thresher.errors import InputError

if TYPE_CHECKING:
    from thresher.config import Config

app = typer.Typer(help="Audit, import and inspect data.", no_args_is_help=True)
_SHOWN = 200  # characters of a text, or values of a list, that `inspect` shows
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object for machines.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress bars.")]


def read_run(config: Path | None, overrides: Sequence[str], command: str) -> "Config":
    """The run that a command is given; InputError where nothing names its data."""
    from thresher.config import read

    run = read(config, overrides)
    if config is None and not run.build("data").named():
        raise InputError(
            f"no data was named; give the TOML file of a run, as in `thresher {command} run.toml`"
        )
    return run


@app.command()
def audit(
    config: Annotated[Path | None, typer.Argument(help="TOML of a run with [data].")] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="data.key=value, as often as needed.")
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(help="Artifact: audit its data, and list labels that look wrong."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Table of those labels to write: .parquet, .csv, .tsv, .jsonl, .xlsx."),
    ] = None,
    reviews: Annotated[
        str | None,
        typer.Option(help="Review database: open a case for each of those labels in it."),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Say what is wrong with a dataset, before anything is trained on it or with a model's help."""
    from thresher.jobs.audit import audit as audit_run

    if model is None:
        for name, given in (("--out", out), ("--reviews", reviews)):
            if given is not None:
                raise InputError(
                    f"{name} is for the labels that a model doubts; give --model as well"
                )
        found = audit_run(read_run(config, overrides or (), "data audit"), quiet=quiet)
        lines = found.pop("lines")
    else:
        if config is not None or overrides:
            raise InputError(
                "a run was given and --model too; give one: an artifact knows the run it is of"
            )
        from thresher.jobs.label_errors import label_errors
        from thresher.retriever import Retriever

        trained = Retriever.open(model)
        labels = label_errors(trained, out, reviews, quiet=quiet)
        found = audit_run(trained.config, quiet=quiet)
        lines = [*found.pop("lines"), "", *labels.pop("lines")]
        found["label_errors"] = labels
    print(json.dumps(found, ensure_ascii=False) if as_json else "\n".join(lines))
    if not found["ok"]:
        raise typer.Exit(1)


@app.command("import")
def import_(
    kind: Annotated[
        str,
        typer.Argument(
            help="beir, pairs for tableA, tableB and label files, xc for a set of the extreme "
            "classification repository; of histories, comirec for lines user,item,order, or "
            "sequences for lines of item ids."
        ),
    ],
    source: Annotated[Path, typer.Argument(help="Folder to read.")],
    out: Annotated[Path, typer.Argument(help="Folder for the tables, as parquet.")],
    calibration: Annotated[
        float | None,
        typer.Option(help="Share of the training queries to calibrate on; else the format's own."),
    ] = None,
    validation: Annotated[
        float | None,
        typer.Option(help="Share of the training queries to validate on; else the format's own."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Turn a folder in another format into the tables of a dataset."""
    from thresher.cli.importers import import_folder

    summary = import_folder(kind, source, out, calibration=calibration, validation=validation)
    shown = json.dumps(summary.to_dict(), ensure_ascii=False)
    print(shown if as_json else "\n".join(summary.lines()))


@app.command()
def inspect(
    path: Annotated[Path, typer.Argument(help="Table: .parquet, .csv, .tsv, .jsonl.")],
    rows: Annotated[int, typer.Option(help="Rows to show.")] = 5,
) -> None:
    """Show the columns and the first rows of a table."""
    from thresher.data.plain_types import python_values
    from thresher.data.tables import read_table

    table = read_table(path)
    lines = [f"{len(table):,} rows"]
    lines += [f"  {_short(field.name)}: {_short(str(field.type))}" for field in table.schema]
    for row in python_values(table.slice(0, rows)):
        shown = {_short(name): _short(value) for name, value in row.items()}
        lines.append(json.dumps(shown, ensure_ascii=False, default=str))
    print("\n".join(lines))


def _short(value: Any) -> Any:
    """Long texts and lists, also inside others, cut to what a terminal shows."""
    if isinstance(value, str | bytes):
        text = value if isinstance(value, str) else repr(value[:_SHOWN])
        return text if len(value) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
    if isinstance(value, dict):
        return {name: _short(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        more = ["…"] if len(value) > _SHOWN else []
        return [_short(inner) for inner in value[:_SHOWN]] + more
    return value


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(help="Table to read.")],
    out: Annotated[Path, typer.Argument(help="Table to write; its suffix says the format.")],
) -> None:
    """Write a table in another format."""
    from thresher.data.tables import check_outputs, read_table, write_table

    check_outputs({"the table to write": out}, {"the table to read": source})
    table = read_table(source)
    write_table(table, out)
    print(f"{len(table):,} rows written to {out}")
