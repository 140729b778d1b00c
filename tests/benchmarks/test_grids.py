"""The commands of the grids as a person calls them; cells are measured in this process."""

import importlib
import json
import re
import sys
from pathlib import Path

import pytest

from grids import alc, cell, croloss, runs
from grids.command import Done
from grids.ssl_map import Terrain
from grids.variants import FULL
from oracles.buyers import open_histories
from oracles.shop import open_shop
from thresher.errors import InputError
from thresher.files import write_json
from thresher.jobs.cells import Cell, Outcome

QUICK = ("--set", "train.epochs=1", "--set", "tower.dim=8", "--seeds", "0", "--quiet")


@pytest.fixture
def run(capsys, monkeypatch):
    """Runs a command of the benchmarks: exit code, output, errors."""

    def call(name, *arguments):
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *map(str, arguments)])
        capsys.readouterr()
        try:
            importlib.import_module(name).main()
        except SystemExit as end:
            code = end.code or 0
        else:
            code = 0
        return code, *capsys.readouterr()

    return call


@pytest.fixture
def measured(monkeypatch):
    """Measures cells here rather than in processes of their own; gives those that were run."""
    ran = []

    def one(of):
        of.prepare()
        try:
            values = {**cell.measured(of.folder, of.task), "total_seconds": 1.0}
        except InputError as wrong:
            return None, str(wrong)
        write_json(of.folder / "measured.json", {"fingerprint": of.fingerprint, "values": values})
        return values, ""

    def run_cells(cells, program, *, jobs, report, path):
        assert (program, Path(path) / "grids" / "cell.py") == ("grids.cell", Path(cell.__file__))
        outcomes = []
        for done, of in enumerate(cells, 1):
            if (known := of.measured()) is None:
                ran.append(of.folder.name)
                outcome = Outcome(of, *one(of), 1.0, done, len(cells), 0.0)
                report(outcome)
            else:
                outcome = Outcome(of, known, "", 0.0, done, len(cells), 0.0)
            outcomes.append(outcome)
        return outcomes

    monkeypatch.setattr(runs, "run_cells", run_cells)
    return ran


@pytest.fixture
def shop(tmp_path):
    (tmp_path / "shop").mkdir()
    return open_shop(tmp_path / "shop", items=120, queries=900)


@pytest.fixture
def small(monkeypatch):
    """The grid of the ALC paper with one row."""
    grid = alc.GRIDS["full"]._replace(variants=FULL[:1], backbones=("softmax",))
    monkeypatch.setattr(alc, "GRIDS", {"full": grid})


@pytest.mark.usefixtures("small")
def test_a_grid_is_measured_then_known_then_changed(run, measured, shop, tmp_path):
    out = tmp_path / "g"
    ask = ("alc", "--data", shop / "run.toml", "--out", out, *QUICK)
    code, said, errors = run(*ask, "--json")
    assert (code, errors) == (0, "")
    table = json.loads(said)
    assert table == json.loads((out / "table.json").read_text())
    assert table["failed"] == []
    tfidf, softmax = table["rows"]
    assert (tfidf["name"], softmax["name"]) == ("TF-IDF, margin", "softmax")
    found = softmax["runs"]["0"]
    assert 0.1 < found["raw/P@1"] < 1
    assert tfidf["mean"]["raw/P@1"] > 0.5
    # Every column is a number that a cell measures; what is certified depends on the labels.
    keys = [column.key for block in alc.BLOCKS.values() for column in block]
    assert [key for key in keys if key not in found] == []
    assert (out / "figure.png").read_bytes().startswith(b"\x89PNG")
    # The model of a measured cell is not kept, what describes it is.
    left = {"cell.json", "run.toml", "measured.json"}
    assert {p.name for p in (out / "softmax-0").iterdir()} == left

    code, page, errors = run(*ask)
    assert (code, errors) == (0, "")
    assert page == (out / "table.md").read_text()
    assert re.search(r"^\| softmax \| 0\.\d{3} \|", page, re.MULTILINE)
    assert measured == ["softmax-0"]

    code, _, errors = run(*ask, "--set", "train.metric=nothing")
    assert code == 1
    assert errors.startswith("failed: softmax, seed 0: train.metric is 'nothing'")
    assert errors.count("\n") == 1
    assert json.loads((out / "table.json").read_text())["failed"][0]["seed"] == 0


def test_a_curve_of_crolosses(run, measured, monkeypatch, tmp_path):
    monkeypatch.setattr(croloss, "ALPHAS", (1.0,))
    folder, out = open_histories(tmp_path / "b"), tmp_path / "g"
    ask = (
        "croloss",
        "--data",
        folder / "run.toml",
        "--grid",
        "curve",
        "--kernel",
        "exp",
        "--out",
        out,
    )
    code, page, errors = run(*ask, *QUICK)
    assert (code, errors) == (0, "")
    assert page == (out / "table.md").read_text()
    assert (out / "figure.png").read_bytes().startswith(b"\x89PNG")
    curve = {"croloss-exp-alpha-1-0", "croloss-lambda-exp-alpha-1-0"}
    assert sorted(measured) == sorted({"softmax-0", "triplet-0", "bpr-0"} | curve)
    row = json.loads((out / "table.json").read_text())["rows"][0]["runs"]["0"]
    assert {f"{split}/recall@{k}" for split in ("validation", "test") for k in (1, 6)} <= set(row)


