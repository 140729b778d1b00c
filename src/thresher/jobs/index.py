"""From an artifact and another catalogue to an artifact over that catalogue."""

from pathlib import Path
from typing import Any

import pyarrow as pa

from thresher.artifact import Artifact, Edit
from thresher.catalogue import Catalogue
from thresher.config import read
from thresher.data.join import unique_rows
from thresher.data.tables import read_table, require_columns
from thresher.errors import InputError
from thresher.files import FolderLock
from thresher.matcher import Matcher
from thresher.towers.known import KnownItems


def index(folder: Path, items: Path | None = None) -> dict[str, Any]:
    """Encodes a catalogue with the artifact's model and puts it in place of the old one.

    Known training queries of items that stay are kept. When anything changed, the decision is left
    behind: it was certified on the old catalogue.

    Args:
        folder: the artifact.
        items: table of the new catalogue; the present one is indexed anew when left out.

    Raises:
        InputError: for a table that cannot be used.
    """
    artifact = Artifact.open(folder)
    matcher = Matcher.open(folder, decision=False)
    old = matcher.catalogue
    table = old.items if items is None else _read(items, old.columns)
    model = artifact.part("model")
    options, own = read(model / "config.toml").build("index"), KnownItems.load(model / "items")
    new = Catalogue.build(table, old.columns, matcher.tower, options, old.evidence.known, own)
    with FolderLock(folder, "thresher index"):
        edit = Edit(folder)
        edit.write("index", new.save)
        calibrated = edit.fingerprint("model", "index") == artifact.fingerprint("model", "index")
        if not calibrated:
            edit.drop("decision")
        edit.commit()
    before, after = set(old.items["id"].to_pylist()), set(table["id"].to_pylist())
    return {
        "artifact": str(folder),
        "items": len(after),
        "added": len(after - before),
        "removed": len(before - after),
        "calibrated": calibrated and artifact.has("decision"),
    }


def _read(path: Path, columns: tuple[str, ...]) -> pa.Table:
    table = read_table(path)
    require_columns(table, ["id", *columns], path)
    table, wrong = unique_rows(table, str(path), "item")
    if wrong:
        raise InputError(wrong[0].sentence())
    return table
