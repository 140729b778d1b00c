"""What a user types first, with every kind of frame."""

import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import thresher
from oracles.buyers import COLD, ITEMS, histories, title
from oracles.shop import noisy, products
from thresher.config import Config, read
from thresher.data.tables import write_table
from thresher.decide.policy import NoThreshold, Policy
from thresher.errors import InputError

PRODUCTS = 80
SPLITS = {"train": 300, "validation": 40, "calibration": 160, "test": 60}
SMALL = {
    "tower": {"dim": 16, "bits": 11},
    "train": {"epochs": 2, "batch_size": 50, "cluster_from_epoch": -1},
    "decide": {"confidence_level": 0.9, "folds": 0},
}
QUICK = {"tower": {"kind": "tfidf", "bits": 12}, "decide": {"confidence_level": 0.9, "folds": 0}}
KINDS = {
    "arrow": (lambda table: table, pa.Table, lambda frame: frame.to_pylist()),
    "pandas": (
        lambda table: table.to_pandas(),
        pd.DataFrame,
        lambda frame: pa.Table.from_pandas(frame, preserve_index=False).to_pylist(),
    ),
    "polars": (pl.from_arrow, pl.DataFrame, lambda frame: frame.to_dicts()),
    "list": (lambda table: table.to_pylist(), list, lambda rows: rows),
}


def made():
    """Items, queries with their split, and pairs."""
    draw = random.Random(0)
    catalogue = list(products(draw, PRODUCTS))
    true = [draw.randrange(PRODUCTS) for _ in range(sum(SPLITS.values()))]
    ids = [f"q{n}" for n in range(len(true))]
    splits = [name for name, count in SPLITS.items() for _ in range(count)]
    draw.shuffle(splits)
    items = pa.table(
        {
            "id": [name for name, _ in catalogue],
            "title": [text for _, text in catalogue],
            "price": [draw.uniform(5, 50) for _ in catalogue],
        }
    )
    queries = pa.table(
        {
            "id": ids,
            "title": [noisy(draw, catalogue[row][1]) for row in true],
            "shop": [draw.choice(["north", "south"]) for _ in true],
            "split": splits,
        }
    )
    pairs = pa.table({"query_id": ids, "item_id": [f"i{row}" for row in true]})
    return items, queries, pairs


@pytest.fixture(scope="module")
def tables():
    return made()


@pytest.fixture(scope="module")
def model(tables):
    """Trained on Arrow tables; not to be changed."""
    return thresher.train(*tables, target=0.8, config=SMALL, quiet=True)


@pytest.fixture
def saved(model, tmp_path):
    """Another copy of it, which may be changed."""
    folder = model.save(tmp_path / "saved")
    model.folder = None
    return thresher.open(folder)


def of_split(queries, name):
    return queries.filter(pa.array([own == name for own in queries["split"].to_pylist()]))


def pairs_of(pairs, queries):
    kept = set(queries["id"].to_pylist())
    return pairs.filter(pa.array([query in kept for query in pairs["query_id"].to_pylist()]))


@pytest.fixture(scope="module")
def quick(tables):
    """The same without training."""
    return thresher.train(*tables, target=0.8, config=QUICK, quiet=True)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_frame_goes_in_and_comes_out(tables, quick, kind):
    given, type_, rows = KINDS[kind]
    own = thresher.train(*map(given, tables), target=0.8, config=QUICK, quiet=True)
    new = of_split(tables[1], "test")
    for call in (
        lambda model, frame: model.match(frame, 2, keep=["shop", "item.price"]),
        lambda model, frame: model.search(frame, 3),
        lambda model, frame: model.recommend(queries=frame, k=2),
    ):
        found = call(own, given(new))
        assert isinstance(found, type_)
        # the same data is the same model, whichever frame it came in
        for row, other in zip(rows(found), call(quick, new).to_pylist(), strict=True):
            none = {name for name, value in row.items() if value is None or value != value}
            assert none == {name for name, value in other.items() if value is None}
            assert {n: v for n, v in row.items() if n not in none} == (
                {n: v for n, v in other.items() if n not in none}
            )
    assert own.evaluate() == quick.evaluate()
    assert own.policy == quick.policy


def test_the_split_is_honoured(tables, model):
    for name, count in SPLITS.items():
        own = of_split(tables[1], name)["id"].to_pylist()
        assert sorted(model.data.part(name).queries.ids.to_pylist()) == sorted(own)
        assert len(own) == count
    assert sorted(model.decision.outcomes.ids) == (
        sorted(of_split(tables[1], "calibration")["id"].to_pylist())
    )
    assert model.train_queries == SPLITS["train"]


