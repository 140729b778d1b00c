"""From an artifact and another catalogue to an artifact over that catalogue."""

from pathlib import Path
from typing import Any

from thresher.data.tables import read_table
from thresher.progress import phase
from thresher.retriever import Retriever


def index(folder: Path, items: Path | None = None, *, quiet: bool = False) -> dict[str, Any]:
    """Encode a catalogue with the artifact's model and put it in place of the old one.

    Training queries of items that stay are kept. When anything changed, the decision is left
    behind: it was certified on the old catalogue.

    Args:
        folder: the artifact.
        items: table of the new catalogue; the present one is indexed again when left out.
        quiet: no progress bar.

    Returns:
        Counts, as JSON values; `calibrated` says whether a policy still holds.

    Raises:
        InputError: for a damaged artifact, or a table that cannot be used.
    """
    model = Retriever.open(folder)
    before = set(model.items["id"].to_pylist())
    table = model.items if items is None else read_table(items)
    with phase(f"indexing {len(table):,} items", quiet=quiet):
        model.index(table)
    after = set(model.items["id"].to_pylist())
    return {
        "artifact": str(folder),
        "items": len(model.items),
        "added": len(after - before),
        "removed": len(before - after),
        "calibrated": model.policy is not None,
    }
