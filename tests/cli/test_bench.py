"""`thresher bench alc` as a person calls it."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from thresher.bench import alc
from thresher.bench.variants import FULL

KEYS = ["raw/P@1", "raw/PSP@5", "raw/recall@100", "raw/opis", "learned/P@1", "seconds"]
QUICK = ["--set", "train.epochs=1", "--set", "tower.dim=8"]


@pytest.fixture
def bench(run, shop, tmp_path, monkeypatch):
    """Two cells a seed: the baseline and the softmax alone."""
    small = alc.GRIDS["full"]._replace(variants=FULL[:1], backbones=("softmax",))
    monkeypatch.setattr(alc, "GRIDS", {"full": small})
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)

    def call(*more):
        options = ("--data", shop / "run.toml", "--out", tmp_path / "g", "--seeds", 0, *QUICK)
        return run("bench", "alc", *options, *more)

    return call


def times(folder):
    return {p.parent.name: p.stat().st_mtime_ns for p in folder.glob("*/measured.json")}


def test_a_grid_measured_then_known_then_changed(bench, tmp_path):
    out = tmp_path / "g"
    first = bench("--json", "--jobs", 2)
    assert (first.code, first.err) == (0, "")
    table = json.loads(first.out)
    assert table == json.loads((out / "table.json").read_text())
    assert table["failed"] == []
    tfidf, softmax = table["rows"]
    assert (tfidf["name"], softmax["name"]) == ("TF-IDF, no training", "softmax")
    found = softmax["runs"]["0"]
    assert all(isinstance(found[key], float) for key in KEYS)
    assert 0.1 < found["raw/P@1"] < 1
    assert found["certified_precision@precision=0.9"] > 0.8
    assert tfidf["mean"]["raw/P@1"] > 0.5
    assert (out / "figure.png").read_bytes().startswith(b"\x89PNG")
    # The model of a measured cell is not kept, what describes it is.
    left = {"cell.json", "run.toml", "measured.json", "trained.json", "output.txt"}
    assert {p.name for p in (out / "softmax-0").iterdir()} == left

    before = times(out)
    page = bench()
    assert (page.code, page.err) == (0, "")
    assert page.out == (out / "table.md").read_text()
    assert re.search(r"^\| softmax \| \.\d{3} \|", page.out, re.MULTILINE)
    assert times(out) == before

    # A changed cell is run again, the baseline, which knows only the data, is not.
    failing = bench("--set", "train.metric=nothing")
    assert failing.code == 1
    assert failing.err.startswith("failed: softmax, seed 0: train.metric is 'nothing'")
    assert failing.err.count("\n") == 1
    assert "| softmax (0 of 1 seeds) | - |" in failing.out
    assert "| TF-IDF, no training | ." in failing.out
    assert json.loads((out / "table.json").read_text())["failed"][0]["seed"] == 0
    assert times(out) == {name: at for name, at in before.items() if "tf-idf" in name}


def test_ctrl_c_says_how_to_go_on(bench, monkeypatch):
    def stopped(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(alc, "run", stopped)
    assert bench() == (130, "", "stopped: the same command goes on from here\n")


@pytest.mark.slow
def test_ctrl_c_ends_every_process(shop, tmp_path):
    code = "from thresher.cli.main import main; main()"
    options = ["--backbone", "softmax", "--seeds", "0", "--set", "train.epochs=100000"]
    out = tmp_path / "g"
    command = ["bench", "alc", "--data", str(shop / "run.toml"), "--out", str(out), *options]
    child = subprocess.Popen(
        [sys.executable, "-c", code, *command, "--jobs", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until = time.monotonic() + 60
    while not list(out.glob("softmax*/model/training")) and time.monotonic() < until:
        time.sleep(0.05)
    child.send_signal(signal.SIGINT)
    said, complained = child.communicate(timeout=30)
    assert child.returncode == 130
    assert (said, complained) == ("", "stopped: the same command goes on from here\n")
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    assert not [line for line in listed.stdout.splitlines() if str(out) in line]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--data", "nowhere"], "--data is 'nowhere'"),
        (["--data", "pricerunner", "--jobs", 0], "--jobs must be at least 1, got 0"),
        (["--data", "pricerunner", "--backbone", "name"], "did you mean 'ngame'?"),
        (["--data", "pricerunner", "--seeds", 1, "--seeds", 1], "--seeds 1 is given twice"),
    ],
)
def test_bad_input(refused, tmp_path, options, words):
    assert words in refused("bench", "alc", "--out", tmp_path / "g", *options)
    assert not (tmp_path / "g").exists()


def test_out_is_a_file(refused, shop, tmp_path):
    (tmp_path / "g").write_text("here already")
    said = refused(
        "bench",
        "alc",
        "--data",
        shop / "run.toml",
        "--backbone",
        "softmax",
        "--out",
        tmp_path / "g",
    )
    assert "a file lies where a folder is needed" in said
    assert os.path.isfile(tmp_path / "g")
