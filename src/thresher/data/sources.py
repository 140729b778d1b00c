"""The tables of a run, from files or from memory: read, renamed, and their columns checked."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from thresher.data.options import DataOptions, Protocol
from thresher.data.plain_types import check_names, plain
from thresher.data.tables import ids_as_text, read_table, require_columns
from thresher.errors import InputError, did_you_mean

_PAIR = ("query_id", "item_id", "split", "label")
# What a column may be renamed to in each table; None for anything but the ids of others.
_NAMES: Mapping[str, tuple[str, ...] | None] = {
    "items": None,
    "queries": None,
    "pairs": _PAIR,
    "ignored": _PAIR,
    "events": ("user_id", "item_id", "timestamp", "event", "weight"),
}
_KEYS = {"items": ("item_id",), "queries": ("query_id", "user_id")}
_REQUIRED: Mapping[str, tuple[str, ...]] = {
    "items": ("id",),
    "queries": ("id",),
    "pairs": ("query_id", "item_id"),
    "ignored": ("query_id", "item_id"),
    "events": (),
}


@dataclass(frozen=True)
class Sources:
    """The tables of a run by name (items, queries, pairs, events, ignored), as far as it has them.

    `tables` have their ids as text; `paths` is what to call each of the five in messages: its path,
    or its name.
    """

    tables: Mapping[str, pa.Table]
    paths: Mapping[str, str]
    protocol: Protocol


def sources(
    options: DataOptions, base: str | Path, given: Mapping[str, pa.Table | None]
) -> Sources:
    """Read the tables that the options name, those given in memory in place of the files.

    InputError where a file cannot be read, a column is missing or to be renamed and nowhere there,
    or the tables do not go together.
    """
    tables = {name: table for name, table in given.items() if table is not None}
    options.check_bundled(tables)
    files = {name: path for name, path in options.paths(base).items() if name not in tables}
    protocol = options.split_protocol((*tables, *files))
    tables |= {name: read_table(path) for name, path in files.items()}
    paths = {name: str(files.get(name, f"the table of {name}")) for name in _NAMES}
    if "items" not in tables:  # the items are then those of the events
        paths["items"] = paths["events"]
    if "queries" not in tables and "pairs" in tables:  # the queries are then the items
        paths["queries"] = paths["items"]
    _check_renames(tables, paths, options.columns)
    tables = {n: renamed(t, n, paths[n], options.columns) for n, t in tables.items()}
    return Sources(tables, paths, protocol)


def renamed(table: pa.Table, name: str, path: str, columns: Mapping[str, str]) -> pa.Table:
    """A table with the new names of its columns (`rename`), its ids as text, and those it needs.

    InputError, which calls the table `path`, where a column is missing, or ids are of a type that
    they may not be.
    """
    table = rename(table, name, columns)
    require_columns(table, _REQUIRED[name], path)
    check_names(table.column_names, path)
    return ids_as_text(plain(table), path)


def rename(table: pa.Table, name: str, columns: Mapping[str, str]) -> pa.Table:
    """A table with the new names of its columns, `new = "old"`, where it has the old one.

    The new column takes the place of one that has its name already. What pairs call the ids of
    items, `item_id = "sku"`, is the `id` of items that have none of that name; likewise for queries
    and users. `name` says which table it is: "items", "queries", "pairs", "events" or "ignored".
    """
    allowed = _NAMES[name]
    own = next((columns[key] for key in _KEYS.get(name, ()) if key in columns), None)
    if own in table.column_names and "id" not in columns and "id" not in table.column_names:
        columns = {**columns, "id": str(own)}
    for new, old in columns.items():
        other_ids = new in ("query_id", "item_id", "user_id")
        concerns = not other_ids if allowed is None else new in allowed
        if concerns and old in table.column_names and new != old:
            if new in table.column_names:
                table = table.drop_columns(new)
            table = table.rename_columns({old: new})
    return table


def _check_renames(
    tables: Mapping[str, pa.Table], paths: Mapping[str, str], columns: Mapping[str, str]
) -> None:
    there = [name for table in tables.values() for name in table.column_names]
    for new, old in columns.items():
        if old not in there:
            raise InputError(
                f"[data.columns] renames {old!r} to {new!r}, and no column is called {old!r} in "
                f"{' or '.join(paths[name] for name in tables)}{did_you_mean(old, there)}"
            )
