"""The commands on histories, as a person or a program calls them."""

import json
import re
import shutil

import pytest

from oracles.buyers import open_histories, trained_on_histories
from thresher.artifact import Artifact
from thresher.data.tables import read_table


@pytest.fixture(scope="session")
def buyers(tmp_path_factory):
    """Their folder; not to be changed."""
    return trained_on_histories(tmp_path_factory)


@pytest.fixture
def model(buyers, tmp_path):
    """A copy of their artifact; the data stays where it is."""
    return shutil.copytree(buyers / "model", tmp_path / "model")


def answer(ran):
    assert (ran.code, ran.err) == (0, "")
    return json.loads(ran.out)


def events(folder, rows, header="user_id,item_id,timestamp"):
    path = folder / "e.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_train_evaluate_and_recommend(run, tmp_path):
    folder, out = open_histories(tmp_path / "b"), tmp_path / "m"
    said = run("train", folder / "run.toml", "--out", out, "--quiet")
    assert (said.code, said.err) == (0, "")
    lines = said.out.splitlines()
    assert re.fullmatch(
        rf"trained on 896 events of 128 customers over 35 items in \d+ s; the artifact is {out}",
        lines[0],
    )
    assert re.fullmatch(r"validation: recall@1 0\.\d{3}, recall@6 [01]\.\d{3}", lines[1])
    shown = run("evaluate", out, "--no-report").out.splitlines()
    assert shown[0] == "16 lists, 32 targets"
    assert shown[1].split() == ["at", "1", "6"]
    assert [line.split()[0] for line in shown[2:6]] == ["recall", "most", "others", "unseen"]
    assert shown[5].split()[-2:] == ["-", "-"]  # no target was never in training
    assert shown[-1].startswith("recall by popularity")
    found = answer(run("evaluate", out, "--json"))
    assert f"{found['recall@6']:.4f}" in shown[2]
    assert found["unseen/recall@6"] is None
    assert (out / "report" / "report.html").exists()
    again = answer(run("report", out, "--json"))
    assert again == {"report": str(out / "report" / "report.html"), **found}
    assert answer(run("evaluate", out, "--split", "validation", "--json", "--no-report"))["users"]


def test_train_for_machines_and_dry(run, tmp_path):
    folder = open_histories(tmp_path / "b")
    dry = run("train", folder / "run.toml", "--dry-run")
    assert "[ranking]" in dry.out
    assert "[decide]" not in dry.out
    (tmp_path / "full.toml").write_text(dry.out)
    assert run("train", tmp_path / "full.toml", "--dry-run").out == dry.out
    assert not (folder / "runs").exists()
    quick = ("--set", "train.epochs=1", "--out", tmp_path / "m", "--json", "--quiet")
    found = answer(run("train", folder / "run.toml", *quick))
    assert (found["items"], found["customers"], found["examples"]) == (35, 128, 896)
    assert found["fingerprint"] == Artifact.open(tmp_path / "m").fingerprint("model", "index")


def test_recommend_for_a_person_and_for_machines(run, model, tmp_path):
    path = events(tmp_path, ["a,i0-0,1", "a,i0-1,2", "b,zz,1", "a,zz,3"])
    shown = run("recommend", model, "--events", path, "--top", 2).out.splitlines()
    assert re.fullmatch(r"a +1  0\.\d{3}  i0-\d  colour0 thing i0-\d", shown[0])
    assert re.fullmatch(r" +2  0\.\d{3}  i0-\d  colour0 thing i0-\d", shown[1])
    assert shown[2] == (
        "2 customers; 2 events of items that the catalogue lacks; "
        "1 customer of nothing else, without a list"
    )
    assert len(shown) == 3
    found = answer(run("recommend", model, "--events", path, "--top", 35, "--json", "--quiet"))
    assert len(found["lists"]) == 35
    removed = answer(
        run("recommend", model, "--events", path, "--top", 35, "--remove-history", "--json")
    )
    assert {r["item_id"] for r in found["lists"]} - {r["item_id"] for r in removed["lists"]} == {
        *("i0-0", "i0-1")
    }
    out = tmp_path / "l.csv"
    said = run("recommend", model, "--events", path, "--out", out, "--keep-history")
    assert said.out.endswith(f"written to {out}\n")
    assert len(read_table(out)) == 20


def test_audit_counts_histories(run, buyers):
    shown = run("data", "audit", buyers / "run.toml")
    assert (shown.code, shown.err) == (0, "")
    assert "items never in training: 5" in shown.out.splitlines()
    found = answer(run("data", "audit", buyers / "run.toml", "--json"))
    assert (found["ok"], found["events_learnt_from"], found["users_asked_in_test"]) == (
        *(True, 1024, 16),
    )


OTHER = {
    "match": ("--queries", "e.csv"),
    "calibrate": (),
    "index": (),
}


