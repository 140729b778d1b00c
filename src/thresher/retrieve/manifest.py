"""How an index lies in a folder: its files, each written aside then renamed, and index.json."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from thresher.errors import InputError

NAME = "index.json"


def write_aside(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a file beside `path`, then put it in place in one step.

    A reader, or a process that has the old file memory-mapped, never sees half a file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        write(aside)
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Write index.json, last of an index's files: a folder with a manifest is complete."""
    text = json.dumps(manifest, indent=1, sort_keys=True) + "\n"
    write_aside(folder / NAME, lambda path: path.write_text(text, encoding="utf-8"))


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read index.json.

    Raises:
        InputError: the folder holds no index, or index.json is not a manifest.
    """
    try:
        manifest = json.loads((folder / NAME).read_text(encoding="utf-8"))
        if not isinstance(manifest, dict):
            raise TypeError
        return manifest
    except FileNotFoundError as error:
        raise InputError(
            f"{folder} holds no {NAME}; give a folder that an index was saved to."
        ) from error
    except (ValueError, TypeError) as error:
        raise InputError(
            f"{folder / NAME} is not a readable manifest; save the index again."
        ) from error


def check_rows(folder: Path, *, promised: object, found: int) -> None:
    """Refuse a folder whose files were saved at different times.

    Raises:
        InputError: the manifest promises another number of rows than a file holds.
    """
    if promised != found:
        raise InputError(
            f"{folder} holds {found} vectors but its {NAME} promises {promised}; "
            "the files belong to different saves, so save the index again."
        )
