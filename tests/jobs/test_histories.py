"""Histories as a job: what is learnt, kept, measured and recommended."""

import json
import shutil
import sys

import numpy as np
import pytest
import torch

from oracles.buyers import (
    COLD,
    EVENTS,
    ITEMS,
    LENGTH,
    RINGS,
    histories,
    open_histories,
    shuffled,
    trained_on_histories,
    write_events,
)
from thresher import jobs
from thresher.artifact import Artifact
from thresher.config import read
from thresher.data.history import load_history
from thresher.data.sequences import Sequences
from thresher.data.tables import read_table
from thresher.errors import InputError
from thresher.evaluate.next_items import next_items
from thresher.recommender import Recommender
from thresher.towers.encode import vectors
from thresher.towers.histories import Histories


@pytest.fixture(scope="module")
def buyers(tmp_path_factory):
    """The folder of the data and of an artifact; not to be changed."""
    return trained_on_histories(tmp_path_factory)


@pytest.fixture(scope="module")
def model(buyers):
    return buyers / "model"


def train(folder, *overrides, out="m", **options):
    run = read(folder / "run.toml", overrides)
    return jobs.train(run, folder / out, quiet=True, **options)


def weights(folder):
    return (Artifact.open(folder).part("model") / "tower" / "model.safetensors").read_bytes()


# What is learnt.


def test_the_next_items_are_found_far_better_than_by_popularity(model):
    found = jobs.evaluate(model, report=False)
    # A buyer goes around one of five rings of six items: knowing the ring finds all of the next.
    # A list of the six that are bought most has a fifth of the items.
    assert found["recall@6"] > 0.7
    assert found["popularity/recall@6"] < 0.5
    assert (found["users"], found["items"]) == (16, RINGS * LENGTH + len(COLD))
    assert found["popularity/users"] == found["users"]


def test_where_there_is_nothing_to_learn_nothing_is_found(tmp_path):
    folder = open_histories(tmp_path, shuffled(histories(160)))
    train(folder)
    # Any six of 30 items find a fifth of the next ones.
    assert jobs.evaluate(folder / "m", report=False)["recall@6"] < 0.45


def test_what_training_says(buyers, tmp_path):
    folder = open_histories(tmp_path)
    result = train(folder)
    # 160 buyers of 8 events: 8 in 10 learn, all events but the first of each.
    assert (result["customers"], result["examples"]) == (128, 128 * (EVENTS - 1))
    assert result["items"] == 35
    assert result["asked"] == {"validation": 16, "test": 16}
    assert result["findings"] == []
    assert result["artifact"] == str(folder / "m")
    assert result["validation"]["recall@6"] > 0.7
    assert {p.name for p in (folder / "m" / "training").iterdir()} == {"log.jsonl"}
    # the same run elsewhere is the same model
    assert weights(folder / "m") == weights(buyers / "model")


def test_the_weights_that_are_kept_are_those_of_the_best_validation(tmp_path):
    folder = open_histories(tmp_path)
    result = train(folder, "train.learning_rate=0.03", "train.epochs=4")
    lines = (folder / "m" / "training" / "log.jsonl").read_text().splitlines()
    each = [json.loads(line).get("validation/recall@6") for line in lines]
    assert result["validation"]["recall@6"] == max(x for x in each if x is not None)
    # no deeper than the metric that chooses, and at each depth up to it
    names = {name.partition("@")[2] for name in result["validation"] if name.startswith("recall")}
    assert names == {"1", "6"}


OPTIONS = {
    "interests": ["tower.interests=2", "train.chunk=100", "train.sampled=2", "train.logq=true"],
    "sampled": ["train.sampled=4", "train.sampled_power=0.75", "train.logq=false"],
    "sampled alone": ["train.sampled=8", "train.in_batch=false", "train.logq=true"],
    "mined": ["train.mined=2", "train.logq=false"],
    "all columns": ["train.columns=all", "train.logq=false"],
    "clusters": ["train.clustered_from=1", "train.cluster_size=8"],
    "one": ["train.positives=one", "train.batch_size=16", "train.epochs=8"],
    "rare": ["train.positives=rare", "train.batch_size=16", "train.epochs=8"],
    "last": ["data.protocol=last"],
    # a quarter of the events is at time 6 or 7, a quarter at 4 or 5
    "time": ["data.protocol=time", "data.shares={train=0.5, validation=0.25, test=0.25}"],
    # two of eight are known: of the six places of the ring that follow, four are new
    "history removed": ["ranking.remove_history=true", "data.known=0.25"],
    "flat index": ["index.kind=flat"],
}


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_trains_and_finds(tmp_path, name):
    folder = open_histories(tmp_path)
    result = train(folder, *OPTIONS[name])
    found = jobs.evaluate(folder / "m", report=False)
    assert found["recall@6"] > max(0.5, found["popularity/recall@6"] + 0.1), name
    assert found["users"] == result["asked"]["test"]


