"""The commands, as a person or a program calls them."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from oracles.shop import open_shop, write
from thresher import __version__
from thresher.cli.main import main
from thresher.data.tables import read_table
from thresher.errors import InputError
from thresher.jobs import compare as module
from thresher.jobs.cells import Outcome

VERBS = (
    *("train", "evaluate", "calibrate", "certify", "index", "match", "recommend"),
    *("nearest", "report", "compare", "data", "encode", "export"),
)
WANTED = [
    "P@1",
    "recall@10",
    "coverage@precision=0.95",
    "certified_coverage@precision=0.95",
    "certified_precision@precision=0.95",
    "aurc",
]


def untrained(shop, folder):
    """A run of the TF-IDF tower, which is quick."""
    data = (shop / "run.toml").read_text().split("[tower]")[0]
    data = data.replace('"items', f'"{shop}/items').replace('"queries', f'"{shop}/queries')
    path = folder / "tfidf.toml"
    path.write_text(data.replace('"pairs', f'"{shop}/pairs') + '[tower]\nkind = "tfidf"\n')
    return path


def test_help_and_version(run):
    assert run("--version").out == f"{__version__}\n"
    shown = run("--help").out
    for verb in VERBS:
        assert f"\n  {verb} " in shown
        assert run(verb, "--help").code == 0
    assert run("mach").code == 2
    assert run().code == 2


def test_benchmarks_of_the_first_version_are_scripts(refused):
    for arguments in ((), ("alc",), ("alc", "--smoke")):
        assert "run `python benchmarks/alc.py`, " in refused("bench", *arguments)


def test_json_and_quiet_are_for_the_commands_that_the_guide_names(run):
    guide = (Path(__file__).parents[2] / "docs/guides/commands.md").read_text()
    for option, words in (("--json", "all but"), ("--quiet", "of")):
        (listed,) = re.findall(rf"`{option}` [^(]*\({words} ([^)]*)\)", guide)
        named = {name.removeprefix("data ") for name in re.findall("`([a-z ]+)`", listed)}
        commands = [(verb,) for verb in VERBS if verb != "data"]
        commands += [("data", verb) for verb in ("audit", "import", "inspect", "convert")]
        has = {c[-1] for c in commands if option in run(*c, "--help").out}
        every = {c[-1] for c in commands}
        assert has == (every - named if option == "--json" else named)


def test_help_shows_square_brackets(run):
    """They are names of tables, not orders to the terminal."""
    assert "TOML of a run with [data]." in run("data", "audit", "--help").out


def test_help_loads_nothing_heavy():
    code = (
        "import sys; from thresher.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'numpy', 'scipy', 'sklearn', 'pyarrow', 'faiss'} & set(sys.modules)\n"
        "sys.exit(bool(heavy))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_train_says_what_it_did_and_replaces_an_artifact_whole(answer, model, shop, tmp_path):
    (model / "report").mkdir(exist_ok=True)
    before = json.loads((model / "manifest.json").read_text())["parts"]
    quick = ("--set", "decide.scorer=margin", "--set", "decide.target=0.8")
    found = answer("train", untrained(shop, tmp_path), *quick, "--out", model)
    assert found["artifact"] == str(model)
    assert found["items"] == 300
    sizes = [found[f"{n}_queries"] for n in ("train", "validation", "calibration", "test")]
    assert sum(sizes) == 1500
    assert found["training_pairs"] == sizes[0] > 600
    assert found["features"] == {"item": {"text": "text"}, "query": {"text": "text"}}
    assert found["decision"]["certified"] is True
    after = json.loads((model / "manifest.json").read_text())["parts"]
    assert all(before[part]["folder"] != after[part]["folder"] for part in before)
    folders = {p.name for p in model.iterdir() if p.is_dir()} - {"report", "training"}
    assert folders == {part["folder"] for part in after.values()}
    assert answer("evaluate", model, "--no-report")["P@1"] > 0.5


def test_dry_run_prints_a_whole_run_that_can_be_run(run, shop, tmp_path):
    ran = run("train", shop / "run.toml", "--dry-run", "--set", "train.epochs=7")
    assert ran.code == 0
    assert "epochs = 7" in ran.out
    (tmp_path / "full.toml").write_text(ran.out)
    assert run("train", tmp_path / "full.toml", "--dry-run").out == ran.out
    assert not (tmp_path / "runs").exists()


def test_train_where_nothing_is_to_resume_or_something_else_lies(refused, shop, tmp_path):
    run = shop / "run.toml"
    said = refused("train", run, "--out", tmp_path / "m", "--resume")
    assert "no checkpoint to resume from" in said
    assert not (tmp_path / "m").exists()
    thesis = tmp_path / "thesis"
    thesis.mkdir()
    (thesis / "chapter.tex").write_text("text")
    said = refused("train", run, "--out", thesis)
    assert "holds other files, such as 'chapter.tex'" in said
    assert [p.name for p in thesis.iterdir()] == ["chapter.tex"]


def test_evaluate_gives_a_flat_table_of_numbers(run, answer, model):
    found = answer("report", model)
    assert all(name in found for name in WANTED)
    assert found.pop("report") == str(model / "report" / "report.html")
    assert found.pop("warnings") == []
    assert all(value is None or isinstance(value, float) for value in found.values())
    assert found["P@1"] > 0.6
    assert found["certified_precision@precision=0.95"] > 0.9
    assert found["certified_coverage@precision=0.95"] <= found["recall@10"]
    assert "tail/queries" in found
    page = (model / "report" / "report.html").read_text()
    assert "<svg" in page
    assert json.loads((model / "report" / "report.json").read_text())


def test_evaluate_for_a_person(run, shop):
    ran = run("evaluate", shop / "model", "--no-report", "--by", "shop")
    assert re.search(r"^at k +1 +5 ", ran.out, re.MULTILINE)
    assert re.search(r"^P +0\.\d{4}$", ran.out, re.MULTILINE)
    assert re.search(r"^at precision +0\.9 +0\.95 ", ran.out, re.MULTILINE)
    assert re.search(r"^items +300$", ran.out, re.MULTILINE)
    assert re.search(r"^queries_without_item +0$", ran.out, re.MULTILINE)
    assert re.search(r"^shop=north +\d+ +0\.\d{4} ", ran.out, re.MULTILINE)
    assert not (shop / "model" / "report").exists()


def test_evaluate_on_other_files(answer, shop, tmp_path):
    other = open_shop(tmp_path, items=50, queries=200, seed=5)
    files = [x for n in ("items", "queries", "pairs") for x in (f"--{n}", other / f"{n}.csv")]
    found = answer("evaluate", shop / "model", *files, "--no-report")
    assert (found["items"], found["queries"]) == (50, 200)
    assert found["P@1"] > 0.5
    # Queries and pairs alone are asked of the artifact's own catalogue.
    rows = read_table(shop / "pairs.csv").to_pylist()[:100]
    pairs = write(tmp_path / "some.csv", ["query_id", "item_id"], [r.values() for r in rows])
    own = ("--queries", shop / "queries.csv", "--pairs", pairs, "--no-report")
    left = answer("evaluate", shop / "model", *own, "--without-pairs", "unlabelled")
    assert (left["items"], left["queries"], left["queries_without_item"]) == (300, 100, 0)
    kept = answer("evaluate", shop / "model", *own, "--without-pairs", "no_item")
    assert (kept["queries"], kept["queries_without_item"]) == (1500, 1400)


def test_evaluate_with_another_catalogue_alone_asks_the_test_split(answer, shop, tmp_path):
    rows = read_table(shop / "items.csv").to_pylist()[:100]
    items = write(tmp_path / "fewer.csv", ["id", "title"], [r.values() for r in rows])
    found = answer("evaluate", shop / "model", "--items", items, "--no-report")
    assert found["items"] == 100
    assert found["queries_without_item"] > 0.5 * found["queries"]


def test_an_open_catalogue_makes_accepted_queries_without_item_errors(answer, shop):
    closed = answer("evaluate", shop / "model", "--no-report")
    found = answer("evaluate", shop / "model", "--open-catalogue", 0.3, "--no-report")
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


def test_calibrate_at_another_target(run, answer, model):
    found = answer("calibrate", model, "--target", 0.9, "--confidence-level", 0.9)
    assert found["certified"] is True
    assert (found["target_precision"], found["confidence_level"]) == (0.9, 0.9)
    assert found["coverage"] == found["accepted"] / found["labelled"] > 0.3
    metrics = answer("evaluate", model, "--no-report")
    assert metrics["certified_coverage@precision=0.9"] > 0.3


def test_calibrate_at_several_targets_at_once(run, answer, model):
    found = answer("calibrate", model, "--target", 0.8, "--target", "0.6,0.9999")
    assert [one["target_precision"] for one in found["answers"]] == [0.8, 0.6, 0.9999]
    assert [one["certified"] for one in found["answers"]] == [True, True, False]
    levels = {round(one["confidence_level"], 4) for one in found["answers"]}
    assert levels == {0.9833}  # 1 - 0.05 / 3
    assert found["label_uses"] == 2
    assert answer("match", model, "--text", "kettle")["policy"]["target_precision"] == 0.8
    told = run("calibrate", model, "--target", 0.8, "--target", 0.6)
    assert len(told.out.splitlines()) == 2
    assert "labels were used 3 times" in told.out
    assert (
        "--target takes a precision or several, as in 0.9,0.95, got '0.8, high'"
        in run("calibrate", model, "--target", 0.8, "--target", "high").err
    )


def test_calibrate_by_category_names_them_and_what_each_accepts(run, answer, model):
    told = run("calibrate", model, "--by", "shop", "--target", 0.7)
    assert told.code == 0
    found = json.loads((next(model.glob("decision-*")) / "policy.json").read_text())
    assert set(found["segments"]) == {"north", "south", "known text"}
    lines = told.out.splitlines()
    assert "2 of 2 segments of 'shop' tested alone have their own threshold" in lines[0]
    for line, name in zip(lines[1:], ("north", "south"), strict=False):
        own = found["segments"][name]
        share = own["accepted"] / own["labelled"]
        assert line == (
            f"  {name}: accepted at {own['accept_at']:.4g} or above, {share:.1%} of "
            f"{own['labelled']} labels"
        )
    assert len(lines) == 3  # every label is of one of them


def test_when_nothing_is_certified_the_exit_code_is_1(run, answer, model, shop, tmp_path):
    found = answer("calibrate", model, "--target", 0.9999, code=1)
    assert found["certified"] is False
    assert "No threshold" in found["sentence"]
    # The answer is kept: everything is for review.
    out = tmp_path / "d.csv"
    matched = answer("match", model, "--queries", shop / "queries.csv", "--out", out)
    assert (matched["accepted"], matched["review"]) == (0, 1500)
    said = run("match", model, "--queries", shop / "queries.csv", "--out", out).out
    assert said == (
        "no threshold is certified: all 1,500 queries are for review; see `thresher calibrate`; "
        f"written to {out}\n"
    )
    one = run("match", model, "--text", "red kettle").out.splitlines()[-1]
    assert one.startswith("no threshold is certified: 1 query is for review; ")


def test_another_catalogue_has_to_be_calibrated_before_matching(
    run, answer, refused, model, shop, tmp_path
):
    assert answer("index", model)["calibrated"] is True  # the same items change nothing
    rows = read_table(shop / "items.csv").to_pylist()[:200]
    items = write(
        tmp_path / "new.csv", ["id", "title"], [*(r.values() for r in rows), ("n", "new")]
    )
    told = run("index", model, "--items", items).out
    assert told == (
        f"201 items indexed (1 new, 100 gone); run `thresher calibrate {model}` before matching\n"
    )
    queries = shop / "queries.csv"
    assert "run `thresher calibrate`" in refused("match", model, "--queries", queries)
    run("calibrate", model, "--target", 0.6)
    out = tmp_path / "d.csv"
    assert run("match", model, "--queries", queries, "--out", out).code == 0
    kept = {r["id"] for r in rows} | {"n"}
    assert {r["item_id"] for r in read_table(out).to_pylist()} <= kept


@pytest.mark.parametrize(("count", "scorer"), [(1, "margin"), (2, "reranker")])
def test_a_catalogue_smaller_than_the_candidates_simply_works(run, answer, tmp_path, count, scorer):
    shop, out = open_shop(tmp_path, items=count, queries=500), tmp_path / "m"
    options = ["--set", f"decide.scorer={scorer}", "--out", out, "--quiet"]
    assert run("train", untrained(shop, tmp_path), *options).err == ""
    assert answer("evaluate", out, "--no-report")["items"] == count
    found = answer("match", out, "--queries", shop / "queries.csv")
    assert found["queries"] == 500
    assert {r["item_id"] for r in found["matches"]} <= {f"i{i}" for i in range(count)}


def test_nearest(run, answer, refused, shop, model):
    found = answer("nearest", shop / "model", "--item", "i3", "--item", "i7", "--top", 2)
    assert [item["id"] for item in found["items"]] == ["i3", "i7"]
    near = found["items"][0]["nearest"][str(shop / "model")]
    assert len(near) == 2
    assert near[0]["score"] >= near[1]["score"]
    assert "i3" not in {n["id"] for n in near}
    shown = run("nearest", shop / "model", "--item", "i3", "--beside", model, "--top", 1).out
    lines = shown.splitlines()
    assert lines[0].startswith("i3  ")
    assert (lines[1], lines[3]) == (f"  {shop / 'model'}", f"  {model}")
    assert lines[2] == lines[4] == f"    {near[0]['score']:.3f}  {near[0]['id']}  {near[0]['item']}"
    assert "no item 'i999'" in refused("nearest", shop / "model", "--item", "i999")
    assert "give 1 to 299" in refused("nearest", shop / "model", "--item", "i3", "--top", 300)


@pytest.fixture
def in_this_process(monkeypatch):
    """Has cells measured here, not in processes of their own; what is measured is the same."""

    def measured(cells, program, *, jobs, report):
        outcomes = []
        for done, cell in enumerate(cells, 1):
            cell.prepare()
            try:
                values, error = module._measure(cell.folder, cell.task), ""
            except InputError as wrong:
                values, error = None, str(wrong)
            outcomes.append(Outcome(cell, values, error, 1.0, done, len(cells), 1.0))
            report(outcomes[-1])
        return outcomes

    monkeypatch.setattr(module, "run_cells", measured)


@pytest.mark.usefixtures("in_this_process")
def test_compare_prints_one_table_and_says_what_failed(run, refused, shop, tmp_path):
    good, bad = untrained(shop, tmp_path), tmp_path / "bad.toml"
    bad.write_text(good.read_text() + "[decide]\nby = 'colour'\n")
    quick = ("--set", "decide.scorer=score", "--seeds", "4")
    ran = run("compare", good, bad, "--out", tmp_path / "c", *quick)
    assert ran.code == 1  # a cell failed
    table = (tmp_path / "c" / "table.md").read_text()
    assert ran.out.startswith(table)
    assert re.search(r"^\| tfidf \| 0\.\d{3} \|", table, re.MULTILINE)
    assert "| bad (0 of 1 seeds) |" in table
    assert "failed: bad, seed 4: " in ran.out
    assert "no column 'colour'" in ran.out
    said = refused("compare", good, "--seeds", "1,one", "--out", tmp_path / "d")
    assert said == "--seeds takes whole numbers, as in 0,1,2, got '1,one'"
    said = refused("compare", good, "--seeds", "1,1", "--out", tmp_path / "d")
    assert said == "seed 1 is given 2 times; give each seed once"
    assert "note: one seed shows no spread; give several" in ran.out
    assert not (tmp_path / "d").exists()


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
        # However the shell was started: one that runs in the background may ignore the signal.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    last = out / "training" / "last.safetensors"
    until = time.monotonic() + 120
    while not last.exists() and time.monotonic() < until and child.poll() is None:
        time.sleep(0.05)
    child.send_signal(signal.SIGINT)
    said, complained = child.communicate(timeout=60)
    assert child.returncode == 130
    assert said == ""
    assert complained.startswith("stopped: the same command with --resume goes on")
    assert complained.count("\n") == 1
    assert last.exists()
    assert not (out / "manifest.json").exists()


class Terminal(io.StringIO):
    def isatty(self):
        return True


class AtOnce:
    """A timer that does not wait."""

    def __init__(self, delay, function):
        self.start, self.delay = function, delay

    def cancel(self):
        pass

    def is_alive(self):
        return False


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("evaluate", "--no-report"), ("measuring", "measuring baselines")),
        (("calibrate",), ("calibrating",)),
        (("index",), ("indexing 300 items",)),
        (("match", "--text", "red kettle"), ("matching",)),
    ],
)
@pytest.mark.parametrize("quiet", [False, True])
def test_what_takes_long_shows_progress_on_a_terminal(monkeypatch, model, command, words, quiet):
    seen, verb = Terminal(), command[0]
    monkeypatch.setattr("threading.Timer", AtOnce)
    monkeypatch.setattr("sys.stderr", seen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with pytest.raises(SystemExit):
        main([verb, str(model), *command[1:], *(["--quiet"] if quiet else [])])
    for text in words:
        assert (text in seen.getvalue()) is not quiet


def test_a_fault_of_ours_is_said_to_be_one_and_written_down(run, shop, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def fail(*_, **__):
        raise KeyError("nobody thought\nof it")

    monkeypatch.setattr("thresher.jobs.nearest.nearest", fail)
    ran = run("nearest", shop / "model", "--item", "x")
    (path,) = tmp_path.glob("thresher-*.txt")
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.startswith("error: a fault of Thresher, not yours (KeyError: ")
    assert ran.err.rstrip().endswith(f"please report {path}")
    assert "in fail" in path.read_text("utf-8")
