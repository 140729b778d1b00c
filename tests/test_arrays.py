"""Arrays in a folder: compressed or mapped, they are what was written."""

import numpy as np
import pytest

from thresher import arrays
from thresher.arrays import read_arrays, write_arrays

ARRAYS = {
    "numbers": np.arange(12, dtype=np.int32).reshape(4, 3),
    "a.scale": np.array([0.5, np.nan], np.float32),
    "none": np.zeros((0, 2), np.uint8),
}


@pytest.mark.parametrize("mapped_from", [0, 20, 1 << 24])
def test_what_is_written_is_read(tmp_path, monkeypatch, mapped_from):
    monkeypatch.setattr(arrays, "MAPPED_FROM", mapped_from)
    write_arrays(tmp_path, ARRAYS)
    mapped = {name for name, array in ARRAYS.items() if array.nbytes >= mapped_from}
    assert {path.name for path in tmp_path.glob("*.npy")} == {f"{name}.npy" for name in mapped}
    found = read_arrays(tmp_path)
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype
        assert not found[name].flags.writeable


def test_what_repeats_takes_few_bytes(tmp_path):
    write_arrays(tmp_path, {"zeros": np.zeros(100_000, np.int64)})
    assert (tmp_path / "zeros.npy.zst").stat().st_size < 1000


@pytest.mark.parametrize("size", [0, 9, 40])
def test_a_file_that_is_cut_short(tmp_path, size):
    write_arrays(tmp_path, {"numbers": np.random.default_rng(0).random(50)})
    path = tmp_path / "numbers.npy.zst"
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises((OSError, ValueError)):
        read_arrays(tmp_path)
