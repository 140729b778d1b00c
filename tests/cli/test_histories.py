"""The commands on histories, as a person or a program calls them."""

import re
import shutil

import pytest

from oracles.buyers import open_histories
from thresher.data.tables import read_table
from thresher.retriever import Retriever


@pytest.fixture
def model(buyers, tmp_path):
    """A copy of their artifact; the data stays where it is."""
    return shutil.copytree(buyers / "model", tmp_path / "model")


def events(folder, rows, header="user_id,item_id,timestamp"):
    path = folder / "e.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_train_says_what_it_read_and_what_validation_found(run, tmp_path):
    folder, out = open_histories(tmp_path / "b"), tmp_path / "m"
    said = run("train", folder / "run.toml", "--out", out, "--quiet", "--set", "train.epochs=1")
    assert (said.code, said.err) == (0, "")
    lines = said.out.splitlines()
    assert re.fullmatch(
        rf"trained on 896 pairs over 35 items in \d+ s; the artifact is {out}", lines[0]
    )
    assert lines[1].startswith("item columns: id (id)")
    assert lines[2].startswith("query columns: ")
    kept = Retriever.open(out).config.build("recommend").repeat_boost
    assert lines[-1] == f"repeat boost {kept:g}, the best on validation"
    assert kept in (0, 0.05, 0.1, 0.2, 0.5, 1)
    assert re.fullmatch(r"validation: P@1 [01]\.\d{3}(, recall@\d+ [01]\.\d{3})+", lines[-2])
    assert "recall@6 " in lines[-2]
    # What is asked of the data is told by name when it moved away; what is not, goes on.
    (folder / "events.csv").unlink()
    assert "there is no file" in run("evaluate", out).err
    path = events(tmp_path, ["a,i0-0,1"])
    assert run("recommend", out, "--events", path, "--top", 1).code == 0


def test_evaluate_and_report(run, answer, model):
    found = answer("report", model)
    assert (found["queries"], found["targets"], found["items"]) == (16, 32, 35)
    assert found["recall@6"] > found["popularity/recall@6"]
    assert found["report"] == str(model / "report" / "report.html")
    lines = run("evaluate", model, "--no-report").out.splitlines()
    head, recall = (
        next(line.split() for line in lines if line.startswith(f"{name} "))
        for name in ("at k", "recall")
    )
    assert recall[head.index("6") - 1] == f"{found['recall@6']:.4f}"
    shown = run("evaluate", model, "--split", "validation", "--no-report").out
    assert re.search("^queries +16$", shown, re.MULTILINE)


def test_a_dry_run_can_be_run(run, tmp_path):
    folder = open_histories(tmp_path / "b")
    dry = run("train", folder / "run.toml", "--dry-run")
    assert "[recommend]" in dry.out
    assert "[decide]" not in dry.out
    (tmp_path / "full.toml").write_text(dry.out)
    assert run("train", tmp_path / "full.toml", "--dry-run").out == dry.out
    assert {p.name for p in folder.iterdir()} == {"run.toml", "items.csv", "events.csv"}


def test_recommend_for_a_person_and_for_machines(run, answer, model, tmp_path):
    path = events(tmp_path, ["a,i0-0,1", "a,i0-1,2", "b,zz,1", "a,zz,3"])
    shown = run("recommend", model, "--events", path, "--top", 2).out.splitlines()
    assert re.fullmatch(r"a +1  \d\.\d{3}  i0-\d  colour0 thing i0-\d", shown[0])
    assert re.fullmatch(r" +2  \d\.\d{3}  i0-\d  colour0 thing i0-\d", shown[1])
    assert shown[2].startswith("2 users; ")
    assert "1 item is not in the catalogue" in shown[2]
    assert len(shown) == 3
    found = answer("recommend", model, "--events", path, "--top", 35, "--quiet")
    assert (found["users"], len(found["lists"])) == (2, 35)
    removed = answer("recommend", model, "--events", path, "--top", 35, "--remove-history")
    assert {r["item_id"] for r in found["lists"]} - {r["item_id"] for r in removed["lists"]} == {
        *("i0-0", "i0-1")
    }
    out = tmp_path / "l.csv"
    said = run("recommend", model, "--events", path, "--out", out, "--keep-history")
    assert said.out.endswith(f"written to {out}\n")
    assert len(read_table(out)) == 20


def test_audit_counts_histories(run, answer, buyers):
    shown = run("data", "audit", buyers / "run.toml")
    assert (shown.code, shown.err) == (0, "")
    # 128 users learnt from with 7 examples each; 16 and 16 with 2 targets each, of one item a time
    assert shown.out.splitlines()[0] == "35 items, 928 queries, 960 true pairs"
    assert "5 items are true for no query" in shown.out
    found = answer("data", "audit", buyers / "run.toml")
    assert found["ok"] is True
    assert found["splits"] == {"train": 896, "validation": 16, "calibration": 0, "test": 16}


