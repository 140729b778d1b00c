"""The formats of other people that `thresher data import` reads, by name."""

from collections.abc import Callable, Mapping
from pathlib import Path

from thresher.data.readers import beir, pair_table
from thresher.data.readers.summary import Summary
from thresher.errors import InputError

IMPORTERS: Mapping[str, Callable[[Path, Path], Summary]] = {
    "beir": beir.convert,
    "pairs": pair_table.convert,
}


def import_folder(kind: str, source: Path, out: Path) -> Summary:
    """Converts a folder and says what was found.

    Raises:
        InputError: for an unknown kind, or a folder that is not of this kind.
    """
    if kind not in IMPORTERS:
        raise InputError(f"no importer {kind!r}; there are {', '.join(IMPORTERS)}")
    return IMPORTERS[kind](source, out)
