"""`thresher data import` of histories: the tables, and the lines that read them."""

import json

from thresher.data.history import HistorySpec, load_history


def test_histories_are_imported_and_read_again(run, tmp_path):
    source, out = tmp_path / "source", tmp_path / "out"
    source.mkdir()
    (source / "sequences.txt").write_text("".join(f"{user} 1 2 3\n" for user in range(10)))
    ran = run("data", "import", "sequences", source, out)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines()[0] == "10 users, 3 items, 30 events"
    assert ran.out.splitlines()[-2:] == ['events = "events.parquet"', 'items = "items.parquet"']
    history = load_history(HistorySpec(events="events.parquet", items="items.parquet"), out)
    assert (len(history.train), len(history.validation), len(history.test)) == (16, 1, 1)


def test_the_summary_as_json(run, tmp_path):
    (tmp_path / "lines.txt").write_text("1,10,0\n1,11,1\n")
    ran = run("data", "import", "comirec", tmp_path, tmp_path / "out", "--json")
    assert json.loads(ran.out) == {
        "users": 1,
        "items": 2,
        "events": 2,
        "item_text": [],
        "item_categories": [],
        "notes": ["read lines.txt"],
    }


def test_histories_take_no_shares(refused, tmp_path):
    said = refused("data", "import", "comirec", tmp_path, tmp_path / "out", "--validation", "0.1")
    assert said.startswith("a validation share was given, but histories are split when they are")