def test_it_matches_and_certifies(tables, model):
    assert isinstance(model.policy, Policy)
    assert model.policy.target_precision == 0.8
    true = dict(
        zip(*(tables[2][name].to_pylist() for name in ("query_id", "item_id")), strict=True)
    )
    found = model.match(of_split(tables[1], "test")).to_pylist()
    right = [row["item_id"] == true[row["query_id"]] for row in found]
    assert np.mean(right) > 0.7
    accepted = [row["decision"] == "accept" for row in found]
    assert np.mean(np.array(right)[accepted]) > 0.8
    assert np.mean(accepted) == model.evaluate()["certified_coverage@precision=0.8"]


def test_one_text_is_one_query(tables, model):
    name = tables[0]["title"][5].as_py()
    (row,) = model.match(name).to_pylist()
    assert (row["query_id"], row["query"], row["item_id"], row["item"]) == ("0", name, "i5", name)
    assert row["decision"] in ("accept", "review")
    assert model.search(name, 2)["rank"].to_pylist() == [1, 2]
    assert model.match([name, "toaster"])["query_id"].to_pylist() == ["0", "1"]
    vectors = model.encode([name, "toaster"])
    assert (vectors.shape, vectors.dtype) == ((2, 16), np.float32)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 1], abs=1e-5)


def test_search_lists_queries_items_ranks_and_scores(model):
    found = model.search(["red kettle", "blue toaster"], k=3)
    assert found.column_names == ["query_id", "item_id", "rank", "score"]
    assert found["query_id"].to_pylist() == ["0"] * 3 + ["1"] * 3
    assert found["rank"].to_pylist() == [1, 2, 3] * 2
    scores = found["score"].to_numpy().reshape(2, 3)
    assert (np.diff(scores) <= 0).all()


def test_what_is_saved_answers_as_before(tables, model, saved):
    new = of_split(tables[1], "test").to_pandas()
    pd.testing.assert_frame_equal(saved.match(new, 3), model.match(new, 3).assign(
        policy=saved.policy.id))  # fmt: skip
    pd.testing.assert_frame_equal(saved.search(new, 5), model.search(new, 5))
    assert saved.nearest("i3", 4).to_pylist() == model.nearest("i3", 4).to_pylist()
    # the tables are not kept, and labels that are given again are measured as those were
    with pytest.raises(InputError, match=r"trained on data frames, .* give queries and pairs"):
        saved.evaluate()
    test = of_split(tables[1], "test")
    found = saved.evaluate(queries=test, pairs=pairs_of(tables[2], test))
    assert found == model.evaluate()
    with pytest.raises(
        InputError, match="500 pairs name a query_id that is not an id in the table"
    ):
        saved.evaluate(queries=test, pairs=tables[2])


def test_it_is_calibrated_again_with_another_target(tables, saved):
    labels = of_split(tables[1], "calibration")
    pairs = pairs_of(tables[2], labels)
    loose = saved.calibrate(0.6, queries=labels.to_pandas(), pairs=pairs.to_pandas())
    assert isinstance(loose, Policy)
    strict = saved.calibrate(0.9, queries=labels, pairs=pairs.to_pylist())
    assert (loose.target_precision, strict.target_precision) == (0.6, 0.9)
    assert strict.accepted <= loose.accepted
    again = thresher.open(saved.folder)
    assert again.policy == strict
    assert again.config.build("decide").target == 0.9
    assert again.config.build("decide").confidence_level == 0.9


def test_candidates_of_another_engine_are_decided_on(tables, model):
    engine = thresher.train(*tables, config=QUICK, quiet=True)
    new = of_split(tables[1], "test").to_pandas()
    candidates = engine.search(new, 10)
    found = model.match(new, 3, candidates=candidates, keep=["shop"])
    assert list(found["shop"]) == list(new.set_index("id").loc[found["query_id"], "shop"])
    given = set(zip(candidates["query_id"], candidates["item_id"], strict=True))
    assert set(zip(found["query_id"], found["item_id"], strict=True)) <= given
    assert (found.groupby("query_id").size() == 3).all()
    assert set(found.loc[found["rank"] == 1, "decision"]) == {"accept", "review"}


