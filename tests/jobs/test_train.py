"""Training as a job: what is kept of a run that stopped, and what makes a checkpoint another's."""

import pytest

from oracles.shop import open_shop
from thresher import jobs
from thresher.artifact import Artifact
from thresher.config import read
from thresher.errors import InputError

SMALL = ["train.epochs=2", "tower.dim=8", "tower.bits=10", "train.checkpoint_steps=3"]


@pytest.fixture
def run(tmp_path):
    open_shop(tmp_path, items=60, queries=600)
    return lambda *more: read(tmp_path / "run.toml", [*SMALL, *more])


def model(folder):
    return Artifact.open(folder).fingerprint("model")


def stop_before_the_end(monkeypatch, run, out):
    """As if the process were stopped once training is done and the index is being made."""

    def stopped(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("thresher.catalogue.Catalogue.build", stopped)
        with pytest.raises(KeyboardInterrupt):
            jobs.train(run(), out, quiet=True)
    assert (out / "training" / "last.safetensors").exists()
    assert not (out / "manifest.json").exists()


def test_resuming_ends_with_the_same_model(run, tmp_path, monkeypatch):
    jobs.train(run(), tmp_path / "whole", quiet=True)
    stop_before_the_end(monkeypatch, run, tmp_path / "m")
    jobs.train(run(), tmp_path / "m", resume=True, quiet=True)
    assert model(tmp_path / "m") == model(tmp_path / "whole")
    left = {p.name for p in (tmp_path / "m" / "training").iterdir()}
    assert left == {"log.jsonl"}


def test_how_it_is_decided_may_change_before_resuming_and_how_it_is_trained_may_not(
    run, tmp_path, monkeypatch
):
    out = tmp_path / "m"
    stop_before_the_end(monkeypatch, run, out)
    for other in ("train.seed=1", "tower.token_dropout=0.1", "data.seed=3"):
        with pytest.raises(InputError, match="another configuration or other data"):
            jobs.train(run(other), out, resume=True, quiet=True)
    found = jobs.train(run("decide.scorer=margin"), out, resume=True, quiet=True)
    assert found["decision"]["policy"]["confidence_level"] == 0.95
    assert found["validation"]["P@1"] > 0


def test_the_same_run_twice_is_the_same_artifact(run, tmp_path):
    first = jobs.train(run(), tmp_path / "a", quiet=True)
    second = jobs.train(run(), tmp_path / "b", quiet=True)
    assert first["fingerprint"] == second["fingerprint"]
    parts = [Artifact.open(tmp_path / n).manifest["parts"] for n in "ab"]
    assert parts[0] == parts[1]
