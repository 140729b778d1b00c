"""From an artifact and queries, or events, to tables of decisions and of lists."""

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from thresher.asked import left_empty
from thresher.data.blocks import read_blocks
from thresher.data.queries import Queries, check_ids
from thresher.data.tables import check_outputs, read_table, require_columns, write_blocks
from thresher.decide.policy import NoThreshold
from thresher.errors import InputError
from thresher.progress import Bar
from thresher.retriever import ACCEPT, BLOCK, REVIEW, Retriever

KNOWN = "known_texts"
"""How many queries have a text that stands in the training data."""


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What `match` writes beside its decisions.

    Args:
        top: candidates a query.
        keep: columns of queries, or `item.NAME` of items, to carry over.
        review: table of the candidates of just the queries that a person is to look at.
    """

    top: int = 1
    keep: Sequence[str] = ()
    review: Path | None = None


def match(
    folder: Path,
    queries: Path | Sequence[str],
    out: Path | None = None,
    *,
    answers: Answers | None = None,
    candidates: Path | None = None,
    quiet: bool = False,
) -> dict[str, Any]:
    """Match queries against the artifact's catalogue and decide.

    Queries are read, and decisions written, a block at a time: the table may be larger than memory.

    Args:
        folder: the artifact.
        queries: table with the columns of the training queries; `-` for lines of text on standard
            input; or texts.
        out: table to write, one row a query and place; None returns the rows.
        answers: what is written.
        candidates: table of query_id, item_id and score of another search engine.
        quiet: no progress bar.

    Returns:
        Counts and the policy; `left_empty`, columns that texts do not fill though the model reads
        them; with `matches`, the rows, when nothing is written.

    Raises:
        InputError: for an artifact without a policy, or a table that cannot be used.
    """
    answers = answers or Answers()
    read = {"--queries": queries if isinstance(queries, Path) else None, "--candidates": candidates}
    check_outputs({"--out": out, "--review": answers.review}, read)
    model = Retriever.open(folder)
    check_top(answers.top, len(model.items))
    counts: Counter[str] = Counter()
    found = None if candidates is None else read_table(candidates)
    blocks = _decided(model, queries, answers, found, counts, quiet)
    result: dict[str, Any] = {}
    if answers.review is not None:
        blocks = _reviewed(blocks, answers.review, result)
    if out is None:
        result["matches"] = [row for block in blocks for row in block.to_pylist()]
    else:
        write_blocks(blocks, out)
        result["out"] = str(out)
    return {
        "queries": counts[ACCEPT] + counts[REVIEW],
        "accepted": counts[ACCEPT],
        "review": counts[REVIEW],
        KNOWN: counts[KNOWN],
        "policy": model.policy.to_dict() if model.policy is not None else None,
        "certified": not isinstance(model.policy, NoThreshold),
        "left_empty": left_empty(model) if _are_texts(queries) else [],
        **result,
    }


def recommend(
    folder: Path,
    events: Path | None = None,
    out: Path | None = None,
    *,
    queries: Path | None = None,
    top: int = 20,
    remove_history: bool | None = None,
    quiet: bool = False,
) -> dict[str, Any]:
    """List items for every user of a table of events, or for every query of a table.

    Events are read as in training: those of the same kinds, repeated ones kept or merged. Events of
    items that the catalogue lacks are left out; a user of whom nothing else is known has no list.

    Args:
        folder: the artifact.
        events: table with user_id, item_id and timestamp, for a model that reads histories.
        queries: table of queries, or of what is known of users beside their history.
        out: table to write, a row for each user or query and place; None returns the rows.
        top: items a user or query.
        remove_history: leave out what a user has had; as configured when left out.
        quiet: no progress bar.

    Returns:
        Counts; with `lists`, the rows, when nothing is written.

    Raises:
        InputError: for a table that cannot be used, or more items than the catalogue has.
    """
    check_outputs({"--out": out}, {"--events": events, "--queries": queries})
    model, findings = Retriever.open(folder), list[str]()
    check_top(top, len(model.items))
    who = "queries" if events is None else "users"
    if events is None:
        asked = model.as_queries(queries)
    else:
        users = None if queries is None else model.as_queries(queries).table
        asked, left_out = model.histories(events, users)
        findings += left_out
    blocks = _listed(model, asked, who, top, remove_history, quiet)
    result: dict[str, Any] = {}
    if out is None:
        result["lists"] = [row for block in blocks for row in block.to_pylist()]
    else:
        write_blocks(blocks, out)
        result["out"] = str(out)
    empty = 0 if asked.histories is None else int((asked.histories.lengths() == 0).sum())
    return {who: len(asked), "without_history": empty, "findings": findings, **result}


def check_top(top: int, most: int) -> None:
    """InputError for a length of lists, `--top`, that is not from 1 to the most there are."""
    if not 1 <= top <= most:
        raise InputError(f"--top is {top}; give 1 to {most}, as many items as there are")


def _listed(
    model: Retriever, asked: Queries, who: str, top: int, remove: bool | None, quiet: bool
) -> Iterator[pa.Table]:
    with Bar(who, quiet=quiet) as bar:
        bar.start("listing", total=len(asked))
        for start in range(0, len(asked), BLOCK):
            rows = np.arange(start, min(start + BLOCK, len(asked)))
            part = asked.take(rows)
            given = {"events": part} if who == "users" else {"events": None, "queries": part}
            yield model.recommend(k=top, remove_history=remove, **given)
            bar.advance(len(rows))


def _decided(
    model: Retriever,
    queries: Path | Sequence[str],
    answers: Answers,
    candidates: pa.Table | None,
    counts: Counter[str],
    quiet: bool,
) -> Iterator[pa.Table]:
    """The decisions on each block of queries, counted."""
    seen, used = set[int](), 0
    with Bar("queries", quiet=quiet) as bar:
        bar.start("matching", total=None)
        for block in _blocks_of(queries):
            asked = numbered(model, block, seen, before=counts[ACCEPT] + counts[REVIEW])
            own = None if candidates is None else _of_block(candidates, asked, model)
            used += 0 if own is None else len(own)
            yield decided(model, asked, answers, counts, own)
            bar.advance(len(block))
    if not counts[ACCEPT] + counts[REVIEW]:
        raise InputError(f"{queries} has columns but no rows; give at least one query")
    if candidates is not None and not used:
        raise InputError(
            "no candidate names both one of these queries and an item of the catalogue; check "
            "query_id and item_id"
        )


def numbered(model: Retriever, block: Any, seen: set[int], *, before: int) -> Queries:
    """A block of queries as the model reads them; those without an id are numbered on.

    Args:
        model: reads them.
        block: a table, or texts.
        seen: digests of the ids so far, which are added to; an id among them is refused.
        before: queries before the block.
    """
    asked = Queries.of_table(model.query_table(block))
    if asked.table is not None and "id" in asked.table.column_names:
        check_ids(asked.ids, seen, before=before)
        return asked
    numbers = [str(before + i) for i in range(len(asked))]
    return replace(asked, ids=pa.array(numbers, pa.string()))


def decided(
    model: Retriever,
    asked: Queries,
    answers: Answers,
    counts: Counter[str],
    candidates: pa.Table | None = None,
) -> pa.Table:
    """The decisions on a block of queries, which are counted."""
    found: pa.Table = model.match(asked, answers.top, candidates=candidates, keep=answers.keep)
    counts.update(d for d in found["decision"].to_pylist() if d is not None)
    known = model.known(asked)
    counts[KNOWN] += 0 if known is None else int(known.sum())
    return found


def _of_block(candidates: pa.Table, queries: Queries, model: Retriever) -> pa.Table:
    """The candidates of some queries; those of unknown items are left out."""
    require_columns(candidates, ["query_id", "item_id", "score"], "the table of candidates")
    known = {"query_id": queries.ids, "item_id": model.items["id"].combine_chunks()}
    kept = [
        pc.is_in(candidates[name].cast(pa.string()), value_set=ids) for name, ids in known.items()
    ]
    return candidates.filter(pc.and_(*kept))


def _are_texts(queries: Path | Sequence[str]) -> bool:
    return not isinstance(queries, Path) or str(queries) == "-"


def _blocks_of(queries: Path | Sequence[str]) -> Iterable[Any]:
    if not isinstance(queries, Path):
        return [list(queries)]
    if _are_texts(queries):
        lines = [line.rstrip("\n") for line in sys.stdin if line.strip()]
        if not lines:
            raise InputError("standard input has no line; give one query a line")
        return [lines]
    return read_blocks(queries, BLOCK)


def _reviewed(blocks: Iterable[pa.Table], path: Path, result: dict[str, Any]) -> Iterator[pa.Table]:
    """The same blocks, with the rows of queries to review written to a table at the end."""
    kept = []
    for block in blocks:
        first = block.filter(pc.equal(block["decision"], REVIEW))["query_id"]
        kept.append(block.filter(pc.is_in(block["query_id"], value_set=first.combine_chunks())))
        yield block
    write_blocks(kept, path, for_spreadsheet=True)
    result["review_list"] = str(path)
