"""From an artifact and another catalogue to an artifact over that catalogue."""

from pathlib import Path
from typing import Any

from thresher.artifact import Artifact, Edit
from thresher.catalogue import Catalogue
from thresher.config import read
from thresher.data.join import unique_rows
from thresher.data.tables import read_table, require_columns
from thresher.errors import InputError
from thresher.matcher import Matcher


def index(folder: Path, items: Path) -> dict[str, Any]:
    """Encodes another catalogue with the artifact's model and puts it in place of the old one.

    Known training queries of items that stay are kept. The decision is left behind: it was
    certified on the old catalogue.

    Args:
        folder: the artifact.
        items: table of the new catalogue.

    Raises:
        InputError: for a table that cannot be used.
    """
    artifact = Artifact.open(folder)
    matcher = Matcher.open(folder, decision=False)
    old = matcher.catalogue
    table = read_table(items)
    require_columns(table, ["id", *old.columns], items)
    table, wrong = unique_rows(table, str(items), "item")
    if wrong:
        raise InputError(wrong[0].sentence())
    options = read(artifact.part("model") / "config.toml").build("index")
    new = Catalogue.build(table, old.columns, matcher.tower, options, old.evidence.known)
    edit = Edit(folder)
    edit.write("index", new.save)
    edit.drop("decision")
    edit.commit()
    ids = set(old.items["id"].to_pylist())
    kept = sum(i in ids for i in table["id"].to_pylist())
    return {
        "artifact": str(folder),
        "items": len(table),
        "kept": kept,
        "added": len(table) - kept,
        "removed": len(ids) - kept,
    }
