"""The formats of other people that `thresher data import` reads, by name."""

from collections.abc import Callable, Mapping
from pathlib import Path

from thresher.data.readers import beir, pair_table, xc
from thresher.data.readers.summary import Summary
from thresher.errors import InputError

IMPORTERS: Mapping[str, Callable[..., Summary]] = {
    "beir": beir.convert,
    "pairs": pair_table.convert,
    "xc": xc.convert,
}


def import_folder(
    kind: str,
    source: Path,
    out: Path,
    *,
    calibration: float | None = None,
    validation: float | None = None,
) -> Summary:
    """Converts a folder and says what was found.

    Args:
        kind: its format, a name of `IMPORTERS`.
        source: the folder.
        out: folder for the tables.
        calibration: fraction of the training queries to calibrate on; the format's own when left
            out.
        validation: fraction of the training queries to validate on, likewise.

    Raises:
        InputError: for an unknown kind, or a folder that is not of this kind.
    """
    if kind not in IMPORTERS:
        raise InputError(f"no importer {kind!r}; there are {', '.join(IMPORTERS)}")
    shares = {"calibration": calibration, "validation": validation}
    given = {name: share for name, share in shares.items() if share is not None}
    return IMPORTERS[kind](source, out, **given)
