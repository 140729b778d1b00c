"""Runs on events: every way to learn from histories finds what comes next."""

import numpy as np
import pytest

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
)
from thresher.config import read
from thresher.data.dataset import load_dataset
from thresher.jobs.evaluate import evaluate
from thresher.jobs.train import train as run_job
from thresher.retriever import Retriever


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The folder of an artifact; not to be changed."""
    return trained_on_histories(tmp_path_factory) / "model"


def train(folder, *overrides, out="m"):
    return run_job(read(folder / "run.toml", overrides), folder / out, quiet=True)


def measured(folder, **options):
    return evaluate(folder, report=False, quiet=True, **options)


def test_the_next_items_are_found_far_better_than_by_popularity(model):
    found = measured(model)
    # A buyer goes around one of five rings of six items: knowing the ring finds all of the next.
    # A list of the six that are bought most has a fifth of the items.
    assert found["recall@6"] > 0.7
    assert found["popularity/recall@6"] < 0.5
    assert (found["queries"], found["items"]) == (16, RINGS * LENGTH + len(COLD))
    assert found["popularity/queries"] == found["queries"]
    assert found["item_knn/recall@6"] > 0.7


def test_where_there_is_nothing_to_learn_nothing_is_found(tmp_path):
    train(open_histories(tmp_path, shuffled(histories(160))))
    # Any six of 30 items find a fifth of the next ones.
    assert measured(tmp_path / "m")["recall@6"] < 0.45


def test_what_training_says(tmp_path):
    made, result = train(open_histories(tmp_path))
    kept = Retriever.open(made.folder).config.build("recommend").repeat_boost
    assert result["repeat_boost"] == made.config.build("recommend").repeat_boost == kept
    assert kept in (0, 0.05, 0.1, 0.2, 0.5, 1)
    # 160 buyers of 8 events: 8 in 10 learn, all events but the first of each.
    assert result["training_pairs"] == result["train_queries"] == 128 * (EVENTS - 1)
    assert (result["validation_queries"], result["test_queries"]) == (16, 16)
    assert (result["items"], result["items_never_in_training"]) == (35, len(COLD))
    assert set(result["features"]["item"]) == {"id", "text"}
    assert (result["findings"], result["decision"]) == ([], None)
    assert result["validation"]["recall@6"] > 0.7


OPTIONS = {
    "interests": (
        *("tower.interests=2", "train.mini_batch_size=100", "train.num_sampled_negatives=2"),
        "train.logq=true",
    ),
    "sampled": ("train.num_sampled_negatives=4", "train.sampling_power=0.75", "train.logq=false"),
    "sampled alone": (
        *("train.num_sampled_negatives=8", "train.in_batch_negatives=false", "train.logq=true"),
    ),
    "hard": ("train.hard_negatives=2", "train.logq=false"),
    "the catalogue": ("train.negatives=catalogue", "train.logq=false"),
    "clusters": ("train.cluster_from_epoch=1", "train.cluster_size=8"),
    "one": ("train.positives=one", "train.batch_size=16", "train.epochs=5"),
    "rare": ("train.positives=rare", "train.batch_size=16", "train.epochs=5"),
    "last, flat index": ("data.protocol=last", "index.kind=flat"),
    # a quarter of the events is at time 6 or 7, a quarter at 4 or 5
    "time": ("data.protocol=time", "data.shares={train=0.5, validation=0.25, test=0.25}"),
    # two of eight are known: of the six places of the ring that follow, four are new
    "history removed": ("recommend.remove_history=true", "data.history_share=0.25"),
    "gru": ("tower.encoder=gru", "train.epochs=5"),
    "concat": (
        *("tower.combine=concat", "tower.id_dropout=0.0", "features.id_min_count=0"),
        "train.epochs=6",
    ),
    "softmax": ('objective=[{kind="softmax"}]',),
    "triplet": ('objective=[{kind="triplet"}]',),
    "bpr": ('objective=[{kind="bpr"}]',),
}  # fmt: skip


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_trains_and_finds(tmp_path, name):
    folder = open_histories(tmp_path)
    overrides = [one for one in OPTIONS[name] if not one.startswith("objective=")]
    if len(overrides) < len(OPTIONS[name]):
        text = (folder / "run.toml").read_text()
        (folder / "run.toml").write_text(f'{text}\n[[objective]]\nkind = "{name}"\n')
    _, result = train(folder, *overrides)
    found = measured(folder / "m")
    assert found["recall@6"] > max(0.5, found["popularity/recall@6"] + 0.1), name
    assert found["queries"] == result["test_queries"]


def test_events_of_weight_0_are_history_only(tmp_path):
    # Of 8 events the 3rd and the last weigh nothing: 5 of the 7 that could be learnt are.
    folder = open_histories(tmp_path, weights=[1, 2, 0, 1, 3, 1, 1, 0])
    _, result = train(folder, "train.positives=one", "train.batch_size=16")
    assert result["training_pairs"] == 128 * 5
    # the last two are evaluated, of which the last is no target
    assert measured(folder / "m")["targets"] == 16


def test_targets_of_more_weight_are_drawn_more(tmp_path):
    # The last two events are of another ring. Learnt often, that ring follows; seldom, it does not.
    def leaps(weight, name):
        lists = [[*items[:-2], *[f"i{(int(items[0][1]) + 1) % RINGS}-{n}" for n in (0, 1)]]
                 for items in histories(160)]  # fmt: skip
        folder = open_histories(tmp_path / name, lists, weights=[1] * 6 + [weight] * 2)
        train(folder)
        return measured(folder / "m")["recall@6"]

    assert leaps(50, "often") > leaps(0.02, "seldom") + 0.3


@pytest.mark.parametrize("remove", [False, True])
def test_popularity_is_the_list_of_what_is_bought_most(tmp_path, remove):
    folder = open_histories(tmp_path, histories(80))
    # two of eight are known, and come again among the targets
    options = ("data.history_share=0.25", f"recommend.remove_history={str(remove).lower()}")
    train(folder, *options, "train.epochs=1")
    data = load_dataset(read(folder / "run.toml", options).build("data"), folder)
    counts = data.item_counts()
    order = sorted(range(35), key=lambda row: -counts[row])  # stable: ties by row
    test, recalls = data.part("test"), []
    had = test.queries.histories.sequences()
    for user in range(len(test)):
        history, targets = (
            s.items[s.starts[user] : s.starts[user + 1]].tolist() for s in (had, test.targets)
        )
        listed = [row for row in order if not (remove and row in history)][:6]
        recalls.append(np.mean([target in listed for target in sorted(set(targets))]))
    found = measured(folder / "m")
    assert found["popularity/recall@6"] == pytest.approx(np.mean(recalls))


def test_events_are_read_as_in_training(tmp_path):
    kinds = ["see", "see", "buy", "see", "buy", "buy", "buy", "cart"]
    folder = open_histories(tmp_path, kinds=kinds)
    overrides = ('data.event_kinds=["buy", "cart"]', "data.repeated_events=merge", "train.epochs=1")
    train(folder, *overrides)
    text = "user_id,item_id,timestamp,event\na,i0-0,1,buy\na,i4-0,2,see\na,i3-0,3,buy\n"
    text += "b,i0-0,1,buy\nb,i0-0,2,buy\nb,i3-0,3,buy\nc,i4-0,1,see\n"
    (tmp_path / "e.csv").write_text(text)
    model = Retriever.open(folder / "m")
    with pytest.warns(UserWarning, match="'c'"):
        found = model.recommend(tmp_path / "e.csv", 2).to_pylist()
    of = {
        user: [(r["item_id"], pytest.approx(r["score"], abs=1e-6)) for r in found
               if r["user_id"] == user] for user in "abc"
    }  # fmt: skip
    # Only what was bought counts, and twice in a row is once; nobody put anything into a cart.
    assert of["a"] == of["b"] != []
    assert of["c"] == []


def test_interests_list_each_item_once_by_the_one_it_is_closest_to(tmp_path):
    folder = open_histories(tmp_path)
    model, _ = train(folder, "tower.interests=2")
    had = [f"i{ring}-{n}" for n in range(4) for ring in (0, 3)]
    rows = [{"user_id": "a", "item_id": item, "timestamp": t} for t, item in enumerate(had)]
    listed = model.recommend(rows, 35)
    assert sorted(row["item_id"] for row in listed) == sorted([*ITEMS, *COLD])
    two = model.tower.encode(model.tower.queries(model.as_queries(events=rows))).reshape(2, -1)
    assert abs(two[0] @ two[1]) < 0.999
    best = (model.catalogue.vectors(np.arange(35)) @ two.T).max(axis=1)
    expected = dict(zip(model.items["id"].to_pylist(), best.tolist(), strict=True))
    scores = [row["score"] for row in listed]
    assert scores == pytest.approx([expected[row["item_id"]] for row in listed], abs=1e-5)
    assert scores == sorted(scores, reverse=True)
    without = model.recommend(rows, 27, remove_history=True)
    assert [row["item_id"] for row in without] == [
        row["item_id"] for row in listed if row["item_id"] not in had
    ]
