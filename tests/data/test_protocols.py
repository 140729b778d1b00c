"""Protocols: by hand, and what must hold of any: nothing that is asked has been learnt from."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thresher.data.events import Events
from thresher.data.protocols import (
    asked,
    by_time,
    by_users,
    checked,
    examples,
    leave_one_out,
)
from thresher.data.sequences import Sequences, bounds
from thresher.errors import InputError

SHARES = {"train": 0.6, "validation": 0.2, "test": 0.2}


def events(times, weights=None):
    """Events of some users, a list of ascending times each; every event is its own item."""
    counts = np.array([len(one) for one in times], dtype=np.int64)
    size = int(counts.sum())
    return Events(
        users=pa.array([f"u{n}" for n in range(len(times))]),
        catalogue=pa.array([str(n) for n in range(size)]),
        sequences=Sequences(bounds(counts), np.arange(size, dtype=np.int64)),
        times=np.array([moment for one in times for moment in one], dtype=np.int64),
        weights=np.array(weights or [1] * size, dtype=np.float32),
        findings=(),
    )


def cut(data, protocol, *, shares=SHARES, known=0.8, seed=0):
    counts = data.sequences.counts()
    if protocol == "users":
        return by_users(counts, shares=shares, known=known, seed=seed)
    if protocol == "last":
        return leave_one_out(counts)
    return by_time(data.sequences, data.times, shares=shares)


def rows(sequences):
    pairs = zip(sequences.starts[:-1], sequences.starts[1:], strict=True)
    return [sequences.items[start:end].tolist() for start, end in pairs]


def test_leave_one_out_by_hand():
    # users of 4, 2 and 1 events: items 0-3, 4-5, 6
    data = events([[1, 2, 3, 4], [1, 2], [1]])
    split = leave_one_out(data.sequences.counts())
    learnt = examples(data, split.train)
    assert rows(learnt.sequences) == [[0, 1]]
    assert (learnt.users.tolist(), learnt.targets.tolist()) == ([0], [1])
    validation, said = asked(data, split.validation, "validation")
    assert validation.users.to_pylist() == ["u0"]
    assert (rows(validation.histories), rows(validation.targets)) == ([[0, 1]], [[2]])
    # u1's last but one is its first: nothing is known before it. u2 has no last but one.
    assert said == ["validation: 1 user without a history left out"]
    test, said = asked(data, split.test, "test")
    assert test.users.to_pylist() == ["u0", "u1"]
    assert (rows(test.histories), rows(test.targets)) == ([[0, 1, 2], [4]], [[3], [5]])
    assert said == ["test: 1 user without a history left out"]


def test_time_by_hand():
    # All ten times in turn: 1 1 2 3 4 | 5 5 6 | 7 9. T1 = the 5th = 4, T2 = the 8th = 6.
    data = events([[1, 2, 5, 7], [1, 3, 6], [4, 9], [5]])
    split = by_time(
        data.sequences, data.times, shares={"train": 0.5, "validation": 0.3, "test": 0.2}
    )
    assert split.train.tolist() == [2, 2, 1, 0]
    learnt = examples(data, split.train)
    assert rows(learnt.sequences) == [[0, 1], [4, 5], [7]]
    assert (learnt.users.tolist(), learnt.items().tolist()) == ([0, 1], [1, 5])
    validation, said = asked(data, split.validation, "validation")
    assert (rows(validation.histories), rows(validation.targets)) == ([[0, 1], [4, 5]], [[2], [6]])
    assert said == [
        "validation: 1 user without a history left out",
        "validation: 1 user without a target left out",
    ]
    test, said = asked(data, split.test, "test")
    assert (rows(test.histories), rows(test.targets)) == ([[0, 1, 2], [7]], [[3], [8]])
    assert said == ["test: 2 users without a target left out"]


def test_equal_times_stay_together():
    data = events([[1, 1], [1, 2]])
    split = by_time(data.sequences, data.times, shares={"train": 0.25, "test": 0.75})
    # the cut falls on the first of three events at time 1, and takes all of them
    assert split.train.tolist() == [2, 1]


@pytest.mark.parametrize(
    ("size", "shares", "sizes"),
    [
        (10, {"train": 0.8, "validation": 0.1, "test": 0.1}, (8, 1, 1)),
        (10, {"train": 0.7, "validation": 0.2, "test": 0.1}, (7, 2, 1)),
        # as ComiRec: the cuts are at int(.8 n) and int(.9 n)
        (19, {"train": 0.8, "validation": 0.1, "test": 0.1}, (15, 2, 2)),
        (3, {"train": 0.5, "test": 0.5}, (1, 0, 2)),
        (3, {"train": 0.5, "validation": 0.5}, (1, 2, 0)),
        (3, {"train": 1.0}, (3, 0, 0)),
    ],
)
def test_users_are_cut_by_the_shares(size, shares, sizes):
    split = by_users(np.full(size, 5), shares=shares, known=0.8, seed=3)
    ends = (split.train, split.validation.end, split.test.end)
    assert tuple(int((end > 0).sum()) for end in ends) == sizes
    assert sum(ends).tolist() == [5] * size


@pytest.mark.parametrize(
    ("count", "known", "history"),
    [(2, 0.8, 1), (5, 0.8, 4), (9, 0.8, 7), (10, 0.7, 7), (100, 0.29, 29), (2, 0.4, 0)],
)
def test_the_history_of_an_asked_user_is_the_floor(count, known, history):
    # 10 * .7 and 100 * .29 are a hair under 7 and 29 in floating point
    split = by_users(np.array([count]), shares={"train": 0.5, "test": 0.5}, known=known, seed=0)
    assert split.test.known.tolist() == [history]


def test_the_seed_chooses_the_users():
    counts = np.full(100, 5)
    one, same, other = (
        by_users(counts, shares=SHARES, known=0.8, seed=seed).train.tolist() for seed in (1, 1, 2)
    )
    assert one == same
    assert one != other


def test_an_event_of_no_weight_is_no_target_but_known():
    data = events([[1, 2, 3], [1, 2, 3], [1, 2]], weights=[1, 0, 2, 1, 2, 0, 1, 0])
    learnt = examples(data, np.array([3, 3, 0]))
    assert rows(learnt.sequences) == [[0, 1, 2], [3, 4, 5]]
    assert learnt.targets.tolist() == [2, 4]
    assert learnt.weights.tolist() == [2, 2]
    split = leave_one_out(data.sequences.counts())
    test, said = asked(data, split.test, "test")
    assert (rows(test.histories), rows(test.targets)) == ([[0, 1]], [[2]])
    assert said == ["test: 2 users without a target left out"]


@given(
    times=st.lists(
        st.lists(st.integers(0, 12), min_size=1, max_size=6).map(sorted), min_size=1, max_size=8
    ),
    protocol=st.sampled_from(["users", "last", "time"]),
    known=st.sampled_from([0.3, 0.5, 0.8]),
    seed=st.integers(0, 5),
)
@settings(max_examples=200, deadline=None)
def test_nothing_that_is_asked_has_been_learnt_from(times, protocol, known, seed):
    data = events(times)
    split = cut(data, protocol, known=known, seed=seed)
    owner = np.repeat(np.arange(len(times)), data.sequences.counts())
    learnt = examples(data, split.train)
    trained = set(learnt.sequences.items.tolist())  # each event is an item of its own
    targets, histories, accounted = {}, {}, set(trained)
    for name, span in (("validation", split.validation), ("test", split.test)):
        found, _ = asked(data, span, name)
        assert (found.histories.counts() > 0).all()
        assert (found.targets.counts() > 0).all()
        targets[name] = set(found.targets.items.tolist())
        histories[name] = set(found.histories.items.tolist())
        accounted |= targets[name] | histories[name]
        assert not targets[name] & histories[name]
        assert not targets[name] & trained
        for history, target in zip(rows(found.histories), rows(found.targets), strict=True):
            # one user, all the events in turn
            assert len(set(owner[history + target])) == 1
            assert history + target == list(range(history[0], target[-1] + 1))
            assert history[0] == data.sequences.starts[owner[history[0]]]
    assert not targets["validation"] & targets["test"]
    # every event but the first of a user is an example
    assert set(learnt.items().tolist()) == trained - set(data.sequences.starts[:-1].tolist())
    assert learnt.users.tolist() == [
        sorted(set(owner[sorted(trained)])).index(owner[item]) for item in learnt.items()
    ]
    if protocol == "users":
        groups = [set(owner[list(g)]) for g in (trained, *targets.values())]
        assert not groups[0] & groups[1]
        assert not groups[0] & groups[2]
        assert not groups[1] & groups[2]
        assert not trained & (histories["validation"] | histories["test"])
    if protocol == "time" and trained:
        latest = data.times[list(trained)].max()
        assert all(data.times[item] > latest for item in targets["validation"] | targets["test"])
        assert all(
            data.times[item] > data.times[before]
            for item in targets["test"]
            for before in targets["validation"] | histories["test"]
        )
    # what is in no set belongs to users who cannot be asked
    left = set(range(len(owner))) - accounted
    for item in left:
        mine = owner[item]
        spans = (split.validation, split.test)
        assert all(
            span.known[mine] == 0 or span.end[mine] == span.known[mine] or span.end[mine] <= item
            for span in spans
            if item >= split.train[mine]
        )


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        ({"train": 0.8, "calibration": 0.2}, r"name 'calibration'; they are those of train, val"),
        ({"validation": 0.1, "test": 0.1}, r"train 0, validation 0.1, test 0.1, which sum to 0.2"),
        ({"train": 1.2, "test": -0.2}, r"test -0.2, which sum to 1; they must be 0 or more"),
        ({"train": 0.0, "test": 1.0}, r"that of train above 0"),
    ],
)
def test_shares_that_are_refused(shares, said):
    with pytest.raises(InputError, match=said):
        checked(shares)
