"""The links of a batch: what is true, what is ignored, seen from the queries and the items."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from thresher.data import Relation
from thresher.data.links import LogQ, batch_links, catalogue_links, text_query_links
from thresher.data.sampler import PairSampler, Sampled
from thresher.errors import InputError


def ints(values):
    return np.array(values, dtype=np.int64)


def random_relation(seed, queries=12, items=5, share=0.5):
    """Few items and many true pairs: copies of the own item and other true items abound."""
    truth = np.random.default_rng(seed).random((queries, items)) < share
    return Relation.from_pairs(*np.nonzero(truth), shape=(queries, items))


def empty(*shape):
    return Relation.from_pairs(ints([]), ints([]), shape=shape)


@settings(max_examples=50)
@given(seed=st.integers(0, 50), rank=st.integers(0, 2), hard=st.integers(0, 2), some=st.booleans())
def test_links_name_every_other_pair_that_is_known_of_all_processes(seed, rank, hard, some):
    relation = random_relation(seed)
    ignored = random_relation(seed + 1000, share=0.3) if some else None
    sampler = PairSampler(
        relation, np.arange(12), batch_size=3, seed=0, rank=rank, world=3, hard_negatives=hard
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
        assert wide.pos.tolist() == [[i, rank * 3 * (1 + hard) + i] for i in range(3)]
        assert wide.ignored.tolist() == [
            [i, j]
            for i, q in enumerate(batch.query_rows)
            for j, item in enumerate(batch.columns)
            if known(q, item) and j != offset + i
        ]
        asked = text_query_links(
            relation, batch.item_rows, batch.queries, offset=shift, own=3, ignored=ignored
        )
        assert (asked.left, asked.right, asked.log_q) == ("text", "query", None)
        wide = asked.shift(shift)
        assert wide.pos.tolist() == [[i, rank * 3 + i] for i in range(3)]
        assert wide.ignored.tolist() == [
            [i, j]
            for i, item in enumerate(batch.item_rows)
            for j, q in enumerate(batch.queries)
            if known(q, item) and not (i < 3 and j == rank * 3 + i)
        ]


@given(
    seed=st.integers(0, 50), rank=st.integers(0, 1), extra=st.integers(0, 1),
    blocks=st.sampled_from([1, 2, 4]),
)  # fmt: skip
def test_items_of_one_s_group_are_dropped_and_other_blocks_are_not_seen(seed, rank, extra, blocks):
    relation = random_relation(seed, share=0.3)
    sampled = Sampled(count=1, chances=np.ones(5)) if extra else None
    sampler = PairSampler(
        relation, np.arange(12), batch_size=4, seed=0, rank=rank, world=2, sampled=sampled
    )
    groups = np.random.default_rng(seed).integers(0, 4, 12)
    width = 4 * (1 + extra)
    for batch in sampler.epoch(0):
        links = batch_links(
            relation, batch.query_rows, batch.columns, offset=sampler.offset, own=width,
            groups=groups[batch.queries], blocks=blocks,
        )  # fmt: skip
        assert links.blocks == blocks
        wide, dropped = links.shift(sampler.offset), []
        for i, query in enumerate(batch.query_rows.tolist()):
            for j, item in enumerate(batch.columns.tolist()):
                process, place = divmod(j, width)
                mate = place < 4 and groups[batch.queries[process * 4 + place]] == groups[query]
                if (i - j) % blocks == 0 and (item in relation.items_of(query) or mate):
                    dropped.append([i, j])
        own = [[i, sampler.offset + i] for i in range(4)]
        assert wide.pos.tolist() == own
        assert wide.ignored.tolist() == [pair for pair in dropped if pair not in own]


def floats(values):
    return np.array(values, dtype=np.float64)


def test_links_of_a_small_batch():
    # query 0 is true for items 0 and 1, query 1 for item 1, query 2 for item 0
    relation = Relation.from_pairs(ints([0, 0, 1, 2]), ints([0, 1, 1, 0]), shape=(3, 3))
    log_q = LogQ.expected(floats([0.5, 0.5, 0]), queries=2)
    # one process of two: its queries 1 and 2 own columns 2 and 3; column 1 is item 1 as well, which
    # is true for query 1, and column 0 is item 0, true for query 2.
    links = batch_links(relation, ints([1, 2]), ints([0, 1, 1, 0]), offset=2, log_q=log_q)
    assert (links.left, links.right) == ("query", "item")
    assert links.pos.tolist() == [[0, 0], [1, 1]]
    assert links.ignored.tolist() == [[0, -1], [1, -2]]
    assert links.log_q is not None
    assert links.log_q.dtype == torch.float32
    # 2 queries, half of whose own items it is: expected once, log 1 = 0
    assert links.log_q.tolist() == pytest.approx([0, 0])


def test_expected_columns_of_items_that_are_drawn_beside_the_queries_own():
    # 10 queries, each with 3 columns drawn, item 0 twice as likely as item 2, item 1 never
    sampled = Sampled(count=3, chances=floats([2, 0, 1]))
    log_q = LogQ.expected(floats([0.5, 0.5, 0]), sampled, queries=10)
    # 5 own columns of item 0 and 30 x 2/3 drawn; 5 of item 1; 30 x 1/3 of item 2
    assert np.exp(log_q.own).tolist() == pytest.approx([25, 5, 10])
    assert log_q.sampled.tolist() == log_q.own.tolist()
    alone = LogQ.expected(floats([0.5, 0.5, 0]), sampled, queries=10, in_batch=False)
    # a query's own item is there for sure, and only drawn columns are negatives
    assert alone.own.tolist() == [0, 0, 0]
    assert np.exp(alone.sampled).tolist() == pytest.approx([20, 0, 10])


@pytest.mark.parametrize(("in_batch", "power"), [(True, 0.0), (True, 0.75), (False, 0.5)])
def test_the_expected_columns_are_those_that_are_drawn(in_batch, power):
    # 6 queries of item 0, 2 of item 1, 1 of item 2; item 3 is drawn only
    items = [0] * 6 + [1] * 2 + [2]
    relation = Relation.from_pairs(np.arange(9), ints(items), shape=(9, 4))
    sampled = Sampled(count=2, chances=floats([6, 2, 1, 1]) ** power)
    sampler = PairSampler(relation, np.arange(9), batch_size=3, seed=0, sampled=sampled)
    log_q = LogQ.expected(sampler.shares(), sampled, queries=3, in_batch=in_batch)
    found, epochs = np.zeros(4), 1500
    for epoch in range(epochs):
        for batch in sampler.epoch(epoch):
            found += np.bincount(batch.columns[0 if in_batch else 3 :], minlength=4)
    # standard deviation of a mean over 4,500 batches is below .02; the least expected is .1
    expected = np.exp(log_q.sampled)
    assert found / (3 * epochs) == pytest.approx(expected.tolist(), abs=0.08)


def test_without_in_batch_negatives_only_further_columns_are_left():
    # queries 0 and 1 with items 0 and 1; the process owns columns 2 and 3 of [0, 2 | 1, 0]
    relation = Relation.from_pairs(ints([0, 1]), ints([0, 1]), shape=(2, 3))
    columns = ints([0, 2, 1, 0])
    links = batch_links(relation, ints([1]), columns, offset=2, own=2, in_batch=False)
    assert links.pos.tolist() == [[0, 0]]
    # column 0 is the own item of the other process's query; columns 1 and 3 stay negatives
    assert links.ignored.tolist() == [[0, -2]]
    links = batch_links(relation, ints([0]), columns, offset=0, own=2, in_batch=False)
    # column 3 is item 0 again, true for query 0; column 2 the other query's own item
    assert links.ignored.tolist() == [[0, 2], [0, 3]]


def test_a_pair_to_be_ignored_is_dropped_unless_it_is_the_positive():
    # query 0 is true for item 0, query 1 for item 1
    relation = Relation.from_pairs(ints([0, 1]), ints([0, 1]), shape=(2, 3))
    # to be ignored: query 0 with items 0 and 2, query 1 with item 0
    ignored = Relation.from_pairs(ints([0, 0, 1]), ints([0, 2, 0]), shape=(2, 3))
    rows, columns = ints([0, 1]), ints([0, 1, 2, 2])  # a hard negative each, both item 2
    links = batch_links(relation, rows, columns, ignored=ignored)
    assert links.pos.tolist() == [[0, 0], [1, 1]]
    assert links.ignored.tolist() == [[0, 2], [0, 3], [1, 0]]
    links = text_query_links(relation, columns, rows, own=2, ignored=ignored)
    assert links.pos.tolist() == [[0, 0], [1, 1]]
    assert links.ignored.tolist() == [[0, 1], [2, 0], [3, 0]]
    links = catalogue_links(relation, rows, ignored=ignored)
    assert links.pos.tolist() == [[0, 0], [1, 1]]
    assert links.ignored.tolist() == [[0, 2], [1, 0]]


def test_a_mined_item_that_is_true_for_the_query_beside_it_is_dropped():
    # items 0 and 1 are true for both queries; item 1 is a hard negative of query 0 all the same
    relation = Relation.from_pairs(ints([0, 0, 1, 1]), ints([0, 1, 0, 1]), shape=(2, 2))
    links = text_query_links(relation, ints([0, 1]), ints([0, 1]), own=1)
    assert links.pos.tolist() == [[0, 0]]
    assert links.ignored.tolist() == [[0, 1], [1, 0], [1, 1]]


@given(seed=st.integers(0, 50), some=st.booleans())
def test_catalogue_links_are_the_rows_of_the_relation(seed, some):
    relation, ignored = random_relation(seed), random_relation(seed + 1000) if some else None
    rows = np.random.default_rng(seed).integers(0, 12, 7)
    links = catalogue_links(relation, rows, ignored=ignored)
    assert (links.left, links.right, links.log_q) == ("query", "item", None)
    assert links.pos.tolist() == [[i, j] for i, q in enumerate(rows) for j in relation.items_of(q)]
    assert links.ignored.tolist() == [
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
        lambda **more: text_query_links(relation, batch.item_rows, batch.queries, **more),
        lambda **more: catalogue_links(relation, batch.query_rows, **more),
    ]
    for make in makers:
        plain, with_none = make(), make(ignored=empty(12, 5))
        assert plain.pos.tolist() == with_none.pos.tolist()
        assert plain.ignored.tolist() == with_none.ignored.tolist()


def test_links_refuse_columns_that_do_not_belong():
    relation = Relation.from_pairs(ints([0, 1]), ints([0, 1]), shape=(2, 2))
    with pytest.raises(InputError, match=r"own column of a query is not one of its true items"):
        batch_links(relation, ints([0, 1]), ints([1, 0]))
    with pytest.raises(InputError, match=r"2 queries from column 1 on do not fit in 2 columns"):
        batch_links(relation, ints([0, 1]), ints([0, 1]), offset=1)


def test_text_query_links_refuse_queries_that_do_not_belong():
    relation = Relation.from_pairs(ints([0, 1]), ints([0, 1]), shape=(2, 2))
    with pytest.raises(InputError, match=r"an item is not true for its own query"):
        text_query_links(relation, ints([1, 0]), ints([0, 1]))
    with pytest.raises(InputError, match=r"2 queries from 1 on do not fit in 2 queries and 2 ite"):
        text_query_links(relation, ints([0, 1]), ints([0, 1]), offset=1)
    # with hard negatives, the number of queries has to be said
    with pytest.raises(InputError, match=r"4 queries from 0 on do not fit in 2 queries and 4 ite"):
        text_query_links(relation, ints([0, 1, 1, 0]), ints([0, 1]))
