"""Writes a report into a folder, each file whole or not at all."""

import json
import os
from pathlib import Path
from typing import Any


def write_pages(folder: Path, *, page: str, numbers: Any) -> Path:
    """Writes `report.html` and `report.json` aside, then renames both; the path of the page."""
    folder.mkdir(parents=True, exist_ok=True)
    contents = {
        "report.json": json.dumps(numbers, indent=2, allow_nan=False) + "\n",
        "report.html": page,
    }
    for name, content in contents.items():
        (folder / f".{name}.part").write_text(content, encoding="utf-8")
    for name in contents:
        os.replace(folder / f".{name}.part", folder / name)
    return folder / "report.html"
