"""What a re-ranker learns from, kept in a file."""

import numpy as np
import pytest

from thresher.errors import InputError
from thresher.rerank import Examples


def examples(queries: int, seed: int = 0) -> Examples:
    rng = np.random.default_rng(seed)
    shape = (queries, 3)
    missing = rng.random(shape) < 0.2
    return Examples(
        rng.normal(size=(*shape, 2)).astype(np.float32),
        (rng.random(shape) < 0.5) & ~missing,
        missing,
        ("one, lead", "two"),
    )


def test_parts_are_joined_in_turn():
    parts = [examples(2), examples(3, seed=1)]
    joined = Examples.joined(parts)
    assert len(joined) == 5
    np.testing.assert_allclose(joined.features[2:], parts[1].features, rtol=1e-3)
    np.testing.assert_array_equal(joined.correct[:2], parts[0].correct)
    np.testing.assert_array_equal(joined.missing[2:], parts[1].missing)


def test_a_text_of_more_characters_than_half_precision_holds():
    own = examples(2)
    own.features[0, 0] = 1e5, -1e5
    kept = Examples.joined([own]).features[0, 0]
    assert kept.tolist() == [65504, -65504]  # the largest of float16


def test_what_is_read_is_what_was_fitted_on(tmp_path):
    own = Examples.joined([examples(4)])
    own.save(tmp_path / "examples")
    again = Examples.load(tmp_path / "examples")
    assert again is not None
    assert again.names == own.names
    for name in ("features", "correct", "missing"):
        assert getattr(again, name).dtype == getattr(own, name).dtype
        np.testing.assert_array_equal(getattr(again, name), getattr(own, name))


def test_nothing_is_read_where_nothing_was_written(tmp_path):
    assert Examples.load(tmp_path / "examples") is None


@pytest.mark.parametrize("size", [0, 20, 60])
def test_a_damaged_file_is_refused(tmp_path, size):
    folder = tmp_path / "examples"
    Examples.joined([examples(4)]).save(folder)
    path = folder / "features.npy.zst"
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(InputError, match="train again"):
        Examples.load(folder)
