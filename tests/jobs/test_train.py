"""Training as a job: what it says, what is kept of a run that stopped, what it refuses."""

import json
import shutil
import sys

import pytest

from oracles.buyers import histories, open_histories, write_events
from oracles.readers import VIEWS, open_readers
from oracles.shop import open_shop
from thresher.artifact import Artifact
from thresher.config import read
from thresher.data.tables import read_table, write_table
from thresher.errors import InputError
from thresher.files import FolderLock
from thresher.jobs.train import train as run_job
from thresher.retriever import Retriever

OPEN = {
    "shop": lambda folder: open_shop(folder, items=60, queries=600),
    "buyers": open_histories,
    "readers": lambda folder: open_readers(folder, more=VIEWS),
}
SMALL = {
    "shop": ("train.epochs=2", "tower.dim=8", "tower.bits=10", "train.checkpoint_steps=3"),
    "buyers": (
        *("tower.encoder=attention", "train.num_sampled_negatives=2", "train.epochs=2"),
        "train.checkpoint_steps=3",
    ),
    "readers": ("train.checkpoint_steps=2", "train.epochs=3", "tower.feature_dropout=0.2"),
}


@pytest.fixture(params=OPEN)
def each(request, tmp_path):
    """The folder of some data, and a function that trains on it."""
    return opened(request.param, tmp_path)


@pytest.fixture
def shop(tmp_path):
    return opened("shop", tmp_path)


def opened(name, folder):
    OPEN[name](folder)

    def train(*overrides, out="m", **options):
        config = read(folder / "run.toml", (*SMALL[name], *overrides))
        return run_job(config, folder / out, quiet=True, **options)[1]

    return folder, train


def fingerprint(folder):
    return Artifact.open(folder).fingerprint("model")


