"""Why a file cannot be read, and where: asked only once reading it has failed."""

import gzip
import io
import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

JSON_LINES = (".jsonl", ".ndjson")


@contextmanager
def open_text(path: Path) -> Iterator[IO[str]]:
    """A text file, packed or not, without its byte order mark."""
    with open_bytes(path) as raw, io.TextIOWrapper(raw, "utf-8-sig", newline="") as text:
        yield text


def open_bytes(path: Path) -> gzip.GzipFile | io.BufferedReader:
    """The bytes of a file, unpacked."""
    return gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb")


def reason(path: Path, suffix: str, error: Exception) -> str:
    """Why a file could not be read: what Arrow said, with the place looked up where it can be.

    Args:
        path: the file, which is read again, line by line.
        suffix: of its format, without .gz.
        error: what reading it raised.
    """
    if suffix == ".parquet":
        return f"{path} is cut short, damaged or not a parquet file ({error}); write it again"
    line = 0
    try:
        with open_bytes(path) as raw:
            for line, data in enumerate(raw, 1):
                data.decode()
                record = json.loads(data) if suffix in JSON_LINES and data.strip() else {}
                if not isinstance(record, dict):
                    return f"{path}, line {line}: a line must be one JSON object {{...}}"
    except UnicodeDecodeError as bad:
        return (
            f"{path}, line {line}: byte {bad.start + 1} of the line (0x{bad.object[bad.start]:02x})"
            " is not UTF-8; save the file as UTF-8"
        )
    except json.JSONDecodeError as bad:
        return f"{path}, line {line}: not JSON ({bad.msg}); correct the line"
    except (EOFError, gzip.BadGzipFile, zlib.error) as bad:
        return f"{path} is cut short or damaged after line {line} ({bad}); copy or pack it again"
    said = str(error).replace("CSV parse error: Row #", "row ").replace("JSON parse error: ", "")
    return f"{path}: {said}; correct the file (rows are counted with the header as row 1)"


def quotes(path: Path) -> int:
    """How many double quotes a text file has; an odd number means that one is not closed."""
    with open_bytes(path) as raw:
        return sum(line.count(b'"') for line in raw)
