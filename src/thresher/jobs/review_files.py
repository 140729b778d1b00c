"""Cases and verdicts as files: tables for spreadsheets, and tasks of Label Studio."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from thresher.data.tables import read_table, require_columns, write_table
from thresher.errors import InputError
from thresher.files import atomic_write
from thresher.jobs.reviews import open_store

if TYPE_CHECKING:
    from thresher.review import Case, Store, Verdict

LABELLING = """<View>
  <Text name="query" value="$query"/>
  <Choices name="verdict" toName="query" value="$options" choice="single-radio"/>
</View>"""
"""The labelling interface of Label Studio for these tasks."""
_ALL = 1_000_000
_KINDS = ("item", "none", "not_sure", "label_wrong")


def export(database: str | Path, out: Path, *, verdicts: bool = False) -> dict[str, Any]:
    """Write the open cases, or the verdicts in force, to a file.

    A table has a row for each case: `case_id`, `reason`, the columns of the query as `query.NAME`,
    `candidates` (item ids with their texts, best first), and empty `verdict`, `item_id` and
    `reviewer` to be filled in. A .json file has tasks of Label Studio, for `LABELLING`. Scores are
    left out, so that nobody labels by them. Verdicts come with the `query_id` that they are about,
    and on suspected labels with the item of the `label`, so that the data can be corrected.

    Args:
        database: the review database.
        out: .csv, .tsv, .jsonl, .parquet or .xlsx; .json for Label Studio, cases only.
        verdicts: the verdicts in place of the cases.

    Raises:
        InputError: where there is nothing to write, or the file cannot be written.
    """
    with open_store(database) as store:
        if verdicts:
            rows = [_verdict_row(store.case(one.case_id), one) for one in store.verdicts()]
        else:
            cases = store.cases(limit=_ALL)
            as_tasks = out.suffix == ".json"
            rows = [(_task if as_tasks else _row)(case) for case in cases]
    what = "verdicts" if verdicts else "cases"
    if not rows:
        raise InputError(f"the database has no {what} to export; nothing was written")
    if out.suffix == ".json":
        if verdicts:
            raise InputError("verdicts go into a table; give a file such as verdicts.csv")
        with atomic_write(out) as file:
            json.dump(rows, file, ensure_ascii=False, indent=1)
    else:
        names = list(dict.fromkeys(name for row in rows for name in row))
        columns = {name: pa.array([row.get(name) for row in rows]) for name in names}
        write_table(pa.table(columns), out, for_spreadsheet=True)
    return {what: len(rows), "out": str(out)}


def read_in(
    database: str | Path, path: Path, *, reviewer: str | None = None, source: str = "person"
) -> dict[str, Any]:
    """Keep the verdicts of a file; what was kept before is not kept twice.

    Args:
        database: the review database.
        path: a table with `case_id`, `verdict` and perhaps `item_id` and `reviewer`, or what Label
            Studio exports as JSON. Rows without a verdict are passed over.
        reviewer: of rows that name none.
        source: who judged: "person", or a name such as "rule". Other sources than people train and
            never certify.

    Raises:
        InputError: for a row that is no verdict; nothing is kept then.
    """
    rows = list(_from_tasks(path) if path.suffix == ".json" else _from_table(path))
    given = [row for row in rows if row["verdict"]]
    for row in given:
        row["reviewer"] = row["reviewer"] or reviewer
        if not row["reviewer"]:
            raise InputError(
                f"{path}: the verdict on case {row['case_id']} names no reviewer; give --reviewer"
            )
        row["verdict"], row["item_id"] = _verdict(row, path)
    with open_store(database) as store:
        for row in given:
            store.case(row["case_id"])
        done = [_keep(store, row, source) for row in given]
    return {
        "verdicts": sum(done),
        "already_done": len(given) - sum(done),
        "without_verdict": len(rows) - len(given),
    }


def _keep(store: "Store", row: Mapping[str, Any], source: str) -> bool:
    """Whether the store took the verdict; not where the case is done or another person has it."""
    from thresher.review import Conflict

    try:
        store.verdict(
            row["case_id"],
            reviewer=row["reviewer"],
            kind=row["verdict"],
            item_id=row["item_id"],
            source=source,
        )
    except Conflict:
        return False
    return True


def _verdict(row: Mapping[str, Any], path: Path) -> tuple[str, str | None]:
    """The kind and the item; `verdict` may be the item's number among the candidates, or a kind."""
    said, item = str(row["verdict"]).strip(), row["item_id"] or None
    if said not in _KINDS:
        raise InputError(
            f"{path}: the verdict on case {row['case_id']} is {said!r}; give one of "
            f"{', '.join(_KINDS)}, and for an item its `item_id`"
        )
    if said == "item" and not item:
        raise InputError(
            f"{path}: the verdict on case {row['case_id']} is 'item' without `item_id`; name it"
        )
    return said, item if said in ("item", "label_wrong") else None


def _row(case: "Case") -> dict[str, Any]:
    """A case as a row of a table."""
    query = {f"query.{name}": _plain(value) for name, value in case.decision.query.items()}
    listed = "; ".join(f"{one['item_id']}: {one.get('item') or ''}" for one in _candidates(case))
    blank = {"verdict": "", "item_id": "", "reviewer": ""}
    return {"case_id": case.id, "reason": case.reason, **query, "candidates": listed, **blank}


def _verdict_row(case: "Case", verdict: "Verdict") -> dict[str, Any]:
    return {"query_id": case.decision.query_id, "label": case.label, **vars(verdict)}


def _task(case: "Case") -> dict[str, Any]:
    """A case as a task of Label Studio."""
    options = [
        {"value": f"item {one['item_id']}", "html": _escaped(one)} for one in _candidates(case)
    ]
    options += [{"value": "none", "html": "none of these"}, {"value": "not_sure"}]
    query = " | ".join(str(v) for v in case.decision.query.values() if v not in (None, ""))
    return {"data": {"case_id": case.id, "query": query, "options": options}}


def _candidates(case: "Case") -> Iterable[Mapping[str, Any]]:
    return [one for one in case.decision.candidates if one.get("item_id")]


def _escaped(candidate: Mapping[str, Any]) -> str:
    from html import escape

    return escape(str(candidate.get("item") or candidate["item_id"]))


def _plain(value: Any) -> Any:
    return None if value is None else str(value)


def _from_table(path: Path) -> Iterable[dict[str, Any]]:
    table = read_table(path)
    require_columns(table, ["case_id", "verdict"], path)
    rows = []
    for row in table.to_pylist():
        own = {name: row.get(name) for name in ("case_id", "verdict", "item_id", "reviewer")}
        rows.append({k: None if v is None else str(v).strip() for k, v in own.items()})
    return rows


def _from_tasks(path: Path) -> Iterable[dict[str, Any]]:
    """The latest annotation of each task."""
    try:
        tasks = json.loads(path.read_text("utf-8"))
        rows = []
        for task in tasks:
            annotations = task.get("annotations") or [{}]
            own = annotations[-1]
            choices = [c for r in own.get("result", []) for c in r["value"].get("choices", [])]
            said = choices[0] if choices else ""
            item = said.removeprefix("item ") if said.startswith("item ") else None
            who = own.get("completed_by")
            who = who.get("email") if isinstance(who, dict) else who
            rows.append(
                {
                    "case_id": task["data"]["case_id"],
                    "verdict": "item" if item else said,
                    "item_id": item,
                    "reviewer": None if who is None else str(who),
                }
            )
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(
            f"{path} is not what Label Studio exports as JSON ({type(error).__name__}: {error})"
        ) from error
    return rows
