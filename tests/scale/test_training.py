"""Processes that Ray starts train as those of `torchrun`, also where one dies in the middle."""

import threading
import time

import pytest

from thresher.config import read
from thresher.data.tables import read_table
from thresher.errors import InputError
from thresher.files import digest
from thresher.jobs.train import train
from thresher.retriever import Retriever
from thresher.scale import training
from thresher.scale.training import train_on_ray


def run_of(shop, *more):
    return read(shop / "run.toml", ["train.checkpoint_steps=2", *more])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_model_is_that_of_one_process(cluster, shop, tmp_path):
    run = run_of(shop, "tower.token_dropout=0")  # which every process draws by itself
    done = train_on_ray(run, tmp_path / "many", workers=2)
    own, _ = train(run, tmp_path / "one", quiet=True)
    many = Retriever.open(tmp_path / "many")
    assert done["training_pairs"] == own.train_queries == many.train_queries
    offers = read_table(shop / "queries.csv")
    cosines = (own.encode(offers) * many.encode(offers)).sum(axis=1)
    # Sums in single precision and in another order, then rounded to eight bits.
    assert cosines.min() > 0.999


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_process_that_dies_is_started_again_and_nothing_changes(
    cluster, shop, tmp_path, monkeypatch
):
    train_on_ray(run_of(shop), tmp_path / "whole", workers=2)

    killed = []

    psutil = pytest.importorskip("psutil")  # Ray brings it along

    def kill_one():
        while not list((tmp_path / "model" / "training").rglob("last.safetensors")):
            time.sleep(0.01)
        ours = psutil.Process().children(recursive=True)
        next(p for p in ours if "ray::_Process" in " ".join(p.cmdline())).kill()
        killed.append(True)

    killer = threading.Thread(target=kill_one)
    killer.start()
    train_on_ray(run_of(shop), tmp_path / "model", workers=2)
    killer.join()
    assert killed
    whole, model = (next((tmp_path / n).glob("model-*")) for n in ("whole", "model"))
    for path in whole.rglob("tables/*"):
        assert digest(path) == digest(model / path.relative_to(whole))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_what_cannot_be_used_is_said_as_here(cluster, shop, tmp_path):
    with pytest.raises(InputError, match="--workers is 9, and the Ray cluster has 2 processors"):
        train_on_ray(run_of(shop), tmp_path / "model", workers=9)
    run = read(shop / "run.toml", ["data.items='nothing.csv'"])
    with pytest.raises(InputError, match=r"there is no file .*nothing\.csv"):
        train_on_ray(run, tmp_path / "model", workers=2)
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setattr(training, "_RESTARTS", -1)
    with pytest.raises(InputError, match="the same command with --resume goes on from"):
        train_on_ray(run_of(shop), tmp_path / "model", workers=2)
    monkeypatch.undo()
