"""Mutual information of features: by hand, against slow loops, in blocks as at once."""

from itertools import product
from math import log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from oracles import mutual_information as oracle
from thresher.data.mutual_information import mutual_information
from thresher.errors import InputError

VALUES = 4


def matrix(rows, width=VALUES):
    """A feature of items, each the set of its values; weights 1, 2, ... that must not matter."""
    at = [(i, v, 1.0 + v) for i, values in enumerate(rows) for v in values]
    row, column, weight = zip(*at, strict=True) if at else ((), (), ())
    found = (np.array(weight, np.float32), (row, column))
    return sparse.csr_matrix(found, shape=(len(rows), width))


def matrices(items, features):
    return [matrix([item[i] for item in items]) for i in range(features)]


def items_of(features, fewest=0, most=VALUES):
    value = st.sets(st.integers(0, VALUES - 1), min_size=fewest, max_size=most)
    return st.lists(st.tuples(*[value] * features), min_size=1, max_size=12)


def test_by_hand_with_several_values_and_a_missing_one():
    # Colours r, r, g, none; words {a, b}, {a}, {b}, {b}.
    # P(r) = 1/2, P(g) = P(none) = 1/4; P(a) = (1/2 + 1) / 4 = 3/8, P(b) = 5/8
    # P(r, a) = 3/8, P(r, b) = 1/8, P(g, b) = P(none, b) = 1/4
    got = mutual_information([[matrix([{0}, {0}, {1}, ()]), matrix([{0, 1}, {0}, {1}, {1}])]])
    told = 3 / 8 * log(3 / 8 / (1 / 2 * 3 / 8)) + 1 / 8 * log(1 / 8 / (1 / 2 * 5 / 8))
    told += 2 * 1 / 4 * log(1 / 4 / (1 / 4 * 5 / 8))
    assert got[0] == pytest.approx([1.5 * log(2), told])
    assert got[1] == pytest.approx([told, 3 / 8 * log(8 / 3) + 5 / 8 * log(8 / 5)])


@settings(max_examples=40)
@given(items_of(3))
def test_against_slow_loops(items):
    got = mutual_information([matrices(items, 3)])
    assert got == pytest.approx(np.array(oracle.mutual_information(items)), abs=1e-12)
    assert (got >= 0).all()
    assert np.array_equal(got, got.T)


@settings(max_examples=40)
@given(items_of(3), st.integers(1, 5), st.booleans())
def test_in_blocks_as_at_once(items, size, numbered):
    features = matrices(items, 3) + [sparse.identity(len(items), np.float32, "csr")] * numbered
    blocks = ([m[i : i + size] for m in features] for i in range(0, len(items) + size, size))
    whole = mutual_information([features], unique={3} if numbered else ())
    assert mutual_information(blocks, unique=[3] if numbered else []) == pytest.approx(
        whole, abs=1e-12
    )


@settings(max_examples=40)
@given(items_of(3, most=1))
def test_a_feature_of_one_value_is_told_no_more_than_its_entropy(items):
    got = mutual_information([matrices(items, 3)])
    assert (got <= np.minimum(np.diag(got)[:, None], np.diag(got)) + 1e-12).all()


@settings(max_examples=40)
@given(items_of(2), st.permutations(range(12)))
def test_a_unique_feature_is_as_the_table_of_pairs_says(items, order):
    ids = [matrix([{i} for i in names[: len(items)]], 12) for names in (order, range(12))]
    features = [ids[0], *matrices(items, 2), ids[1]]
    got = mutual_information([features], unique={0, 3})
    assert got == pytest.approx(mutual_information([features]), abs=1e-12)
    assert got[0, 3] == pytest.approx(log(len(items)))
    assert (got[0] + 1e-12 >= got - np.diag(np.diag(got))).all()


def test_every_combination_once_is_independent():
    features = [{0}, {1}, {0, 2}, ()], [{0}, {1, 3}], [{0}, {1}, {2}]
    got = mutual_information([matrices(list(product(*features)), 3)])
    assert got - np.diag(np.diag(got)) == pytest.approx(np.zeros((3, 3)), abs=1e-12)
    assert np.diag(got)[2] == pytest.approx(log(3))


def test_a_copy_tells_all():
    a = [{v} for v in (0, 0, 0, 1, 2, 2)]
    # shares 1/2, 1/6, 1/3
    entropy = log(2) / 2 + log(6) / 6 + log(3) / 3
    got = mutual_information([[matrix(a), matrix([{3 - v for v in one} for one in a])]])
    assert got == pytest.approx(np.full((2, 2), entropy))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_entries_of_no_weight_are_no_values_and_one_listed_twice_is_one(dtype):
    # items {0}, {1, 2}, {0}: shares 2/3, 1/6, 1/6
    weights, values = [1.0, 0.0, 2.0, 3.0, 1.0, 5.0], [0, 1, 2, 2, 1, 0]
    one = sparse.csr_matrix((np.array(weights, dtype), values, [0, 2, 5, 6]), (3, VALUES))
    got = mutual_information([[one]])
    assert got == pytest.approx(np.array([[2 / 3 * log(3 / 2) + 1 / 3 * log(6)]]))
    assert one.data.tolist() == weights


def test_one_feature_and_features_that_say_nothing():
    assert mutual_information([[matrix([{0}, {1}])]]) == pytest.approx(np.array([[log(2)]]))
    assert (mutual_information([[matrix([(), ()]), matrix([{1}, {1}])]]) == 0).all()


@pytest.mark.parametrize(
    ("blocks", "unique", "message"),
    [
        ([], (), "no item to measure"),
        ([[matrix([])]], (), "no item to measure"),
        ([[]], (), "1 or more"),
        ([[matrix([{0}])], [matrix([{0}], 5)]], (), r"\[5\] values and \[1\] items.*\[4\] values"),
        ([[matrix([{0}])], [matrix([{0}])] * 2], (), r"the same features in every block"),
        ([[matrix([{0}]), matrix([{0}, {1}])]], (), r"values and \[1, 2\] items"),
        ([[matrix([{0}])]], {1}, r"features \[1\], but there are 1,"),
        ([[matrix([{0}, {0}])]], {0}, "feature 0 is said to be unique, but some of 2 items"),
        ([[matrix([{0}, ()])]], {0}, "feature 0 is said to be unique"),
        ([[matrix([{0}, {1, 2}])]], {0}, "feature 0 is said to be unique"),
    ],
)
def test_what_cannot_be_measured(blocks, unique, message):
    with pytest.raises(InputError, match=message):
        mutual_information(blocks, unique=unique)
