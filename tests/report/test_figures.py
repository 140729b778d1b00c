"""The figures: every value, every item, every curve is drawn, under its name."""

import numpy as np
import pytest

from thresher.report.curves import recall_curves
from thresher.report.figures import line_style
from thresher.report.item_figures import heat_map, scattered_items


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


def test_recall_curves_hold_every_point_and_the_model_is_named_first():
    systems = {"popularity": {1: 0.1, 10: 0.3}, "_model": {1: 0.2, 10: 0.5}}
    ax = recall_curves(systems, {10: (0.45, 0.55), 99: (0, 1)}).axes[0]
    drawn = [dict(zip(*line.get_data(), strict=True)) for line in ax.get_lines()]
    assert drawn == list(systems.values())
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["_model", "popularity"]
    assert len(ax.collections) == 1  # the interval at 10; at 99 the model has none


def test_a_system_looks_the_same_where_those_before_it_are_not_drawn():
    assert line_style(2, 4) == line_style(1, 3)
    assert line_style(3, 4) == line_style(0, 1)
    assert len({line_style(place, 5)["color"] for place in range(5)}) == 5


def test_a_map_without_categories_has_no_legend():
    figure = scattered_items(np.zeros((2, 2)), ["", ""])
    assert figure.legends == []
    assert len(figure.axes[0].get_lines()) == 1
