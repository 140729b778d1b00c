"""Protocols: by hand, and what must hold of any: nothing that is asked has been learnt from."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thresher.data.events import Events
from thresher.data.protocols import by_time, by_users, evaluated, examples, leave_one_out
from thresher.data.sequences import Sequences, bounds
from thresher.data.split import SPLITS

SHARES = {"train": 0.6, "validation": 0.2, "test": 0.2}
WITH_CALIBRATION = {"train": 0.5, "validation": 0.1, "calibration": 0.2, "test": 0.2}


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
        return by_users(counts, shares=shares, history_share=known, seed=seed)
    if protocol == "last":
        return leave_one_out(counts, shares=shares, seed=seed)
    return by_time(data.sequences, data.times, shares=shares)


def asked(data, span, name):
    found, findings = evaluated(data, span, name)
    return found, data.users.take(pa.array(found.users)).to_pylist(), [f.meaning for f in findings]


def rows(sequences):
    pairs = zip(sequences.starts[:-1], sequences.starts[1:], strict=True)
    return [sequences.items[start:end].tolist() for start, end in pairs]


def trained(data, train):
    """The targets and histories of the training examples."""
    found = examples(data, train)
    histories = [found.items[a:b].tolist() for a, b in zip(found.first, found.target, strict=True)]
    return found.items[found.target].tolist(), histories


def test_leave_one_out_by_hand():
    # users of 4, 2 and 1 events: items 0-3, 4-5, 6
    data = events([[1, 2, 3, 4], [1, 2], [1]])
    split = cut(data, "last")
    assert trained(data, split.train) == ([1], [[0]])
    validation, users, said = asked(data, split.spans["validation"], "validation")
    assert users == ["u0"]
    assert (rows(validation.histories), rows(validation.targets)) == ([[0, 1]], [[2]])
    # u1's last but one is its first: nothing is known before it. u2 has no last but one.
    assert said == ["validation: 1 user without a history left out"]
    test, users, said = asked(data, split.spans["test"], "test")
    assert users == ["u0", "u1"]
    assert (rows(test.histories), rows(test.targets)) == ([[0, 1, 2], [4]], [[3], [5]])
    assert said == ["test: 1 user without a history left out"]
    assert list(split.spans) == ["validation", "test"]


def test_the_last_events_of_some_users_may_be_for_calibration():
    counts = np.full(10, 3)
    spans = leave_one_out(counts, shares=WITH_CALIBRATION | {"calibration": 0.06}, seed=0).spans
    # 0.06 to 0.2: 3 / 13 of ten users are 2.3
    mine, others = spans["calibration"].end > 0, spans["test"].end > 0
    assert (int(mine.sum()), int(others.sum())) == (2, 8)
    assert not (mine & others).any()
    assert spans["calibration"].known[mine].tolist() == [2, 2]
    assert spans["validation"].end.tolist() == [2] * 10


def test_time_by_hand():
    # All ten times in turn: 1 1 2 3 4 | 5 5 6 | 7 9. T1 = the 5th = 4, T2 = T3 = the 8th = 6.
    data = events([[1, 2, 5, 7], [1, 3, 6], [4, 9], [5]])
    split = cut(data, "time", shares={"train": 0.5, "validation": 0.3, "test": 0.2})
    assert split.train.tolist() == [2, 2, 1, 0]
    assert trained(data, split.train) == ([1, 5], [[0], [4]])
    validation, _, said = asked(data, split.spans["validation"], "validation")
    assert (rows(validation.histories), rows(validation.targets)) == ([[0, 1], [4, 5]], [[2], [6]])
    assert said == [
        "validation: 1 user without a history left out",
        "validation: 1 user without a target left out",
    ]
    test, _, said = asked(data, split.spans["test"], "test")
    assert (rows(test.histories), rows(test.targets)) == ([[0, 1, 2], [7]], [[3], [8]])
    assert said == ["test: 2 users without a target left out"]


def test_calibration_lies_between_validation_and_test_in_time():
    data = events([[1, 2, 3, 4, 5]])
    shares = {"train": 0.4, "validation": 0.2, "calibration": 0.2, "test": 0.2}
    spans = cut(data, "time", shares=shares).spans
    found = {name: asked(data, span, name)[0] for name, span in spans.items()}
    assert {name: (rows(f.histories), rows(f.targets)) for name, f in found.items()} == {
        "validation": ([[0, 1]], [[2]]),
        "calibration": ([[0, 1, 2]], [[3]]),
        "test": ([[0, 1, 2, 3]], [[4]]),
    }


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
        (10, WITH_CALIBRATION, (5, 1, 2, 2)),
    ],
)
def test_users_are_cut_by_the_shares(size, shares, sizes):
    split = by_users(np.full(size, 5), shares=shares, history_share=0.8, seed=3)
    assert list(split.spans) == [name for name in SPLITS[1:] if name in shares]
    ends = [split.train, *(span.end for span in split.spans.values())]
    assert [int((end > 0).sum()) for end in ends] == [size for size in sizes if size]
    assert sum(ends).tolist() == [5] * size


@pytest.mark.parametrize(
    ("count", "known", "history"),
    [(2, 0.8, 1), (5, 0.8, 4), (9, 0.8, 7), (10, 0.7, 7), (100, 0.29, 29), (2, 0.4, 0)],
)
def test_the_history_of_an_evaluated_user_is_the_floor(count, known, history):
    # 10 * .7 and 100 * .29 are a hair under 7 and 29 in floating point
    shares = {"train": 0.5, "test": 0.5}
    split = by_users(np.array([count]), shares=shares, history_share=known, seed=0)
    assert split.spans["test"].known.tolist() == [history]


def test_the_seed_chooses_the_users():
    counts = np.full(100, 5)
    one, same, other = (
        by_users(counts, shares=SHARES, history_share=0.8, seed=seed).train.tolist()
        for seed in (1, 1, 2)
    )
    assert one == same
    assert one != other


def test_an_event_of_no_weight_is_no_target_but_known():
    data = events([[1, 2, 3], [1, 2, 3], [1, 2]], weights=[1, 0, 2, 1, 2, 0, 1, 0])
    train = np.array([3, 3, 0])
    assert trained(data, train) == ([2, 4], [[0, 1], [3]])
    assert examples(data, train).weights.tolist() == [2, 2]
    test, _, said = asked(data, cut(data, "last").spans["test"], "test")
    assert (rows(test.histories), rows(test.targets)) == ([[0, 1]], [[2]])
    assert said == ["test: 2 users without a target left out"]


@given(
    times=st.lists(
        st.lists(st.integers(0, 12), min_size=1, max_size=6).map(sorted), min_size=1, max_size=8
    ),
    protocol=st.sampled_from(["users", "last", "time"]),
    shares=st.sampled_from([SHARES, WITH_CALIBRATION]),
    known=st.sampled_from([0.3, 0.5, 0.8]),
    seed=st.integers(0, 5),
)
@settings(max_examples=200, deadline=None)
def test_nothing_that_is_evaluated_was_trained_on(times, protocol, shares, known, seed):
    data = events(times)
    split = cut(data, protocol, shares=shares, known=known, seed=seed)
    owner = np.repeat(np.arange(len(times)), data.sequences.counts())
    own_first = data.sequences.starts[:-1]
    goals, had = trained(data, split.train)
    learnt = {item for user, n in enumerate(split.train) for item in own_first[user] + range(n)}
    # every event but the first of a user is an example, after all that this user did before
    assert set(goals) == learnt - set(own_first)
    for goal, history in zip(goals, had, strict=True):
        assert history == list(range(own_first[owner[goal]], goal))
    targets, histories = {}, {}
    for name, span in split.spans.items():
        found, users, _ = asked(data, span, name)
        targets[name] = {item for row in rows(found.targets) for item in row}
        histories[name] = {item for row in rows(found.histories) for item in row}
        assert not targets[name] & (histories[name] | learnt)
        for user, history, target in zip(
            users, rows(found.histories), rows(found.targets), strict=True
        ):
            # all the events of this user in turn, some on either side
            first = int(own_first[int(user[1:])])
            assert history + target == list(range(first, target[-1] + 1))
            assert history
            assert target
    names = list(targets)
    for at, name in enumerate(names):
        assert not any(targets[name] & targets[later] for later in names[at + 1 :])
    if protocol == "users":
        groups = [{owner[i] for i in learnt}]
        groups += [{owner[i] for i in targets[name] | histories[name]} for name in names]
        assert sum(map(len, groups)) == len(set().union(*groups))
    if protocol == "time":
        earlier = learnt
        for name in names:
            if earlier and targets[name]:
                first = min(data.times[item] for item in targets[name])
                assert max(data.times[item] for item in earlier) < first
            earlier = earlier | targets[name] | histories[name]
