"""The options of data: their defaults, and what they refuse before anything is read."""

from dataclasses import replace
from pathlib import Path

import pytest

from thresher.data import DataOptions
from thresher.errors import InputError

PAIRS = DataOptions(items="items.csv", queries="queries.csv", pairs="pairs.csv")
EVENTS = DataOptions(events="events.csv")


@pytest.mark.parametrize(
    ("given", "protocol"),
    [
        (("items", "queries", "pairs"), "queries"),
        (("items", "pairs"), "pairs"),
        (("events",), "users"),
        (("items", "queries", "events"), "users"),
    ],
)
def test_the_protocol_follows_from_the_tables(given, protocol):
    assert DataOptions().split_protocol(given) == protocol


def test_the_shares_follow_from_the_protocol():
    assert PAIRS.split_shares("queries")["calibration"] == 0.15
    assert EVENTS.split_shares("users") == {"train": 0.8, "validation": 0.1, "test": 0.1}
    shares = {"train": 0.5, "test": 0.5}
    assert replace(EVENTS, shares=shares).split_shares("users") == shares


def test_the_files_that_are_read():
    assert PAIRS.paths("d") == {
        name: Path("d", f"{name}.csv") for name in ("items", "queries", "pairs")
    }
    shipped = DataOptions(bundled="online-retail").paths()
    assert sorted(path.name for path in shipped.values()) == ["events.parquet", "items.parquet"]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"history_share": 1.0}, r"history_share is 1\.0; give the fraction"),
        ({"history_share": 0.0}, r"history_share is 0\.0"),
        ({"min_events": 0}, r"min_events is 0; give 1 or more"),
        ({"train_share": 0.0}, r"train_share is 0\.0; give a fraction in \(0, 1\]"),
        ({"train_share": 1.5}, r"train_share is 1\.5"),
        ({"train_share": 10.0}, r"fraction in \(0, 1\]; write 0\.1 for 10 %"),
        ({"history_share": 80.0}, r"such as 0\.8; write 0\.8 for 80 %"),
        ({"shares": {"train": 0.8}}, r"which sum to 0\.8"),
        ({"shares": {"tests": 1.0}}, r"unknown split 'tests'.*'test'"),
        ({"events": "e.csv"}, r"names both pairs and events; remove one"),
        ({"bundled": "pricerunner"}, r"both bundled = 'pricerunner' and items and queries and pa"),
        ({"items": None}, r"has pairs and no items; name the file of the items"),
        ({"protocol": "last"}, r"'last' splits events, and the data has pairs; leave it out"),
        ({"protocol": "pairs", "without_pairs": "no_item"}, r"the protocol is 'pairs'; leave it"),
    ],
)
def test_what_is_refused(changed, words):
    with pytest.raises(InputError, match=words):
        replace(PAIRS, **changed)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"events": "e.csv", "protocol": "queries"},
            r"'queries' splits pairs, and the data has ev",
        ),
        ({"events": "e.csv", "without_pairs": "no_item"}, r"the protocol is 'users'; leave it out"),
        ({"bundled": "priceruner"}, r"no dataset 'priceruner'.*did you mean 'pricerunner'"),
    ],
)
def test_what_is_refused_with_events_or_a_bundled_set(options, words):
    with pytest.raises(InputError, match=words):
        DataOptions(**options)


def test_neither_pairs_nor_events():
    with pytest.raises(InputError, match=r"the data has items; give items, queries and pairs, or"):
        DataOptions(items="items.csv").split_protocol(("items",))
