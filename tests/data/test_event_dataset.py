"""A dataset of events: who is trained on, who is evaluated, and after which history."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from thresher.data import SPLITS, DataOptions, bundled, dataset_of, load_dataset
from thresher.data.dataset import history_queries
from thresher.errors import InputError

ITEMS = "id,title,shelf\na,red mug,cups\nb,blue mug,cups\nc,teapot,pots\n"
# Two users of four events, one of two, one of one.
EVENTS = "user_id,item_id,timestamp\n" + "".join(
    f"{user},{item},{time}\n"
    for user, list_ in (("u", "abca"), ("v", "bcab"), ("w", "ab"), ("x", "a"))
    for time, item in enumerate(list_)
)
LAST = DataOptions(events="events.csv", items="items.csv", protocol="last")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "events.csv").write_text(EVENTS)
    (tmp_path / "items.csv").write_text(ITEMS)
    return tmp_path


def many(**options):
    """Twenty users u0, u1, ... of five events: user n has the items n, n + 1, ... of six."""
    rows = [(f"u{n}", f"i{(n + t) % 6}", t) for n in range(20) for t in range(5)]
    users, items, times = (list(column) for column in zip(*rows, strict=True))
    events = pa.table({"user_id": users, "item_id": items, "timestamp": times})
    tables = {"items": pa.table({"id": [f"i{n}" for n in range(6)]}), "events": events}
    given = {name: options.pop(name) for name in ("queries",) if name in options}
    return dataset_of(DataOptions(**options), **tables, **given)


def lists(part):
    """For each query: its user, the items it had, and what came next, as rows."""
    histories, targets = part.queries.histories.sequences(), part.targets
    assert targets.relation(part.truth.columns).pairs().tolist() == part.truth.pairs().tolist()
    return [
        (
            user,
            histories.items[histories.starts[n] : histories.starts[n + 1]].tolist(),
            targets.items[targets.starts[n] : targets.starts[n + 1]].tolist(),
        )
        for n, user in enumerate(part.queries.ids.to_pylist())
    ]


def trained(part):
    """For each training query: its user, the items it had, and its true item, as rows."""
    histories = part.queries.histories.sequences()
    assert (part.truth.counts() == 1).all()
    return [
        (user, histories.items[histories.starts[n] : histories.starts[n + 1]].tolist(), item)
        for n, (user, item) in enumerate(
            zip(part.queries.ids.to_pylist(), part.truth.indices.tolist(), strict=True)
        )
    ]


def test_events_from_files(folder):
    data = load_dataset(LAST, folder)
    assert data.items.column_names == ["id", "title", "shelf"]
    assert (data.item_text, data.query_text) == (("title",), ())
    # leave one out: of u a b and v b c the second is trained on; w and x have nothing left
    assert trained(data.part("train")) == [("u", [0], 1), ("v", [1], 2)]
    assert data.part("train").groups.tolist() == [0, 1]
    assert data.item_counts().tolist() == [0, 1, 1]
    assert lists(data.part("validation")) == [("u", [0, 1], [2]), ("v", [1, 2], [0])]
    assert len(data.part("calibration")) == 0
    assert lists(data.part("test")) == [
        ("u", [0, 1, 2], [0]),
        ("v", [1, 2, 0], [1]),
        ("w", [0], [1]),
    ]
    assert data.findings == (
        "1 user with fewer than 2 events left out",
        "validation: 1 user without a history left out",
    )
    for name in SPLITS:
        assert (data.part(name).queries.table, data.part(name).queries.rows) == (None, None)
        assert len(data.part(name).ignored.indices) == 0


def test_without_items_the_catalogue_is_what_the_events_name(folder):
    data = load_dataset(replace(LAST, items=None), folder)
    assert data.items.to_pydict() == {"id": ["a", "b", "c"]}
    assert (data.item_text, data.items_path[-10:]) == ((), "events.csv")


def test_items_without_an_event_stay(folder):
    (folder / "items.csv").write_text(ITEMS + "d,bowl,cups\n")
    data = load_dataset(LAST, folder)
    assert data.item_counts().tolist() == [0, 1, 1, 0]
    assert data.sizes()["items_never_in_training"] == 2


def test_users_are_kept_apart():
    data = many()
    # 16 train, on all but their first event; 2 and 2 are evaluated, 4 of their 5 known
    assert [len(data.part(name)) for name in SPLITS] == [64, 2, 0, 2]
    users = [set(data.part(name).queries.ids.to_pylist()) for name in SPLITS]
    assert sum(map(len, users)) == len(set.union(*users)) == 20
    for user, history, item in trained(data.part("train")):
        n = int(user[1:])
        assert history == [(n + t) % 6 for t in range(len(history))]
        assert item == (n + len(history)) % 6
    for name in ("validation", "test"):
        for user, history, targets in lists(data.part(name)):
            n = int(user[1:])
            assert (history, targets) == ([(n + t) % 6 for t in range(4)], [(n + 4) % 6])
    assert lists(data.part("test").first(1)) == lists(data.part("test"))[:1]
    shares = {"train": 0.5, "validation": 0.1, "calibration": 0.3, "test": 0.1}
    calibrated = many(shares=shares)
    assert [len(calibrated.part(name)) for name in SPLITS] == [40, 2, 6, 2]


def test_each_protocol_of_events():
    # of each user's 5 events 3 are trained on, 2 of them targets; all are asked for one
    last = many(protocol="last")
    assert [len(last.part(name)) for name in SPLITS] == [40, 20, 0, 20]
    shares = {"train": 0.6, "validation": 0.2, "test": 0.2}
    time = many(protocol="time", shares=shares)
    assert [len(time.part(name)) for name in SPLITS] == [40, 20, 0, 20]


def test_users_may_have_columns_and_need_not_stand_in_their_table():
    ids = [f"u{n}" for n in reversed(range(10))]
    users = pa.table({"id": ids, "age": [str(n) for n in reversed(range(10))]})
    data = many(queries=users)
    for name in ("train", "validation", "test"):
        queries = data.part(name).queries
        numbers = [int(user[1:]) for user in queries.ids.to_pylist()]
        assert queries.rows.tolist() == [9 - n if n < 10 else -1 for n in numbers]
        assert queries.column("age") == [str(n) if n < 10 else None for n in numbers]
        assert queries.text(("age",)) == [str(n) if n < 10 else "" for n in numbers]
    assert data.query_text == ()
    assert many(queries=users, query_text=("age",)).query_text == ("age",)


def test_fewer_examples_lie_within_more_and_histories_stay_whole():
    found = [many(train_share=share).part("train") for share in (0.1, 0.25, 1.0)]
    assert [len(part) for part in found] == [6, 16, 64]
    examples = [{(user, tuple(had), item) for user, had, item in trained(part)} for part in found]
    assert examples[0] < examples[1] < examples[2]


def test_weights_say_how_often_an_example_is_drawn(folder):
    text = "user_id,item_id,timestamp,weight\nu,a,1,1\nu,b,2,3\nu,c,3,0\nu,a,4,0.5\nu,b,5,1\n"
    (folder / "events.csv").write_text(text + "u,a,6,1\n")
    part = load_dataset(LAST, folder).part("train")
    # c is history alone; the last two events are those of validation and test
    assert trained(part) == [("u", [0], 1), ("u", [0, 1, 2], 0)]
    assert part.sample_weight.tolist() == [3.0, 0.5]
    assert part.take(np.array([1])).sample_weight.tolist() == [0.5]


def test_repeats_kinds_and_few_events_reach_the_events(folder):
    text = (
        "user_id,item_id,timestamp,event\nu,a,1,see\nu,a,2,buy\nu,b,3,buy\nu,b,4,buy\nu,c,5,buy\n"
    )
    (folder / "events.csv").write_text(text + "u,a,6,buy\n")
    options = replace(LAST, event_kinds=("buy",), repeated_events="merge")
    assert lists(load_dataset(options, folder).part("test")) == [("u", [0, 1, 2], [0])]
    with pytest.raises(InputError, match="no user has 5 events"):
        load_dataset(replace(options, min_events=5), folder)


def test_columns_of_events_are_renamed():
    events = pa.table({"who": ["u"] * 3, "sku": ["b", "a", "c"], "day": [2, 1, 3]})
    items = pa.table({"sku": ["a", "b", "c"]})
    columns = {"user_id": "who", "item_id": "sku", "timestamp": "day"}
    options = DataOptions(protocol="last", columns=columns)
    data = dataset_of(options, items=items, events=events)
    assert lists(data.part("test")) == [("u", [0, 1], [2])]


def test_timestamps_of_any_type():
    days = ["2020-01-02", "2020-01-01", "2020-01-03"]
    for kind in (pa.dictionary(pa.int8(), pa.string()), pa.string_view(), pa.large_string()):
        events = pa.table(
            {
                "user_id": pa.array(["u"] * 3).dictionary_encode(),
                "item_id": pa.array([2, 1, 3]),
                "timestamp": pa.array(days).cast(kind),
            }
        )
        data = dataset_of(DataOptions(protocol="last"), events=events)
        assert lists(data.part("test")) == [("u", [0, 1], [2])]


# Users who come later.


def test_the_histories_of_users_who_come_later():
    items = pa.table({"id": ["a", "b", "c"]})
    events = pa.table(
        {
            "user_id": ["v", "u", "u", "u", "w"],
            "item_id": ["a", "c", "zz", "b", "zz"],
            "timestamp": [1, 5, 2, 1, 1],
        }
    )
    users = pa.table({"id": ["u"], "age": ["9"]})
    queries, findings = history_queries(events, DataOptions(), items=items, users=users)
    assert queries.ids.to_pylist() == ["u", "v"]
    assert queries.histories.sequences().items.tolist() == [1, 2, 0]
    assert queries.column("age") == ["9", None]
    assert findings == (
        "the table of events: 1 item is not in the catalogue, named by 2 events left out",
        "1 event not in the order of time, sorted",
    )
    with pytest.raises(InputError, match=r"has 5 rows, none of them an event with a user and an"):
        history_queries(events, DataOptions(), items=pa.table({"id": ["q"]}))


# What is refused.


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"events": "event.csv"}, r"no file .*event.csv; did you mean events.csv"),
        ({"item_text": ("titles",)}, r"no column 'titles'.*did you mean 'title'"),
        ({"items": None, "item_text": ("title",)}, r"events.csv has no column 'title'; it has id"),
        ({"query_text": ("name",)}, r"has no column 'name'"),
    ],
)
def test_what_is_refused(folder, changed, words):
    with pytest.raises(InputError, match=words):
        load_dataset(replace(LAST, **changed), folder)


@pytest.mark.parametrize(
    ("items", "words"),
    [
        ("id\na\nb\nc\na\n", r"1 id stands on several rows \(such as 'a'\)"),
        ("id,title\na,x\n,y\nb,z\nc,z\n", r"items.csv: 1 row has no id"),
        ("id\n", r"3 items are not in the catalogue"),
        ("id\na\nc\n", r"1 item is not in the catalogue, named by 4 events \(such as 'b'\)"),
        ("name\na\n", r"no column 'id'"),
    ],
)
def test_items_that_are_refused(folder, items, words):
    (folder / "items.csv").write_text(items)
    with pytest.raises(InputError, match=words):
        load_dataset(LAST, folder)


def test_online_retail_has_what_its_readme_counts():
    at = bundled("online-retail")
    rows = {name: pq.read_metadata(at / f"{name}.parquet").num_rows for name in ("items", "events")}
    assert rows == {"items": 3659, "events": 386_278}
    readme = (at / "README.md").read_text()
    assert all(f"{number:,}" in readme for number in rows.values())
    data = load_dataset(DataOptions(bundled="online-retail"))
    assert data.items["title"].null_count == 0
    assert data.findings == ("75 users with fewer than 2 events left out",)
    # 4,335 users but 75: 4,260, of whom int(.8 x) are trained on and a tenth each is evaluated
    assert len(np.unique(data.part("train").groups)) == 3408
    assert [len(data.part(name)) for name in SPLITS[1:]] == [426, 0, 426]