def test_a_new_catalogue_comes_from_a_frame(tables, saved):
    more = pd.DataFrame({"id": ["new"], "title": ["left-handed hovercraft ZZ-999"], "price": [1.0]})
    saved.index(pd.concat([tables[0].to_pandas(), more]))
    assert saved.policy is None
    assert saved.search("hovercraft left-handed", 1)["item_id"].to_pylist() == ["new"]


def test_events_in_place_of_pairs():
    rows = [
        {"user_id": user, "item_id": item, "timestamp": time}
        for user, items in enumerate(histories(160))
        for time, item in enumerate(items)
    ]
    events = pd.DataFrame(rows)
    items = pl.DataFrame({"id": [*ITEMS, *COLD], "title": [title(i) for i in [*ITEMS, *COLD]]})
    config = {"tower": {"dim": 16}, "train": {"epochs": 3, "batch_size": 64, "metric": "recall@6"}}
    config["recommend"] = {"ks": [6]}
    model = thresher.train(items=items, events=events, config=config, quiet=True)
    assert model.policy is None
    assert model.evaluate()["recall@6"] > 0.7
    for given, type_ in ((events, pd.DataFrame), (pl.from_pandas(events), pl.DataFrame)):
        found = model.recommend(given[:10], k=6)
        assert isinstance(found, type_)
        assert list(found.columns) == ["user_id", "item_id", "rank", "score", "item"]
    # ten events are those of user 0 and two of user 1
    found = model.recommend(events[:10], k=6)
    assert list(found["user_id"]) == ["0"] * 6 + ["1"] * 6
    had = set(events["item_id"][:8])
    without = model.recommend(events[:8], k=10, remove_history=True)
    assert not had & set(without["item_id"])
    with pytest.raises(InputError, match="no threshold was certified"):
        model.match(events=events[:10])


def test_events_can_be_decided_on_where_labels_are_kept_apart():
    rows = [
        {"user_id": user, "item_id": item, "timestamp": time}
        for user, items in enumerate(histories(300, seed=1))
        for time, item in enumerate(items)
    ]
    shares = {"train": 0.4, "calibration": 0.4, "test": 0.2}
    config = {
        "data": {"shares": shares},
        "tower": {"dim": 16},
        "train": {"epochs": 3, "batch_size": 64, "metric": "P@1"},
        "decide": {"scorer": "score"},
    }
    model = thresher.train(events=rows, target=0.2, config=config, quiet=True)
    assert model.policy is not None
    found = model.match(events=rows[:8])
    assert isinstance(found, list)
    assert [row["query_id"] for row in found] == ["0"]


def test_vectors_that_were_made_elsewhere():
    rng = np.random.default_rng(0)
    items, noise = rng.normal(size=(50, 6)), 0.3 * rng.normal(size=(240, 6))
    true = rng.integers(0, 50, 240)
    queries = items[true] + noise
    tables = (
        {"id": [f"i{n}" for n in range(50)], "emb": items.tolist()},
        {"id": [f"q{n}" for n in range(240)], "emb": queries.tolist()},
        {"query_id": [f"q{n}" for n in range(240)], "item_id": [f"i{row}" for row in true]},
    )
    config = {
        "data": {"shares": {"train": 0.1, "calibration": 0.7, "test": 0.2}},
        "tower": {"kind": "vectors", "item_vectors": "emb", "query_vectors": "emb"},
        "decide": {"scorer": "margin", "confidence_level": 0.9},
    }
    model = thresher.train(*map(pa.table, tables), target=0.8, config=config, quiet=True)
    found = model.search(pa.table(tables[1]), 3)
    unit, own = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (items, queries))
    best = np.argsort(-(own @ unit.T), axis=1)[:, :3]
    assert found["item_id"].to_pylist() == [f"i{row}" for row in best.ravel()]
    assert isinstance(model.policy, Policy)
    assert model.match(pa.table(tables[1]).slice(0, 5))["query"].to_pylist() == [""] * 5
    with pytest.raises(InputError, match="this model reads no text; give a table"):
        model.match("a text")
    assert model.nearest("i0", 3)["neighbour_id"].to_pylist() == [
        f"i{row}" for row in np.argsort(-(unit @ unit[0]))[1:4]
    ]


