"""The rows of parquet files cut into parts, each of which becomes one file."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from thresher.data.blocks import read_rows
from thresher.data.tables import check_file, parquet_errors
from thresher.errors import InputError

_FOOTER = 8  # bytes at the end of a parquet file: the length of what it says of itself, and a mark


@dataclass(frozen=True)
class Part:
    """Some rows of a file.

    Args:
        number: of the part, from 0.
        file: parquet.
        first: row of the file.
        rows: how many.
        before: rows of all parts before.
    """

    number: int
    file: Path
    first: int
    rows: int
    before: int

    @property
    def name(self) -> str:
        """Of the file that is made of it."""
        return f"part-{self.number:06}.parquet"

    def blocks(self, rows: int) -> Iterator[pa.Table]:
        """Its rows, a block at a time; InputError as `read_rows`."""
        return read_rows(self.file, self.first, self.rows, block=rows)


def files_of(path: Path) -> Sequence[Path]:
    """A parquet file, or those of a folder by name; InputError where there is none."""
    if path.is_dir():
        files = sorted(path.glob("*.parquet"))
        if not files:
            raise InputError(f"{path} holds no .parquet file; give a file, or a folder of them")
        return files
    check_file(path)
    if path.suffix.lower() != ".parquet":
        raise InputError(
            f"{path} is no .parquet file, which alone is read in parts; `thresher data convert` "
            "makes one"
        )
    return [path]


def parts_of(files: Sequence[Path], rows: int) -> list[Part]:
    """All rows of the files in parts of so many; the last part of a file may be smaller."""
    found: list[Part] = []
    before = 0
    for file in files:
        with parquet_errors(file), pq.ParquetFile(file) as opened:
            total = opened.metadata.num_rows
        for first in range(0, total, rows):
            size = min(rows, total - first)
            found.append(Part(len(found), file, first, size, before + first))
        before += total
    return found


def described(files: Sequence[Path]) -> list[dict[str, Any]]:
    """What tells a file from another without reading it: name, bytes, and a digest of its footer.

    The footer holds the places and the smallest and largest values of all columns.
    """
    found = []
    for file in files:
        size = file.stat().st_size
        with file.open("rb") as opened:
            opened.seek(-_FOOTER, 2)
            length = int.from_bytes(opened.read(4), "little") + _FOOTER
            opened.seek(-min(length, size), 2)
            digest = hashlib.blake2b(opened.read(), digest_size=16).hexdigest()
        found.append({"name": file.name, "bytes": size, "footer": digest})
    return found
