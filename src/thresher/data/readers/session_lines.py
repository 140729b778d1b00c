"""Imports lines of item ids, oldest first: one line a session, or a user and then the items."""

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int64

from thresher.data.findings import counted
from thresher.data.read_diagnostics import WHOLE, numbered_lines, whole
from thresher.data.readers.interactions import Interactions, Seen, write_events
from thresher.data.readers.summary import written_together
from thresher.data.sequences import bounds
from thresher.data.tables import check_file, is_table, read_table, require_columns, write_table
from thresher.errors import InputError

# The name of the file says whether its lines begin with a user.
WITH_USERS = ("sequences.txt", "sequential_data.txt")
WITHOUT_USERS = ("train_sequences.txt", "sessions.txt")
_LINES = 65_536
_NUMBERS = re.compile(rf"\s*(?:{WHOLE}(?:\s+|$))*")


def convert(source: str | Path, out: str | Path) -> Interactions:
    """Turn lines of item ids into events.parquet and items.parquet.

    The name of the file says how its lines are read, packed (.gz) or not:

    - `sequences.txt`, `sequential_data.txt`: a user, then the items, as S3-Rec publishes them. No
      two lines may be of one user.
    - `train_sequences.txt`, `sessions.txt`: the items of a session; its user is the number of the
      line, from 1.

    The timestamp is the place in the line, from 0: it orders the events of a user and says nothing
    across users, so the protocol "time" has no meaning. A table `items` (`items.jsonl`, `items.csv`
    and the like) with a column `id` is the catalogue; without it, the items of the lines are.
    Categories given as lists of paths become a list of text that names each step of each path:
    [["Hair", "Combs"]] reads ["Hair", "Hair > Combs"].

    Args:
        source: the folder.
        out: folder for the two tables.

    Memory: 65,536 lines at a time, the distinct users and items, and the table of items.

    Raises:
        InputError: the folder has no such file or several, it is cut short, a line holds something
            else than whole numbers, or a user has two lines; the message names file and line.
    """
    source, out = Path(source), Path(out)
    path, with_users = _file(source)
    with written_together(out) as folder:
        seen = write_events(_events(path, with_users=with_users), folder, source)
        items, of_items = _items(source, seen)
        write_table(items, folder / "items.parquet")
    first = "a user" if with_users else "an item, its user is the number of the line"
    return Interactions(
        users=len(seen.users),
        items=len(items),
        events=seen.events,
        item_text=tuple(name for name in ("title", "name", "text") if name in items.column_names),
        item_categories=tuple(name for name in ("category",) if name in items.column_names),
        notes=(f"{path.name}: the first number of a line was read as {first}", *of_items),
    )


def _file(source: Path) -> tuple[Path, bool]:
    """The file of lines, and whether they begin with a user."""
    if not source.is_dir():
        raise InputError(f"there is no folder {source}; give the one that holds the lines")
    found = [
        (source / f"{name}{packed}", name in WITH_USERS)
        for name in (*WITH_USERS, *WITHOUT_USERS)
        for packed in ("", ".gz")
        if (source / f"{name}{packed}").is_file()
    ]
    if len(found) != 1:
        names = ", ".join(path.name for path, _ in found) or "none of them"
        raise InputError(
            f"{source} has {names}; it must hold one file, {' or '.join(WITH_USERS)} for lines "
            f"that begin with a user, {' or '.join(WITHOUT_USERS)} for lines of items alone"
        )
    return found[0]


def _events(path: Path, *, with_users: bool) -> Iterator[pa.Table]:
    """The events of the lines, block by block."""
    lines = _numbers(path)
    before: dict[int, int] = {}
    while block := list(islice(lines, _LINES)):
        if with_users:
            for number, values in block:
                user = int(values[0])
                if user in before:
                    raise InputError(
                        f"{path}, line {number}: the user {user} has a line already, line "
                        f"{before[user]}; write one line a user, or name the file "
                        f"{WITHOUT_USERS[-1]} if its lines are items alone"
                    )
                before[user] = number
        heads = [values[0] if with_users else number for number, values in block]
        items = [values[1:] if with_users else values for _, values in block]
        counts = np.array([len(row) for row in items])
        order = np.arange(counts.sum()) - np.repeat(bounds(counts)[:-1], counts)
        yield pa.table(
            {
                "user_id": np.repeat(np.array(heads, dtype=np.int64), counts),
                "item_id": np.concatenate(items),
                "timestamp": order,
            }
        )


def _numbers(path: Path) -> Iterator[tuple[int, Int64[np.ndarray, " n"]]]:
    """Each line that is not blank: its number, and the whole numbers in it."""
    check_file(path)
    for number, line in numbered_lines(path):
        words = line.split()
        if not _NUMBERS.fullmatch(line):
            wrong = next((word for word in words if whole(word) is None), line)
            raise InputError(
                f"{path}, line {number}: {wrong[:40]!r} is not a whole number; a line is item "
                "numbers with spaces between, so correct or remove it"
            )
        if words:
            yield number, np.array([int(word) for word in words], dtype=np.int64)


def _items(source: Path, seen: Seen) -> tuple[pa.Table, list[str]]:
    """The table of items, and what to tell of it."""
    found = sorted(
        path for path in source.iterdir() if path.name.split(".")[0] == "items" and is_table(path)
    )
    if not found:
        return pa.table({"id": seen.items}), []
    if len(found) > 1:
        raise InputError(
            f"{source} has several tables of items, {' and '.join(path.name for path in found)}; "
            "leave one of them in the folder"
        )
    items = read_table(found[0])
    require_columns(items, ["id"], found[0])
    if "category" in items.column_names:
        at = items.column_names.index("category")
        items = items.set_column(at, "category", _steps(items["category"]))
    named = pa.array(seen.items).cast(pa.string())
    cold = len(items) - pc.sum(pc.is_in(items["id"], value_set=named)).as_py()
    told = f"{counted(cold, 'item', 'items')} of {found[0].name} named by no line"
    return items, [told] if cold else []


def _steps(categories: pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Lists of paths as lists of text, a text for each step; other columns as they are."""
    kind = categories.type
    paths = pa.types.is_list(kind) and pa.types.is_list(kind.value_type)
    if not paths or kind.value_type.value_type != pa.string():
        return categories
    rows = []
    for row in categories.to_pylist():
        ways = [[step for step in way or () if step is not None] for way in row or ()]
        steps = [" > ".join(way[: n + 1]) for way in ways for n in range(len(way))]
        rows.append(list(dict.fromkeys(steps)))
    return pa.array(rows, pa.list_(pa.string()))