def test_files_are_named_and_read_again(tables, tmp_path, monkeypatch):
    for table, name in zip(tables, ("items", "queries", "pairs"), strict=True):
        write_table(table, tmp_path / f"{name}.parquet")
    (tmp_path / "runs").mkdir()
    toml = tmp_path / "runs" / "run.toml"
    toml.write_text("[tower]\nkind = 'tfidf'\nbits = 11\n[decide]\nfolds = 0\n")
    monkeypatch.chdir(tmp_path)
    paths = ("items.parquet", Path("queries.parquet"), "pairs.parquet")
    made = thresher.train(*paths, target=0.7, config=toml, out="m", quiet=True)
    assert made.folder == Path("m")
    before = made.evaluate()
    monkeypatch.chdir(tmp_path / "runs")
    again = thresher.open(tmp_path / "m")
    assert again.config.build("decide").target == 0.7
    assert again.evaluate() == before
    assert again.match("queries.parquet is no file here")["query_id"].to_pylist() == ["0"]
    assert len(again.match(tmp_path / "queries.parquet")) == sum(SPLITS.values())


@pytest.mark.parametrize("form", ["mapping", "run", "file"])
def test_a_run_is_given_as_a_mapping_a_run_or_a_file(tables, tmp_path, form):
    given = {
        "tower": {"kind": "tfidf", "bits": 11},
        "recommend": {"ks": [1, 3]},
        "decide": {"folds": 0},
    }
    run = read(given)
    (tmp_path / "run.toml").write_text(run.to_toml())
    config = {
        "mapping": given,
        "run": run,
        "file": str(tmp_path / "run.toml"),
    }[form]
    model = thresher.train(*tables, config=config, quiet=True)
    assert model.tower.settings()["bits"] == 11
    assert "recall@3" in model.evaluate()
    assert isinstance(model.config, Config)


def test_nothing_is_left_on_disk_without_a_folder(tables, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    thresher.train(*tables, config=QUICK, quiet=True)
    assert list(tmp_path.iterdir()) == []


def without(table, name):
    return table.drop_columns([name])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda i, q, p: {"items": 3}, "items cannot be read from int; give a pandas or polars"),
        (lambda i, q, p: {"items": without(i, "id")}, "no column 'id'"),
        (lambda i, q, p: {"pairs": without(p, "item_id")}, "no column 'item_id'"),
        (lambda i, q, p: {"pairs": None}, "give items, queries and pairs, or events"),
        (lambda i, q, p: {"events": p}, "the data names both pairs and events"),
        (lambda i, q, p: {"config": {"train": {"epoch": 1}}}, "train.epoch is not a known key"),
        (lambda i, q, p: {"config": "none.toml"}, "none.toml does not exist"),
        (lambda i, q, p: {"config": [1]}, r"config is \[1\]; give a run's TOML, or a mapping"),
        (lambda i, q, p: {"target": 95.0}, "decide.target is 95; it must lie strictly between"),
        (lambda i, q, p: {"items": "gone.csv"}, "gone.csv"),
        (
            lambda i, q, p: {"queries": of_split(q, "train"), "target": 0.9},
            "a target of 0.9 is certified on labels .* none in the split 'calibration'",
        ),
        (lambda i, q, p: {"config": {"data": {"bundled": "pricerunner"}}}, "'pricerunner'"),
    ],
)
def test_what_cannot_be_trained_on_is_one_sentence(tables, change, words):
    given = dict(zip(("items", "queries", "pairs"), tables, strict=True)) | change(*tables)
    if given.get("queries") is not tables[1] and given["queries"] is not None:
        given["pairs"] = pairs_of(tables[2], given["queries"])
    with pytest.raises(InputError, match=words) as caught:
        thresher.train(**given, quiet=True)
    assert "\n" not in str(caught.value)


# What is asked for in other ways, or wrongly.


@pytest.mark.parametrize(
    ("series", "type_"),
    [
        (lambda texts: pd.Series(texts, name="offer"), pd.DataFrame),
        (lambda texts: pd.Series(texts, dtype="string"), pd.DataFrame),
        (lambda texts: pl.Series(texts), pl.DataFrame),
        (lambda texts: pa.array(texts), pa.Table),
        (lambda texts: pa.chunked_array([texts]), pa.Table),
        (lambda texts: np.array(texts), pa.Table),
        (tuple, pa.Table),
    ],
)
def test_a_series_of_texts_is_a_query_each(model, series, type_):
    texts = ["red kettle", "blue toaster", None]
    want = model.match([text or "" for text in texts])
    found = model.match(series(texts))
    assert isinstance(found, type_)
    assert list(map(str, found["query_id"])) == ["0", "1", "2"]
    assert list(map(str, found["query"]))[:2] == texts[:2]
    assert list(map(str, found["item_id"]))[:2] == want["item_id"].to_pylist()[:2]