def test_a_run_on_histories_that_decides(run, answer, tmp_path):
    """Labels kept apart make any run one that decides."""
    folder, out = open_histories(tmp_path / "b"), tmp_path / "m"
    shares = "data.shares={train=0.2, validation=0.1, calibration=0.65, test=0.05}"
    quick = ("--set", shares, "--set", "train.epochs=1", "--set", "decide.scorer=margin")
    found = answer("train", folder / "run.toml", "--out", out, "--quiet", *quick)
    assert found["calibration_queries"] == 104
    assert found["decision"]["certified"] in (True, False)
    target = ("--target", 0.99999)
    assert answer("calibrate", out, *target, code=1)["certified"] is False


def test_match_needs_a_threshold(refused, model, tmp_path):
    path = tmp_path / "q.csv"
    path.write_text("id,title\na,colour0\n")
    said = refused("match", model, "--queries", path)
    assert "no threshold was certified for this model and index yet" in said


def test_calibrate_needs_labels(refused, model):
    before = (model / "manifest.json").read_bytes()
    assert "no queries in the split 'calibration'" in refused("calibrate", model)
    assert (model / "manifest.json").read_bytes() == before


def test_another_catalogue(answer, model, tmp_path):
    items = tmp_path / "items.csv"
    items.write_text("id,title\ni0-0,colour0 thing i0-0\nnew,colour0 thing\n")
    found = answer("index", model, "--items", items)
    assert (found["items"], found["added"], found["removed"]) == (2, 1, 34)
    path = events(tmp_path, ["a,i0-0,1"])
    lists = answer("recommend", model, "--events", path, "--top", 1, "--remove-history")["lists"]
    assert [row["item_id"] for row in lists] == ["new"]


def test_recommend_refuses_events_for_a_model_of_queries_and_no_artifact(refused, shop, tmp_path):
    path = events(tmp_path, ["a,i1,1"])
    said = refused("recommend", shop / "model", "--events", path)
    assert "was trained on pairs of queries and items and reads no events" in said
    assert "is no artifact" in refused("recommend", tmp_path / "none", "--events", path)
    assert "give queries, or events" in refused("recommend", shop / "model")


def test_evaluate_on_what_is_not_there(refused, model):
    assert "no column 'x'" in refused("evaluate", model, "--by", "x")
    assert "there is no file items.csv" in refused("evaluate", model, "--items", "items.csv")
    assert "unknown split 'tests'" in refused("evaluate", model, "--split", "tests")


EVENTS = {
    "no timestamp": ("user_id,item_id", "a,i0-0", "has no column 'timestamp'"),
    "no user": ("item_id,timestamp", "i0-0,1", "has no column 'user_id'"),
    "no rows": ("user_id,item_id,timestamp", "", "has 0 rows, none of them an event"),
    "time": ("user_id,item_id,timestamp", "a,i0-0,soon", "'soon'"),
    "unknown": ("user_id,item_id,timestamp", "a,zz,1", "has 1 row, none of them an event"),
}


@pytest.mark.parametrize("name", EVENTS)
def test_events_that_cannot_be_used(refused, model, tmp_path, name):
    header, row, words = EVENTS[name]
    path = events(tmp_path, [row] if row else [], header)
    out = tmp_path / "deeper" / "l.csv"
    said = refused("recommend", model, "--events", path, "--out", out)
    assert words in said
    assert str(path) in said
    assert not out.parent.exists()


def test_options_out_of_range(refused, model, tmp_path):
    path = events(tmp_path, ["a,i0-0,1"])
    ask = ("recommend", model, "--events", path)
    assert "36" in refused(*ask, "--top", 36)
    assert "has a suffix" in refused(*ask, "--out", tmp_path / "l.xls")
    assert "there is no file" in refused("recommend", model, "--events", tmp_path / "none.csv")


RUNS = {
    "kind": ("tower.kind=feature", "tower.kind is 'feature' (did you mean 'features'?)"),
    "places": ("recommend.ks=[6, 1]", "ascending, got [6, 1]"),
    "metric": ("train.metric=P@2", "train.metric is 'P@2'; give one that validation measures"),
    "beyond": ("train.metric=recall@50", "with k of 1 to 35"),
    "both": (
        "recommend.repeat_boost=0.2 recommend.remove_history=true",
        "leave out one of the two",
    ),
    "protocol": ("data.protocol=lats", "data.protocol must be one of queries, pairs, users, last"),
    "protocol of pairs": ("data.protocol=pairs", "splits pairs, and the data has events"),
    "events": ("data.events=items.csv", "items.csv has no column 'user_id'"),
    "logq": ("train.hard_negatives=2", "set it to false with train.hard_negatives"),
}


@pytest.mark.parametrize("name", RUNS)
def test_runs_that_cannot_be_trained(refused, buyers, tmp_path, name):
    override, words = RUNS[name]
    out = tmp_path / "m"
    sets = override.split() if name == "both" else [override]
    more = [x for one in sets for x in ("--set", one)]
    assert words in refused("train", buyers / "run.toml", "--out", out, *more)
    assert not out.exists()
