"""Lists of next items: by hand, against slow loops, and what must hold of any lists."""

from math import isnan, log2, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracles import next_items as oracle
from thresher.errors import InputError
from thresher.evaluate import next_items as module
from thresher.evaluate.bootstrap import bootstrap_mean
from thresher.evaluate.next_items import next_items, per_user_recall

ITEMS = 9
COUNTS = [0, 1, 4, 5, 20, 0, 3, 7, 2]


def arrays(lists, targets, width=None):
    """Lists and targets as `next_items` takes them."""
    width = len(lists[0]) if width is None else width
    starts = np.cumsum([0, *(len(own) for own in targets)])
    items = np.array([item for own in targets for item in own], dtype=np.int64)
    return np.array(lists, dtype=np.int64).reshape(-1, width), starts, items


def measured(lists, targets, ks, *, repeats=False, counts=COUNTS):
    return next_items(
        *arrays(lists, targets), ks=ks, repeats=repeats, train_counts=np.array(counts)
    )


def recalls(lists, targets, ks, *, repeats=False):
    return per_user_recall(*arrays(lists, targets), ks=ks, repeats=repeats)


@st.composite
def asked(draw, least=0, distinct=False):
    """Lists (each item once, then -1) and targets of a few users; a user may have none of both."""
    users, width = draw(st.integers(1, 5)), draw(st.integers(1, ITEMS))
    order = st.permutations(range(ITEMS))
    lists = [
        (draw(order)[: draw(st.integers(0, width))] + [-1] * width)[:width] for _ in range(users)
    ]
    own = st.lists(st.integers(0, ITEMS - 1), min_size=least, max_size=6, unique=distinct)
    return lists, draw(st.lists(own, min_size=users, max_size=users))


# By hand

# A takes 3 twice and 1 once and is shown 7, 3, 2; B takes 4 and 0 and is shown 4, 8 and no more.
LISTS, TARGETS = [[7, 3, 2], [4, 8, -1]], [[3, 1, 3], [4, 0]]


@pytest.mark.parametrize(
    ("repeats", "name", "expected"),
    [
        # distinct: A finds 3 of {3, 1}, B finds 4 of {4, 0}
        (False, "recall@1", (0 / 2 + 1 / 2) / 2),
        (False, "recall@3", (1 / 2 + 1 / 2) / 2),
        # events: A finds two of three
        (True, "recall@3", (2 / 3 + 1 / 2) / 2),
        (False, "hit_rate@1", 1 / 2),
        (True, "hit_rate@3", 1.0),
        # A: 3 at place 2 of 1/log2 2 + 1/log2 3; B: 4 at place 1 of the same; repeats play no part
        (False, "ndcg@3", ((1 / log2(3)) + 1) / (1 + 1 / log2(3)) / 2),
        (True, "ndcg@3", ((1 / log2(3)) + 1) / (1 + 1 / log2(3)) / 2),
        # at 1, A gets 0, and B 1 of 1
        (False, "ndcg@1", 1 / 2),
        # A: at place 2, 1 of 2 is right; B: at place 1, 1 of 1; each has two distinct targets
        (False, "map@3", (1 / 2 / 2 + 1 / 2) / 2),
        (True, "map@3", (1 / 2 / 2 + 1 / 2) / 2),
        # at 1, A gets 0, and B 1 of the one that one place can hold
        (False, "map@1", 1 / 2),
        # 7, 3, 2, 4, 8 of nine items; at 1: 7 and 4
        (False, "catalogue_coverage@3", 5 / 9),
        (False, "catalogue_coverage@1", 2 / 9),
        # shown: A (7 + 5 + 4)/3, B (20 + 2)/2; taken: A (5 + 1)/2, B (20 + 0)/2
        (False, "popularity@3", (16 / 3 + 11) / (3 + 10)),
        # events: A takes (5 + 1 + 5)/3; shown at 1: 7 and 20
        (True, "popularity@1", (7 + 20) / (11 / 3 + 10)),
        # 0 was never seen: B's, not found; 1 is rare: A's, not found
        (False, "unseen/recall@3", 0.0),
        (False, "rare/recall@3", 0.0),
        (False, "rare/targets", 1),
        # 3 (five times) is A's, 4 is B's: both found, at 1 only B's
        (False, "frequent/recall@3", 1.0),
        (False, "frequent/recall@1", 1 / 2),
        (False, "frequent/targets", 2),
        (True, "frequent/targets", 3),
        # a tenth of nine items, rounded up, is one: 4 (twenty times), B's, found at place 1
        (False, "head/recall@1", 1.0),
        (False, "head/targets", 1),
        # 3 and 1 are A's, 3 found; 0 was never seen and is in neither
        (False, "tail/recall@3", 1 / 2),
        (True, "tail/recall@3", 2 / 3),
        (False, "tail/targets", 2),
        (True, "tail/targets", 3),
        (False, "targets", 4),
        (True, "targets", 5),
        (True, "users", 2),
        (True, "items", 9),
    ],
)
def test_by_hand(repeats, name, expected):
    assert measured(LISTS, TARGETS, [1, 3], repeats=repeats)[name] == pytest.approx(expected)


