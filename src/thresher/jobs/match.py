"""From an artifact and queries to decisions."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from thresher.data.tables import read_table, write_table
from thresher.errors import InputError
from thresher.matcher import ACCEPT, Matcher
from thresher.progress import Bar

BLOCK = 8192


def match(
    folder: Path, queries: Path, out: Path | None = None, *, quiet: bool = False
) -> dict[str, Any]:
    """Matches a table of queries against the artifact's catalogue and decides.

    Args:
        folder: the artifact.
        queries: table with the text columns of the training queries.
        out: table to write, one row a query; None returns the rows.
        quiet: no progress bar.

    Returns:
        Counts and the policy; with `matches`, the rows, when nothing is written.

    Raises:
        InputError: for an artifact without a policy, or a table that cannot be used.
    """
    if out is not None and out.is_dir():
        raise InputError(f"{out} is a folder; name a file, such as {out / 'decisions.csv'}")
    matcher = Matcher.open(folder)
    table = read_table(queries)
    if not len(table):
        raise InputError(f"{queries} has columns but no rows; give at least one query")
    found = pa.concat_tables(_blocks(matcher, table, quiet))
    accepted = found["decision"].to_pylist().count(ACCEPT)
    result: dict[str, Any] = {
        "queries": len(found),
        "accepted": accepted,
        "review": len(found) - accepted,
        "policy": matcher.policy.to_dict() if matcher.policy is not None else None,
    }
    if out is None:
        return {**result, "matches": found.to_pylist()}
    write_table(found, out)
    return {**result, "out": str(out)}


def _blocks(matcher: Matcher, table: pa.Table, quiet: bool) -> Iterator[pa.Table]:
    with Bar("queries", quiet=quiet) as bar:
        bar.start("matching", total=len(table))
        for start in range(0, len(table), BLOCK):
            block = table.slice(start, BLOCK)
            yield matcher.match(block)
            bar.advance(len(block))
