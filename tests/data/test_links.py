"""The links of a batch: what is true, what is ignored, seen from the queries and the items."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from thresher.data import Relation
from thresher.data.links import all_links, asked_links, batch_links, item_log_q
from thresher.data.sampler import PairSampler
from thresher.errors import InputError


def ints(values):
    return np.array(values, dtype=np.int64)


def random_relation(seed, queries=12, items=5, share=0.5):
    """Few items and many true pairs: copies of the own item and other true items abound."""
    truth = np.random.default_rng(seed).random((queries, items)) < share
    return Relation.from_pairs(*np.nonzero(truth), shape=(queries, items))


def empty(*shape):
    return Relation.from_pairs(ints([]), ints([]), shape=shape)


@given(seed=st.integers(0, 50), rank=st.integers(0, 2), mined=st.integers(0, 2), some=st.booleans())
def test_links_name_every_other_pair_that_is_known_of_all_processes(seed, rank, mined, some):
    relation = random_relation(seed)
    ignored = random_relation(seed + 1000, share=0.3) if some else None
    sampler = PairSampler(
        relation, np.arange(12), batch_size=3, seed=0, rank=rank, world=3, mined=mined
    )

    def known(query, item):
        return item in relation.items_of(query) or (some and item in ignored.items_of(query))

    for batch in sampler.epoch(seed % 3):
        offset, shift = sampler.offset, sampler.query_offset
        links = batch_links(
            relation, batch.query_rows, batch.columns, offset=offset, ignored=ignored
        )
        assert (links.left, links.right, links.log_q) == ("query", "item", None)
        wide = links.shift(offset)
        assert wide.pos.tolist() == [[i, rank * 3 * (1 + mined) + i] for i in range(3)]
        assert wide.drop.tolist() == [
            [i, j]
            for i, q in enumerate(batch.query_rows)
            for j, item in enumerate(batch.columns)
            if known(q, item) and j != offset + i
        ]
        asked = asked_links(
            relation, batch.item_rows, batch.queries, offset=shift, own=3, ignored=ignored
        )
        assert (asked.left, asked.right, asked.log_q) == ("text", "query", None)
        wide = asked.shift(shift)
        assert wide.pos.tolist() == [[i, rank * 3 + i] for i in range(3)]
        assert wide.drop.tolist() == [
            [i, j]
            for i, item in enumerate(batch.item_rows)
            for j, q in enumerate(batch.queries)
            if known(q, item) and not (i < 3 and j == rank * 3 + i)
        ]


def test_links_of_a_small_batch():
    # query 0 is true for items 0 and 1, query 1 for item 1, query 2 for item 0
    relation = Relation.from_pairs(ints([0, 0, 1, 2]), ints([0, 1, 1, 0]), shape=(3, 3))
    log_q = item_log_q(relation, np.arange(3))
    # items 0 and 1 have 2 of the 4 pairs each, item 2 none
    assert log_q.tolist() == pytest.approx([math.log(0.5), math.log(0.5), -math.inf])
    # one process of two: its queries 1 and 2 own columns 2 and 3; column 1 is item 1 as well, which
    # is true for query 1, and column 0 is item 0, true for query 2.
    links = batch_links(relation, ints([1, 2]), ints([0, 1, 1, 0]), offset=2, item_log_q=log_q)
    assert (links.left, links.right) == ("query", "item")
    assert links.pos.tolist() == [[0, 0], [1, 1]]
    assert links.drop.tolist() == [[0, -1], [1, -2]]
    assert links.log_q is not None
    assert links.log_q.dtype == torch.float32
    assert links.log_q.tolist() == pytest.approx([math.log(0.5)] * 2)


def test_a_pair_to_be_ignored_is_dropped_unless_it_is_the_positive():
    # query 0 is true for item 0, query 1 for item 1
    relation = Relation.from_pairs(ints([0, 1]), ints([0, 1]), shape=(2, 3))
    # to be ignored: query 0 with items 0 and 2, query 1 with item 0
    ignored = Relation.from_pairs(ints([0, 0, 1]), ints([0, 2, 0]), shape=(2, 3))
    rows, columns = ints([0, 1]), ints([0, 1, 2, 2])  # a mined column each, both item 2
    links = batch_links(relation, rows, columns, ignored=ignored)
    assert links.pos.tolist() == [[0, 0], [1, 1]]
    assert links.drop.tolist() == [[0, 2], [0, 3], [1, 0]]
    links = asked_links(relation, columns, rows, own=2, ignored=ignored)
    assert links.pos.tolist() == [[0, 0], [1, 1]]
    assert links.drop.tolist() == [[0, 1], [2, 0], [3, 0]]
    links = all_links(relation, rows, ignored=ignored)
    assert links.pos.tolist() == [[0, 0], [1, 1]]
    assert links.drop.tolist() == [[0, 2], [1, 0]]


def test_a_mined_item_that_is_true_for_the_query_beside_it_is_dropped():
    # items 0 and 1 are true for both queries; item 1 is mined for query 0 all the same
    relation = Relation.from_pairs(ints([0, 0, 1, 1]), ints([0, 1, 0, 1]), shape=(2, 2))
    links = asked_links(relation, ints([0, 1]), ints([0, 1]), own=1)
    assert links.pos.tolist() == [[0, 0]]
    assert links.drop.tolist() == [[0, 1], [1, 0], [1, 1]]


@given(seed=st.integers(0, 50), some=st.booleans())
def test_all_links_are_the_rows_of_the_relation(seed, some):
    relation, ignored = random_relation(seed), random_relation(seed + 1000) if some else None
    rows = np.random.default_rng(seed).integers(0, 12, 7)
    links = all_links(relation, rows, ignored=ignored)
    assert (links.left, links.right, links.log_q) == ("query", "item", None)
    assert links.pos.tolist() == [[i, j] for i, q in enumerate(rows) for j in relation.items_of(q)]
    assert links.drop.tolist() == [
        [i, j]
        for i, q in enumerate(rows if some else [])
        for j in ignored.items_of(q)
        if j not in relation.items_of(q)
    ]


def test_an_empty_relation_of_ignored_pairs_changes_nothing():
    relation = random_relation(0)
    (batch, *_) = PairSampler(relation, np.arange(12), batch_size=6, seed=0).epoch(0)
    makers = [
        lambda **more: batch_links(relation, batch.query_rows, batch.columns, **more),
        lambda **more: asked_links(relation, batch.item_rows, batch.queries, **more),
        lambda **more: all_links(relation, batch.query_rows, **more),
    ]
    for make in makers:
        plain, with_none = make(), make(ignored=empty(12, 5))
        assert plain.pos.tolist() == with_none.pos.tolist()
        assert plain.drop.tolist() == with_none.drop.tolist()


def test_log_q_counts_training_pairs_alone():
    relation = Relation.from_pairs(ints([0, 1, 2, 3]), ints([0, 0, 0, 1]), shape=(4, 2))
    # of queries 0 and 3: one pair each
    assert item_log_q(relation, ints([0, 3])).tolist() == pytest.approx([math.log(0.5)] * 2)


def test_links_refuse_columns_that_do_not_belong():
    relation = Relation.from_pairs(ints([0, 1]), ints([0, 1]), shape=(2, 2))
    with pytest.raises(InputError, match=r"own column of a query is not one of its true items"):
        batch_links(relation, ints([0, 1]), ints([1, 0]))
    with pytest.raises(InputError, match=r"2 queries from column 1 on do not fit in 2 columns"):
        batch_links(relation, ints([0, 1]), ints([0, 1]), offset=1)


def test_asked_links_refuse_queries_that_do_not_belong():
    relation = Relation.from_pairs(ints([0, 1]), ints([0, 1]), shape=(2, 2))
    with pytest.raises(InputError, match=r"an item is not true for its own query"):
        asked_links(relation, ints([1, 0]), ints([0, 1]))
    with pytest.raises(InputError, match=r"2 queries from 1 on do not fit in 2 queries and 2 ite"):
        asked_links(relation, ints([0, 1]), ints([0, 1]), offset=1)
    # with mined columns, the number of queries has to be said
    with pytest.raises(InputError, match=r"4 queries from 0 on do not fit in 2 queries and 4 ite"):
        asked_links(relation, ints([0, 1, 1, 0]), ints([0, 1]))