def test_each_user_by_hand():
    got = recalls([*LISTS, [1, 2, 3]], [*TARGETS, []], [3, 1], repeats=True)
    assert got[:2] == pytest.approx(np.array([[2 / 3, 0], [1 / 2, 1 / 2]]))
    assert np.isnan(got[2]).all()  # nothing to find
    interval = bootstrap_mean(got[:, 0], generator=np.random.default_rng(0))
    assert interval.value == pytest.approx(7 / 12)  # (2/3 + 1/2)/2: the third is left out
    assert (interval.low, interval.high) == pytest.approx((1 / 2, 2 / 3))


def test_an_item_listed_twice_counts_where_it_first_stands():
    # 4 at place 1 of a best of 1 + 1/log2 3; its second place adds nothing
    found = measured([[4, 4, 4]], [[4, 3]], [3])
    assert found["ndcg@3"] == pytest.approx(1 / (1 + 1 / log2(3)))
    assert found["recall@3"] == 0.5
    assert found["map@3"] == 0.5  # 1 of 1 at place 1, for one of two targets


def test_precision_is_counted_at_each_target_in_the_order_of_the_list():
    # right at places 1, 3 and 4: 1/1, 2/3, 3/4, for three targets; at 2 only 1/1, for two of them
    found = measured([[8, 0, 2, 5]], [[5, 2, 8]], [2, 4])
    assert found["map@4"] == pytest.approx((1 + 2 / 3 + 3 / 4) / 3)
    assert found["map@2"] == 1 / 2


def test_without_anyone_asked_nothing_is_known():
    for lists, targets in (([[1, 2]], [[]]), (np.empty((0, 2)), [])):
        given_ = arrays(lists, targets, width=2)
        found = next_items(*given_, ks=[2], repeats=True, train_counts=np.array(COUNTS))
        assert isnan(found["recall@2"])
        assert isnan(found["ndcg@2"])
        assert isnan(found["map@2"])
        assert isnan(found["popularity@2"])
        assert found["targets"] == 0


def test_popularity_of_targets_that_were_never_seen_is_not_known():
    assert isnan(measured([[1]], [[0]], [1])["popularity@1"])


# Against loops


@given(case=asked(), repeats=st.booleans(), data=st.data())
def test_against_slow_loops(case, repeats, data):
    lists, targets = case
    ks = data.draw(st.lists(st.integers(1, len(lists[0])), min_size=1, max_size=3, unique=True))
    expected = oracle.metrics(lists, targets, ks, repeats, COUNTS)
    got = measured(lists, targets, ks, repeats=repeats)
    assert got.keys() == expected.keys()
    assert got == pytest.approx(expected, nan_ok=True)
    each = [
        [oracle.recall(a, t, k, repeats) if t else nan for k in ks]
        for a, t in zip(*case, strict=True)
    ]
    assert recalls(lists, targets, ks, repeats=repeats) == pytest.approx(
        np.array(each), nan_ok=True
    )


def test_many_targets_are_compared_in_blocks(monkeypatch):
    rng = np.random.default_rng(0)
    lists = [rng.permutation(ITEMS)[:4].tolist() for _ in range(30)]
    targets = [rng.integers(0, ITEMS, rng.integers(1, 6)).tolist() for _ in range(30)]
    monkeypatch.setattr(module, "_CELLS", 12)  # three targets at a time
    expected = oracle.metrics(lists, targets, [2, 4], True, COUNTS)
    assert measured(lists, targets, [2, 4], repeats=True) == pytest.approx(expected)


# What must hold


