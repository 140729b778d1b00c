"""The formats of other people that `thresher data import` reads, by name."""

from collections.abc import Callable, Mapping
from pathlib import Path

from thresher.data.readers import beir, comirec, pair_table, session_lines, xc
from thresher.data.readers.interactions import Interactions
from thresher.data.readers.summary import Summary
from thresher.errors import InputError

IMPORTERS: Mapping[str, Callable[..., Summary | Interactions]] = {
    "beir": beir.convert,
    "pairs": pair_table.convert,
    "xc": xc.convert,
    "comirec": comirec.convert,
    "sequences": session_lines.convert,
}
# Histories are split when they are loaded, so their importers take no shares.
HISTORIES = ("comirec", "sequences")


def import_folder(
    kind: str,
    source: Path,
    out: Path,
    *,
    calibration: float | None = None,
    validation: float | None = None,
) -> Summary | Interactions:
    """Converts a folder and says what was found.

    Args:
        kind: its format, a name of `IMPORTERS`.
        source: the folder.
        out: folder for the tables.
        calibration: fraction of the training queries to calibrate on; the format's own when left
            out. Histories have none.
        validation: fraction of the training queries to validate on, likewise.

    Raises:
        InputError: for an unknown kind, a folder that is not of this kind, or a share for
            histories.
    """
    if kind not in IMPORTERS:
        raise InputError(f"no importer {kind!r}; there are {', '.join(IMPORTERS)}")
    if not source.is_dir():
        what = "is a file" if source.exists() else "does not exist"
        raise InputError(f"{source} {what}; give the folder to import from")
    shares = {"calibration": calibration, "validation": validation}
    given = {name: share for name, share in shares.items() if share is not None}
    if given and kind in HISTORIES:
        raise InputError(
            f"a {next(iter(given))} share was given, but histories are split when they are loaded; "
            "leave it out, and set shares in [data] of the run"
        )
    return IMPORTERS[kind](source, out, **given)
