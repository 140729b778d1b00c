"""What a person reads on the terminal after a job."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from thresher.data.findings import counted

Shown = Mapping[str, Any]
COUNTS = ("queries", "queries_without_item", "targets", "items")
COVERAGES = ("coverage", "certified_coverage")


def show_training(result: Shown) -> str:
    """The outcome of `train`."""
    lines = [
        f"trained on {result['training_pairs']:,} pairs over {result['items']:,} items in "
        f"{result['seconds']:.0f} s"
        + (f"; the artifact is {result['artifact']}" if result["artifact"] else "")
    ]
    lines += [
        f"{side} columns: {', '.join(f'{name} ({kind})' for name, kind in kinds.items())}"
        for side, kinds in result["features"].items()
    ]
    lines += [f"- {finding}" for finding in result["findings"]]
    shown = [n for n in result["validation"] if re.fullmatch(r"P@1|recall@(?!1$)\d+", n)]
    if shown:
        values = ", ".join(f"{name} {result['validation'][name]:.3f}" for name in shown)
        lines.append(f"validation: {values}")
    if result["reranker_queries"]:
        lines.append(
            f"re-ranker: learnt from {result['reranker_queries']:,} training queries, by towers "
            "trained without them"
        )
    if result["repeat_boost"] is not None:
        lines.append(f"repeat boost {result['repeat_boost']:g}, the best on validation")
    if result["decision"] is not None:
        lines.append(result["decision"]["sentence"])
    return "\n".join(lines)


def show_lists(result: Shown) -> str:
    """The outcome of `recommend`: where the rows are, or the lines of each list."""
    of_users = "users" in result
    number = result["users" if of_users else "queries"]
    head = counted(number, "user", "users") if of_users else counted(number, "query", "queries")
    head = "; ".join([head, *result["findings"]])
    if empty := result["without_history"]:
        head += f"; {counted(empty, 'user', 'users')} without a known item, without a list"
    if "out" in result:
        return f"{head}; written to {result['out']}"
    lines = []
    for row in result["lists"]:
        name = row["user_id" if of_users else "query_id"] if row["rank"] == 1 else ""
        title = f"  {row['item']}" if row["item"] else ""
        lines.append(f"{name:<12}  {row['rank']:>3}  {row['score']:.3f}  {row['item_id']}{title}")
    return "\n".join([*lines, head])


def show_nearest(result: Shown) -> str:
    """The outcome of `nearest`: each item, and by each model its neighbours."""
    lines = []
    for item in result["items"]:
        lines.append(f"{item['id']}  {item['item']}")
        for model, near in item["nearest"].items():
            lines.append(f"  {model}")
            lines += [f"    {n['score']:.3f}  {n['id']}  {n['item']}" for n in near]
    return "\n".join(lines)


def show_decision(decision: Shown) -> str:
    """A certified threshold, or none: the sentence, and what every segment has."""
    lines = [str(decision["sentence"])]
    segments = {k: own for k, own in (decision.get("segments") or {}).items() if own["labelled"]}
    others = [("the others", decision)] if segments and decision["labelled"] else []
    for name, own in [*segments.items(), *others]:
        at = own["accept_at"]
        share = own["accepted"] / own["labelled"] if own["labelled"] else 0.0
        fate = "reviewed" if at is None else f"accepted at {at:.4g} or above, {share:.1%}"
        lines.append(f"  {name}: {fate} of {counted(own['labelled'], 'label', 'labels')}")
    return "\n".join(lines)


def show_decisions(result: Shown) -> str:
    """The outcome of `calibrate` and `certify`, for one target or several."""
    return "\n".join(map(show_decision, result.get("answers", [result])))


def show_comparison(result: Shown) -> str:
    """The outcome of `compare`: the table, what to know about it, and the runs that failed."""
    lines = [result["table"], *([""] if result["failed"] or result["notes"] else [])]
    lines += [f"note: {text}" for text in result["notes"]]
    lines += [
        f"failed: {lost['name']}, seed {lost['seed']}: {lost['error']} (see {lost['output']})"
        for lost in result["failed"]
    ]
    return "\n".join(lines)


def show_evaluation(metrics: Shown) -> str:
    """The numbers of an evaluation, and what they warn of."""
    numbers = {k: v for k, v in metrics.items() if v is None or isinstance(v, int | float)}
    lines = [show_metrics(numbers)]
    lines += [f"warning: {text}" for text in metrics.get("warnings", ())]
    return "\n".join(lines)


def show_metrics(metrics: Shown) -> str:
    """The numbers of the whole by length of the list and by precision; then a line a slice."""
    whole = {name: value for name, value in metrics.items() if "/" not in name}
    split = {name: name.partition("@") for name in whole}
    plain = [[name, _number(name, whole[name])] for name in whole if "@" not in name]
    tables = [_aligned(plain)]
    for what in ("k", "precision"):
        of = {n: at for n, (_, _, at) in split.items() if at and at.isdecimal() == (what == "k")}
        ends = list(dict.fromkeys(of.values()))
        rows = [[f"at {what}", *(end.removeprefix("precision=") for end in ends)]]
        for metric in dict.fromkeys(split[name][0] for name in of):
            names = [f"{metric}@{end}" for end in ends]
            rows.append([metric, *(_number(n, whole[n]) if n in whole else "" for n in names)])
        tables.append(_aligned(rows) if of else "")
    shown = ("queries", "P@1", "recall@10", *(f"{c}@precision=0.95" for c in COVERAGES))
    rows = [["", *shown]]
    for name in sorted({name.rsplit("/", 1)[0] for name in metrics if "/" in name}):
        values = [f"{name}/{metric}" for metric in shown]
        if metrics[f"{name}/queries"]:
            rows.append([name, *(_number(n, metrics[n]) if n in metrics else "" for n in values)])
    tables.append(_aligned(rows) if len(rows) > 1 else "")
    return "\n\n".join(table for table in tables if table)


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells, the first column to the left; columns that only have a head are left out."""
    columns = [column for column in zip(*rows, strict=True) if len(rows) == 1 or any(column[1:])]
    widths = [max(map(len, column)) for column in columns]
    lines = []
    for row in zip(*columns, strict=True):
        first, *rest = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        lines.append("  ".join([first.strip().ljust(widths[0]), *rest]).rstrip())
    return "\n".join(lines)


