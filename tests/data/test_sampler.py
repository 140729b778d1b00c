"""Batches of pairs: each pair once, the same on one process as on several; and their links."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from thresher.data import Relation
from thresher.data.sampler import PairSampler, batch_links, item_log_q
from thresher.errors import InputError


def ints(values):
    return np.array(values, dtype=np.int64)


def random_relation(seed, queries=30, items=12, share=0.15):
    truth = np.random.default_rng(seed).random((queries, items)) < share
    return Relation.from_pairs(*np.nonzero(truth), shape=(queries, items))


@pytest.mark.parametrize("world", [2, 3])
@pytest.mark.parametrize("ordered", [False, True])
def test_the_batches_of_n_processes_together_are_those_of_one(world, ordered):
    relation, rows = random_relation(0), np.arange(25)[::-1]
    one = PairSampler(relation, rows, batch_size=4 * world, seed=7)
    order = np.random.default_rng(9).permutation(len(one.pairs)) if ordered else None
    parts = [
        PairSampler(relation, rows, batch_size=4, seed=7, rank=rank, world=world)
        for rank in range(world)
    ]
    assert {part.steps for part in parts} == {one.steps}
    assert one.steps >= 2
    for whole, *shares in zip(
        one.epoch(3, order), *(part.epoch(3, order) for part in parts), strict=True
    ):
        assert np.concatenate([s.query_rows for s in shares]).tolist() == whole.query_rows.tolist()
        assert np.concatenate([s.item_rows for s in shares]).tolist() == whole.item_rows.tolist()
        for share in shares:
            assert len(share.query_rows) == 4
            assert share.columns.tolist() == whole.item_rows.tolist() == whole.columns.tolist()


def test_an_epoch_has_every_training_pair_once_less_the_tail():
    relation, rows = random_relation(1), np.arange(0, 30, 2)
    truth = {(q, i) for q, i in relation.pairs().tolist() if q % 2 == 0}
    sampler = PairSampler(relation, rows, batch_size=4, seed=0)
    assert {tuple(pair) for pair in sampler.pairs.tolist()} == truth
    seen = []
    for batch in sampler.epoch(0):
        seen += zip(batch.query_rows.tolist(), batch.item_rows.tolist(), strict=True)
    assert len(seen) == len(set(seen)) == len(truth) // 4 * 4
    assert set(seen) <= truth


def test_epochs_differ_and_are_drawn_again_the_same():
    relation, rows = random_relation(2), np.arange(30)

    def epoch(seed, number):
        sampler = PairSampler(relation, rows, batch_size=8, seed=seed)
        return [batch.query_rows.tolist() for batch in sampler.epoch(number)]

    assert epoch(0, 1) == epoch(0, 1)
    assert epoch(0, 1) != epoch(0, 2)
    assert epoch(0, 1) != epoch(1, 1)


def test_an_order_is_followed():
    relation = Relation.from_pairs(ints([0, 1, 2, 3]), ints([0, 1, 0, 1]), shape=(4, 2))
    sampler = PairSampler(relation, np.arange(4), batch_size=2, seed=0)
    assert sampler.pair_items.tolist() == [0, 1, 0, 1]
    batches = [b.query_rows.tolist() for b in sampler.epoch(0, ints([3, 1, 0, 2]))]
    assert batches == [[3, 1], [0, 2]]
    for order in ([0, 1, 2], [0, 1, 2, 2], [1, 2, 3, 4]):
        with pytest.raises(InputError, match=r"not a permutation of the 4 training pairs"):
            next(sampler.epoch(0, ints(order)))


def test_too_few_pairs_and_wrong_sizes():
    relation = Relation.from_pairs(ints([0, 1, 2]), ints([0, 1, 0]), shape=(4, 2))
    with pytest.raises(InputError, match=r"3 training pairs, fewer than one batch of 2 on 2 proc"):
        PairSampler(relation, np.arange(4), batch_size=2, seed=0, world=2)
    with pytest.raises(InputError, match=r"batch_size 0, rank 0, world 1"):
        PairSampler(relation, np.arange(4), batch_size=0, seed=0)
    with pytest.raises(InputError, match=r"rank 1, world 1"):
        PairSampler(relation, np.arange(4), batch_size=1, seed=0, rank=1)


@given(seed=st.integers(0, 50), rank=st.integers(0, 2), epoch=st.integers(0, 2))
def test_links_name_every_other_true_pair_of_all_processes(seed, rank, epoch):
    # Few items and many true pairs, so that copies of the own item and other true items abound.
    relation = random_relation(seed, queries=12, items=5, share=0.5)
    sampler = PairSampler(relation, np.arange(12), batch_size=3, seed=0, rank=rank, world=3)
    for batch in sampler.epoch(epoch):
        links = batch_links(relation, batch.query_rows, batch.columns, offset=sampler.offset)
        assert links.log_q is None
        wide = links.shift(sampler.offset)
        assert wide.pos.tolist() == [[i, rank * 3 + i] for i in range(3)]
        expected = [
            [i, j]
            for i, q in enumerate(batch.query_rows)
            for j, item in enumerate(batch.columns)
            if item in relation.items_of(q) and j != rank * 3 + i
        ]
        assert wide.drop.tolist() == expected


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
