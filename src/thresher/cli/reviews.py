"""Commands about verdicts: export and import them, promote a model by them, count the costs."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from thresher.cli.data import Json
from thresher.errors import InputError

app = typer.Typer(help="Export and import cases and verdicts.", no_args_is_help=True)
Database = Annotated[
    str, typer.Argument(help="Review database: the file of `thresher serve`, or a URL.")
]
FromReviews = Annotated[
    str | None,
    typer.Option("--from-reviews", help="Review database: the file of `thresher serve`, or a URL."),
]
Since = Annotated[
    str | None,
    typer.Option("--since", help="Only answers given from then on, as 2026-11-30 or with T12:00."),
]


def seconds(since: str | None) -> float:
    """A date, or a time in UTC unless it says otherwise, as UTC seconds."""
    if since is None:
        return 0.0
    try:
        when = datetime.fromisoformat(since)
    except ValueError:
        raise InputError(
            f"--since takes a date or a time, as in 2026-11-30, got {since!r}"
        ) from None
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


@app.command("export")
def export_cases(
    database: Database,
    out: Annotated[
        Path, typer.Option(help="Table to write, as cases.csv; .json for Label Studio.")
    ],
    verdicts: Annotated[
        bool, typer.Option("--verdicts", help="The verdicts in force, not the open cases.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write the open cases for people to judge elsewhere, or the verdicts."""
    from thresher.jobs.review_files import export

    found = export(database, out, verdicts=verdicts)
    what = "verdicts" if verdicts else "cases"
    _print(found, as_json, f"{found[what]:,} {what} written to {out}")


@app.command("import")
def import_verdicts(
    database: Database,
    path: Annotated[
        Path, typer.Argument(help="Table with case_id, verdict, item_id; or Label Studio's JSON.")
    ],
    reviewer: Annotated[str | None, typer.Option(help="Of rows that name none.")] = None,
    source: Annotated[
        str, typer.Option(help="person; or what judged, as rule: it trains, never certifies.")
    ] = "person",
    as_json: Json = False,
) -> None:
    """Keep the verdicts of a file."""
    from thresher.jobs.review_files import read_in

    found = read_in(database, path, reviewer=reviewer, source=source)
    line = (
        f"{found['verdicts']:,} verdicts kept; {found['already_done']:,} on cases that are done or "
        f"that another reviewer has, {found['without_verdict']:,} rows without a verdict"
    )
    _print(found, as_json, line)


def promote(
    candidate: Annotated[Path, typer.Argument(help="Artifact that is to go live.")],
    over: Annotated[Path, typer.Option(help="The live artifact.")],
    from_reviews: Annotated[
        str, typer.Option(help="Review database: the file of `thresher serve`, or a URL.")
    ],
    since: Since = None,
    as_json: Json = False,
) -> None:
    """Compare a candidate with the live model on the same audits; exit code 1 refuses it."""
    from thresher.jobs.promote import promote as compare

    found = compare(candidate, over, from_reviews, since=seconds(since))
    _print(found, as_json, found["sentence"])
    if not found["promoted"]:
        raise typer.Exit(1)


def costs(
    source: Annotated[str, typer.Argument(help="Artifact, or review database.")],
    minutes_per_review: Annotated[float, typer.Option(help="Minutes a review takes.")],
    wage: Annotated[float, typer.Option(help="Cost of an hour of review.")],
    cost_per_error: Annotated[float, typer.Option(help="Cost of a wrong answer accepted.")],
    as_json: Json = False,
) -> None:
    """Recommend a target by what reviews and errors cost, and show what others would cost."""
    from thresher.decide.costs import Prices
    from thresher.jobs.costs import costs_of

    prices = Prices(minutes_per_review=minutes_per_review, wage=wage, cost_per_error=cost_per_error)
    found = costs_of(source, prices)
    rows = [["target", "accepted", "reviews", "errors", "hours", "cost"]]
    for one in found["targets"]:
        rows.append([f"{one['target']:.2f}", f"{one['accepted']:,.0f}", f"{one['reviews']:,.0f}"])
        rows[-1] += [f"{one['errors']:,.1f}", f"{one['hours']:,.1f}", f"{one['cost']:,.2f}"]
    lines = ["  ".join(cell.rjust(9) for cell in row) for row in rows]
    lines = [f"for {found['per']:,} queries:", *lines, found["sentence"]]
    _print(found, as_json, "\n".join(lines))


def _print(found: Mapping[str, Any], as_json: bool, line: str) -> None:
    print(json.dumps(found, ensure_ascii=False) if as_json else line)
