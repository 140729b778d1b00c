"""`thresher data import` of histories: the tables, and the lines that read them."""

import json
import tomllib

from thresher.config import read
from thresher.data.dataset import load_dataset
from thresher.data.options import DataOptions


def test_histories_are_imported_and_read_again(run, tmp_path):
    source, out = tmp_path / "source", tmp_path / "out"
    source.mkdir()
    (source / "sequences.txt").write_text("".join(f"{user} 1 2 3\n" for user in range(10)))
    ran = run("data", "import", "sequences", source, out)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines()[0] == "10 users, 3 items, 30 events"
    assert ran.out.splitlines()[-2:] == ['events = "events.parquet"', 'items = "items.parquet"']
    data = load_dataset(DataOptions(events="events.parquet", items="items.parquet"), out)
    sizes = [len(data.part(name).queries) for name in ("train", "validation", "test")]
    assert sizes == [16, 1, 1]


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


def test_records_without_a_true_pair_are_queries_without_an_item(run, tmp_path):
    """What the import prints reads what it wrote."""
    source = tmp_path / "source"
    source.mkdir()
    names = "".join(f"{n},thing {n}\n" for n in range(150))
    (source / "tableA.csv").write_text("id,title\n" + names)
    (source / "tableB.csv").write_text("id,title\n" + names)
    judged = "".join(f"{n},{n},{int(n < 145)}\n" for n in range(150))
    (source / "train.csv").write_text("ltable_id,rtable_id,label\n" + judged)
    ran = run("data", "import", "pairs", source, tmp_path, "--calibration", 0.1)
    assert (ran.code, ran.err) == (0, "")
    section = ran.out[ran.out.index("[data]") :]
    data = tomllib.loads(section)["data"]
    assert data["without_pairs"] == "no_item"
    (tmp_path / "run.toml").write_text(section)
    loaded = load_dataset(read(tmp_path / "run.toml").build("data"), tmp_path)
    parts = loaded.parts.values()
    assert sum(map(len, parts)) == 150
    assert sum(int((part.truth.counts() == 0).sum()) for part in parts) == 5


def test_categories_of_items_are_a_feature(run, tmp_path):
    source, out = tmp_path / "source", tmp_path / "out"
    source.mkdir()
    users = "".join(f"{user},{10 + n},{n}\n" for user in range(10) for n in range(3))
    (source / "taobao_test.txt").write_text(users)
    (source / "taobao_item_cate.txt").write_text("10,1\n11,2\n12,1\n")
    ran = run("data", "import", "comirec", source, out)
    assert (ran.code, ran.err) == (0, "")
    (out / "run.toml").write_text(ran.out[ran.out.index("[data]") :])
    dry = run("train", out / "run.toml", "--dry-run")
    assert dry.code == 0
    assert tomllib.loads(dry.out)["features"]["item"] == {"category": "categories"}
