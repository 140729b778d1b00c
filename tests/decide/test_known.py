"""Which texts training knew."""

import hashlib

import numpy as np
import pytest

from thresher.decide.known import KnownTexts
from thresher.errors import InputError


def test_texts_are_known_whatever_their_case_and_spaces():
    known = KnownTexts.of(["Caf\u00e9  8", "caf\u00e9 8", "mug", "", "  "])
    assert len(known.hashes) == 2
    asked = ["CAFE\u0301 8", "mug ", "mugs", "", " "]
    assert known.has(asked).tolist() == [True, True, False, False, False]
    assert known.has([]).tolist() == []
    assert KnownTexts.of([]).has(["mug"]).tolist() == [False]


def test_eight_bytes_of_sha256_each():
    expected = int.from_bytes(hashlib.sha256(b"mug").digest()[:8], "big")
    assert KnownTexts.of(["Mug"]).hashes.tolist() == [expected]


def test_save_and_load(tmp_path):
    known = KnownTexts.of([f"text {n}" for n in range(50)])
    known.save(tmp_path / "known.npy")
    again = KnownTexts.load(tmp_path / "known.npy")
    assert again.hashes.tolist() == known.hashes.tolist()
    assert (tmp_path / "known.npy").stat().st_size == 128 + 50 * 8
    for content in (b"", b"something else", np.array([object()])):
        if isinstance(content, bytes):
            (tmp_path / "known.npy").write_bytes(content)
        else:
            np.save(tmp_path / "known.npy", content, allow_pickle=True)
        with pytest.raises(InputError, match=r"known\.npy cannot be read .*; train again"):
            KnownTexts.load(tmp_path / "known.npy")
