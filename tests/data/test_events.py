"""Events: every rule by hand, all rules against a slow oracle, every mistake with its place."""

import datetime
import gzip
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oracles.histories import Event, sequences
from thresher.data import read_table, write_table
from thresher.data.events import events_of
from thresher.errors import InputError

HEAD = "user_id,item_id,timestamp\n"


def read_events(path, **options):
    return events_of(read_table(path), path, **options)


def said(events):
    return [finding.meaning for finding in events.findings]


@pytest.fixture
def events(tmp_path):
    """Reads events from text, as a file of this name."""

    def read(text, name="events.csv", **options):
        (tmp_path / name).write_text(text)
        return read_events(tmp_path / name, **options)

    return read


def items(events):
    """For each user: the ids of the items in turn."""
    names = events.catalogue.to_pylist()
    starts = events.sequences.starts
    return {
        user: "".join(names[row] for row in events.sequences.items[starts[u] : starts[u + 1]])
        for u, user in enumerate(events.users.to_pylist())
    }


def test_events_are_sorted_by_time_and_ties_stay_as_in_the_file(events):
    # u has times 3 1 2 2: place 2, then 3 and 4 as they stand, then 1. Times fall once for u, from
    # the first row to the second; v is in order.
    found = events(HEAD + "u,a,3\nv,b,9\nu,d,1\nu,c,2\nu,b,2\nv,a,10\n")
    assert items(found) == {"u": "dcba", "v": "ba"}
    assert found.times.tolist() == [1, 2, 2, 3, 9, 10]
    assert found.weights.tolist() == [1] * 6
    assert said(found) == ["1 event not in the order of time, sorted"]


def test_a_table_in_order_has_no_findings(events):
    assert events(HEAD + "u,a,1\nu,a,2\nv,a,1\n").findings == ()


def test_exact_duplicates_count_once_with_the_largest_weight(events):
    head = "user_id,item_id,timestamp,weight\n"
    found = events(head + "u,a,1,0\nu,b,1,1\nu,a,1,2.5\nu,a,2,1\nv,a,1,1\n")
    assert items(found) == {"u": "aba", "v": "a"}
    assert found.weights.tolist() == [2.5, 1, 1, 1]
    assert said(found) == ["1 event listed twice, counted once"]


def test_repeats_in_a_row_are_kept_or_merged(events):
    text = HEAD + "u,a,1\nu,a,2\nu,b,3\nu,a,4\nu,a,5\nu,a,6\nv,a,1\n"
    assert items(events(text)) == {"u": "aabaaa", "v": "a"}
    merged = events(text, repeated_events="merge")
    # u ends with a and v begins with it: they stay two events
    assert items(merged) == {"u": "aba", "v": "a"}
    assert merged.times.tolist() == [1, 3, 4, 1]
    assert said(merged) == ["3 events of the same item as just before, merged"]


def test_rows_without_user_or_item_are_left_out(events):
    found = events(HEAD + "u,a,1\n,a,2\nu,,3\n,,never\nu,b,4\n")
    assert items(found) == {"u": "ab"}
    assert said(found) == ["2 rows without user_id left out", "1 row without item_id left out"]


def test_users_with_too_few_events_are_left_out_and_their_items_stay(events):
    found = events(HEAD + "u,a,1\nu,b,2\nv,c,1\n", min_events=2)
    assert items(found) == {"u": "ab"}
    assert found.catalogue.to_pylist() == ["a", "b", "c"]
    assert said(found) == ["1 user with fewer than 2 events left out"]


def test_kinds_of_events(events):
    text = "user_id,item_id,timestamp,event\nu,a,1,view\nu,b,oops,cart\nu,c,3,buy\n"
    found = events(text, event_kinds=("view", "buy"))
    assert items(found) == {"u": "ac"}
    assert said(found) == ["1 event of another kind than view, buy left out"]
    with pytest.raises(InputError, match=r"no event 'sell'; it has buy, cart, view"):
        events(text, event_kinds=("sell",))
    with pytest.raises(InputError, match=r"no column 'event'"):
        events(HEAD + "u,a,1\n", event_kinds=("buy",))