def test_a_stopped_grid_says_how_to_go_on(run, monkeypatch, shop, tmp_path):
    def stopped(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(runs, "run_cells", stopped)
    ask = ("alc", "--data", shop / "run.toml", "--out", tmp_path / "g", "--backbone", "softmax")
    assert run(*ask, *QUICK) == (130, "", "stopped: the same command goes on from here\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["alc", "--data", "nowhere"], "--data is 'nowhere', which is no folder"),
        (["alc", "--data", "pricerunner", "--jobs", 0], "jobs is 0 cells at a time; give 1"),
        (["alc", "--data", "pricerunner", "--backbone", "name"], "did you mean 'ngame'?"),
        (["alc", "--data", "pricerunner", "--seeds", 1, 1], "--seeds must be 0 or more, each once"),
        (["croloss", "--data", "pricerunner"], "pricerunner, which has no events"),
        (["croloss", "--data", "online-retail", "--loss", "bprr"], "did you mean 'bpr'?"),
        (["croloss", "--data", "online-retail", "--at", 30], "--at recall@30 is not measured"),
        (["self_supervision", "--data", "x", "--arm", "CMF"], "did you mean 'CFM'?"),
        (["self_supervision"], "--grid arms needs --data"),
    ],
)
def test_a_mistake_is_one_sentence(run, tmp_path, arguments, words):
    code, said, errors = run(*arguments, "--out", tmp_path / "g")
    assert (code, said) == (2, "")
    assert errors.startswith("error: ")
    assert errors.count("\n") == 1
    assert words in errors
    assert not (tmp_path / "g").exists()


@pytest.mark.usefixtures("small")
def test_a_file_in_place_of_the_folder(run, measured, shop, tmp_path):
    (tmp_path / "g").write_text("here already")
    code, said, errors = run("alc", "--data", shop / "run.toml", "--out", tmp_path / "g", *QUICK)
    assert (code, said) == (2, "")
    assert "a file lies where a folder is needed" in errors
    assert (tmp_path / "g").read_text() == "here already"


# The options are those of the requests.


@pytest.fixture
def asked(monkeypatch):
    """What a command asks its grid for; the second time a cell fails."""
    requests = []

    def of(name, function):
        def known(request, *, jobs, report):
            requests.append((request, jobs))
            if len(requests) > 1:
                lost = Cell("all: FD", 3, request.out / "all-fd-3", "", {}, {})
                report(Outcome(lost, None, "it broke", 1.0, 1, 1, 0.0))
            return Done("a page", {"grid": request.grid})

        monkeypatch.setattr(importlib.import_module(name), function, known)
        return requests

    return of


def test_the_options_of_self_supervision(run, asked, tmp_path):
    from grids.ssl import Request

    requests, out = asked("self_supervision", "ssl"), tmp_path / "out"
    ask = ("self_supervision", "--out", out)
    assert run(*ask, "--data", "online-retail") == (0, "a page\n", "")
    request, _ = requests[0]
    assert request == Request(data="online-retail", out=out, **lists(request))
    code, said, errors = run(
        *(*ask, "--grid", "map", "--arm", "CFM", "--share", 0.5, "--logq", "off"),
        *("--trials", 2, "--at", "map@10", "--sparsity", 3, 4, "--correlation", 0.7),
        *("--items", 900, "--seeds", 3, "--jobs", 2, "--json", "--quiet"),
        *("--set", "train.epochs=1"),
    )
    request, jobs = requests[1]
    terrain = Terrain(items=900, sparsity=[3.0, 4.0], correlation=[0.7])
    assert request == Request(
        out=out, grid="map", arms=["CFM"], shares=[0.5], logq="off", trials=2, seeds=[3],
        at="map@10", terrain=terrain, overrides=["train.epochs=1"],
    )  # fmt: skip
    assert (jobs, code, json.loads(said)) == (2, 1, {"grid": "map"})
    assert errors.startswith("failed: all: FD, seed 3: it broke (see ")


def test_the_options_of_croloss(run, asked, tmp_path):
    from grids.croloss import Request

    requests, out = asked("croloss", "croloss"), tmp_path / "out"
    run(
        *("croloss", "--data", "online-retail", "--out", out, "--loss", "bpr", "--trials", 2),
        *("--at", 10, "--kernel", "exp", "--temperature", 0.2, "--learning-rate", 0.3),
        *("--seeds", 4, 5, "--set", "train.epochs=1"),
    )
    assert requests[0][0] == Request(
        data="online-retail", out=out, losses=["bpr"], trials=2, at=[10], seeds=[4, 5],
        kernels=["exp"], temperature=0.2, learning_rate=0.3, overrides=["train.epochs=1"],
    )  # fmt: skip


def lists(request):
    """What the command line gives as lists and the request has as tuples."""
    return {
        "arms": [], "overrides": [], "shares": [1.0, 0.1], "seeds": [0, 1, 2],
        "terrain": request.terrain,
    }  # fmt: skip


def test_made_up_data_is_written_as_asked_for(run, tmp_path):
    options = "--items 30 --queries 10 --pairs 20 --evaluated 1 --topics 2 --subtopics 3"
    options += " --popularity 0.5 --seed 7"
    options += " --features 1 --correlation 1 --noise 0 --residual 0 --unlabelled 0 --missing 0"
    code, said, _ = run("make_synthetic", tmp_path / "made", *options.split())
    # validation and test have one query each, of two pairs: 10 + 1 + 1 queries, 20 + 2 + 2 pairs
    assert (code, said.splitlines()) == (
        0,
        [
            f"{count} {name} written to {tmp_path / 'made' / name}.parquet"
            for name, count in (("items", 30), ("queries", 12), ("pairs", 24))
        ],
    )
    code, said, errors = run("make_synthetic", tmp_path / "none", "--items", 0)
    assert (code, said) == (2, "")
    assert errors == "error: items must be 1 or more, got 0\n"
    assert not (tmp_path / "none").exists()