@pytest.mark.parametrize("loss", ["softmax", "triplet", "bpr"])
def test_every_loss_of_the_paper_finds(tmp_path, loss):
    folder = open_histories(tmp_path)
    text = (folder / "run.toml").read_text() + f'\n[[objective]]\nkind = "{loss}"\n'
    (folder / "run.toml").write_text(text)
    train(folder)
    assert jobs.evaluate(folder / "m", report=False)["recall@6"] > 0.5


def test_events_of_weight_0_are_history_only(tmp_path):
    # Of 8 events the 3rd and the last weigh nothing: 5 of the 7 that could be learnt are.
    folder = open_histories(tmp_path, weights=[1, 2, 0, 1, 3, 1, 1, 0])
    result = train(folder, "train.positives=one", "train.batch_size=16")
    assert result["examples"] == 128 * 5
    # asked for the last two, of which the last is no target
    assert jobs.evaluate(folder / "m", report=False)["targets"] == 16


def test_targets_of_more_weight_are_drawn_more(tmp_path):
    # The last two events are of another ring. Learnt often, that ring follows; seldom, it does not.
    def leaps(weight, name):
        lists = [[*items[:-2], *[f"i{(int(items[0][1]) + 1) % RINGS}-{n}" for n in (0, 1)]]
                 for items in histories(160)]  # fmt: skip
        folder = open_histories(tmp_path / name, lists, weights=[1] * 6 + [weight] * 2)
        train(folder)
        return jobs.evaluate(folder / "m", report=False)["recall@6"]

    assert leaps(50, "often") > leaps(0.02, "seldom") + 0.3


# Stopping and going on.


@pytest.fixture
def stop(monkeypatch):
    """As if the process were stopped once training is done and the index is being made."""

    def call(folder, *overrides):
        def stopped(*_, **__):
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr("thresher.jobs.histories.write", stopped)
            with pytest.raises(KeyboardInterrupt):
                train(folder, *overrides)
        assert (folder / "m" / "training" / "last.safetensors").exists()
        assert not (folder / "m" / "manifest.json").exists()

    return call


MORE = ("tower.encoder=attention", "train.sampled=2", "train.checkpoint_steps=3")


def test_resuming_ends_with_the_same_weights(tmp_path, monkeypatch):
    folder = open_histories(tmp_path)
    train(folder, *MORE, out="whole")

    def stopped(self, epoch, step, rows, count=[]):  # noqa: B006
        count.append(step)
        if len(count) == 19:  # 14 steps an epoch: in the middle of the second
            raise KeyboardInterrupt
        return one_step(self, epoch, step, rows)

    run = sys.modules["thresher.training.loop"].Run
    one_step = run.step
    with monkeypatch.context() as patch:
        patch.setattr(run, "step", stopped)
        with pytest.raises(KeyboardInterrupt):
            train(folder, *MORE)
    train(folder, *MORE, resume=True)
    assert weights(folder / "m") == weights(folder / "whole")


def test_another_run_does_not_go_on_from_a_checkpoint(tmp_path, stop):
    folder = open_histories(tmp_path)
    stop(folder)
    others = ("train.seed=1", "tower.id_dropout=0.1", "data.seed=3", "ranking.remove_history=true")
    for other in others:
        with pytest.raises(InputError, match="another configuration or other data"):
            train(folder, other, resume=True)
    items = (folder / "items.csv").read_text()
    (folder / "items.csv").write_text(items.replace("i0-0,colour0", "i0-0,colour1"))
    with pytest.raises(InputError, match="another configuration or other data"):
        train(folder, resume=True)
    (folder / "items.csv").write_text(items)
    write_events(folder / "events.csv", histories(160), weights=[1, 1, 1, 2, 1, 1, 1, 1])
    with pytest.raises(InputError, match="another configuration or other data"):
        train(folder, resume=True)
    # Where the data lies decides nothing, nor how the catalogue is searched.
    write_events(folder / "moved.csv", histories(160))
    train(folder, "data.events=moved.csv", "index.kind=exact", resume=True)
    assert jobs.evaluate(folder / "m", report=False)["recall@6"] > 0.7


# What is measured.


