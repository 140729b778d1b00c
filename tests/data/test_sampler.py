"""Batches of pairs: each pair once, the same on one process as on several; and hard negatives."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thresher.data import Relation
from thresher.data.sampler import PairSampler, Sampled
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
            assert share.queries.tolist() == whole.queries.tolist() == whole.query_rows.tolist()


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


@given(
    counts=st.lists(st.integers(1, 9), min_size=1, max_size=6),
    run=st.integers(2, 5),
    number=st.integers(0, 3),
)
def test_runs_are_a_user_s_next_pairs_up_to_the_one_whose_window_they_read(counts, run, number):
    users = np.repeat(np.arange(len(counts)), counts)
    relation = Relation.from_pairs(
        np.arange(len(users)), np.zeros(len(users), np.int64), shape=(len(users), 1)
    )
    given = {"batch_size": 1, "seed": 3, "groups": users, "run": run}
    sampler = PairSampler(relation, np.arange(len(users)), **given)
    batches = list(sampler.epoch(number))
    row = [int(b.query_rows[0]) for b in batches]
    window = [int(b.window_rows[0]) for b in batches]
    assert sorted(row) == list(range(len(users)))
    for at, (query, last) in enumerate(zip(row, window, strict=True)):
        assert users[query] == users[last]
        assert 0 <= last - query < run
        # Up to the last one they stand next to each other.
        assert row[at : at + last - query + 1] == list(range(query, last + 1))
    # A run is as long as it may be, but for the first and the last one of a user.
    for first, last in {
        (row[at], w) for at, w in enumerate(window) if not at or w != window[at - 1]
    }:
        ends = first == 0 or users[first - 1] != users[first] or last + 1 == len(users)
        assert last - first + 1 == run or ends or users[last + 1] != users[last]


def test_runs_begin_elsewhere_in_every_epoch_and_alike_on_every_process():
    relation = Relation.from_pairs(np.arange(40), np.arange(40) % 5, shape=(40, 5))
    sizes = {"seed": 1, "groups": np.arange(40) // 20, "run": 4}
    one = PairSampler(relation, np.arange(40), batch_size=8, **sizes)
    two = [
        PairSampler(relation, np.arange(40), batch_size=4, rank=r, world=2, **sizes) for r in (0, 1)
    ]
    for whole, *shares in zip(one.epoch(2), *(part.epoch(2) for part in two), strict=True):
        for name in ("query_rows", "window_rows"):
            parts = [getattr(share, name) for share in shares]
            assert np.concatenate(parts).tolist() == getattr(whole, name).tolist()
    ends = [{int(w) for b in one.epoch(n) for w in b.window_rows} for n in range(40)]
    assert len({min(e) for e in ends}) == 4
    assert [b.query_rows.tolist() for b in one.epoch(0)] == [
        b.query_rows.tolist() for b in one.epoch(0)
    ]


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
    assert sampler.pairs_of(0)[:, 1].tolist() == [0, 1, 0, 1]
    batches = [b.query_rows.tolist() for b in sampler.epoch(0, ints([3, 1, 0, 2]))]
    assert batches == [[3, 1], [0, 2]]


def test_too_few_pairs():
    relation = Relation.from_pairs(ints([0, 1, 2]), ints([0, 1, 0]), shape=(4, 2))
    with pytest.raises(InputError, match=r"3 training pairs, fewer than one batch of 2 on 2 proc"):
        PairSampler(relation, np.arange(4), batch_size=2, seed=0, world=2)
    with pytest.raises(InputError, match=r"3 training queries with a true item, fewer than"):
        PairSampler(relation, np.arange(4), batch_size=4, seed=0, positives="one")


def test_every_pair_in_the_order_that_seed_and_epoch_draw():
    relation, rows = random_relation(3), np.arange(30)[::-2]
    pairs = [(q, i) for q in rows.tolist() for i in relation.items_of(q).tolist()]
    order = np.random.default_rng((5, 2)).permutation(len(pairs))
    sampler = PairSampler(relation, rows, batch_size=4, seed=5)
    assert sampler.pairs_of(2).tolist() == [list(pair) for pair in pairs]
    for step, batch in enumerate(sampler.epoch(2)):
        expected = [pairs[i] for i in order[4 * step : 4 * step + 4]]
        assert [*zip(batch.query_rows.tolist(), batch.item_rows.tolist(), strict=True)] == expected
        assert batch.columns.tolist() == [i for _, i in expected]
    assert step + 1 == sampler.steps == len(pairs) // 4


@given(seed=st.integers(0, 50), rare=st.booleans())
def test_one_true_item_of_each_query_that_has_one(seed, rare):
    relation, rows = random_relation(seed), np.random.default_rng(seed).permutation(30)[:20]
    options = {"positives": "rare", "rarity": np.linspace(0.1, 9, 12)} if rare else {}
    sampler = PairSampler(
        relation, rows, batch_size=3, seed=seed, **({"positives": "one"} | options)
    )
    able = [q for q in rows.tolist() if len(relation.items_of(q))]
    drawn = [sampler.pairs_of(epoch) for epoch in range(5)]
    for pairs in drawn:
        assert pairs[:, 0].tolist() == able
        assert all(item in relation.items_of(q) for q, item in pairs.tolist())
    assert sampler.steps == len(able) // 3
    assert not all(np.array_equal(drawn[0], pairs) for pairs in drawn)
    assert np.array_equal(drawn[4], sampler.pairs_of(4))
    seen = np.concatenate([batch.query_rows for batch in sampler.epoch(1)]).tolist()
    assert len(seen) == len(set(seen)) == len(able) // 3 * 3
    for batch in sampler.epoch(1):
        pairs = zip(batch.query_rows.tolist(), batch.item_rows.tolist(), strict=True)
        assert {*pairs} <= {tuple(pair) for pair in drawn[1].tolist()}


@pytest.mark.parametrize(
    ("options", "shares"),
    [
        ({"positives": "one"}, [1 / 3, 1 / 3, 1 / 3]),
        # rarities 1, 2 and 5 of 8
        ({"positives": "rare", "rarity": np.array([7.0, 1.0, 2.0, 5.0])}, [1 / 8, 1 / 4, 5 / 8]),
    ],
)
def test_how_often_an_item_is_drawn(options, shares):
    # each of 400 queries has items 1, 2 and 3
    queries = 400
    relation = Relation.from_pairs(
        np.repeat(np.arange(queries), 3), np.tile([1, 2, 3], queries), shape=(queries, 4)
    )
    sampler = PairSampler(relation, np.arange(queries), batch_size=10, seed=0, **options)
    items = np.concatenate([sampler.pairs_of(epoch)[:, 1] for epoch in range(25)])
    # 10,000 draws: a share has a standard error of 0.005 at most
    assert np.bincount(items, minlength=4) / 10000 == pytest.approx([0, *shares], abs=0.02)


@pytest.mark.parametrize(
    ("rarity", "message"),
    [
        (None, r"the rarity of each of 2 items, but there are none"),
        (np.ones(3), r"the rarity of each of 2 items, but there are 3"),
        (np.array([1.0, 0.0]), r"rarity of item row 1 is 0.0"),
        (np.array([np.inf, 1.0]), r"rarity of item row 0 is inf"),
        (np.array([1.0, np.nan]), r"rarity of item row 1 is nan"),
    ],
)
def test_rarities_that_are_none(rarity, message):
    relation = Relation.from_pairs(ints([0, 1]), ints([0, 1]), shape=(2, 2))
    with pytest.raises(InputError, match=message):
        PairSampler(relation, np.arange(2), batch_size=1, seed=0, positives="rare", rarity=rarity)


def test_hard_negatives_follow_the_own_ones():
    relation = Relation.from_pairs(ints([0, 1]), ints([0, 1]), shape=(2, 8))
    hard = ints([[2, 3], [4, 5]])
    sampler = PairSampler(relation, np.arange(2), batch_size=2, seed=0, hard_negatives=2)
    for epoch in range(4):
        (batch,) = sampler.epoch(epoch, ints([1, 0]), hard)
        assert batch.query_rows.tolist() == batch.queries.tolist() == [1, 0]
        assert batch.item_rows[:2].tolist() == [1, 0]
        assert [sorted(batch.item_rows[2:4]), sorted(batch.item_rows[4:])] == [[4, 5], [2, 3]]
        assert batch.columns.tolist() == batch.item_rows.tolist()


@pytest.mark.parametrize("world", [2, 3])
@pytest.mark.parametrize("hard", [True, False])
@pytest.mark.parametrize("positives", ["every", "one"])
def test_hard_negatives_of_n_processes_together_are_those_of_one(world, hard, positives):
    relation, rows = random_relation(0, queries=40), np.arange(40)
    found = np.random.default_rng(1).integers(-1, 12, (40, 5)) if hard else None
    sizes = {"seed": 7, "hard_negatives": 3, "positives": positives}
    one = PairSampler(relation, rows, batch_size=4 * world, **sizes)
    parts = [
        PairSampler(relation, rows, batch_size=4, rank=rank, world=world, **sizes)
        for rank in range(world)
    ]
    assert {part.steps for part in parts} == {one.steps}
    for whole, *shares in zip(
        one.epoch(2, None, found), *(part.epoch(2, None, found) for part in parts), strict=True
    ):
        for rank, (part, share) in enumerate(zip(parts, shares, strict=True)):
            own, more = slice(4 * rank, 4 * rank + 4), slice(12 * rank, 12 * rank + 12)
            assert share.query_rows.tolist() == whole.query_rows[own].tolist()
            assert share.item_rows[:4].tolist() == whole.item_rows[: 4 * world][own].tolist()
            assert share.item_rows[4:].tolist() == whole.item_rows[4 * world :][more].tolist()
            assert (part.offset, part.query_offset) == (16 * rank, 4 * rank)
            assert share.columns[16 * rank : 16 * rank + 16].tolist() == share.item_rows.tolist()
            assert share.columns.tolist() == shares[0].columns.tolist()
            assert share.queries.tolist() == whole.query_rows.tolist()


@given(seed=st.integers(0, 100), width=st.integers(0, 5), many=st.integers(1, 4))
def test_each_query_draws_its_own_hard_items_once_and_others_when_they_run_out(seed, width, many):
    relation, draw = random_relation(seed), np.random.default_rng(seed)
    hard = np.argsort(draw.random((30, 12)), axis=1)[:, :width].astype(np.int64)
    hard[draw.random(hard.shape) < 0.4] = -1
    sampler = PairSampler(relation, np.arange(30), batch_size=6, seed=seed, hard_negatives=many)
    for batch in sampler.epoch(0, None, hard):
        extra = batch.item_rows[6:].reshape(6, many)
        assert 0 <= extra.min() <= extra.max() < 12
        for query, items in zip(batch.query_rows.tolist(), extra.tolist(), strict=True):
            known = {i for i in hard[query].tolist() if i >= 0}
            drawn = min(len(known), many)
            assert set(items[:drawn]) <= known
            assert len(set(items[:drawn])) == drawn


def test_each_hard_item_is_as_likely_as_another_and_so_is_any_item_without():
    relation = Relation.from_pairs(np.arange(500), np.zeros(500, np.int64), shape=(500, 5))
    sampler = PairSampler(relation, np.arange(500), batch_size=500, seed=0, hard_negatives=1)
    hard = np.tile(ints([[1, 3, 4, -1]]), (500, 1))
    for found, shares in ((hard, [0, 1 / 3, 0, 1 / 3, 1 / 3]), (None, [0.2] * 5)):
        drawn = [next(sampler.epoch(number, None, found)).item_rows[500:] for number in range(20)]
        # 10,000 draws: a share has a standard error of 0.005 at most
        share = np.bincount(np.concatenate(drawn), minlength=5) / 10000
        assert share == pytest.approx(shares, abs=0.02)
        assert not np.array_equal(drawn[0], drawn[1])


def floats(values):
    return np.array(values, dtype=np.float64)


def one_each(queries):
    """Query i is true for item i."""
    return Relation.from_pairs(np.arange(queries), np.arange(queries), shape=(queries, queries))


def test_of_a_group_one_query_is_drawn():
    relation, groups = one_each(6), ints([7, 7, 7, 2, 2, 9])
    sampler = PairSampler(
        relation, np.arange(6), batch_size=1, seed=0, positives="one", groups=groups
    )
    assert sampler.steps == 3
    drawn = np.array([sorted(sampler.pairs_of(epoch)[:, 0]) for epoch in range(600)])
    assert {tuple(groups[row]) for row in drawn} == {(7, 2, 9)}
    # each of three 200 times in 600, standard deviation 11.5; each of two 300 times, 12.2
    assert np.bincount(drawn[:, 0]).tolist() == pytest.approx([200] * 3, abs=50)
    assert np.bincount(drawn[:, 1] - 3).tolist() == pytest.approx([300] * 2, abs=50)
    # the shares: a third for each group, shared by its queries
    assert sampler.shares() == pytest.approx([1 / 9] * 3 + [1 / 6] * 2 + [1 / 3])


def test_within_a_group_some_are_drawn_more_often_and_some_never():
    often = floats([3, 1, 0, 0])
    sampler = PairSampler(
        one_each(4),
        np.arange(4),
        batch_size=1,
        seed=1,
        positives="one",
        groups=ints([0, 0, 0, 1]),
        sample_weight=often,
    )
    assert sampler.steps == 1  # the second group has nothing that is ever drawn
    drawn = [sampler.pairs_of(epoch)[0, 0] for epoch in range(400)]
    # 300 and 100 in 400, standard deviation 8.7
    assert np.bincount(drawn, minlength=4).tolist() == pytest.approx([300, 100, 0, 0], abs=40)
    assert sampler.shares() == pytest.approx([0.75, 0.25, 0, 0])


def test_of_every_pair_one_of_twice_the_mean_comes_twice():
    # 4 draws over chances 2, 1, 1, 0, whose sum is 4
    sampler = PairSampler(
        one_each(4), np.arange(4), batch_size=1, seed=0, sample_weight=floats([2.0, 1.0, 1.0, 0.0])
    )
    assert sampler.steps == 3  # as many as there are pairs that may be drawn
    drawn = np.concatenate([sampler.pairs_of(epoch)[:, 0] for epoch in range(400)])
    # of 1,200: 600, 300, 300, each epoch within one of its share
    assert np.bincount(drawn, minlength=4).tolist() == pytest.approx([600, 300, 300, 0], abs=40)
    assert sampler.shares() == pytest.approx([0.5, 0.25, 0.25, 0])


@given(chance=st.floats(0.1, 5), seed=st.integers(0, 20))
def test_pairs_of_equal_chances_come_once_each(chance, seed):
    sampler = PairSampler(
        one_each(7), np.arange(7), batch_size=1, seed=seed, sample_weight=np.full(7, chance)
    )
    assert sorted(sampler.pairs_of(seed)[:, 0].tolist()) == list(range(7))


@pytest.mark.parametrize("world", [2, 3])
def test_sampled_columns_of_n_processes_are_those_of_one(world):
    relation, sampled = one_each(12), Sampled(count=2, chances=floats(range(12)))
    options = {"seed": 3, "hard_negatives": 1, "sampled": sampled}
    one = PairSampler(relation, np.arange(12), batch_size=2 * world, **options)
    parts = [
        PairSampler(relation, np.arange(12), batch_size=2, rank=rank, world=world, **options)
        for rank in range(world)
    ]
    for whole, *shares in zip(one.epoch(1), *(part.epoch(1) for part in parts), strict=True):
        assert sorted(np.concatenate([s.item_rows for s in shares])) == sorted(whole.columns)
        for rank, share in enumerate(shares):
            assert len(share.item_rows) == 2 * (1 + 1 + 2)
            assert parts[rank].offset == rank * 8
            assert share.columns[rank * 8 : rank * 8 + 8].tolist() == share.item_rows.tolist()


def test_items_are_sampled_by_their_chances():
    sampled = Sampled(count=5, chances=floats([0, 3, 0, 1, 0]))
    drawn = sampled.draw(2000, np.random.default_rng(0))
    assert drawn.shape == (2000, 5)
    # 7,500 and 2,500 of 10,000, standard deviation 43
    assert np.bincount(drawn.ravel(), minlength=5).tolist() == pytest.approx(
        [0, 7500, 0, 2500, 0], abs=200
    )
    assert sampled.shares().tolist() == [0, 0.75, 0, 0.25, 0]


@pytest.mark.parametrize(
    ("count", "chances"), [(0, [1.0]), (1, [0.0]), (1, [-1.0, 2.0]), (1, [np.nan])]
)
def test_a_draw_of_nothing_is_refused(count, chances):
    with pytest.raises(InputError, match="finite chances of 0 or more, one above 0"):
        Sampled(count=count, chances=floats(chances))


def test_groups_and_frequencies_that_do_not_fit_are_refused():
    options = {"batch_size": 1, "seed": 0, "positives": "one"}
    with pytest.raises(InputError, match="groups of 3 training queries do not stand together"):
        PairSampler(one_each(3), np.arange(3), groups=ints([0, 1, 0]), **options)
    for often in ([1, 1, -1], [0, 0, 0], [1, np.inf, 1]):
        with pytest.raises(InputError, match="give one such number a query"):
            PairSampler(one_each(3), np.arange(3), sample_weight=floats(often), **options)
