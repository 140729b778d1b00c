"""Items in a plane: alike ones together, whatever their lengths; pictures that hold them all."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from thresher.evaluate.information_figure import heat_map
from thresher.evaluate.item_map import FEWEST, item_map
from thresher.evaluate.next_items_figures import scattered_items


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


# The pictures


def texts(ax):
    return [text.get_text() for text in ax.texts]


def test_heat_map_writes_every_value_and_colours_by_pairs_alone():
    information = np.array([[9.0, 0.5, 0.25], [0.5, 4.0, -1e-9], [0.25, -1e-9, 3.0]])
    ax = heat_map(["id", "_title $x$", "price"], information).axes[0]
    expected = ["9.00", "0.50", "0.25", "0.50", "4.00", "0.00", "0.25", "0.00", "3.00"]
    assert texts(ax) == expected
    assert [label.get_text() for label in ax.get_xticklabels()] == ["id", "_title $x$", "price"]
    (mesh,) = ax.collections
    assert mesh.get_clim() == (0, 0.5)  # the entropy of 9 would leave all else pale
    assert np.diag(mesh.get_array().mask.reshape(3, 3)).all()


@pytest.mark.parametrize("information", [np.array([[2.0]]), np.array([[1.0, 0.0], [0.0, 1.0]])])
def test_heat_map_of_one_feature_or_of_unrelated_ones(information):
    ax = heat_map(["a", "b"][: len(information)], information).axes[0]
    assert len(texts(ax)) == information.size


def test_every_item_is_drawn_once_under_its_name():
    labels = [f"_{place}" for place in range(10) for _ in range(12 - place)] + ["", ""]
    coordinates = np.random.default_rng(0).standard_normal((len(labels), 2))
    figure = scattered_items(coordinates, labels)
    # 12, 11 ... 5 of the eight most frequent; 4 and 3 of the others, and two that have none
    names = [f"_{place} ({12 - place})" for place in range(8)] + ["other (9)"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == names
    lines = figure.axes[0].get_lines()
    drawn = np.concatenate([np.column_stack(line.get_data()) for line in lines])
    assert sorted(map(tuple, drawn)) == sorted(map(tuple, coordinates))
    styles = {(line.get_color(), line.get_marker()) for line in lines}
    assert len(styles) == 9
    over = [line.get_zorder() for line in lines]
    assert over == [*sorted(over[:-1]), min(over)]  # the fewer, the more on top; the rest below


def test_without_a_rest_none_is_named():
    figure = scattered_items(np.zeros((2, 2)), ["a", "a"])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a (2)"]
