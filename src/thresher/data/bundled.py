"""Datasets that ship with the package, so that everything can be tried without a download."""

import difflib
from pathlib import Path

from thresher.errors import InputError

BUNDLED = ("pricerunner", "online-retail")


def bundled(name: str) -> Path:
    """The folder of a dataset that ships with the package, a parquet file for each table.

    Its README.md says where the data comes from and under which licence.

    Args:
        name: of the dataset: "pricerunner", items, queries and pairs; or "online-retail", items
            and events.

    Raises:
        InputError: no dataset of that name ships.

    Example:
        >>> tables_of("pricerunner")
        ('items', 'pairs', 'queries')
    """
    if name not in BUNDLED:
        near = difflib.get_close_matches(name, BUNDLED, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise InputError(
            f"no dataset {name!r} ships with the package; it has {', '.join(BUNDLED)}{hint}"
        )
    return Path(__file__).parent / "bundled" / name


def tables_of(name: str) -> tuple[str, ...]:
    """The tables of a dataset that ships with the package.

    Raises:
        InputError: no dataset of that name ships.
    """
    return tuple(sorted(path.stem for path in bundled(name).glob("*.parquet")))