def test_evaluate_counts_what_the_recommender_lists(model, buyers):
    recommender, data = Recommender.open(model), load_history(read_spec(buyers), buyers)
    for split in ("validation", "test"):
        asked = getattr(data, split)
        lists = recommender.recommend(asked.histories, 6).rows
        expected = next_items(
            lists,
            asked.targets.starts,
            asked.targets.items,
            ks=(1, 6),
            repeats=False,
            train_counts=data.counts(),
        )
        found = jobs.evaluate(model, split=split, report=False)
        for name, value in expected.items():
            assert found[name] == (None if np.isnan(value) else value), name


def read_spec(folder, *overrides):
    return read(folder / "run.toml", overrides).build("data")


@pytest.mark.parametrize("remove", [False, True])
def test_popularity_is_the_list_of_what_is_bought_most(tmp_path, remove):
    folder = open_histories(tmp_path, histories(80))
    # two of eight are known, and come again among the targets
    options = ("data.known=0.25", f"ranking.remove_history={str(remove).lower()}")
    train(folder, *options, "train.epochs=1")
    found = jobs.evaluate(folder / "m", report=False)
    data = load_history(read_spec(folder, *options), folder)
    bought = data.train.sequences.items.tolist()
    order = sorted(range(35), key=lambda row: -bought.count(row))  # stable: ties by row
    recalls = []
    for user in range(len(data.test)):
        history, targets = (
            s.items[s.starts[user] : s.starts[user + 1]].tolist()
            for s in (data.test.histories, data.test.targets)
        )
        listed = [row for row in order if not (remove and row in history)][:6]
        recalls.append(np.mean([target in listed for target in sorted(set(targets))]))
    assert found["popularity/recall@6"] == pytest.approx(np.mean(recalls))


def test_evaluate_writes_a_report_and_can_be_told_not_to(buyers, tmp_path):
    model = shutil.copytree(buyers / "model", tmp_path / "model")
    shutil.rmtree(model / "report", ignore_errors=True)
    jobs.evaluate(model, report=False)
    assert not (model / "report").exists()
    found = jobs.evaluate(model)
    report = (model / "report" / "report.html").read_text()
    assert "<svg" in report
    told = json.loads((model / "report" / "report.json").read_text())
    assert f"{found['recall@6']:.4f}"[:5] in json.dumps(told)
    assert (model / "manifest.json").read_bytes() == (
        buyers / "model" / "manifest.json"
    ).read_bytes()


def test_a_split_that_is_none_and_one_that_is_empty(tmp_path, model):
    with pytest.raises(InputError, match="measured on validation or test, got 'train'"):
        jobs.evaluate(model, split="train")
    folder = open_histories(tmp_path)
    train(folder, "data.shares={train=0.9, test=0.1}", "train.epochs=1")
    assert jobs.evaluate(folder / "m", report=False)["users"] == 16
    with pytest.raises(InputError, match="nobody is asked in the split 'validation'"):
        jobs.evaluate(folder / "m", split="validation")


# What is recommended.


def recommend(model, tmp_path, rows, **options):
    """The lists by user, best first."""
    lines = ["user_id,item_id,timestamp", *(f"{u},{i},{t}" for u, i, t in rows)]
    (tmp_path / "e.csv").write_text("\n".join(lines) + "\n")
    result = jobs.recommend(model, tmp_path / "e.csv", quiet=True, **options)
    lists = {}
    for row in result.pop("lists", ()):
        lists.setdefault(row["user_id"], []).append(row)
    return result, lists


def test_a_customer_gets_the_ring_in_which_the_history_is(model, tmp_path):
    rows = [("a", "i0-0", 1), ("a", "i0-1", 2), ("b", "i3-4", 1)]
    result, lists = recommend(model, tmp_path, rows, top=6)
    assert result == {"customers": 2, "without_history": 0, "unknown_events": 0}
    titles = {r["id"]: r["title"] for r in read_table(model.parent / "items.csv").to_pylist()}
    for user, ring in (("a", 0), ("b", 3)):
        assert [r["rank"] for r in lists[user]] == [1, 2, 3, 4, 5, 6]
        scores = [r["score"] for r in lists[user]]
        assert scores == sorted(scores, reverse=True)
        assert sum(r["item_id"].startswith(f"i{ring}-") for r in lists[user]) >= 5
        assert all(r["item"] == titles[r["item_id"]] for r in lists[user])