@given(case=asked(), repeats=st.booleans(), data=st.data())
def test_the_order_of_users_and_targets_plays_no_part(case, repeats, data):
    lists, targets = case
    k = len(lists[0])
    order = data.draw(st.permutations(range(len(lists))))
    moved = [lists[u] for u in order], [data.draw(st.permutations(targets[u])) for u in order]
    before = measured(lists, targets, [k], repeats=repeats)
    assert measured(*moved, [k], repeats=repeats) == pytest.approx(before, nan_ok=True)


@given(asked(distinct=True))
def test_without_repeated_targets_repeats_change_nothing(case):
    k = len(case[0][0])
    once, each = (measured(*case, [k], repeats=repeats) for repeats in (False, True))
    assert once == pytest.approx(each, nan_ok=True, rel=1e-12)


@given(case=asked(least=1), repeats=st.booleans())
def test_longer_lists_find_no_less(case, repeats):
    ks = list(range(1, len(case[0][0]) + 1))
    found = measured(*case, ks, repeats=repeats)
    for name in ("recall", "hit_rate", "catalogue_coverage"):
        values = [found[f"{name}@{k}"] for k in ks]
        assert values == sorted(values)
        assert 0 <= values[0] <= values[-1] <= 1


@given(case=asked(least=1), data=st.data())
def test_a_perfect_list_is_perfect_and_any_other_is_less(case, data):
    _, targets = case
    others = [[i for i in range(ITEMS) if i not in own] for own in targets]
    perfect = [
        data.draw(st.permutations(sorted(set(own)))) + rest
        for own, rest in zip(targets, others, strict=True)
    ]
    found = measured(perfect, targets, range(1, ITEMS + 1))
    for name in ("ndcg", "map"):
        assert [found[f"{name}@{k}"] for k in range(1, ITEMS + 1)] == pytest.approx([1.0] * ITEMS)
    assert found[f"recall@{ITEMS}"] == 1
    worst = measured([line[::-1] for line in perfect], targets, [ITEMS])
    if others[0]:
        assert worst[f"ndcg@{ITEMS}"] < 1
        assert worst[f"map@{ITEMS}"] < 1


@given(case=asked(), repeats=st.booleans(), more=st.integers(1, 4))
def test_missing_places_never_count(case, repeats, more):
    lists, targets = case
    k = len(lists[0])
    if k + more > ITEMS:
        return
    padded = [line + [-1] * more for line in lists]
    before = measured(lists, targets, [k], repeats=repeats)
    after = measured(padded, targets, [k + more], repeats=repeats)
    for name in ("recall", "hit_rate", "catalogue_coverage", "popularity"):
        assert after[f"{name}@{k + more}"] == pytest.approx(before[f"{name}@{k}"], nan_ok=True)


# Bad input


@pytest.mark.parametrize("k", [0, -1, 4])
def test_lists_that_are_too_short_are_refused(k):
    for call in (measured, recalls):
        with pytest.raises(InputError, match=rf"N = {k}, but the lists hold 3 .*1 to 3"):
            call(LISTS, TARGETS, [1, k])


def test_more_than_the_catalogue_is_refused():
    with pytest.raises(InputError, match="N = 3, but the catalogue has 2 items"):
        measured([[0, 1, -1]], [[0]], [3], counts=[1, 1])


@pytest.mark.parametrize(
    ("lists", "targets", "sentence"),
    [
        ([[0, 9]], [[0]], "row 9, but the catalogue has 9 items; give rows from 0 to 8"),
        ([[0, 1]], [[10]], "row 10, but the catalogue"),
        ([[0, -2]], [[1]], "row -2, but the catalogue"),
        ([[0, 1]], [[-1]], "A target is row -1"),
    ],
)
def test_rows_outside_the_catalogue_are_refused(lists, targets, sentence):
    with pytest.raises(InputError, match=sentence):
        measured(lists, targets, [1])


def test_a_target_that_is_none_is_no_hit():
    with pytest.raises(InputError, match="A target is row -1"):
        recalls([[-1]], [[-1]], [1])


@pytest.mark.parametrize(
    ("starts", "sentence"),
    [
        ([0, 2], "lists for 2 users and targets for 1;"),
        ([0, 2, 4], "from 0 to 4 over 3 targets"),
        ([1, 2, 3], "from 1 to 3"),
        ([0, 4, 3], "rise from 0"),
    ],
)
def test_starts_that_do_not_fit_are_refused(starts, sentence):
    lists, items = np.array([[1, 2], [3, 4]]), np.array([1, 2, 3])
    with pytest.raises(InputError, match=sentence):
        per_user_recall(lists, np.array(starts), items, ks=[1], repeats=False)
