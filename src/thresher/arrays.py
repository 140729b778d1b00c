"""Arrays in a folder: small ones compressed and read at once, large ones mapped into memory."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa

MAPPED_FROM = 1 << 24
"""Bytes from which an array lies in its file as it is, so that only what is looked at is read."""
_PACKED = ".npy.zst"


def write_arrays(folder: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write each array to a file of its name: `.npy`, or `.npy.zst` below `MAPPED_FROM`."""
    for name, array in arrays.items():
        if array.nbytes >= MAPPED_FROM:
            np.save(folder / f"{name}.npy", array, allow_pickle=False)
            continue
        with pa.output_stream(folder / f"{name}{_PACKED}", compression="zstd") as file:
            np.lib.format.write_array(file, array, allow_pickle=False)


def read_arrays(folder: Path) -> dict[str, np.ndarray]:
    """What `write_arrays` wrote, by name and not to be written to: one type to compile for.

    Raises:
        OSError, ValueError: a file is damaged.
    """
    found = {}
    for path in sorted(folder.glob("*.npy*")):
        if path.name.endswith(_PACKED):
            with pa.input_stream(path, compression="zstd") as file:
                array = np.lib.format.read_array(file, allow_pickle=False)
            array.flags.writeable = False
        else:
            array = np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
        found[path.name.partition(".npy")[0]] = array
    return found