def test_an_item_that_nobody_bought_yet_is_found_by_its_words(model, tmp_path):
    _, lists = recommend(model, tmp_path, [("a", "i2-0", 1), ("a", "i2-1", 2)], top=35)
    order = [r["item_id"] for r in lists["a"]]
    assert sorted(order) == sorted([*ITEMS, *COLD])
    assert min(COLD, key=order.index) == "cold2"
    assert order.index("cold2") < 10
    # and one that has bought nothing else is known by its words
    _, lists = recommend(model, tmp_path, [("a", "cold4", 1)], top=7)
    assert sum(r["item_id"].startswith("i4-") for r in lists["a"]) >= 5


def test_history_is_removed_when_told_and_otherwise_as_trained(model, tmp_path):
    rows = [("a", f"i0-{n}", n) for n in range(4)] + [("b", "i1-0", 1)]
    had = {"a": {f"i0-{n}" for n in range(4)}, "b": {"i1-0"}}
    for remove in (None, False, True):
        _, lists = recommend(model, tmp_path, rows, top=35, remove_history=remove)
        for user, items in had.items():
            listed = [r["item_id"] for r in lists[user]]
            kept = set() if remove else items
            # What is left stays whole: nobody gets one list for another's longer history.
            assert set(listed) == {*ITEMS, *COLD} - items | kept
            assert [r["rank"] for r in lists[user]] == list(range(1, len(listed) + 1))
    _, kept = recommend(model, tmp_path, rows, top=35)
    _, lists = recommend(model, tmp_path, rows, top=3, remove_history=True)
    for user, items in had.items():
        left = [r["item_id"] for r in kept[user] if r["item_id"] not in items]
        assert [r["item_id"] for r in lists[user]] == left[:3]


def test_unknown_items_are_passed_over_and_counted(model, tmp_path):
    rows = [("a", "i0-0", 1), ("a", "zz", 2), ("b", "zz", 1), ("c", "yy", 1), ("c", "i1-1", 0)]
    result, lists = recommend(model, tmp_path, rows, top=2)
    assert result == {"customers": 3, "without_history": 1, "unknown_events": 3}
    assert list(lists) == ["a", "c"]
    _, alone = recommend(model, tmp_path, [("a", "i0-0", 1)], top=2)
    assert [r["item_id"] for r in lists["a"]] == [r["item_id"] for r in alone["a"]]
    with pytest.raises(InputError, match=r"none of the 2 events names an item .* such as 'i0-0'"):
        recommend(model, tmp_path, [("a", "x", 1), ("b", "y", 1)])


def test_lists_in_blocks_are_those_of_the_whole(model, tmp_path, monkeypatch):
    lists = histories(23, seed=4)
    rows = [(f"u{n:02}", item, t) for n, items in enumerate(lists) for t, item in enumerate(items)]
    rows += [("u99", "zz", 1)]
    _, whole = recommend(model, tmp_path, rows, top=5, remove_history=True)
    assert len(whole) == 23
    for name in ("thresher.jobs.recommend", "thresher.recommender"):
        monkeypatch.setattr(sys.modules[name], "BLOCK", 4)
    result, blocks = recommend(model, tmp_path, rows, top=5, remove_history=True)
    assert result["without_history"] == 1
    assert list(blocks) == list(whole)
    for user, items in whole.items():
        for one, other in zip(items, blocks[user], strict=True):
            assert one["score"] == pytest.approx(other["score"], abs=1e-6)
            assert {**one, "score": 0} == {**other, "score": 0}


@pytest.mark.parametrize("name", ["l.csv", "l.parquet", "deeper/l.jsonl"])
def test_a_table_holds_what_would_be_returned(model, tmp_path, name):
    rows = [("a", "i0-0", 1), ("b", "zz", 1)]
    result, lists = recommend(model, tmp_path, rows, top=3)
    written, none = recommend(model, tmp_path, rows, top=3, out=tmp_path / name)
    assert (written, none) == ({**result, "out": str(tmp_path / name)}, {})
    table = read_table(tmp_path / name)
    assert table.column_names == ["user_id", "rank", "item_id", "item", "score"]
    assert table["item_id"].to_pylist() == [r["item_id"] for r in lists["a"]]
    assert [int(n) for n in table["rank"].to_pylist()] == [1, 2, 3]


@pytest.mark.parametrize("top", [0, 36])
def test_more_items_than_there_are(model, tmp_path, top):
    with pytest.raises(InputError, match=f"{top} items are asked for, and the catalogue has 35"):
        recommend(model, tmp_path, [("a", "i0-0", 1)], top=top)


