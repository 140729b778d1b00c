"""Histories: files to what is learnt and asked, and the set that ships."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from thresher.data import DataSpec, bundled, load_dataset, write_table
from thresher.data.history import HistorySpec, load_history
from thresher.errors import InputError

ITEMS = "id,title,shelf\na,red mug,cups\nb,blue mug,cups\nc,teapot,pots\n"
# Two users of four events, one of two, one of one.
EVENTS = "user_id,item_id,timestamp\n" + "".join(
    f"{user},{item},{time}\n"
    for user, list_ in (("u", "abca"), ("v", "bcab"), ("w", "ab"), ("x", "a"))
    for time, item in enumerate(list_)
)
SPEC = HistorySpec(events="events.csv", items="items.csv", protocol="last")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "events.csv").write_text(EVENTS)
    (tmp_path / "items.csv").write_text(ITEMS)
    return tmp_path


def test_a_history_from_files(folder):
    spec = replace(SPEC, item_text=("title",), item_categories=("shelf",))
    history = load_history(spec, folder)
    assert history.items.column_names == ["id", "title", "shelf"]
    assert (history.text_columns, history.category_columns) == (("title",), ("shelf",))
    # leave-one-out: u learns a b, v learns b c; w and x nothing
    assert history.train.sequences.items.tolist() == [0, 1, 1, 2]
    assert history.counts().tolist() == [1, 2, 1]
    assert history.validation.users.to_pylist() == ["u", "v"]
    assert history.test.users.to_pylist() == ["u", "v", "w"]
    assert history.test.targets.items.tolist() == [0, 1, 1]
    assert history.findings == (
        "1 user with fewer than 2 events left out",
        "validation: 1 user without a history left out",
    )


def test_without_items_the_catalogue_is_what_the_events_name(folder):
    history = load_history(replace(SPEC, items=None), folder)
    assert history.items.to_pydict() == {"id": ["a", "b", "c"]}
    assert (history.text_columns, history.category_columns) == ((), ())


def test_cold_items_stay(folder):
    (folder / "items.csv").write_text(ITEMS + "d,bowl,cups\n")
    assert load_history(SPEC, folder).counts().tolist() == [1, 2, 1, 0]


@pytest.mark.parametrize(
    "column",
    [
        pa.array([["cups", "red"], [], None], pa.list_(pa.string())),
        pa.array(["cups", None, "cups"]).dictionary_encode(),
    ],
)
def test_categories_are_text_or_lists_of_text(folder, column):
    write_table(pa.table({"id": ["a", "b", "c"], "kind": column}), folder / "items.parquet")
    spec = replace(SPEC, items="items.parquet", item_categories=("kind",))
    assert load_history(spec, folder).items["kind"].to_pylist() == column.to_pylist()


def test_each_protocol_is_chosen_by_its_name(folder):
    shares = {"train": 0.5, "test": 0.5}
    # 11 events but x's one: 10, at times 0 0 0 1 1 1 2 2 3 3; the 5th is at 1, so 6 are learnt from
    history = load_history(replace(SPEC, protocol="time", shares=shares), folder)
    assert len(history.train.sequences.items) == 6
    history = load_history(
        replace(SPEC, protocol="users", shares={"train": 0.4, "test": 0.6}, known=0.5), folder
    )
    assert (len(history.train.sequences), len(history.validation), len(history.test)) == (1, 0, 2)


def test_repeats_kinds_and_few_events_reach_the_events(folder):
    text = (
        "user_id,item_id,timestamp,event\nu,a,1,see\nu,a,2,buy\nu,b,3,buy\nu,b,4,buy\nu,c,5,buy\n"
    )
    (folder / "events.csv").write_text(text + "u,a,6,buy\n")
    spec = replace(SPEC, events_of_kind=("buy",), repeats="merge")
    history = load_history(spec, folder)
    assert history.test.histories.items.tolist() == [0, 1, 2]
    with pytest.raises(InputError, match="no user has 5 events"):
        load_history(replace(spec, fewest_events=5), folder)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"events": None}, r"names no file of events; name events, or bundled"),
        ({"bundled": "online-retail"}, r"both bundled = 'online-retail' and files"),
        ({"events": "event.csv"}, r"no file .*event.csv; did you mean events.csv"),
        ({"items": None, "item_text": ("title",)}, r"has no file of items; name one in items"),
        ({"item_text": ("titles",)}, r"no column 'titles'.*did you mean 'title'"),
        ({"item_categories": ("shelves",)}, r"no column 'shelves'"),
        (
            {"protocol": "users", "shares": {"train": 0.7, "validation": 0.1, "test": 0.2}},
            r"'users' leaves no user to ask in validation \(1 user with fewer than 2 events",
        ),
        # the first of ten events: one user of one event, who has nothing to learn from
        (
            {"protocol": "time", "shares": {"train": 0.01, "test": 0.99}},
            r"'time' leaves no event to learn from in train",
        ),
    ],
)
def test_what_is_refused(folder, changed, said):
    with pytest.raises(InputError, match=said):
        load_history(replace(SPEC, **changed), folder)


@pytest.mark.parametrize(
    ("items", "said"),
    [
        ("id\na\nb\nc\na\n", r"1 id stands on several rows \(such as 'a'\)"),
        ("id,title\na,x\n,y\n", r"has 2 items, 1 of them without an id"),
        ("id\n", r"has 0 items"),
        ("id\na\nc\n", r"1 item is not in the catalogue \(such as 'b'\), named by 4 events"),
        ("name\na\n", r"no column 'id'"),
    ],
)
def test_items_that_are_refused(folder, items, said):
    (folder / "items.csv").write_text(items)
    with pytest.raises(InputError, match=said):
        load_history(SPEC, folder)


def test_categories_of_numbers_are_refused(folder):
    write_table(pa.table({"id": ["a", "b", "c"], "kind": [1, 2, 3]}), folder / "items.parquet")
    with pytest.raises(InputError, match=r"column 'kind' holds int64; categories are text or"):
        load_history(replace(SPEC, items="items.parquet", item_categories=("kind",)), folder)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"known": 1.0}, r"known is 1.0; give the fraction"),
        ({"known": 0.0}, r"known is 0.0"),
        ({"fewest_events": 0}, r"fewest_events is 0; give 1 or more"),
        ({"shares": {"train": 0.8}}, r"which sum to 0.8"),
    ],
)
def test_options_that_are_refused(options, said):
    with pytest.raises(InputError, match=said):
        HistorySpec(**options)


def test_online_retail_has_what_its_readme_counts():
    at = bundled("online-retail")
    rows = {name: pq.read_metadata(at / f"{name}.parquet").num_rows for name in ("items", "events")}
    assert rows == {"items": 3659, "events": 386_278}
    readme = (at / "README.md").read_text()
    assert all(f"{number:,}" in readme for number in rows.values())
    assert sum(file.stat().st_size for file in at.iterdir()) < 1_200_000
    history = load_history(HistorySpec(bundled="online-retail", item_text=("title",)))
    assert history.items["title"].null_count == 0
    assert history.findings == ("75 users with fewer than 2 events left out",)
    # 4,335 customers but 75: 4,260, of whom int(.8 x) learn and a tenth each is asked
    assert len(history.train.sequences) == 3408
    assert (len(history.validation), len(history.test)) == (426, 426)
    # every event of a training user but the first
    assert len(history.train) == len(history.train.sequences.items) - 3408
    assert int(np.sum(history.counts())) == len(history.train.sequences.items)


def test_a_set_of_histories_is_no_set_of_queries_and_the_other_way_round():
    with pytest.raises(
        InputError, match=r"'online-retail' has no queries, only events and items; pricerunner has"
    ):
        load_dataset(DataSpec(bundled="online-retail"))
    with pytest.raises(InputError, match=r"'pricerunner' has no events.*online-retail has events"):
        load_history(HistorySpec(bundled="pricerunner"))
