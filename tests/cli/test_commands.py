"""The commands, as a person or a program calls them."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pyarrow.parquet as pq
import pytest

from oracles.shop import open_shop, write
from thresher import __version__
from thresher.data.tables import read_table

WANTED = [
    "P@1",
    "recall@10",
    "coverage@precision=0.95",
    "certified_coverage@precision=0.95",
    "certified_precision@precision=0.95",
    "aurc",
]
COLUMNS = ["query_id", "query", "item_id", "item", "score", "confidence", "decision", "policy"]


def untrained(shop, folder):
    """A run of the TF-IDF tower, which is quick."""
    data = (shop / "run.toml").read_text().split("[tower]")[0]
    data = data.replace('"items', f'"{shop}/items').replace('"queries', f'"{shop}/queries')
    path = folder / "tfidf.toml"
    path.write_text(data.replace('"pairs', f'"{shop}/pairs') + '[tower]\nkind = "tfidf"\n')
    return path


def answer(ran, code=0):
    assert (ran.code, ran.err) == (code, "")
    return json.loads(ran.out)


def test_help_and_version(run):
    assert run("--version").out == f"{__version__}\n"
    shown = run("--help").out
    for verb in ("train", "evaluate", "calibrate", "index", "match", "report", "data"):
        assert f"\n│ {verb} " in shown
        assert run(verb, "--help").code == 0
    assert run("mach").code == 2
    assert run().code == 2


def test_help_loads_nothing_heavy():
    code = (
        "import sys; from thresher.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'numpy', 'scipy', 'sklearn', 'pyarrow', 'faiss'} & set(sys.modules)\n"
        "sys.exit(bool(heavy))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_train_says_what_it_did(run, shop, tmp_path):
    out = tmp_path / "m"
    found = answer(run("train", untrained(shop, tmp_path), "--out", out, "--json"))
    assert found["artifact"] == str(out)
    assert found["items"] == 300
    assert set(found["queries"]) == {"train", "calibration", "test"}
    assert found["decision"]["certified"] is True
    assert answer(run("evaluate", out, "--json"))["P@1"] > 0.5


def test_dry_run_prints_a_whole_run_that_can_be_run(run, shop, tmp_path):
    ran = run("train", shop / "run.toml", "--dry-run", "--set", "train.epochs=7")
    assert ran.code == 0
    assert "epochs = 7" in ran.out
    (tmp_path / "full.toml").write_text(ran.out)
    assert run("train", tmp_path / "full.toml", "--dry-run").out == ran.out
    assert not (tmp_path / "runs").exists()


def test_evaluate_gives_a_flat_table_of_numbers(run, model):
    found = answer(run("evaluate", model, "--json", "--by", "shop"))
    assert all(name in found for name in WANTED)
    assert all(value is None or isinstance(value, float) for value in found.values())
    assert found["P@1"] > 0.6
    assert found["certified_precision@precision=0.95"] > 0.9
    assert found["certified_coverage@precision=0.95"] <= found["recall@10"]
    assert "shop=north/P@1" in found
    assert "tail/queries" in found
    report = (model / "report" / "report.html").read_text()
    assert "<svg" in report
    assert json.loads((model / "report" / "report.json").read_text())


def test_evaluate_for_a_person(run, model):
    ran = run("evaluate", model, "--no-report")
    assert re.search(r"^P@1 +0\.\d{4}$", ran.out, re.MULTILINE)
    assert re.search(r"^items +300$", ran.out, re.MULTILINE)
    assert re.search(r"^queries_without_item +0$", ran.out, re.MULTILINE)
    assert not (model / "report").exists()
    assert run("report", model).out.strip() == str(model / "report" / "report.html")


def test_evaluate_on_other_files(run, model, shop, tmp_path):
    other = open_shop(tmp_path, items=50, queries=200, seed=5)
    files = [x for n in ("items", "queries", "pairs") for x in (f"--{n}", other / f"{n}.csv")]
    found = answer(run("evaluate", model, *files, "--json", "--no-report"))
    assert (found["items"], found["queries"]) == (50, 200)
    assert found["P@1"] > 0.5
    # Queries and pairs alone are asked of the artifact's own catalogue.
    again = answer(
        run(
            *("evaluate", model, "--queries", shop / "queries.csv"),
            *("--pairs", shop / "pairs.csv", "--json", "--no-report"),
        )
    )
    assert (again["items"], again["queries"]) == (300, 1500)


def test_evaluate_with_another_catalogue_alone_asks_the_test_split(run, model, shop, tmp_path):
    rows = read_table(shop / "items.csv").to_pylist()[:100]
    items = write(tmp_path / "fewer.csv", ["id", "title"], [r.values() for r in rows])
    own = answer(run("evaluate", model, "--json", "--no-report"))
    found = answer(run("evaluate", model, "--items", items, "--json", "--no-report"))
    assert found["queries"] == own["queries"]
    assert found["items"] == 100
    assert found["queries_without_item"] > 0.5 * own["queries"]


def test_an_open_catalogue_makes_accepted_queries_without_item_errors(run, model):
    closed = answer(run("evaluate", model, "--json", "--no-report"))
    found = answer(run("evaluate", model, "--open-catalogue", 0.3, "--json", "--no-report"))
    assert found["items"] == 210
    assert found["queries"] == closed["queries"]
    gone = found["queries_without_item"] / found["queries"]
    assert 0.1 < gone < 0.5
    # Ranking is over queries that have an item; decisions are over all.
    assert found["P@1"] >= closed["P@1"] - 0.05
    assert found["coverage@precision=0.95"] <= 1 - gone + 0.06
    name = "certified_precision@precision=0.95"
    assert found[name] < closed[name]
    assert found["no item/P@1"] is None


def test_calibrate_at_another_target(run, model):
    found = answer(run("calibrate", model, "--target", 0.9, "--confidence", 0.9, "--json"))
    assert found["certified"] is True
    assert found["policy"]["target_precision"] == 0.9
    assert found["policy"]["confidence_level"] == 0.9
    assert found["policy_id"] == found["policy"]["id"]
    assert 0 < found["coverage"] <= 1
    metrics = answer(run("evaluate", model, "--json", "--no-report"))
    assert metrics["certified_coverage@precision=0.9"] > 0.3
    by = answer(run("calibrate", model, "--by", "shop", "--target", 0.9, "--json"))
    assert by["policy"]["by"] == "shop"
    assert set(by["policy"]["segments"]) <= {"north", "south"}


def test_when_nothing_is_certified_the_exit_code_is_1(run, model, shop, tmp_path):
    found = answer(run("calibrate", model, "--target", 0.9999, "--json"), code=1)
    assert found["certified"] is False
    assert "No threshold" in found["sentence"]
    # The answer is kept: everything is for review.
    queries = shop / "queries.csv"
    matched = answer(
        run("match", model, "--queries", queries, "--out", tmp_path / "d.csv", "--json")
    )
    assert (matched["accepted"], matched["review"]) == (0, 1500)


@pytest.mark.parametrize("name", ["d.csv", "d.parquet", "deeper/d.jsonl", "d.csv.gz"])
def test_match_writes_a_row_a_query(run, model, shop, tmp_path, name):
    out = tmp_path / name
    found = answer(run("match", model, "--queries", shop / "queries.csv", "--out", out, "--json"))
    rows = read_table(out).to_pylist()
    assert list(rows[0]) == COLUMNS
    assert [r["query_id"] for r in rows] == [f"q{n}" for n in range(1500)]
    assert {r["decision"] for r in rows} == {"accept", "review"}
    assert found["accepted"] == sum(r["decision"] == "accept" for r in rows)
    assert found["accepted"] + found["review"] == found["queries"] == 1500
    assert {r["policy"] for r in rows} == {found["policy"]["id"]}
    bar = found["policy"]["accept_at"]
    # CSV rounds nothing that matters here: the decision is the threshold's.
    assert all((float(r["confidence"]) >= bar) == (r["decision"] == "accept") for r in rows)
    titles = {r["id"]: r["title"] for r in read_table(shop / "items.csv").to_pylist()}
    assert all(titles[r["item_id"]] == r["item"] for r in rows)
    if name.endswith("parquet"):
        kinds = {f.name: str(f.type) for f in pq.read_schema(out)}
        assert (kinds["score"], kinds["confidence"]) == ("float", "double")


def test_match_in_blocks_is_match_whole(run, model, shop, tmp_path, monkeypatch):
    rows = [[r["title"]] for r in read_table(shop / "queries.csv").to_pylist()[:40]]
    queries = write(tmp_path / "no-ids.csv", ["title"], rows)
    run("match", model, "--queries", queries, "--out", tmp_path / "whole.parquet")
    monkeypatch.setattr(sys.modules["thresher.jobs.match"], "BLOCK", 7)
    run("match", model, "--queries", queries, "--out", tmp_path / "blocks.parquet")
    whole, blocks = (read_table(tmp_path / f"{n}.parquet") for n in ("whole", "blocks"))
    assert blocks["query_id"].to_pylist() == [str(n) for n in range(40)]
    for name in COLUMNS:
        if name in ("score", "confidence"):
            assert blocks[name].to_pylist() == pytest.approx(whole[name].to_pylist(), abs=1e-6)
        else:
            assert blocks[name].to_pylist() == whole[name].to_pylist()


def test_match_without_a_file_prints_the_rows(run, model, tmp_path):
    queries = write(tmp_path / "q.csv", ["id", "title"], [("a", "kettle red"), ("b", "")])
    rows = answer(run("match", model, "--queries", queries, "--json"))["matches"]
    assert [r["query_id"] for r in rows] == ["a", "b"]
    shown = run("match", model, "--queries", queries).out.splitlines()
    assert shown[-1].startswith("2 queries: ")
    assert len(shown) == 3


def test_empty_texts_are_for_review_and_get_no_item(run, model, tmp_path):
    texts = ["", "   ", "\t", "?!", "\u4e2d\u6587", "x" * 5000]
    queries = write(tmp_path / "q.csv", ["id", "title"], [(i, t) for i, t in enumerate(texts)])
    rows = answer(run("match", model, "--queries", queries, "--json"))["matches"]
    assert [r["decision"] for r in rows[:4]] == ["review"] * 4
    assert [r["item_id"] for r in rows[:3]] == [None] * 3


def test_another_catalogue_has_to_be_calibrated_before_matching(
    run, refused, model, shop, tmp_path
):
    rows = read_table(shop / "items.csv").to_pylist()[:200]
    items = write(
        tmp_path / "new.csv", ["id", "title"], [*(r.values() for r in rows), ("n", "new")]
    )
    found = answer(run("index", model, "--items", items, "--json"))
    assert (found["items"], found["added"], found["removed"]) == (201, 1, 100)
    queries = shop / "queries.csv"
    assert "run `thresher calibrate`" in refused("match", model, "--queries", queries)
    run("calibrate", model, "--target", 0.6)
    out = tmp_path / "d.csv"
    assert run("match", model, "--queries", queries, "--out", out).code == 0
    kept = {r["id"] for r in rows} | {"n"}
    assert {r["item_id"] for r in read_table(out).to_pylist()} <= kept


@pytest.mark.parametrize(("count", "confidence"), [(1, "margin"), (2, "reranker"), (3, "reranker")])
def test_a_catalogue_smaller_than_the_candidates_simply_works(run, tmp_path, count, confidence):
    shop = open_shop(tmp_path, items=count, queries=800)
    options = ["--set", f"decide.scorer={confidence}", "--out", tmp_path / "m", "--quiet"]
    assert run("train", untrained(shop, tmp_path), *options).err == ""
    assert answer(run("evaluate", tmp_path / "m", "--json"))["items"] == count
    found = answer(run("match", tmp_path / "m", "--queries", shop / "queries.csv", "--json"))
    assert found["queries"] == 800
    assert {r["item_id"] for r in found["matches"]} <= {f"i{i}" for i in range(count)}


def test_train_replaces_an_artifact_whole(run, model, shop, tmp_path):
    (model / "report").mkdir(exist_ok=True)
    before = json.loads((model / "manifest.json").read_text())["parts"]
    quick = [untrained(shop, tmp_path), "--set", "decide.scorer=margin"]
    assert run("train", *quick, "--out", model).code == 0
    after = json.loads((model / "manifest.json").read_text())["parts"]
    assert all(before[part]["folder"] != after[part]["folder"] for part in before)
    folders = {p.name for p in model.iterdir() if p.is_dir()} - {"report", "training"}
    assert folders == {part["folder"] for part in after.values()}
    assert run("evaluate", model, "--no-report").code == 0


def test_ctrl_c_prints_one_line_and_keeps_the_checkpoint(shop, tmp_path):
    code = "from thresher.cli.main import main; main()"
    out = tmp_path / "m"
    options = ["--set", "train.epochs=100000", "--set", "train.checkpoint_steps=2"]
    child = subprocess.Popen(
        [sys.executable, "-c", code, "train", str(shop / "run.toml"), "--out", str(out), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    last = out / "training" / "last.safetensors"
    until = time.monotonic() + 60
    while not last.exists() and time.monotonic() < until and child.poll() is None:
        time.sleep(0.05)
    child.send_signal(signal.SIGINT)
    said, complained = child.communicate(timeout=30)
    assert child.returncode == 130
    assert said == ""
    assert complained.startswith("stopped: the same command with --resume goes on")
    assert complained.count("\n") == 1
    assert last.exists()
    assert not (out / "manifest.json").exists()


def test_data_commands(run, shop, tmp_path):
    audit = run("data", "audit", shop / "run.toml")
    assert audit.code == 0
    assert audit.out.splitlines()[-1].startswith("0 errors")
    assert "findings" in answer(run("data", "audit", shop / "run.toml", "--json"))
    shown = run("data", "inspect", shop / "items.csv", "--rows", 2).out.splitlines()
    assert shown[:3] == ["300 rows", "  id: string", "  title: string"]
    assert len(shown) == 5
    out = tmp_path / "items.parquet"
    assert run("data", "convert", shop / "items.csv", out).out == f"300 rows written to {out}\n"
    assert read_table(out).to_pylist() == read_table(shop / "items.csv").to_pylist()


def test_data_import_makes_tables_that_train_reads(run, tmp_path):
    source = tmp_path / "beir"
    (source / "qrels").mkdir(parents=True)
    (source / "corpus.jsonl").write_text('{"_id": "d1", "title": "T", "text": "body"}\n')
    (source / "queries.jsonl").write_text('{"_id": "q1", "text": "ask"}\n')
    (source / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\t1\n")
    ran = run("data", "import", "beir", source, tmp_path / "out")
    assert (ran.code, ran.err) == (0, "")
    names = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert names == ["items.parquet", "pairs.parquet", "queries.parquet"]


def test_an_audit_that_finds_errors_exits_with_1(run, shop, tmp_path):
    for name in ("items.csv", "queries.csv", "pairs.csv", "run.toml"):
        shutil.copy(shop / name, tmp_path / name)
    with (tmp_path / "pairs.csv").open("a") as file:
        file.write("q1,nowhere\n")
    assert run("data", "audit", tmp_path / "run.toml").code == 1