def test_a_catalogue_gives_the_rows_and_keeps_cold_items(events):
    found = events(HEAD + "u,b,1\nu,a,2\n", catalogue=pa.array(["z", "b", "a"]))
    assert found.sequences.items.tolist() == [1, 2]
    assert found.catalogue.to_pylist() == ["z", "b", "a"]
    text, catalogue = HEAD + "u,y,1\nu,a,2\nu,x,3\nu,x,4\n", pa.array(["a"])
    words = r"2 items are not in the catalogue, named by 3 events \(such as 'x', 'y'\); add them"
    with pytest.raises(InputError, match=words):
        events(text, catalogue=catalogue)
    lenient = events(text, catalogue=catalogue, strict=False)
    assert items(lenient) == {"u": "a"}
    assert said(lenient)[0].endswith("2 items are not in the catalogue, named by 3 events left out")


DAY = 86_400_000_000  # microseconds


@pytest.mark.parametrize(
    ("early", "late", "apart"),
    [
        ("-5", "7", 12),
        ("1.5", "1e3", 998.5),
        ("2011-12-09", "2011-12-10", DAY),
        ("2011-12-09", "2011-12-09 12:00", DAY / 2),
        ("2011-12-09T08:26:00.5", "2011-12-09T08:26:01", 500_000),
        ("2011-12-09T08:00:00+02:00", "2011-12-09T08:00:00Z", DAY / 12),
        # nanoseconds, so that the unit is one
        ("2011-12-09T08:26:00.123456788", "2011-12-09T08:26:00.123456789", 1),
        ("2011-12-09T08:26:00.123456789Z", "2011-12-09T08:26:01.123456789Z", 1_000_000_000),
        # numbers that a float cannot tell apart
        ("1700000000000000001", "1700000000000000002", 1),
    ],
)
def test_times_in_text(events, early, late, apart):
    found = events(HEAD + f"u,b,{late}\nu,a,{early}\n")
    assert items(found) == {"u": "ab"}
    assert found.times[1] - found.times[0] == apart


@pytest.mark.parametrize(
    ("kind", "apart"),
    [
        (pa.int32(), 1),
        (pa.float32(), 1),
        (pa.date32(), DAY),
        (pa.timestamp("s"), 1),
        (pa.timestamp("ns", "Europe/Berlin"), 1),
    ],
)
def test_times_in_parquet(tmp_path, kind, apart):
    path = tmp_path / "events.parquet"
    times = pa.array([5, 4], pa.int32() if kind != pa.timestamp("s") else pa.int64())
    if pa.types.is_timestamp(kind):
        times = times.cast(pa.int64())
    write_table(
        pa.table({"user_id": [7, 7], "item_id": ["b", "a"], "timestamp": times.cast(kind)}), path
    )
    found = read_events(path)
    assert items(found) == {"7": "ab"}
    # parquet has no seconds: they come back as milliseconds
    assert found.times[1] - found.times[0] == apart * (1000 if kind == pa.timestamp("s") else 1)


