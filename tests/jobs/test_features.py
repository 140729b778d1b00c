"""Runs on any columns: what is learnt, what views of items add, and which features there are."""

import functools
import json

import numpy as np
import pytest

from oracles.readers import BOOKS, EACH, GENRES, READERS, VIEWS, open_readers, pairs, write
from oracles.shop import open_shop
from thresher.artifact import Artifact
from thresher.config import read
from thresher.data.dataset import load_dataset
from thresher.jobs.evaluate import evaluate
from thresher.jobs.train import train as run_job
from thresher.retriever import Retriever


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of the data and of an artifact, not to be changed, and what training said."""
    folder = open_readers(tmp_path_factory.mktemp("readers"))
    return folder, train(folder)


@pytest.fixture(scope="module")
def arm(tmp_path_factory):
    """The folder of an artifact of an arm, trained once; not to be changed."""

    @functools.cache
    def folder_of(name):
        folder = open_readers(tmp_path_factory.mktemp("arm"), more=VIEWS)
        train(folder, *ARMS[name], "train.epochs=2")
        return folder

    return folder_of


def train(folder, *overrides, out="m"):
    return run_job(read(folder / "run.toml", overrides), folder / out, quiet=True)[1]


def measured(folder, out="m"):
    return evaluate(folder / out, report=False, quiet=True)


def weights(folder):
    tower = Artifact.open(folder).part("model") / "tower"
    paths = sorted([tower / "model.safetensors", *(tower / "tables").iterdir()])
    return [path.read_bytes() for path in paths]


def log(folder, out="m"):
    lines = (folder / out / "training" / "log.jsonl").read_text("utf-8").splitlines()
    return [line for line in map(json.loads, lines) if "total" in line]


# What is learnt.


def test_books_of_the_genre_are_found_though_each_stands_in_few_pairs(trained):
    found = measured(trained[0])
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
    _, result = trained
    assert (result["items"], result["training_pairs"]) == (BOOKS, round(0.8 * READERS * EACH))
    assert result["features"] == {
        "item": {"id": "id", "title": "words", "genre": "category", "shelves": "categories"},
        "query": {"id": "id", "taste": "category"},
    }
    assert (result["findings"], result["decision"]) == ([], None)
    assert result["validation"]["recall@10"] > 0.6


def test_what_is_known_of_a_reader_is_not_listed_when_it_is_measured(trained):
    folder = trained[0]
    model = Retriever.open(folder / "m")
    test = model.labelled("test")
    hits = model.lists(test.queries, 10, ignored=test.ignored)
    assert len(test.ignored.indices) > 0
    shares = []
    for row in range(len(test)):
        targets = set(test.truth.items_of(row))
        shares.append(len(targets & set(hits.rows[row])) / len(targets))
        assert not set(hits.rows[row]) & set(test.ignored.items_of(row))
    assert measured(folder)["recall@10"] == pytest.approx(np.mean(shares))


# Other kinds of data.


def open_pages(folder):
    """Books that link to books of their genre, and no queries beside them."""
    open_readers(folder)
    links = [
        (f"b{n}", f"b{(n + GENRES * step) % BOOKS}") for n in range(BOOKS) for step in range(1, 7)
    ]
    write(folder / "pairs.csv", "query_id,item_id", links)
    return without_queries(folder)


def without_queries(folder):
    text = (folder / "run.toml").read_text().replace('queries = "readers.csv"\n', "")
    (folder / "run.toml").write_text(text)
    return folder


def on_events(folder):
    text = (folder / "run.toml").read_text().replace('protocol = "pairs"\n', "")
    (folder / "run.toml").write_text(text.replace('pairs = "pairs', 'events = "events'))
    return folder


def test_pages_that_link_to_pages(tmp_path):
    folder = open_pages(tmp_path)
    result = train(folder, "train.epochs=4")
    assert result["features"]["query"] == result["features"]["item"]
    found = measured(folder)
    assert found["recall@10"] > found["popularity/recall@10"] + 0.3


def schema(folder, *overrides):
    """The features of a tower that is fitted and not trained."""
    config = read(folder / "run.toml", overrides)
    tower = config.build("tower")
    tower.fit(load_dataset(config.build("data"), config.folder), config.build("features"))
    return tower.schema


def kinds(features):
    return {feature.name: feature.kind for feature in features}


def test_what_is_configured_of_items_holds_for_queries_that_are_items(tmp_path):
    folder = open_pages(tmp_path)
    given = ("features.item.title=ignored", 'features.item.genre={kind="category", width=4}')
    found = schema(folder, *given)
    assert kinds(found.items) == {"id": "id", "genre": "category", "shelves": "categories"}
    assert {f.name: f.width for f in found.items} == {"id": 16, "genre": 4, "shelves": 16}
    assert found.queries == found.items
    # unless queries say otherwise
    otherwise = ("features.query.title=words", "features.query.genre=ignored")
    again = schema(folder, *given, *otherwise)
    assert again.items == found.items
    assert kinds(again.queries) == {"id": "id", "title": "words", "shelves": "categories"}


def test_what_is_configured_of_items_says_nothing_of_queries_in_a_file_of_their_own(tmp_path):
    folder = open_readers(tmp_path)
    names = ((f"r{n}", "tale") for n in range(READERS))
    write(folder / "readers.csv", "id,title", names)
    found = schema(folder, "features.item.title=ignored")
    assert kinds(found.items) == {"id": "id", "genre": "category", "shelves": "categories"}
    assert kinds(found.queries) == {"id": "id", "title": "words"}


def test_ids_are_counted_by_training_pairs_and_not_by_the_events_of_histories(tmp_path):
    folder = on_events(without_queries(open_readers(tmp_path)))
    write(folder / "books.csv", "id,shelves", [(book, "new") for book in "abcd"])
    # 16 of 20 users are learnt from, of whom all start with "a", which is nobody's next item
    events = [(f"u{n}", book, str(time)) for n in range(20) for time, book in enumerate("abcd")]
    write(folder / "events.csv", "user_id,item_id,timestamp", events)
    for count, known in ((0, "abcd"), (1, "bcd"), (16, "bcd"), (17, "")):
        found = schema(folder, f"features.id_min_count={count}")
        assert kinds(found.queries) == {"history.id": "id", "history.shelves": "categories"}
        (table,) = [f.table for f in found.items if f.name == "id"]
        assert found.encoders[table].known.to_pylist() == list(known)


def test_histories_of_users_with_features(tmp_path):
    folder = on_events(open_readers(tmp_path))
    rows = [f"{reader},{book},{time}" for time, (reader, book) in enumerate(pairs())]
    (folder / "events.csv").write_text("\n".join(["user_id,item_id,timestamp", *rows]) + "\n")
    shares = "data.shares={train=0.6, validation=0.1, test=0.3}"
    options = (shares, "train.batch_size=30", "data.history_share=0.67", "train.epochs=4")
    for names in (["id", "taste"], []):
        if not names:
            without_queries(folder)
        result = train(folder, *options)
        history = [f"history.{name}" for name in ("id", "title", "genre", "shelves")]
        assert list(result["features"]["query"]) == [*names, *history]
        assert result["training_pairs"] == 90 * (EACH - 1)
        found = measured(folder)
        assert found["recall@10"] > found["popularity/recall@10"] + 0.2


def test_a_history_in_a_column_of_the_queries(tmp_path):
    folder = open_readers(tmp_path)
    had = [f"b{n % GENRES}|b{n % GENRES + GENRES}" for n in range(READERS)]
    lines = ["id,before", *(f"r{n},{books}" for n, books in enumerate(had))]
    (folder / "readers.csv").write_text("\n".join(lines) + "\n")
    given = ("features.query.before=history", "features.query.id=ignored")
    result = train(folder, *given, "train.epochs=2")
    assert [name[:8] for name in result["features"]["query"]] == ["history."] * 4
    assert measured(folder)["recall@10"] > 0.5


def test_tables_of_their_own_for_histories(tmp_path):
    folder = open_readers(tmp_path)
    (folder / "readers.csv").write_text(
        "\n".join(["id,before", *(f"r{n},b{n % GENRES}" for n in range(READERS))]) + "\n"
    )
    given = ("features.query.before=history", "features.share_tables=false", "train.epochs=2")
    train(folder, *given)
    model = Retriever.open(folder / "m")
    tables = {f.name: f.table for f in model.tower.schema.queries}
    assert tables["history.genre"] == "query.history.genre"
    assert measured(folder)["recall@10"] > 0


# Views of items.

ARMS = {
    "correlated": [],
    "random": ["views.masking=random"],
    "independent": ["views.masking=independent", "views.mask_id=false",
                    "data.protocol=queries", "data.shares={train=0.8,validation=0.1,test=0.1}"],
    "no masking": ["views.masking=none", "views.value_dropout=0.5"],
    "no dropout": ["views.value_dropout=0.0", "tower.feature_dropout=0.3"],
    "in mini-batches": ["train.mini_batch_size=50"],
}  # fmt: skip


@pytest.mark.parametrize("name", ARMS)
def test_every_arm_trains_and_finds(arm, name):
    folder = arm(name)
    assert [line["ssl"] > 0 for line in log(folder)] == [True, True]
    found = measured(folder)
    assert found["recall@10"] > found["popularity/recall@10"] + 0.3


def test_items_are_spread_out(tmp_path):
    spread = VIEWS.partition("[views]")[0].replace('"views"', '"spread_out"')
    near = []
    for weight in ("0.0", "3.0"):
        folder = open_readers(tmp_path / weight, more=spread.replace("0.3", weight))
        train(folder, "train.epochs=2")
        rows = Retriever.open(folder / "m").catalogue.vectors(np.arange(BOOKS))
        near.append((rows @ rows.T)[~np.eye(BOOKS, dtype=bool)].mean())
    assert near[1] < near[0]


def test_views_change_what_is_learnt_and_are_the_same_each_time(tmp_path, arm):
    # the same run elsewhere is the same model
    folder = open_readers(tmp_path, more=VIEWS)
    train(folder, "train.epochs=2")
    assert weights(folder / "m") == weights(arm("correlated") / "m")
    assert weights(folder / "m") != weights(arm("random") / "m")


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
links = "spread_out"
weight = 0.1
"""
TEXTS = ["train.epochs=2", "tower.dim=8", "tower.bits=10", "decide.scorer=margin"]
TEXTS += ["views.items=32", "train.batch_size=40"]


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A run whose items have nothing but a text, in views of its words and codes."""
    folder = open_shop(tmp_path_factory.mktemp("texts"), items=40, queries=400)
    with (folder / "run.toml").open("a", encoding="utf-8") as file:
        file.write(TERMS)
    return folder


def test_views_of_a_text_are_learnt(shop):
    """Words and codes of one item come nearer to each other than to those of other items."""
    train(shop, *TEXTS, "train.epochs=5")
    lines = log(shop)
    assert lines[-1]["ssl"] < lines[0]["ssl"] - 0.2
    assert all(line["apart"] > 0 for line in lines)


@pytest.mark.parametrize(
    "more",
    [
        ['data.item_text=["title", "id"]', "views.masking=correlated", "train.mini_batch_size=20"],
        ["labels.kind=shared", "labels.private=20"],
        ["train.negatives=catalogue"],
        ["labels.kind=prototype", "train.hard_negatives=2"],
    ],
)
def test_views_go_with_every_way_to_train(shop, more):
    found = train(shop, *TEXTS, "train.epochs=1", *more)
    assert found["validation"]["P@1"] > 0
    assert all({"softmax", "ssl", "apart"} <= set(line) for line in log(shop))
