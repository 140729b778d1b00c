"""Commands about data: audit it, import it, make it up, look at it."""

import json
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Audit, import and inspect data.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object for machines.")]


@app.command()
def audit(
    config: Annotated[Path | None, typer.Argument(help="TOML of a run with [data].")] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="data.key=value, as often as needed.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say what is wrong with a dataset before anything is trained on it."""
    from thresher.config import read
    from thresher.data import audit_files
    from thresher.data.history import load_history
    from thresher.family import FEATURES, HISTORY
    from thresher.jobs.features import audit_features

    run = read(config, overrides or ())
    if run.family is FEATURES:
        found_here = audit_features(run)
        lines = found_here.pop("lines")
        print(json.dumps(found_here, ensure_ascii=False) if as_json else "\n".join(lines))
        return
    if run.family is HISTORY:
        history = load_history(run.build("data"), run.folder)
        told = {"ok": True, **history.sizes(), "findings": list(history.findings)}
        print(json.dumps(told, ensure_ascii=False) if as_json else "\n".join(history.lines()))
        return
    found = audit_files(run.build("data"), run.folder)
    print(json.dumps(found.to_dict(), ensure_ascii=False) if as_json else "\n".join(found.lines()))
    if not found.ok:
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
def generate(
    out: Annotated[Path, typer.Argument(help="Folder for items, queries and pairs, as parquet.")],
    items: Annotated[int, typer.Option(help="Of the catalogue.")] = 10_000,
    queries: Annotated[int, typer.Option(help="For training.")] = 10_000,
    pairs: Annotated[int, typer.Option(help="For training, at least one a query.")] = 100_000,
    asked: Annotated[int, typer.Option(help="Queries of validation, and as many of test.")] = 2_000,
    topics: Annotated[int, typer.Option(help="Of the items.")] = 50,
    subtopics: Annotated[int, typer.Option(help="Of each topic.")] = 4,
    popularity: Annotated[float, typer.Option(help="Exponent of the items' power law.")] = 1.0,
    features: Annotated[int, typer.Option(help="Categories that an item has.")] = 4,
    synonyms: Annotated[
        int, typer.Option(help="Names of each value; with more, each name sees fewer labels.")
    ] = 1,
    correlation: Annotated[
        float, typer.Option(help="How often a feature tells its item's topic; 0 for never.")
    ] = 0.8,
    noise: Annotated[float, typer.Option(help="Share of pairs drawn by popularity alone.")] = 0.2,
    residual: Annotated[
        float, typer.Option(help="Share of the other pairs that only an id tells.")
    ] = 0.2,
    unlabelled: Annotated[
        float, typer.Option(help="Share of items that stand in no training pair.")
    ] = 0.3,
    missing: Annotated[float, typer.Option(help="Share of the values that are missing.")] = 0.05,
    seed: Annotated[int, typer.Option(help="Of everything that is drawn.")] = 0,
    as_json: Json = False,
) -> None:
    """Make up data whose structure is known, for a features run."""
    from thresher.bench.synthetic import Synthetic, write

    spec = Synthetic(
        items=items,
        queries=queries,
        pairs=pairs,
        asked=asked,
        topics=topics,
        subtopics=subtopics,
        popularity=popularity,
        features=features,
        synonyms=synonyms,
        correlation=correlation,
        noise=noise,
        residual=residual,
        unlabelled=unlabelled,
        missing=missing,
        seed=seed,
    )
    rows = write(spec, out)
    lines = [f"{count:,} {name} written to {out / name}.parquet" for name, count in rows.items()]
    print(json.dumps({"folder": str(out), **rows}) if as_json else "\n".join(lines))


@app.command()
def inspect(
    path: Annotated[Path, typer.Argument(help="Table: .parquet, .csv, .tsv, .jsonl.")],
    rows: Annotated[int, typer.Option(help="Rows to show.")] = 5,
) -> None:
    """Show the columns and the first rows of a table."""
    from thresher.data import read_table

    table = read_table(path)
    print(f"{len(table):,} rows")
    for field in table.schema:
        print(f"  {field.name}: {field.type}")
    for row in table.slice(0, rows).to_pylist():
        print(json.dumps(row, ensure_ascii=False, default=str))


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(help="Table to read.")],
    out: Annotated[Path, typer.Argument(help="Table to write; its suffix says the format.")],
) -> None:
    """Write a table in another format."""
    from thresher.data import read_table, write_table

    table = read_table(source)
    write_table(table, out)
    print(f"{len(table):,} rows written to {out}")
