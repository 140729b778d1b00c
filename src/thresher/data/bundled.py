"""Datasets that ship with the package, so that everything can be tried without a download."""

import difflib
from pathlib import Path

from thresher.errors import InputError

BUNDLED = ("pricerunner",)


def bundled(name: str) -> Path:
    """The folder of a dataset that ships with the package: items, queries and pairs as parquet.

    Its README.md says where the data comes from and under which licence.

    Raises:
        InputError: no dataset of that name ships.

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
    return Path(__file__).parent / "bundled" / name
