"""Datasets that ship with the package, so that everything can be tried without a download."""

import difflib
from pathlib import Path

from thresher.errors import InputError

BUNDLED = ("pricerunner", "online-retail")


def bundled_tables(name: str) -> tuple[str, ...]:
    """The tables of a dataset that ships with the package.

    Raises:
        InputError: no dataset of that name ships.
    """
    return tuple(sorted(path.stem for path in bundled(name).glob("*.parquet")))


def bundled(name: str, *, table: str | None = None) -> Path:
    """The folder of a dataset that ships with the package, a parquet file for each table.

    Its README.md says where the data comes from and under which licence.

    Args:
        name: of the dataset: "pricerunner", items, queries and pairs; or "online-retail", items
            and events.
        table: one that it must have, such as "queries"; any when left out.

    Raises:
        InputError: no dataset of that name ships, or it has no such table.

    Example:
        >>> sorted(path.name for path in bundled("pricerunner").glob("*.parquet"))
        ['items.parquet', 'pairs.parquet', 'queries.parquet']
    """
    if name not in BUNDLED:
        near = difflib.get_close_matches(name, BUNDLED, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise InputError(
            f"no dataset {name!r} ships with the package; it has {', '.join(BUNDLED)}{hint}"
        )
    folders = {other: Path(__file__).parent / "bundled" / other for other in BUNDLED}
    there = sorted(path.stem for path in folders[name].glob("*.parquet"))
    if table is not None and table not in there:
        others = [o for o, folder in folders.items() if (folder / f"{table}.parquet").is_file()]
        raise InputError(
            f"the dataset {name!r} has no {table}, only {' and '.join(there)}; "
            f"{' and '.join(others)} has {table}"
        )
    return folders[name]
