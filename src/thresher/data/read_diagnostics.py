"""Text files line by line, packed or not; what is wrong with one names the file and the line."""

import gzip
import io
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from thresher.errors import InputError

GZIP_ERRORS = (EOFError, gzip.BadGzipFile, zlib.error)
WHOLE = "(?:0|-?[1-9][0-9]{0,17})"  # without what only `int` takes for one
_BOM = b"\xef\xbb\xbf"


@contextmanager
def open_text(path: Path) -> Iterator[IO[str]]:
    """A text file, packed or not, without its byte order mark."""
    with open_bytes(path) as raw, io.TextIOWrapper(raw, "utf-8-sig", newline="") as text:
        yield text


def open_bytes(path: Path) -> gzip.GzipFile | io.BufferedReader:
    """The bytes of a file, unpacked."""
    return gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb")


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Each line of a text file with its number, from 1; without the byte order mark and line end.

    InputError where the file is cut short, damaged or not UTF-8; the message names the line.
    """
    number = 0
    try:
        with open_bytes(path) as raw:
            for number, data in enumerate(raw, 1):
                line = data.removeprefix(_BOM) if number == 1 else data
                yield number, line.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as bad:
        raise InputError(
            f"{path}, line {number}: byte {bad.start + 1} of the line "
            f"(0x{bad.object[bad.start]:02x}) is not UTF-8; save the file as UTF-8"
        ) from bad
    except GZIP_ERRORS as bad:
        raise InputError(
            f"{path} is cut short or damaged after line {number} ({bad}); copy or pack it again"
        ) from bad


def whole(text: str) -> int | None:
    """A whole number as people write one; None for what only `int` takes for one.

    So 12_3 is not 123, and 007 is not 7: as ids they are others.
    """
    return int(text) if re.fullmatch(WHOLE, text) else None


def check_text(path: Path) -> None:
    """Read a text file to its end, for what `numbered_lines` raises."""
    for _ in numbered_lines(path):
        pass
