"""Features of items and queries as inputs: rows taken, cut, hidden, and what a history has."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from oracles.tables import histories
from thresher.towers.bags import Bags
from thresher.towers.inputs import Features, QueryTable
from thresher.types import Inputs, Table

SHELF = np.array([[1, 0, 0], [0, 0.6, 0.8], [0, 0, 0], [0, 1, 0]])
PRICE = np.array([[0.25, 0.75], [1, 0], [0, 1], [0, 0]])
OWN = {"age": np.array([[1.0, 0], [0.5, 0.5]])}
LISTS = [[0, 1], [], [1, 3, 1], [2]]


def csr(rows):
    return sparse.csr_matrix(np.array(rows, np.float32))


def table(side="item"):
    return Features.of(side, {"shelf": csr(SHELF), "price": csr(PRICE)})


def dense(bags, width):
    matrix = sparse.csr_matrix(
        (bags.weights.numpy(), bags.tokens.numpy(), bags.offsets.numpy()), (len(bags), width)
    )
    return matrix.toarray()


def same(features, shelf, price):
    np.testing.assert_allclose(dense(features.bags["shelf"], 3), shelf, rtol=1e-6)
    np.testing.assert_allclose(dense(features.bags["price"], 2), price, rtol=1e-6)


def queries(rows=(1, -1, 0, 0), lists=LISTS, longest=9):
    own = {name: Bags.from_csr(csr(values)) for name, values in OWN.items()}
    items = {"shelf": csr(SHELF), "price": csr(PRICE)}
    return QueryTable(own, torch.tensor(rows), histories(*lists), items, longest)


def test_they_are_tables_and_inputs():
    assert isinstance(table(), Table)
    assert isinstance(queries(), Table)
    assert isinstance(table()[:2], Inputs)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 3), max_size=6), st.integers(-5, 5), st.integers(-5, 5))
def test_rows_are_taken_and_cut_like_those_of_a_matrix(chosen, first, last):
    taken = table("query").take(torch.tensor(chosen, dtype=torch.int64))
    assert taken.side == "query"
    assert len(taken) == len(chosen)
    same(taken, SHELF[chosen], PRICE[chosen])
    cut = taken[first:last]
    assert len(cut) == len(chosen[first:last])
    same(cut, SHELF[chosen][first:last], PRICE[chosen][first:last])
    same(table()[first:last], SHELF[first:last], PRICE[first:last])


def test_what_is_left_out_is_as_if_it_were_missing():
    rows = table()[:]
    same(rows.without(["shelf"]), np.zeros((4, 3)), PRICE)
    same(rows.without([]), SHELF, PRICE)
    assert len(rows.without(["shelf", "price"])) == 4
    same(rows, SHELF, PRICE)  # itself unchanged


def test_only_the_features_named_are_thinned():
    rows = table().take(torch.ones(200, dtype=torch.int64))
    thin = rows.thinned(["shelf"], 0.5, torch.Generator().manual_seed(0))
    assert dense(thin.bags["price"], 2).tolist() == dense(rows.bags["price"], 2).tolist()
    shelf = dense(thin.bags["shelf"], 3).astype(np.float64)
    found = {tuple(row) for row in shelf.round(4).tolist()}
    # two values of the length 1: both, or either with the weight 1
    assert found == {(0, 0.6, 0.8), (0, 1, 0), (0, 0, 1)}
    assert isinstance(thin, Features)


# Queries.


def test_a_history_by_hand():
    found = queries().take(torch.arange(4))
    assert found.side == "query"
    assert list(found.bags) == ["age", "history.shelf", "history.price"]
    # items 0 and 1: (1, .6, .8) of length sqrt 2; items 1, 3, 1: (0, 2.2, 1.6) of sqrt 7.4
    two, three = math.sqrt(2), math.sqrt(7.4)
    shelf = [[1 / two, 0.6 / two, 0.8 / two], [0, 0, 0], [0, 2.2 / three, 1.6 / three], [0, 0, 0]]
    np.testing.assert_allclose(dense(found.bags["history.shelf"], 3), shelf, rtol=1e-6)
    # (1.25, .75) of length sqrt 2.125, (2, 0), and item 2
    price = [[1.25 / 2.125**0.5, 0.75 / 2.125**0.5], [0, 0], [1, 0], [0, 1]]
    np.testing.assert_allclose(dense(found.bags["history.price"], 2), price, rtol=1e-6)


def test_a_query_that_the_table_lacks_has_nothing_of_it():
    age = dense(queries().take(torch.arange(4)).bags["age"], 2)
    assert age.tolist() == [[0.5, 0.5], [0, 0], [1, 0], [1, 0]]


def test_only_the_last_items_of_a_history_are_read():
    found = queries(longest=1)[:]
    expected = [SHELF[1], [0, 0, 0], SHELF[1], SHELF[2]]
    np.testing.assert_allclose(dense(found.bags["history.shelf"], 3), expected, rtol=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 3), max_size=6), st.integers(-5, 5), st.integers(-5, 5))
def test_queries_are_taken_and_cut_one_by_one(chosen, first, last):
    widths = {"age": 2, "history.shelf": 3, "history.price": 2}
    each = [queries().take(torch.tensor([i])) for i in range(4)]
    taken = queries().take(torch.tensor(chosen, dtype=torch.int64))
    assert len(taken) == len(chosen)
    for name, width in widths.items():
        rows = np.array([dense(each[i].bags[name], width)[0] for i in chosen]).reshape(-1, width)
        np.testing.assert_allclose(dense(taken.bags[name], width), rows, rtol=1e-6)
        cut = dense(queries()[first:last].bags[name], width)
        expected = [dense(each[i].bags[name], width)[0] for i in range(4)[first:last]]
        np.testing.assert_allclose(cut, np.array(expected).reshape(-1, width), rtol=1e-6)


def test_a_table_alone_and_histories_alone():
    whole = queries()
    alone = QueryTable(whole.own, whole.rows, None, None, 9)
    assert len(alone) == 4
    assert list(alone[1:3].bags) == ["age"]
    assert len(alone[1:3]) == 2
    only = QueryTable({}, None, histories(*LISTS), {"price": csr(PRICE)}, 9)
    assert len(only) == 4
    assert list(only[:].bags) == ["history.price"]


def test_vectors_that_cancel_out_are_a_history_of_nothing():
    opposite = {"picture": csr([[0.6, 0.8], [-0.6, -0.8]])}
    found = QueryTable({}, None, histories([0, 1], [1]), opposite, 9)[:]
    bags = found.bags["history.picture"]
    assert bags.offsets.tolist() == [0, 0, 2]
    assert sorted(bags.weights.tolist()) == pytest.approx([-0.8, -0.6])


def test_histories_that_are_read_one_by_one_are_handed_on():
    whole = queries()
    table = QueryTable(whole.own, whole.rows, whole.histories, None, 9)
    found = table.take(torch.tensor([2, 0]))
    assert list(found.bags) == ["age"]
    assert found.histories.lengths().tolist() == [3, 2]
    assert found[1:].histories.lengths().tolist() == [2]
    assert len(found) == 2
