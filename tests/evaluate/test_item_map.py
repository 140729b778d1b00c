"""Items in a plane: alike ones together, whatever their lengths."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from thresher.evaluate.item_map import FEWEST, item_map


def groups(each):
    """Four directions, and so many vectors near each, of all lengths."""
    rng = np.random.default_rng(0)
    near = np.repeat(np.eye(4, 6), each, axis=0) + 0.1 * rng.standard_normal((4 * each, 6))
    lengths = 2.0 ** rng.integers(-3, 4, (4 * each, 1))
    return near.astype(np.float32), lengths.astype(np.float32), np.repeat(np.arange(4), each)


# By chance a quarter would have one of their own group nearest.
@pytest.mark.parametrize("each", [5, 12])
def test_alike_items_stand_together(each):
    vectors, lengths, group = groups(each)
    placed = item_map(vectors * lengths)
    assert placed.shape == (4 * each, 2)
    far = np.linalg.norm(placed[:, None] - placed, axis=2) + np.diag([np.inf] * len(placed))
    assert (group[far.argmin(axis=1)] == group).mean() > 0.9


@pytest.mark.parametrize("each", [5, 12])
def test_lengths_play_no_part_and_the_same_is_the_same(each):
    vectors, lengths, _ = groups(each)
    # powers of two change no digit
    np.testing.assert_array_equal(item_map(vectors * lengths), item_map(vectors))


def test_another_seed_is_another_map():
    vectors, _, _ = groups(12)
    assert not np.array_equal(item_map(vectors, seed=1), item_map(vectors, seed=2))


def test_few_items_by_hand():
    # two in each of two directions: from their middle (.5, .5) each is (.5, -.5) or (-.5, .5) away,
    # which is sqrt(.5) along one line and nothing across it
    placed = item_map(np.array([[3, 0], [1, 0], [0, 2], [0, 1]], dtype=np.float32))
    assert np.abs(placed[:, 0]) == pytest.approx(np.sqrt([0.5] * 4))
    assert placed[0, 0] == placed[1, 0] == pytest.approx(-placed[2, 0])
    assert placed[:, 1] == pytest.approx(np.zeros(4), abs=1e-7)


@given(
    arrays(
        np.float32,
        st.tuples(st.integers(0, 9), st.integers(1, 4)),
        elements=st.floats(-2, 2, width=32),
    )
)
def test_few_items_are_never_farther_apart_than_their_vectors(vectors):
    placed = item_map(vectors)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    units = vectors / np.where(lengths > 0, lengths, 1)
    apart, true = (np.linalg.norm(x[:, None] - x, axis=2) for x in (placed, units))
    assert (apart <= true + 1e-5).all()


@pytest.mark.parametrize("vectors", [np.ones((FEWEST, 3)), np.zeros((FEWEST, 3))])
def test_items_without_a_difference_are_one_point(vectors):
    assert item_map(vectors.astype(np.float32)) == pytest.approx(0, abs=1e-6)


def test_many_equal_items_among_others_have_places():
    vectors, _, _ = groups(10)
    vectors[:15] = vectors[0]
    vectors[15] = 0  # an item that nothing is known of
    assert np.isfinite(item_map(vectors)).all()
