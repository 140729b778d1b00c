"""Datasets that ship with the package, so that everything can be tried without a download."""

from pathlib import Path

from thresher.errors import InputError, did_you_mean

BUNDLED = ("pricerunner", "online-retail")


def bundled(name: str) -> Path:
    """The folder of a dataset that ships with the package, a parquet file for each table.

    "pricerunner" has items, queries and pairs, "online-retail" items and events; InputError for any
    other name. Its README.md says where the data comes from and under which licence.

    Example:
        >>> tables_of("pricerunner")
        ('items', 'pairs', 'queries')
    """
    if name not in BUNDLED:
        there = f"{', '.join(BUNDLED)}{did_you_mean(name, BUNDLED)}"
        raise InputError(f"no dataset {name!r} ships with the package; it has {there}")
    return Path(__file__).parent / "bundled" / name


def tables_of(name: str) -> tuple[str, ...]:
    """The names of the tables of a dataset that ships with the package; InputError as `bundled`."""
    return tuple(sorted(path.stem for path in bundled(name).glob("*.parquet")))