def test_numbers_are_read_as_text_and_nulls_as_none(model):
    found = model.match({"title": [1.5, None, 2.0]})
    assert found["query"] == ["1.5", "", "2"]
    text = model.match({"title": ["1.5", "", "2"]})
    assert found["item_id"] == text["item_id"]
    assert found["item_id"][1] is None


def test_a_text_of_any_length_is_matched(model):
    assert len(model.match("kettle " * 1000)) == 1


@pytest.mark.usefixtures("types_unchecked")
@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda m: m.match("offers_new.csv"), "no file offers_new.csv; .* give a list with the te"),
        (lambda m: m.match("a", k=2.5), "k is 2.5; give 1 to 80, .*, as a whole number"),
        (lambda m: m.match("a", k="3"), "k is '3'; give 1 to 80"),
        (lambda m: m.search("a", k="3"), "k is '3'; give 1 to 80"),
        (lambda m: m.recommend(queries="a", k=None), "k is None; give 1 to 80"),
        (lambda m: m.nearest("i1", k=2.5), "k is 2.5; give 1 to 79"),
        (lambda m: m.match("a", keep="shop"), "no column 'shop'"),
        (lambda m: m.match("a", keep=3), "no column '3'"),
        (lambda m: m.match({"title": "a"}), "'title' is no list of values"),
        (lambda m: m.match([1, 2]), "row 1: it is no dict but int"),
        (lambda m: m.match(pd.Series([1, 2])), "queries is one column"),
        (lambda m: m.policy.decide(0.99), r"confidence is 0.99; give one number for each answer"),
    ],
)
def test_what_cannot_be_asked_for_is_one_sentence(model, call, words):
    with pytest.raises(InputError, match=words) as caught:
        call(model)
    assert "\n" not in str(caught.value)


def test_a_list_with_the_name_of_a_file_is_a_text_and_one_column_may_be_kept(tables, model):
    assert model.match(["offers_new.csv"])["query"].to_pylist() == ["offers_new.csv"]
    new = tables[1].slice(0, 3)
    assert model.match(new, keep="shop")["shop"].to_pylist() == new["shop"].to_pylist()


def test_a_model_says_what_it_is(model, saved):
    kind = "<Retriever: tower 'features', 80 items, "
    assert repr(model) == f"{kind}certified at a precision of 0.8>"
    saved.decision = replace(saved.decision, policy=NoThreshold(0.8, 0.9, 5, 1, 40, 5.0, 5))
    assert repr(saved) == f"{kind}nothing certified at a precision of 0.8>"
    saved.decision = None
    assert repr(saved) == f"{kind}not calibrated>"


def test_queries_without_a_pair_are_left_out_as_the_message_says(tables):
    given = dict(zip(("items", "queries", "pairs"), tables, strict=True))
    given["pairs"] = tables[2].slice(0, 500)
    with pytest.raises(InputError, match="in Python config=") as caught:
        thresher.train(**given, quiet=True)
    config = eval(str(caught.value).partition("config=")[2].partition(", to leave")[0])
    assert config == {"data": {"without_pairs": "unlabelled"}}
    config |= {"tower": {"kind": "tfidf", "bits": 8}}
    kept = set(given["pairs"]["query_id"].to_pylist())
    made = thresher.train(**given, config=config, quiet=True)
    parts = [made.data.part(name).queries.ids.to_pylist() for name in SPLITS]
    assert sorted(query for part in parts for query in part) == sorted(kept)


# The names of the package.


def test_the_package_is_imported_without_torch_and_its_modules_hide_no_function():
    code = (
        "import sys, thresher; assert 'torch' not in sys.modules; "
        "assert set(thresher.__all__) <= set(dir(thresher)); thresher.certify; "
        "assert 'torch' not in sys.modules; "
        "import thresher.training.loop, thresher.jobs.train, thresher.jobs.evaluate; "
        "names = [thresher.train, thresher.open, thresher.certify]; "
        "assert all(type(name).__name__ == 'function' for name in names), names; "
        "assert thresher.train.__module__ == 'thresher.api'; "
        "[getattr(thresher, name) for name in thresher.__all__]"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_what_is_no_name_of_the_package():
    with pytest.raises(AttributeError, match="module 'thresher' has no attribute 'trian'"):
        _ = thresher.trian
