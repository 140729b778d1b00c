"""Data frames of any library in, and the same kind out."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import narwhals as nw
import pyarrow as pa

from thresher.data.tables import ids_as_text, read_table
from thresher.errors import InputError

Frame = Any
"""A data frame (pandas, polars, Arrow), a list of dicts, a dict of columns, or a path."""


def to_table(frame: Frame, *, what: str) -> pa.Table:
    """A frame as an Arrow table, its ids as text.

    Args:
        frame: a data frame (pandas, polars, Arrow), a list of dicts, a dict of columns, or the path
            of a table.
        what: it holds, for messages.

    Raises:
        InputError: it is none of these, or cannot be read.
    """
    if isinstance(frame, str | Path):
        return read_table(frame)
    try:
        if isinstance(frame, pa.Table):
            table = frame
        elif isinstance(frame, Mapping):
            table = pa.table(dict(frame))
        elif isinstance(frame, Sequence) and all(isinstance(row, Mapping) for row in frame):
            table = pa.Table.from_pylist([dict(row) for row in frame])
        else:
            wrapped = nw.from_native(frame)
            eager = wrapped.collect() if isinstance(wrapped, nw.LazyFrame) else wrapped
            table = eager.to_arrow()
    except (TypeError, ValueError, pa.ArrowException) as error:
        raise InputError(
            f"{what} must be a data frame (pandas, polars, Arrow), a list of dicts or the path of "
            f"a table, got {type(frame).__name__} ({str(error).splitlines()[0]})"
        ) from error
    return ids_as_text(table, f"the table of {what}")


def like(table: pa.Table, original: Frame) -> Any:
    """An Arrow table as the kind of frame that came in; an Arrow table for everything else."""
    try:
        native = nw.from_native(original)
    except TypeError:
        return table
    namespace = nw.get_native_namespace(native)
    if namespace.__name__ == "pyarrow":
        return table
    return nw.from_arrow(table, backend=namespace).to_native()
