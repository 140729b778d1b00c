"""Matching runs whose objective reads views of items: they learn, resume, and refuse."""

import json

import pytest

from oracles.shop import open_shop
from thresher import jobs
from thresher.artifact import Artifact
from thresher.config import read
from thresher.errors import InputError
from thresher.train import loop

SMALL = ["train.epochs=2", "tower.dim=8", "tower.bits=10", "train.checkpoint_steps=3"]
SMALL += ["decide.scorer=margin", "views.items=32", "train.batch_size=40"]
TERMS = """
[[objective]]
kind = "softmax"

[[objective]]
kind = "softmax"
name = "ssl"
links = "views"
weight = 0.3
temperature = 0.1

[[objective]]
kind = "softmax"
name = "apart"
links = "spread"
weight = 0.1
"""


@pytest.fixture
def run(tmp_path):
    folder = open_shop(tmp_path, items=40, queries=400)
    with (folder / "run.toml").open("a", encoding="utf-8") as file:
        file.write(TERMS)
    return lambda *more: read(folder / "run.toml", [*SMALL, *more])


def model(folder):
    return Artifact.open(folder).fingerprint("model")


def logged(folder):
    lines = (folder / "training" / "log.jsonl").read_text("utf-8").splitlines()
    return [line for line in map(json.loads, lines) if "total" in line]


def stopped_after(steps, monkeypatch, config, out):
    """As if the process were stopped in the middle of an epoch."""
    taken = iter(range(steps))
    step = loop.plain_step

    def until_then(*arguments):
        if next(taken, None) is None:
            raise KeyboardInterrupt
        return step(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "plain_step", until_then)
        with pytest.raises(KeyboardInterrupt):
            jobs.train(config, out, quiet=True)


def test_resuming_in_the_middle_of_an_epoch_ends_with_the_same_model(run, tmp_path, monkeypatch):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    jobs.train(run(), whole, quiet=True)
    lines = logged(whole)
    steps = lines[0]["step"]  # of the first epoch: the log notes its last one
    assert steps > 3
    stopped_after(steps + 3, monkeypatch, run(), cut)
    jobs.train(run(), cut, resume=True, quiet=True)
    assert model(cut) == model(whole)


def test_the_views_are_learnt(run, tmp_path):
    """Words and codes of one item come nearer to each other than to those of other items."""
    jobs.train(run("train.epochs=5"), tmp_path / "m", quiet=True)
    lines = logged(tmp_path / "m")
    assert lines[-1]["ssl"] < lines[0]["ssl"] - 0.2
    assert all(line["apart"] > 0 for line in lines)


def test_how_views_are_made_may_not_change_before_resuming(run, tmp_path, monkeypatch):
    stopped_after(4, monkeypatch, run(), tmp_path / "m")
    for other in ("views.masking=random", "views.value_dropout=0.6", "views.items=16"):
        with pytest.raises(InputError, match="another configuration or other data"):
            jobs.train(run(other), tmp_path / "m", resume=True, quiet=True)


@pytest.mark.parametrize(
    "more",
    [
        ['data.item_text=["title", "id"]', "views.masking=correlated", "train.chunk=20"],
        ["labels.kind=shared", "labels.private=20"],
        ["train.columns=all"],
        ["labels.kind=prototype", "train.mined=2"],
    ],
)
def test_views_go_with_every_way_to_train(run, tmp_path, more):
    found = jobs.train(run("train.epochs=1", *more), tmp_path / "m", quiet=True)
    assert found["validation"]["P@1"] > 0
    assert all({"softmax", "ssl", "apart"} <= set(line) for line in logged(tmp_path / "m"))


@pytest.mark.parametrize("tower", ["tfidf", "sentence"])
def test_another_tower_has_no_parts(tmp_path, tower):
    more = '\ncheckpoint = "bert"' if tower == "sentence" else ""
    (tmp_path / "run.toml").write_text(f'[tower]\nkind = "{tower}"{more}\n{TERMS}', "utf-8")
    with pytest.raises(InputError, match=f"'ssl' reads links 'views'.* the tower is '{tower}'"):
        jobs.train(read(tmp_path / "run.toml"), tmp_path / "m", quiet=True)


def test_more_items_than_the_catalogue_has(run, tmp_path):
    with pytest.raises(
        InputError, match=r"draws 41 items \(views.items\) and the catalogue has 40"
    ):
        jobs.train(run("views.items=41"), tmp_path / "m", quiet=True)
