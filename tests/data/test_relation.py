"""The relation against a set of pairs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thresher.data import Relation
from thresher.errors import InputError


@st.composite
def cases(draw):
    queries, items = draw(st.integers(0, 6)), draw(st.integers(0, 6))
    pair = st.tuples(st.integers(0, max(queries - 1, 0)), st.integers(0, max(items - 1, 0)))
    pairs = draw(st.lists(pair, max_size=20)) if queries and items else []
    return queries, items, pairs


def build(case):
    queries, items, pairs = case
    q, i = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    return Relation.from_pairs(q, i, shape=(queries, items)), set(pairs)


def rows_below(size, max_size=8):
    return st.lists(st.integers(0, size - 1), max_size=max_size) if size else st.just([])


def ints(values):
    return np.array(values, dtype=np.int64)


@given(cases())
def test_pairs_counts_and_items_are_those_of_the_set(case):
    relation, truth = build(case)
    queries, items, _ = case
    assert len(relation) == queries
    assert relation.shape == (queries, items)
    assert [tuple(p) for p in relation.pairs().tolist()] == sorted(truth)
    for q in range(queries):
        assert relation.items_of(q).tolist() == sorted(i for p, i in truth if p == q)
    assert relation.counts().tolist() == [sum(p == q for p, _ in truth) for q in range(queries)]
    assert relation.item_counts().tolist() == [sum(j == i for _, j in truth) for i in range(items)]
    dense = [[(q, i) in truth for i in range(items)] for q in range(queries)]
    assert relation.matrix().dtype == bool
    assert relation.matrix().toarray().tolist() == dense


@given(cases(), st.data())
def test_contains_and_correct(case, data):
    relation, truth = build(case)
    queries, items, _ = case
    if not queries:
        return
    # -1 stands for a missing item; a number beyond the catalogue must not meet the next query.
    asked = data.draw(
        st.lists(st.tuples(st.integers(0, queries - 1), st.integers(-1, items + 7)), max_size=12)
    )
    q, i = ints(asked).reshape(-1, 2).T
    assert relation.contains(q, i).tolist() == [pair in truth for pair in asked]
    k = data.draw(st.integers(1, 3))
    lines = data.draw(st.lists(st.integers(0, queries - 1), min_size=1, max_size=4))
    cells = st.integers(-1, items - 1 if items else -1)
    hits = ints(data.draw(st.lists(cells, min_size=len(lines) * k, max_size=len(lines) * k)))
    hits = hits.reshape(len(lines), k)
    expected = [[(q, i) in truth for i in line] for q, line in zip(lines, hits, strict=True)]
    assert relation.correct(hits, queries=ints(lines)).tolist() == expected


@given(cases(), st.data())
def test_among_names_every_true_pair_of_a_batch_once(case, data):
    relation, truth = build(case)
    left, right = data.draw(rows_below(case[0])), data.draw(rows_below(case[1]))
    expected = [[a, b] for a, q in enumerate(left) for b, i in enumerate(right) if (q, i) in truth]
    assert relation.among(ints(left), ints(right)).tolist() == expected


@given(cases(), st.data())
def test_take(case, data):
    relation, _truth = build(case)
    queries, items, _ = case
    rows = data.draw(rows_below(queries))
    taken = relation.take(ints(rows))
    assert taken.shape == (len(rows), items)
    for at, row in enumerate(rows):
        assert taken.items_of(at).tolist() == relation.items_of(row).tolist()


def test_correct_takes_the_queries_in_order():
    # query 0: items 0 and 2; query 1: none; query 2: item 1
    relation = Relation.from_pairs(ints([0, 0, 2]), ints([2, 0, 1]), shape=(3, 3))
    hits = ints([[0, 1], [2, -1], [-1, 1]])
    assert relation.correct(hits).tolist() == [[True, False], [False, False], [False, True]]
    with pytest.raises(InputError, match=r"2 lines of results for 3 queries"):
        relation.correct(hits[:2])


def test_rows_outside_the_shape_are_refused():
    with pytest.raises(InputError, match=r"item rows 0 to 3, but there are 3"):
        Relation.from_pairs(ints([0, 0]), ints([0, 3]), shape=(1, 3))
    with pytest.raises(InputError, match=r"query rows -1 to 0, but there are 2"):
        Relation.from_pairs(ints([0, -1]), ints([0, 0]), shape=(2, 3))


def test_a_query_that_there_is_not_has_no_items():
    relation = Relation.from_pairs(ints([0]), ints([0]), shape=(1, 2))
    with pytest.raises(IndexError):
        relation.items_of(1)


@given(cases(), st.data())
def test_without_takes_pairs_away(case, data):
    relation, truth = build(case)
    queries, items, pairs = case
    other = data.draw(st.lists(st.sampled_from(pairs), max_size=9)) if pairs else []
    more = [(queries - 1, items - 1)] if queries and items else []
    gone, taken = build((queries, items, [*other, *more]))
    left = relation.without(gone)
    assert {tuple(p) for p in left.pairs().tolist()} == truth - taken
    assert left.shape == relation.shape
    assert relation.without(Relation.none((queries, items))).pairs().tolist() == (
        relation.pairs().tolist()
    )


def test_no_pair_at_all():
    none = Relation.none((2, 3))
    assert (none.shape, len(none.pairs()), none.counts().tolist()) == ((2, 3), 0, [0, 0])
    with pytest.raises(InputError, match=r"pairs of \(2, 3\) .* from pairs of \(2, 4\)"):
        Relation.none((2, 4)).without(none)