@pytest.mark.parametrize("command", OTHER)
def test_what_is_for_texts_refuses_histories(refused, model, command):
    before = (model / "manifest.json").read_bytes()
    said = refused(command, model, *OTHER[command])
    assert said.startswith("the tower in ")
    assert said.endswith(
        "reads histories of customers, not texts; `thresher recommend`, `evaluate` and `report` "
        "are for it"
    )
    assert (model / "manifest.json").read_bytes() == before


def test_recommend_refuses_an_artifact_of_texts_and_none(refused, shop, tmp_path):
    path = events(tmp_path, ["a,i0-0,1"])
    said = refused("recommend", shop / "model", "--events", path)
    assert said == (
        f"{shop / 'model'} was trained with the tower 'bag', which matches texts; ask "
        "`thresher match`"
    )
    assert "is no artifact" in refused("recommend", tmp_path / "none", "--events", path)


@pytest.mark.parametrize(
    "options", [("--by", "x"), ("--open-catalogue", 0.1), ("--items", "items.csv")]
)
def test_options_of_evaluate_that_are_for_texts(refused, model, options):
    said = refused("evaluate", model, *options)
    assert said == (
        "an artifact of a history run is measured on its own data; leave out the files, "
        "--open-catalogue and --by"
    )


EVENTS = {
    "no timestamp": ("user_id,item_id", "a,i0-0", "has no column 'timestamp'"),
    "no user": ("item_id,timestamp", "i0-0,1", "has no column 'user_id'"),
    "no rows": ("user_id,item_id,timestamp", "", "has 0 rows, none of them an event"),
    "time": ("user_id,item_id,timestamp", "a,i0-0,soon", "row 2: timestamp 'soon' is no timestamp"),
    "unknown": ("user_id,item_id,timestamp", "a,zz,1", "none of the 1 events names an item"),
}


@pytest.mark.parametrize("name", EVENTS)
def test_events_that_cannot_be_used(refused, model, tmp_path, name):
    header, row, words = EVENTS[name]
    path = events(tmp_path, [row] if row else [], header)
    out = tmp_path / "deeper" / "l.csv"
    assert words in refused("recommend", model, "--events", path, "--out", out)
    assert not out.exists()


def test_options_out_of_range(refused, model, tmp_path):
    path = events(tmp_path, ["a,i0-0,1"])
    ask = ("recommend", model, "--events", path)
    assert "36 items are asked for, and the catalogue has 35" in refused(*ask, "--top", 36)
    assert "has a suffix" in refused(*ask, "--out", tmp_path / "l.xls")
    assert "there is no file" in refused("recommend", model, "--events", tmp_path / "none.csv")
    assert "validation or test, got 'tests'" in refused("evaluate", model, "--split", "tests")


RUNS = {
    "kind": ("tower.kind=hist", "tower.kind is 'hist' (did you mean 'history'?)"),
    "no kind": ("tower.kind=bag", "ranking is for history runs"),
    "depths": ("ranking.depths=[6, 1]", "ascending, got [6, 1]"),
    "metric": ("train.metric=P@1", "train.metric is 'P@1'; give one of recall"),
    "beyond": ("train.metric=recall@50", "at a depth of 1 to 35"),
    "section": ("decide.target=0.9", "decide is for matching runs"),
    "protocol": ("data.protocol=lats", "data.protocol must be one of users, last, time"),
    "events": ("data.events=items.csv", "items.csv has no column 'user_id'"),
}


@pytest.mark.parametrize("name", RUNS)
def test_runs_that_cannot_be_trained(refused, buyers, tmp_path, name):
    override, words = RUNS[name]
    out = tmp_path / "m"
    assert words in refused("train", buyers / "run.toml", "--out", out, "--set", override)
    assert not (out / "manifest.json").exists()


def test_data_that_moved_away_is_named(refused, tmp_path, run):
    folder = open_histories(tmp_path / "b")
    run("train", folder / "run.toml", "--out", tmp_path / "m", "--set", "train.epochs=1")
    (folder / "events.csv").unlink()
    assert "there is no file" in refused("evaluate", tmp_path / "m")
    path = events(tmp_path, ["a,i0-0,1"])
    assert run("recommend", tmp_path / "m", "--events", path, "--top", 1).code == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--data", "nowhere"], "--data is 'nowhere'"),
        (["--data", "pricerunner"], "which is for matching runs"),
        (["--data", "online-retail", "--jobs", 0], "--jobs must be at least 1, got 0"),
        (["--data", "online-retail", "--loss", "bprr"], "did you mean 'bpr'?"),
        (["--data", "online-retail", "--at", 30], "--at 30 is not measured"),
    ],
)
def test_bench_refuses(refused, tmp_path, options, words):
    assert words in refused("bench", "croloss", "--out", tmp_path / "g", *options)
    assert not (tmp_path / "g").exists()


def test_the_other_bench_refuses_histories(refused, buyers, tmp_path):
    said = refused("bench", "alc", "--data", buyers / "run.toml", "--out", tmp_path / "g")
    assert said.startswith("--data is run, which is for history runs; give a folder of items")