def log(folder):
    lines = (folder / "training" / "log.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def stop_before_the_end(monkeypatch, train, *overrides, **options):
    """As if the process were stopped once training is done and the index is being made."""

    def stopped(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("thresher.catalogue.Catalogue.build", stopped)
        with pytest.raises(KeyboardInterrupt):
            train(*overrides, **options)


def stop_after(steps, monkeypatch, train, *overrides, **options):
    """As if the process were stopped in the middle of an epoch."""
    run = sys.modules["thresher.training.loop"].Run
    one_step, done = run.step, []

    def step(self, epoch, number, rows):
        done.append(number)
        if len(done) > steps:
            raise KeyboardInterrupt
        return one_step(self, epoch, number, rows)

    with monkeypatch.context() as patch:
        patch.setattr(run, "step", step)
        with pytest.raises(KeyboardInterrupt):
            train(*overrides, **options)


# What it says.


def test_what_training_says(shop):
    folder, train = shop
    result = train()
    ids = {name: len(read_table(folder / f"{name}.csv")) for name in ("items", "queries")}
    assert (result["artifact"], result["items"]) == (str(folder / "m"), 60)
    splits = ("train", "validation", "calibration", "test")
    assert sum(result[f"{name}_queries"] for name in splits) == ids["queries"]
    assert result["training_pairs"] == result["train_queries"] > 200
    assert result["features"] == {"item": {"text": "text"}, "query": {"text": "text"}}
    assert result["findings"] == []
    assert result["validation"]["queries"] == result["validation_queries"]
    assert 0 < result["validation"]["P@1"] <= 1
    assert result["decision"]["certified"] in (True, False)
    assert {path.name for path in (folder / "m" / "training").iterdir()} == {"log.jsonl"}
    json.dumps(result)


def test_the_reranker_learns_from_training_queries_that_its_towers_have_not_seen(shop):
    folder, train = shop
    result = train("decide.folds=2")
    model = Retriever.open(folder / "m")
    assert model.examples is not None
    assert len(model.examples) == result["reranker_queries"] == result["train_queries"]
    # Far from all are right where a tower has not seen the query, though it was trained for it.
    assert 0 < model.examples.correct[:, 0].mean() < 1
    assert {path.name for path in (folder / "m" / "training").iterdir()} == {"log.jsonl"}
    first = model.decision.reranker
    model.calibrate(0.8, selection_share=0.5)  # another share needs no training
    assert model.decision.reranker.weights.tolist() == first.weights.tolist()


def test_the_weights_that_are_kept_are_those_of_the_best_validation(tmp_path):
    folder, train = opened("buyers", tmp_path)
    result = train("train.learning_rate=0.03", "train.epochs=4", "train.metric=ndcg@3")
    each = [line["validation/ndcg@3"] for line in log(folder / "m") if "validation/P@1" in line]
    assert len(each) == 4
    assert result["validation"]["ndcg@3"] == max(each)
    found = Retriever.open(folder / "m").evaluate("validation")
    # what was measured while training is what was saved
    assert found["recall@1"] == result["validation"]["recall@1"]
    assert found["recall@6"] != 0


def test_told_splits_without_calibration_are_said_to_certify_nothing(tmp_path):
    folder, train = opened("shop", tmp_path)
    table = read_table(folder / "queries.csv")
    splits = ["test" if row % 5 == 0 else "train" for row in range(len(table))]
    write_table(table.append_column("split", [splits]), folder / "queries.csv")
    result = train()
    assert result["decision"] is None
    assert (
        "no query is in the split 'calibration', so nothing is certified" in result["findings"][-1]
    )


def test_a_run_decides_where_queries_are_kept_apart_and_lists_elsewhere(shop):
    folder, train = shop
    shares = "data.shares={train=0.7, validation=0.1, test=0.2}"
    assert train(shares)["decision"] is None
    assert Retriever.open(folder / "m").policy is None
    assert not Artifact.open(folder / "m").has("decision")
    # the column `split` wins: there is nothing to calibrate on either
    queries = read_table(folder / "queries.csv").to_pylist()
    rows = [f"{q['id']},{q['title']},{'train' if n % 5 else 'test'}" for n, q in enumerate(queries)]
    (folder / "queries.csv").write_text("\n".join(["id,title,split", *rows]) + "\n")
    result = train("train.metric=P@1")
    assert (result["decision"], result["validation"]) == (None, {})
    assert (result["train_queries"], result["test_queries"]) == (480, 120)


def test_the_same_run_twice_is_the_same_artifact(each, tmp_path):
    folder, train = each
    train("train.epochs=1", out="a")
    # where the tables lie decides nothing
    moved = tmp_path / "moved"
    moved.mkdir()
    for path in [*folder.glob("*.csv"), folder / "run.toml"]:
        shutil.copy(path, moved)
    config = read(moved / "run.toml", (*read_overrides(folder), "train.epochs=1"))
    run_job(config, folder / "b", quiet=True)
    parts = [Artifact.open(folder / n).manifest["parts"] for n in "ab"]
    for name in parts[0]:
        changed = {
            file
            for file, digest in parts[0][name]["files"].items()
            if digest != parts[1][name]["files"][file]
        }
        # settings.json names the place of the tables, and the others the model that it is part of
        named = {"catalogue.json", "policy.json", "no_threshold.json"}
        assert changed <= {"settings.json", *named}


def read_overrides(folder):
    name = next(
        name
        for name, file in (
            ("readers", "books.csv"),
            ("shop", "queries.csv"),
            ("buyers", "run.toml"),
        )
        if (folder / file).exists()
    )
    return SMALL[name]


# Stopping and going on.


def test_resuming_in_the_middle_of_an_epoch_ends_with_the_same_model(each, monkeypatch):
    folder, train = each
    train(out="whole")
    steps = next(line["step"] for line in log(folder / "whole") if "total" in line)
    for line in log(folder / "whole"):
        steps = max(steps, line["step"])
    stop_after(steps + 3, monkeypatch, train)
    assert (folder / "m" / "training" / "last.safetensors").exists()
    assert not (folder / "m" / "manifest.json").exists()
    train(resume=True)
    assert fingerprint(folder / "m") == fingerprint(folder / "whole")


def test_resuming_after_the_last_epoch_ends_with_the_same_model(shop, monkeypatch):
    folder, train = shop
    train(out="whole")
    stop_before_the_end(monkeypatch, train)
    assert not (folder / "m" / "manifest.json").exists()
    # What a kill leaves between the checkpoint's rename and the end of its writing.
    (folder / "m" / "training" / ".last.safetensors.99.8e83ko_a.part").mkdir()
    train(resume=True)
    assert Artifact.open(folder / "m").manifest == Artifact.open(folder / "whole").manifest
    assert {path.name for path in (folder / "m" / "training").iterdir()} == {"log.jsonl"}


OTHERS = {
    "shop": ("train.seed=1", "tower.token_dropout=0.1", "data.seed=3", "data.train_share=0.9"),
    "buyers": ("train.seed=1", "tower.id_dropout=0.1", "data.seed=3", "train.epochs=4"),
    "readers": (
        *("train.seed=1", "views.masking=random", "views.value_dropout=0.1", "tower.dropout=0.2"),
        *("train.epochs=4", "tower.feature_dropout=0.1", "views.items=30"),
    ),
}
# These change how many values have a vector, which does not even fit.
OF_ANOTHER_SIZE = {
    "shop": ("tower.dim=16", "tower.bits=9"),
    "buyers": ("tower.dim=8", 'features.item.id="ignored"'),
    "readers": ("features.width=8", "features.item.title=ignored", "data.train_share=0.5"),
}
CHANGED = {
    "shop": ("items.csv", "red", "blue"),
    "buyers": ("items.csv", "i0-0,colour0", "i0-0,colour1"),
    "readers": ("books.csv", "genre1", "genre2"),
}


@pytest.mark.parametrize("name", OPEN)
def test_another_run_does_not_go_on_from_a_checkpoint(tmp_path, monkeypatch, name):
    folder, train = opened(name, tmp_path)
    stop_after(4, monkeypatch, train)
    for other in (*OTHERS[name], *OF_ANOTHER_SIZE[name]):
        with pytest.raises(InputError, match=r"another configuration or other data|of this model"):
            train(other, resume=True)
    file, old, new = CHANGED[name]
    whole = (folder / file).read_text()
    (folder / file).write_text(whole.replace(old, new, 1))
    with pytest.raises(InputError, match=r"another configuration or other data|of this model"):
        train(resume=True)
    (folder / file).write_text(whole)
    if name == "buyers":
        write_events(folder / "events.csv", histories(160), weights=[1, 1, 1, 2, 1, 1, 1, 1])
        with pytest.raises(InputError, match="another configuration or other data"):
            train(resume=True)
        write_events(folder / "events.csv", histories(160))
    # Where the data lies decides nothing, nor how the catalogue is searched and decided on.
    (folder / file).rename(folder / "moved.csv")
    how = ["decide.scorer=margin"] if name == "shop" else ["recommend.ks=[1, 2]"]
    result = train("data.items=moved.csv", "index.kind=exact", *how, resume=True)
    if name == "shop":
        assert result["decision"]["confidence_level"] == 0.95
        assert Retriever.open(folder / "m").options.scorer == "margin"


def test_without_resume_it_begins_again(shop, monkeypatch):
    folder, train = shop
    train(out="whole")
    stop_after(4, monkeypatch, train, "train.seed=7")
    train()
    assert fingerprint(folder / "m") == fingerprint(folder / "whole")


# What is refused, before anything is trained.


def test_an_old_artifact_stays_until_the_new_one_is_whole(shop, monkeypatch):
    folder, train = shop
    train()
    before = Artifact.open(folder / "m").manifest
    stop_before_the_end(monkeypatch, train, "train.seed=1")
    assert Artifact.open(folder / "m").manifest == before
    with pytest.raises(InputError, match=r"gone\.csv"):
        train("data.items=gone.csv")
    assert Artifact.open(folder / "m").manifest == before
    train("train.seed=1")
    assert fingerprint(folder / "m") != Artifact(folder / "m", before).fingerprint("model")


def test_a_folder_of_something_else_is_refused(shop):
    folder, train = shop
    (folder / "mine").mkdir()
    (folder / "mine" / "thesis.tex").write_text("x")
    with pytest.raises(InputError, match=r"mine holds other files, such as 'thesis\.tex'"):
        train(out="mine")
    assert [path.name for path in (folder / "mine").iterdir()] == ["thesis.tex"]
    with pytest.raises(InputError, match=r"no checkpoint to resume from; leave out --resume"):
        train(resume=True)
    assert not (folder / "m").exists()
    (folder / "m").mkdir()
    busy = pytest.raises(InputError, match="is being written to by `thresher train`")
    with FolderLock(folder / "m", "thresher train"), busy:
        train()


REFUSED = {
    "metric": ("shop", ["train.metric=recal@5"], r"train\.metric is 'recal@5'.*such as recall@5"),
    "metric of 0": (
        "shop",
        ["train.metric=recall@0"],
        r"k = 0; k is a number of places, 1 or more",
    ),
    "too deep": ("buyers", ["train.metric=recall@36"], r"with k of 1 to 35, the items"),
    "no k": ("buyers", ["train.metric=recall"], r"train\.metric is 'recall'; give one"),
    "batch": ("shop", ["train.batch_size=5000"], r"training pairs, fewer than one batch of 5"),
    "labels": (
        "shop",
        ["data.shares={train=0.8, validation=0.1, calibration=0.1}"],
        r"at least 100 labelled queries, .* got \d\d; ",
    ),
    "segments": ("shop", ["decide.by=maker"], r"no column 'maker'"),
    "no file": ("buyers", ["data.events=gone.csv"], r"there is no file .*gone\.csv"),
    "text": ("buyers", ['data.item_text=["titles"]'], r"no column 'titles'.*did you mean 'title'"),
    "views": ("readers", ["views.items=91"], r"draws 91 items \(views\.items\) and the catalogue"),
    "batch of views": (
        "readers",
        ["train.batch_size=100", "views.items=100"],
        r"draws 100 items \(views\.items\) and the catalogue has 90",
    ),
    "one feature": (
        "readers",
        [f"features.item.{name}=ignored" for name in ("id", "title", "genre")],
        r"of 1 feature\(s\) 1 can be masked",
    ),
    "feature": ("readers", ["features.item.titles=words"], r"'titles'.*did you mean 'title'"),
    "number": ("readers", ["features.item.genre=number"], r"'genre0'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_trained_with(tmp_path, name, monkeypatch):
    data, overrides, words = REFUSED[name]
    _, train = opened(data, tmp_path)
    run = sys.modules["thresher.training.loop"].Run
    monkeypatch.setattr(run, "epoch", lambda *_: pytest.fail("it was trained"))
    with pytest.raises(InputError, match=words) as caught:
        train(*overrides, out="runs/m")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "runs").exists()


def test_nobody_is_evaluated_where_all_is_training(tmp_path):
    folder, train = opened("buyers", tmp_path)
    result = train("data.shares={train=1.0}", "train.epochs=1")
    assert result["validation"] == {}  # the last weights are kept
    with pytest.raises(InputError, match="no queries in the split 'test'"):
        Retriever.open(folder / "m").evaluate()
