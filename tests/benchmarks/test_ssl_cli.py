"""`thresher bench ssl` and `thresher data generate` as a person calls them."""

import dataclasses
import inspect
import json

import pytest

from thresher.bench import ssl as bench
from thresher.bench.cells import Cell, Outcome
from thresher.bench.ssl import Done, Request
from thresher.bench.ssl_map import Terrain
from thresher.bench.synthetic import Synthetic
from thresher.cli import data
from thresher.cli.main import main


@pytest.fixture
def run(capsys):
    """Runs `thresher` with these arguments in this process: exit code, output, errors."""

    def call(*arguments):
        with pytest.raises(SystemExit) as end:
            main([str(argument) for argument in arguments])
        return end.value.code or 0, *capsys.readouterr()

    return call


@pytest.fixture
def asked(monkeypatch):
    """What the command asks for; the second time a cell fails."""
    requests = []

    def known(request, *, jobs, report):
        requests.append((request, jobs))
        if len(requests) > 1:
            cell = Cell("all: FD", 3, request.out / "all-fd-3", "", {}, {})
            report(Outcome(cell, None, "it broke", 1.0, 1, 1, 0.0))
        return Done("a page", {"grid": request.grid})

    monkeypatch.setattr(bench, "ssl", known)
    return requests


def test_the_options_are_those_of_the_request(run, asked, tmp_path):
    out = tmp_path / "out"
    assert run("bench", "ssl", "--data", "online-retail", "--out", out) == (0, "a page\n", "")
    (request, _) = asked[0]
    assert request == Request(data="online-retail", out=out)
    code, said, errors = run(
        *("bench", "ssl", "--grid", "map", "--out", out, "--arm", "CFM", "--share", 0.5),
        *("--logq", "off", "--trials", 2, "--at", "map@10", "--sparsity", 3, "--sparsity", 4),
        *("--correlation", 0.7, "--items", 900, "--seeds", 3, "--jobs", 2, "--json"),
        *("--set", "train.epochs=1"),
    )
    request, jobs = asked[1]
    terrain = Terrain(items=900, sparsity=(3.0, 4.0), correlation=(0.7,))
    assert request == Request(
        out=out, grid="map", arms=("CFM",), shares=(0.5,), logq="off", trials=2, seeds=(3,),
        at="map@10", terrain=terrain, overrides=("train.epochs=1",),
    )  # fmt: skip
    assert (jobs, code, json.loads(said)) == (2, 1, {"grid": "map"})
    assert errors.startswith("failed: all: FD, seed 3: it broke (see ")


def test_a_mistake_is_one_sentence(run, tmp_path):
    code, said, errors = run("bench", "ssl", "--data", "x", "--out", tmp_path, "--arm", "CMF")
    assert (code, said) == (2, "")
    assert errors.count("\n") == 1
    assert "did you mean 'CFM'?" in errors


def test_generate_has_every_option_of_made_up_data():
    options = inspect.signature(data.generate).parameters
    for field in dataclasses.fields(Synthetic):
        assert options[field.name].default == field.default
    assert set(options) == {"out", "as_json", *(f.name for f in dataclasses.fields(Synthetic))}


def test_generate_writes_the_tables_that_were_asked_for(run, tmp_path):
    options = "--items 30 --queries 10 --pairs 20 --asked 1 --topics 2 --subtopics 3"
    options += " --popularity 0.5"
    options += " --features 1 --correlation 1 --noise 0 --residual 0 --unlabelled 0 --missing 0"
    code, said, _ = run("data", "generate", tmp_path, *options.split(), "--seed", 7)
    # validation and test have one query each, of two pairs: 10 + 1 + 1 queries, 20 + 2 + 2 pairs
    assert said.splitlines() == [
        f"{count} {name} written to {tmp_path / name}.parquet"
        for name, count in (("items", 30), ("queries", 12), ("pairs", 24))
    ]
    code, again, _ = run("data", "generate", tmp_path / "b", *options.split(), "--json")
    assert (code, json.loads(again)["pairs"]) == (0, 24)
