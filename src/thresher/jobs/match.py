"""From an artifact and queries to decisions."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from thresher.data.blocks import read_blocks
from thresher.data.tables import write_blocks
from thresher.errors import InputError
from thresher.matcher import ACCEPT, REVIEW, Matcher
from thresher.progress import Bar

BLOCK = 8192


def match(
    folder: Path, queries: Path, out: Path | None = None, *, quiet: bool = False
) -> dict[str, Any]:
    """Matches a table of queries against the artifact's catalogue and decides.

    Queries are read, and decisions written, a block at a time: the table may be larger than memory.

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
    matcher = Matcher.open(folder)
    counts: Counter[str] = Counter()
    blocks = _blocks(matcher, queries, counts, quiet)
    rows: dict[str, Any] = {}
    if out is None:
        rows["matches"] = [row for block in blocks for row in block.to_pylist()]
    else:
        write_blocks(blocks, out)
        rows["out"] = str(out)
    return {
        "queries": counts.total(),
        "accepted": counts[ACCEPT],
        "review": counts[REVIEW],
        "policy": matcher.policy.to_dict() if matcher.policy is not None else None,
        **rows,
    }


def _blocks(
    matcher: Matcher, queries: Path, counts: Counter[str], quiet: bool
) -> Iterator[pa.Table]:
    """The decisions on each block of queries, counted."""
    with Bar("queries", quiet=quiet) as bar:
        bar.start("matching", total=None)
        for block in read_blocks(queries, BLOCK):
            if "id" not in block.column_names:
                first = counts.total()
                numbers = [str(first + i) for i in range(len(block))]
                block = block.append_column("id", pa.array(numbers, pa.string()))
            found = matcher.match(block)
            counts.update(found["decision"].to_pylist())
            yield found
            bar.advance(len(block))
    if not counts:
        raise InputError(f"{queries} has columns but no rows; give at least one query")