def test_events_are_read_as_in_training(tmp_path):
    kinds = ["see", "see", "buy", "see", "buy", "buy", "buy", "cart"]
    folder = open_histories(tmp_path, kinds=kinds)
    train(folder, 'data.events_of_kind=["buy", "cart"]', "data.repeats=merge", "train.epochs=1")
    text = "user_id,item_id,timestamp,event\na,i0-0,1,buy\na,i4-0,2,see\na,i3-0,3,buy\n"
    text += "b,i0-0,1,buy\nb,i0-0,2,buy\nb,i3-0,3,buy\nc,i4-0,1,see\n"
    (tmp_path / "e.csv").write_text(text)
    result = jobs.recommend(folder / "m", tmp_path / "e.csv", top=2, quiet=True)
    of = {user: [(r["item_id"], pytest.approx(r["score"], abs=1e-6)) for r in result["lists"]
                 if r["user_id"] == user] for user in "abc"}  # fmt: skip
    # Only what was bought counts, and twice in a row is once; nobody put anything into a cart.
    assert result["customers"] == 2
    assert of["a"] == of["b"] != []
    assert of["c"] == []
    with pytest.raises(InputError, match="no column 'event'"):
        recommend(folder / "m", tmp_path, [("a", "i0-0", 1)])


def test_interests_list_each_item_once(tmp_path):
    folder = open_histories(tmp_path)
    train(folder, "tower.interests=2")
    rows = [("a", f"i{ring}-{n}", n) for n in range(4) for ring in (0, 3)]
    _, lists = recommend(folder / "m", tmp_path, rows, top=35)
    items = [r["item_id"] for r in lists["a"]]
    assert sorted(items) == sorted([*ITEMS, *COLD])
    # each with the score of the interest that it is closest to
    recommender = Recommender.open(folder / "m")
    history = [[*ITEMS, *COLD].index(item) for _, item, _ in sorted(rows, key=lambda row: row[2])]
    of = Sequences(np.array([0, len(history)]), np.array(history))
    two = vectors(recommender.tower, Histories.of(of, 50)).reshape(2, 16)
    assert abs(two[0] @ two[1]) < 0.999
    best = (vectors(recommender.tower, torch.arange(35)) @ two.T).max(1)
    expected = {item: score for item, score in zip([*ITEMS, *COLD], best.tolist(), strict=True)}
    scores = [r["score"] for r in lists["a"]]
    assert scores == pytest.approx([expected[item] for item in items], abs=1e-5)
    assert scores == sorted(scores, reverse=True)
    _, lists = recommend(folder / "m", tmp_path, rows, top=27, remove_history=True)
    assert [r["item_id"] for r in lists["a"]] == [
        item for item in items if item not in {f"i{ring}-{n}" for n in range(4) for ring in (0, 3)}
    ]


# What is refused.

REFUSED = {
    "P@1": ("train.metric=P@1", r"train\.metric is 'P@1'; give one of recall, .* of 1 to 35"),
    "depth": ("train.metric=recall@36", r"a depth of 1 to 35, .* such as 'recall@35'"),
    "no depth": ("train.metric=recall", r"train\.metric is 'recall'; give one of"),
    "unused": ("train.batch_size=5000", r"896 training pairs, fewer than one batch of 5000"),
    "events": ("data.events=gone.csv", r"there is no file .*gone\.csv"),
    "words": ('data.item_text=["titles"]', r"no column 'titles'.*did you mean 'title'"),
    "shares": ("data.shares={train=1.0}", None),
}


@pytest.mark.parametrize("name", REFUSED)
def test_settings_that_cannot_be_trained_with(tmp_path, name):
    override, words = REFUSED[name]
    folder = open_histories(tmp_path)
    if words is None:  # nobody is asked: the last weights are kept
        assert train(folder, override, "train.epochs=1")["validation"] == {}
        return
    with pytest.raises(InputError, match=words) as caught:
        train(folder, override)
    assert "\n" not in str(caught.value)
    assert not (folder / "m" / "manifest.json").exists()


def test_a_damaged_model_is_no_traceback(buyers, tmp_path):
    model = shutil.copytree(buyers / "model", tmp_path / "model")
    parts = [Artifact.open(model).part(name) for name in ("model", "index")]
    files = [p for part in parts for p in part.rglob("*") if p.is_file()]
    assert len(files) > 6
    for path in files:
        whole = path.read_bytes()
        for content, words in ((b"\x01" * len(whole), "."), (whole[:-1], path.name)):
            path.write_bytes(content)
            with pytest.raises(InputError, match=words):
                recommend(model, tmp_path, [("a", "i0-0", 1)], top=3)
        path.write_bytes(whole)
    recommend(model, tmp_path, [("a", "i0-0", 1)], top=3)
