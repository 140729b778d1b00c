"""Features as a job: what is learnt, what views of items add, and going on where a run stopped."""

import functools
import json
import shutil
import sys

import numpy as np
import pytest

from oracles.readers import BOOKS, EACH, GENRES, READERS, VIEWS, open_readers, pairs, write
from thresher import jobs
from thresher.artifact import Artifact
from thresher.config import read
from thresher.data.feature_data import load_feature_data
from thresher.errors import InputError
from thresher.feature_recommender import FeatureRecommender
from thresher.jobs.features import schema_of


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of the data and of an artifact, not to be changed, and what training said."""
    folder = open_readers(tmp_path_factory.mktemp("readers"))
    return folder, train(folder)


@pytest.fixture(scope="module")
def readers(trained):
    return trained[0]


@pytest.fixture(scope="module")
def arm(tmp_path_factory):
    """The folder of an artifact of an arm, trained once; not to be changed."""

    @functools.cache
    def folder_of(name):
        folder = open_readers(tmp_path_factory.mktemp("arm"), more=VIEWS)
        train(folder, *ARMS[name], "train.epochs=2")
        return folder

    return folder_of


def train(folder, *overrides, out="m", **options):
    return jobs.train(read(folder / "run.toml", overrides), folder / out, quiet=True, **options)


def measured(folder, out="m"):
    return jobs.evaluate(folder / out, report=False)


def weights(folder):
    return (Artifact.open(folder).part("model") / "tower" / "model.safetensors").read_bytes()


def log(folder, out="m"):
    return [
        json.loads(x) for x in (folder / out / "training" / "log.jsonl").read_text().splitlines()
    ]


# What is learnt.


def test_books_of_the_genre_are_found_though_each_stands_in_few_pairs(readers):
    found = measured(readers)
    # 450 pairs of 90 books: 4 of each are learnt from. Of the 15 books of a genre one or two are
    # known already; ten of the rest hold some three quarters of those to find.
    assert found["recall@10"] > 0.6
    assert found["popularity/recall@10"] < 0.2
    assert found["items"] == BOOKS


def test_where_there_is_nothing_to_learn_nothing_is_found(tmp_path):
    folder = open_readers(tmp_path, shuffled=True)
    train(folder)
    # any ten of 90 books hold a ninth
    assert measured(folder)["recall@10"] < 0.3


def test_where_labels_are_few_the_genre_finds_what_ids_cannot(tmp_path):
    # 54 pairs of 90 books: every other book was never seen with a reader.
    folder = open_readers(tmp_path)
    few = ("data.train_share=0.15", "train.batch_size=18")
    train(folder, *few)
    found = measured(folder)
    assert found["unseen/recall@10"] > 0.5
    ignored = [f"features.item.{name}=ignored" for name in ("genre", "shelves")]
    train(folder, *few, *ignored, out="without")
    assert measured(folder, "without")["recall@10"] < found["recall@10"] - 0.2


def test_what_training_says(trained):
    folder, result = trained
    assert (result["items"], result["examples"]) == (BOOKS, round(0.8 * READERS * EACH))
    assert result["features"] == {
        "item": {"id": "id", "title": "words", "genre": "category", "shelves": "categories"},
        "query": {"id": "id", "taste": "category"},
    }
    assert result["findings"] == []
    assert result["validation"]["recall@10"] > 0.6
    assert {p.name for p in (folder / "m" / "training").iterdir()} == {"log.jsonl"}


ARMS = {
    "correlated": [],
    "random": ["views.masking=random"],
    "independent": ["views.masking=independent", "views.mask_id=false", "data.protocol=queries"],
    "no masking": ["views.masking=none", "views.value_dropout=0.5"],
    "no dropout": ["views.value_dropout=0.0", "tower.feature_dropout=0.3"],
    "in chunks": ["train.chunk=50"],
}


@pytest.mark.parametrize("name", ARMS)
def test_every_arm_trains_and_finds(arm, name):
    folder = arm(name)
    assert all(line["ssl"] > 0 for line in log(folder) if "ssl" in line)
    assert sum("ssl" in line for line in log(folder)) == 2
    found = measured(folder)
    assert found["recall@10"] > found["popularity/recall@10"] + 0.3


def test_items_are_spread(tmp_path):
    spread = VIEWS.partition("[views]")[0].replace('"views"', '"spread"')
    near = []
    for weight in ("0.0", "3.0"):
        folder = open_readers(tmp_path / weight, more=spread.replace("0.3", weight))
        train(folder, "train.epochs=2")
        rows = np.asarray(FeatureRecommender.open(folder / "m").index.vectors)
        near.append((rows @ rows.T)[~np.eye(BOOKS, dtype=bool)].mean())
    assert near[1] < near[0]


def test_views_change_what_is_learnt_and_are_the_same_each_time(tmp_path, arm):
    # the same run elsewhere is the same model
    folder = open_readers(tmp_path, more=VIEWS)
    train(folder, "train.epochs=2")
    assert weights(folder / "m") == weights(arm("correlated") / "m")
    assert weights(folder / "m") != weights(arm("random") / "m")


# Other kinds of data.


def open_pages(folder):
    """Books that link to books of their genre, and no queries beside them."""
    open_readers(folder)
    links = [
        (f"b{n}", f"b{(n + GENRES * step) % BOOKS}") for n in range(BOOKS) for step in range(1, 7)
    ]
    write(folder / "pairs.csv", "query_id,item_id", links)
    text = (folder / "run.toml").read_text().replace('queries = "readers.csv"\n', "")
    (folder / "run.toml").write_text(text)
    return folder


def test_pages_that_link_to_pages(tmp_path):
    folder = open_pages(tmp_path)
    result = train(folder, "train.epochs=4")
    assert result["features"]["query"] == result["features"]["item"]
    found = measured(folder)
    assert found["recall@10"] > found["popularity/recall@10"] + 0.3


def schema(folder, *overrides):
    config = read(folder / "run.toml", overrides)
    return schema_of(config, load_feature_data(config.build("data"), config.folder))


def kinds(features):
    return {feature.name: feature.kind for feature in features}


def test_what_is_told_of_items_holds_for_queries_that_are_items(tmp_path):
    folder = open_pages(tmp_path)
    told = ("features.item.title=ignored", 'features.item.genre={kind="category", width=4}')
    found = schema(folder, *told)
    assert kinds(found.items) == {"id": "id", "genre": "category", "shelves": "categories"}
    assert {f.name: f.width for f in found.items} == {"id": 16, "genre": 4, "shelves": 16}
    assert found.queries == found.items
    # unless it is told otherwise
    otherwise = ("features.query.title=words", "features.query.genre=ignored")
    again = schema(folder, *told, *otherwise)
    assert again.items == found.items
    assert kinds(again.queries) == {"id": "id", "title": "words", "shelves": "categories"}


def test_what_is_told_of_items_says_nothing_of_queries_in_a_file_of_their_own(tmp_path):
    folder = open_readers(tmp_path)
    names = ((f"r{n}", "tale") for n in range(READERS))
    write(folder / "readers.csv", "id,title", names)
    found = schema(folder, "features.item.title=ignored")
    assert kinds(found.items) == {"id": "id", "genre": "category", "shelves": "categories"}
    assert kinds(found.queries) == {"id": "id", "title": "words"}


def test_ids_are_counted_by_training_pairs_and_not_by_the_events_of_histories(tmp_path):
    folder = open_readers(tmp_path)
    write(folder / "books.csv", "id,shelves", [(book, "new") for book in "abcd"])
    # 16 of 20 users are learnt from, of whom all start with "a", so that it is never asked for
    events = [(f"u{n}", book, str(time)) for n in range(20) for time, book in enumerate("abcd")]
    write(folder / "events.csv", "user_id,item_id,timestamp", events)
    text = (folder / "run.toml").read_text().replace('queries = "readers.csv"\n', "")
    (folder / "run.toml").write_text(text.replace('pairs = "pairs', 'events = "events'))
    for pairs_, known in ((0, "abcd"), (1, "bcd"), (16, "bcd"), (17, "")):
        found = schema(folder, f"features.id_pairs={pairs_}")
        assert kinds(found.queries) == {"history.id": "id", "history.shelves": "categories"}
        assert found.readers["id"].known.to_pylist() == list(known)


def test_histories_of_users_with_features(tmp_path):
    folder = open_readers(tmp_path)
    rows = [f"{reader},{book},{time}" for time, (reader, book) in enumerate(pairs())]
    (folder / "events.csv").write_text("\n".join(["user_id,item_id,timestamp", *rows]) + "\n")
    text = (folder / "run.toml").read_text().replace('pairs = "pairs', 'events = "events')
    (folder / "run.toml").write_text(text)
    shares = "data.shares={train=0.6, validation=0.1, test=0.3}"
    options = (shares, "train.batch_size=30", "data.known=0.67", "train.epochs=4")
    for queries, names in (("readers.csv", ["id", "taste"]), (None, [])):
        if queries is None:
            (folder / "run.toml").write_text(text.replace('queries = "readers.csv"\n', ""))
        result = train(folder, *options)
        history = [f"history.{name}" for name in ("id", "title", "genre", "shelves")]
        assert list(result["features"]["query"]) == [*names, *history]
        assert result["examples"] == 90 * (EACH - 1)
        found = measured(folder)
        assert found["recall@10"] > found["popularity/recall@10"] + 0.2


def test_a_history_in_a_column_of_the_queries(tmp_path):
    folder = open_readers(tmp_path)
    had = [f"b{n % GENRES}|b{n % GENRES + GENRES}" for n in range(READERS)]
    lines = ["id,before", *(f"r{n},{books}" for n, books in enumerate(had))]
    (folder / "readers.csv").write_text("\n".join(lines) + "\n")
    told = ("features.query.before=history", "features.query.id=ignored")
    result = train(folder, *told, "train.epochs=2")
    assert [name[:8] for name in result["features"]["query"]] == ["history."] * 4
    assert measured(folder)["recall@10"] > 0.5


def test_tables_of_their_own_for_histories(tmp_path):
    folder = open_readers(tmp_path)
    (folder / "readers.csv").write_text(
        "\n".join(["id,before", *(f"r{n},b{n % GENRES}" for n in range(READERS))]) + "\n"
    )
    told = ("features.query.before=history", "features.share=false", "train.epochs=2")
    train(folder, *told)
    recommender = FeatureRecommender.open(folder / "m")
    tables = {f.name: f.table for f in recommender.schema.queries}
    assert tables["history.genre"] == "query.history.genre"
    assert measured(folder)["recall@10"] > 0


# What is kept.


def test_the_artifact_lists_what_training_validated(readers):
    recommender = FeatureRecommender.open(readers / "m")
    asked = load_feature_data(read(readers / "run.toml").build("data"), readers)
    table = recommender.queries.of_asking(asked.queries, asked.test)
    hits = recommender.recommend(asked.test, table, 10)
    right = []
    for row in range(len(asked.test)):
        of = asked.test.targets
        targets = of.items[of.starts[row] : of.starts[row + 1]]
        right.append(np.isin(targets, hits.rows[row]).mean())
        assert not set(hits.rows[row]) & set(asked.test.known.items_of(row))
    assert measured(readers)["recall@10"] == pytest.approx(np.mean(right))


def test_a_damaged_model_is_no_traceback(readers, tmp_path):
    model = shutil.copytree(readers / "m", tmp_path / "m")
    files = [
        path
        for part in ("model", "index")
        for path in Artifact.open(model).part(part).rglob("*")
        if path.is_file() and path.name != "config.toml"
    ]
    assert {"schema.json", "values.parquet", "model.safetensors"} <= {p.name for p in files}
    for path in files:
        whole = path.read_bytes()
        for content in (b"\x01" * len(whole), whole[:-1]):
            path.write_bytes(content)
            with pytest.raises(InputError):
                FeatureRecommender.open(model)
        path.write_bytes(whole)
    FeatureRecommender.open(model)


# Stopping and going on.

MORE = ("train.checkpoint_steps=2", "train.epochs=3", "tower.feature_dropout=0.2")


def stopped_after(steps, monkeypatch):
    run = sys.modules["thresher.training.loop"].Run
    one_step, done = run.step, []

    def step(self, epoch, number, rows):
        done.append(number)
        if len(done) > steps:
            raise KeyboardInterrupt
        return one_step(self, epoch, number, rows)

    monkeypatch.setattr(run, "step", step)


def test_resuming_ends_with_the_same_weights(tmp_path, monkeypatch):
    folder = open_readers(tmp_path, more=VIEWS)
    train(folder, *MORE, out="whole")
    with monkeypatch.context() as patch:
        stopped_after(9, patch)  # 6 steps an epoch: in the middle of the second
        with pytest.raises(KeyboardInterrupt):
            train(folder, *MORE)
    assert not (folder / "m" / "manifest.json").exists()
    train(folder, *MORE, resume=True)
    assert weights(folder / "m") == weights(folder / "whole")


def test_another_run_does_not_go_on_from_a_checkpoint(tmp_path, monkeypatch):
    folder = open_readers(tmp_path, more=VIEWS)
    with monkeypatch.context() as patch:
        stopped_after(3, patch)
        with pytest.raises(KeyboardInterrupt):
            train(folder, *MORE)
    others = (
        *("train.seed=1", "views.masking=random", "views.value_dropout=0.1", "tower.dropout=0.2"),
        *("train.epochs=4", "ranking.depths=[1, 5]", "tower.feature_dropout=0.1"),
    )
    for other in others:
        with pytest.raises(InputError, match="another configuration or other data"):
            train(folder, *MORE, other, resume=True)
    # one that changes how many values have a vector does not even fit
    for other in ("features.width=8", "features.item.title=ignored", "data.train_share=0.5"):
        with pytest.raises(InputError, match="is no checkpoint of this model"):
            train(folder, *MORE, other, resume=True)
    books = (folder / "books.csv").read_text()
    (folder / "books.csv").write_text(books.replace("genre1", "genre2", 1))
    with pytest.raises(InputError, match="another configuration or other data"):
        train(folder, *MORE, resume=True)
    # Where the data lies decides nothing, nor how the catalogue is searched.
    (folder / "books.csv").unlink()
    (folder / "moved.csv").write_text(books)
    train(folder, *MORE, "data.items=moved.csv", "index.kind=exact", resume=True)


# What is refused.


def test_nobody_is_asked_where_the_pairs_give_training_alone(tmp_path):
    folder = open_readers(tmp_path)
    given = ((*pair, "train") for pair in pairs())
    write(folder / "pairs.csv", "query_id,item_id,split", given)
    train(folder, "train.epochs=1")
    with pytest.raises(InputError, match=r"nobody is asked in the split 'test'; .* column `split`"):
        measured(folder)


REFUSED = {
    "metric": (["train.metric=P@1"], r"train\.metric is 'P@1'; give one of recall"),
    "depth": (["train.metric=recall@91"], r"a depth of 1 to 90"),
    "batch": (["train.batch_size=5000"], r"360 training pairs, fewer than one batch of 5000"),
    "views": (["views.items=91"], r"step draws 91 items \(views\.items\) and the catalogue has 90"),
    "batch of views": (["train.batch_size=100", "views.items=100"], r"draws 100 items"),
    "one feature": (
        [f"features.item.{name}=ignored" for name in ("id", "title", "genre")],
        r"of 1 feature\(s\) 1 can be masked",
    ),
    "column": (["features.item.titles=words"], r"names 'titles'.*did you mean 'title'"),
    "number": (["features.item.genre=number"], r"and row 1 holds 'genre0'"),
    "again": (["ranking.again=0.5"], r"ranking\.again is 0\.5, which history runs have"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_settings_that_cannot_be_trained_with(tmp_path, name):
    overrides, words = REFUSED[name]
    folder = open_readers(tmp_path, more=VIEWS)
    with pytest.raises(InputError, match=words) as caught:
        train(folder, *overrides, out="runs/m")
    assert "\n" not in str(caught.value)
    assert not (folder / "runs").exists()