def test_times_in_json_lines(events):
    lines = '{"user_id": 1, "item_id": "b", "timestamp": "2011-12-09T08:26:01"}\n'
    lines += '{"user_id": 1, "item_id": "a", "timestamp": "2011-12-09T08:26:00"}\n'
    assert items(events(lines, "events.jsonl")) == {"1": "ab"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (HEAD + "u,a,1\nu,a,soon\n", r"events.csv, row 3: timestamp 'soon' is no timestamp; use"),
        (HEAD + "u,a,2011-12-09\nu,a,9.12.2011\n", r"row 3: timestamp '9.12.2011'"),
        # dates so far, so the number is what is wrong
        (HEAD + "u,a,2011-12-09\nv,a,2011-12-10\nu,a,7\n", r"row 4: timestamp '7'"),
        (HEAD + "u,a,7\nv,a,8\nu,a,2011-12-09\n", r"row 4: timestamp '2011-12-09'"),
        (HEAD + "u,a,2011-02-30\n", r"row 2: timestamp '2011-02-30'"),
        (HEAD + "u,a,1.5\nu,b,inf\n", r"row 3: timestamp 'inf'"),
        (HEAD + "u,a,\n", r"row 2: timestamp '' is no timestamp"),
        # rows that are left out count as rows of the file
        (HEAD + ",a,1\nu,a,1\nu,a,?\n", r"row 4: timestamp '\?'"),
        ("user_id,item_id,time\nu,a,1\n", r"no column 'timestamp' \(it has user_id, item_id, time"),
        ("user,item_id,timestamp\nu,a,1\n", r"no column 'user_id'.*did you mean 'user'"),
        (HEAD + ",a,1\nu,,2\n", r"has 2 rows, none of them an event"),
        (HEAD, r"has 0 rows"),
        (HEAD[:-1] + ",weight\nu,a,1,-1\n", r"row 2: weight '-1' is no weight; give a finite"),
        (HEAD[:-1] + ",weight\nu,a,1,1\nu,b,1,nan\n", r"row 3: weight 'nan'"),
        (HEAD[:-1] + ",weight\nu,a,1,1\nu,b,1,much\n", r"row 3: weight 'much'"),
    ],
)
def test_what_is_refused(events, text, words):
    with pytest.raises(InputError, match=words):
        events(text)


def test_missing_and_strange_values_of_parquet_are_refused(tmp_path):
    path = tmp_path / "events.parquet"
    table = pa.table({"user_id": ["u", "u"], "item_id": ["a", "b"], "timestamp": [1, None]})
    write_table(table, path)
    with pytest.raises(InputError, match=r"events.parquet, row 2: timestamp None"):
        read_events(path)
    whole = table.set_column(2, "timestamp", pa.array([True, False]))
    write_table(whole.append_column("weight", pa.array([1.0, 2.0])), path)
    with pytest.raises(InputError, match=r"row 1: timestamp True is no timestamp"):
        read_events(path)
    time = pa.array([datetime.time(8), datetime.time(9)])
    write_table(table.set_column(2, "timestamp", time), path)
    with pytest.raises(InputError, match=r"row 1: timestamp datetime.time\(8, 0\) is no"):
        read_events(path)


def test_nobody_with_enough_events(events):
    with pytest.raises(InputError, match=r"no user has 2 events; give longer"):
        events(HEAD + "u,a,1\nv,a,1\n", min_events=2)


def test_a_packed_file_that_is_cut_short(tmp_path):
    path = tmp_path / "events.csv.gz"
    whole = gzip.compress((HEAD + "".join(f"u,{n},{n}\n" for n in range(999))).encode())
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"cut short or damaged"):
        read_events(path)


@given(
    rows=st.lists(
        st.builds(
            Event,
            st.sampled_from("uvw"),
            st.sampled_from("abc"),
            st.integers(0, 4),
            st.sampled_from([0.0, 1.0, 2.0]),
        ),
        min_size=1,
        max_size=20,
    ),
    repeats=st.sampled_from(["keep", "merge"]),
    fewest=st.integers(1, 3),
)
@settings(max_examples=60, deadline=None)
def test_all_rules_at_once(rows, repeats, fewest):
    expected = sequences(rows, repeats=repeats, fewest=fewest)
    columns = list(zip(*rows, strict=True))
    names = ("user_id", "item_id", "timestamp", "weight")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.parquet"
        write_table(pa.table(dict(zip(names, map(list, columns), strict=True))), path)
        if not expected:
            with pytest.raises(InputError, match=r"no user has"):
                read_events(path, repeated_events=repeats, min_events=fewest)
            return
        found = read_events(path, repeated_events=repeats, min_events=fewest)
    flat = [event for mine in expected.values() for event in mine]
    assert items(found) == {u: "".join(e.item for e in es) for u, es in expected.items()}
    assert found.times.tolist() == [event.time for event in flat]
    assert found.weights.tolist() == [event.weight for event in flat]
    assert found.times.dtype == np.int64
