"""Imports ComiRec's layout: lines `user,item,order`, and perhaps lines `item,category`."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from jaxtyping import Int64

from thresher.data.read_diagnostics import (
    GZIP_ERRORS,
    WHOLE,
    numbered_lines,
    open_bytes,
    whole,
)
from thresher.data.readers.interactions import Interactions, write_events
from thresher.data.readers.summary import written_together
from thresher.data.tables import check_file, write_table
from thresher.errors import InputError

_EVENTS = ("user_id", "item_id", "timestamp")
_CATEGORY = ("id", "category")
_PART = r"(?:.*_)?{}\.txt(?:\.gz)?"
_CATEGORIES = re.compile(r".*item_cate\.txt(?:\.gz)?")
# The only file of lines may have any name but those of maps and categories.
_LINES = re.compile(r"(?!.*(?:_map|_cate)\.).*\.(?:txt|csv)(?:\.gz)?")
_BLOCK = 8 << 20


def convert(source: str | Path, out: str | Path) -> Interactions:
    """Turn lines `user,item,order` into events.parquet and items.parquet.

    The published layout: `book_train.txt`, `book_valid.txt` and `book_test.txt` hold the lines of
    different users; `book_item_cate.txt`, lines `item,category`, is optional and becomes the column
    `category`. A folder with a single file of lines (.txt or .csv) is read too. Maps of ids
    (`book_item_map.txt`) are left alone. The order, or any number that grows, is the timestamp.

    The published users of train, valid and test become one table: the protocol "users" cuts them
    again, by its own seed.

    **Source**: the data files of Cen et al., *Controllable multi-interest framework for
    recommendation* (ComiRec), KDD 2020.

    Args:
        source: the folder; its files may be packed (.gz).
        out: folder for the two tables.

    Memory: 8 MiB of lines at a time, and the distinct users and items.

    Raises:
        InputError: the folder has no such lines or too many files of them, a file is cut short, a
            line is not whole numbers, or a user is in two files; the message names file and line.

    Example:
        >>> convert("book_data", "data/books").item_categories
        ('category',)
    """
    source, out = Path(source), Path(out)
    files = _files(source)
    listed = _only(source, _CATEGORIES)
    with written_together(out) as folder:
        seen = write_events(_events(files), folder, source)
        items = pa.table({"id": seen.items})
        if listed:
            items = _with_categories(seen.items, pa.concat_tables(_blocks(listed, _CATEGORY)))
        write_table(items, folder / "items.parquet")
    read = [path.name for path in (*files, listed) if path]
    return Interactions(
        users=len(seen.users),
        items=len(items),
        events=seen.events,
        item_categories=("category",) if listed else (),
        notes=(f"read {', '.join(read)}",),
    )


def _files(source: Path) -> list[Path]:
    """The files of lines: train, valid and test as far as they are there, or the only one."""
    if not source.is_dir():
        raise InputError(f"there is no folder {source}; give the one that holds the lines")
    parts = {}
    for part in ("train", "valid", "test"):
        found = _only(source, re.compile(_PART.format(part)))
        if found:
            parts[part] = found
    if parts:
        return list(parts.values())
    only = _only(source, _LINES)
    if only is None:
        raise InputError(
            f"{source} has no file of lines 'user,item,order'; name them NAME_train.txt, "
            "NAME_valid.txt and NAME_test.txt, or give one .txt or .csv file"
        )
    return [only]


def _events(files: Sequence[Path]) -> Iterator[pa.Table]:
    """The events of all files; InputError for a user of two of them, whose order would clash."""
    users: dict[str, Int64[np.ndarray, " U"]] = {}
    for path in files:
        mine = np.empty(0, np.int64)
        for block in _blocks(path, _EVENTS):
            mine = np.union1d(mine, block["user_id"].to_numpy())
            yield block
        for name, others in users.items():
            both = np.intersect1d(mine, others)
            if len(both):
                raise InputError(
                    f"{path}: the user {both[0]} is in {name} too; each user belongs to one file, "
                    "so take all files from one download"
                )
        users[path.name] = mine


def _only(source: Path, pattern: re.Pattern[str]) -> Path | None:
    """The one file of such a name; None without one."""
    found = sorted(path for path in source.iterdir() if pattern.fullmatch(path.name))
    if len(found) > 1:
        raise InputError(
            f"{source} has several files of one kind, {' and '.join(path.name for path in found)}; "
            "leave one of them in the folder"
        )
    return found[0] if found else None


def _with_categories(items: Int64[np.ndarray, " N"], listed: pa.Table) -> pa.Table:
    """The items of the events and of the list; of an item listed twice, the last line counts."""
    ids, category = (listed[name].to_numpy()[::-1] for name in _CATEGORY)
    known, last = np.unique(ids, return_index=True)
    every = pa.array(np.union1d(items, known))
    rows = pc.index_in(every, value_set=pa.array(known))
    return pa.table(
        {"id": every, "category": pa.array(category[last]).cast(pa.string()).take(rows)}
    )


def _blocks(path: Path, columns: tuple[str, ...]) -> Iterator[pa.Table]:
    """Blocks of lines of whole numbers, so many in each line."""
    check_file(path)
    options = {
        "read_options": pyarrow.csv.ReadOptions(column_names=columns, block_size=_BLOCK),
        "parse_options": pyarrow.csv.ParseOptions(quote_char=False),
        "convert_options": pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(columns, pa.string())
        ),
    }
    yield pa.table({name: pa.array([], pa.int64()) for name in columns})
    try:
        with open_bytes(path) as raw:
            for batch in pyarrow.csv.open_csv(raw, **options):
                yield pa.table([_whole(column) for column in batch.columns], names=columns)
    except (pa.ArrowException, OSError, ValueError, *GZIP_ERRORS) as error:
        raise InputError(_misfit(path, columns, error)) from error


def _whole(column: pa.Array) -> pa.Array:
    column = pc.utf8_trim_whitespace(column)
    if not pc.all(pc.match_substring_regex(column, f"^{WHOLE}$")).as_py():
        raise ValueError("a value is no whole number")
    return column.cast(pa.int64())


def _misfit(path: Path, columns: tuple[str, ...], error: Exception) -> str:
    """Why the lines of a file could not be read, found by reading them again one by one."""
    named = ",".join(name.removesuffix("_id") for name in columns)
    for number, text in numbered_lines(path):
        fields = text.split(",")
        numbers = [whole(field.strip()) for field in fields]
        if text and (None in numbers or len(fields) != len(columns)):
            return (
                f"{path}, line {number}: {text[:40]!r} is not {named}, {len(columns)} whole "
                "numbers with commas between; correct or remove the line"
            )
    return f"{path} cannot be read ({error}); copy it again"