def show_index(result: Shown) -> str:
    """The outcome of `index`."""
    next_step = (
        "the policy still holds"
        if result["calibrated"]
        else f"run `thresher calibrate {result['artifact']}` before matching"
    )
    return (
        f"{result['items']:,} items indexed ({result['added']:,} new, {result['removed']:,} gone); "
        f"{next_step}"
    )


def show_parts(result: Shown) -> str:
    """The outcome of a job in parts."""
    head = counted(result["queries"], "query", "queries")
    if "accept" in result or "review" in result:
        head += f": {result.get('accept', 0):,} accepted, {result.get('review', 0):,} for review"
    made = counted(result["parts"], "part", "parts")
    there = f", of which {result['were_there']:,} were there" if result["were_there"] else ""
    return f"{head}; {made}{there}, in {result['out']}"


def show_export(result: Shown) -> str:
    """The outcome of `export`."""
    difference = result["largest_difference"]
    if difference is not None:
        compared = f"vectors of {result['compared']:,} items differ by at most {difference:.1g}"
    elif result["to"] == "onnx":
        compared = "not compared with the model, as onnxruntime is not installed"
    else:
        compared = "not compared with the model, which sentence-transformers would load"
    table = f"{result['tokens']:,} vectors of {result['dim']} numbers"
    return (
        f"{table}, {result['bytes'] / 1e6:,.1f} MB, written to {result['folder']}; {compared}; "
        "see README.md there"
    )


def show_matches(result: Shown) -> str:
    """The outcome of `match`: where the rows are, or the rows."""
    number, policy = result["queries"], result["policy"]
    head = f"{counted(number, 'query', 'queries')}: "
    if result["certified"]:
        head += (
            f"{result['accepted']:,} accepted at a certified precision of "
            f"{policy['target_precision']:g}, {result['review']:,} for review"
        )
        known = policy["segments"].get("known text")
        if result["known_texts"] and known and known["accept_at"] is None:
            head += f", {result['known_texts']:,} of them since their text is in the training data"
    else:
        every = "all " if number > 1 else ""
        are = counted(number, "query is", "queries are")
        head = f"no threshold is certified: {every}{are} for review; see `thresher calibrate`"
    if "review_list" in result:
        head += f"; those to review in {result['review_list']}"
    empty = result["left_empty"]
    note = []
    if empty and result["certified"]:
        note = [
            f"a text leaves {', '.join(empty)} empty, which the labels that certified had: the "
            "precision is promised for a table with all columns, not for texts"
        ]
    if "out" in result:
        return "\n".join([*note, f"{head}; written to {result['out']}"])
    rows = []
    for row in result["matches"]:
        sure = "" if row["confidence"] is None else f"{row['confidence']:.3f}"
        query = row["query"] if row["rank"] == 1 else ""
        shown = row["item"] or row["item_id"] or "-"
        rows.append(f"{row['decision'] or '':<6}  {sure:<5}  {query}  ->  {shown}")
    return "\n".join([*rows, *note, head])


def _number(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if name.rpartition("/")[2] in COUNTS else f"{value:.4f}"
