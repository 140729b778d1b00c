"""What is searched: items, their index, and what is known of them."""

import json

import numpy as np
import pyarrow as pa
import pytest

from oracles.tables import dataset, queries_of
from thresher.catalogue import Catalogue
from thresher.config import read
from thresher.errors import InputError
from thresher.retrieve import Exact, Hits
from thresher.retrieve.sparse import SparseExact
from thresher.towers import FeatureOptions, build_tower

ITEMS = {"id": ["a", "b", "c"], "title": ["red mug", "blue cup", "green pot"]}
QUERIES = {"title": ["crimson mug", "navy cup", "crimson cup"]}
PAIRS = [(0, 0), (1, 1), (2, 0)]
TOWERS = {
    "sparse": {"kind": "tfidf", "bits": 12},
    "dense": {"kind": "features", "dim": 8, "bits": 10},
}


def made(settings, items=ITEMS):
    data = dataset(items, QUERIES, PAIRS, text=True)
    tower = build_tower(**settings)
    tower.fit(data, FeatureOptions())
    run = read({"tower": settings})
    return Catalogue.build(data, tower, run, None), run


@pytest.fixture(params=TOWERS)
def both(request):
    return made(TOWERS[request.param])


@pytest.fixture
def catalogue(both):
    return both[0]


def vectors(catalogue, *texts):
    queries = queries_of({"title": list(texts)})
    return queries, catalogue.tower.encode(catalogue.tower.queries(queries))


def found(catalogue, text):
    _, rows = vectors(catalogue, text)
    return catalogue.index.search(rows, len(catalogue.items)).rows[0].tolist()


def test_it_finds_and_names_items(catalogue):
    assert found(catalogue, "cup blue")[0] == 1
    rows = np.array([1, -1, 0])
    assert catalogue.ids(rows).to_pylist() == ["b", None, "a"]
    assert catalogue.texts(rows).to_pylist() == ["blue cup", "", "red mug"]
    assert catalogue.ids(np.array([], np.int64)).to_pylist() == []
    assert catalogue.rows(["c", "a", "c"]).tolist() == [2, 0, 2]
    sparse = catalogue.tower.settings().get("ngram_range") is None or catalogue.tower.dim > 8
    assert isinstance(catalogue.index, SparseExact if sparse else Exact)
    with pytest.raises(InputError, match=r"no item 'x', 'y'; its ids are such as 'a'"):
        catalogue.rows(["a", "x", "y"])


def test_its_vectors_are_those_of_the_tower(catalogue):
    encoded = catalogue.tower.encode(catalogue.tower.items())
    rows = np.array([2, 0])
    assert (abs(catalogue.vectors(rows) - encoded[rows])).max() < 1e-6
    assert catalogue.train_counts.tolist() == [2, 1, 0]


def test_saved_and_loaded(catalogue, tmp_path):
    catalogue.save(tmp_path)
    loaded = Catalogue.load(tmp_path, catalogue.tower)
    assert loaded.items.to_pylist() == catalogue.items.to_pylist()
    assert (loaded.item_text, loaded.query_text) == (("title",), ("title",))
    assert loaded.train_counts.tolist() == [2, 1, 0]
    assert type(loaded.index) is type(catalogue.index)
    assert loaded.same(catalogue)
    for text in ("cup blue", "mug", ""):
        assert found(loaded, text) == found(catalogue, text)
    queries, rows = vectors(catalogue, "crimson mug", "pot")
    hits = catalogue.index.search(rows, 3)
    features = [c.pair_features(queries, rows, hits) for c in (catalogue, loaded)]
    np.testing.assert_allclose(features[0], features[1], atol=1e-6)
    assert features[0].shape == (2, 3, len(catalogue.features.names))


def test_what_is_known_of_items_that_stay_stays(both):
    catalogue, run = both
    items = pa.table({"id": ["new", "a", "c"], "title": ["navy cup", "red mug", "green pot"]})
    other = catalogue.over(items, catalogue.tower, None, run)
    assert other.train_counts.tolist() == [0, 2, 0]
    assert not other.same(catalogue)
    assert catalogue.over(catalogue.items, catalogue.tower, None, run).same(catalogue)
    other = catalogue.over(items, catalogue.tower, None, run)
    # the training query of an item that is gone is nobody's
    aliases = dict(zip(other.features.aliases.texts, other.features.aliases.item_ids, strict=True))
    assert aliases == {"crimson mug": "a", "crimson cup": "a"}
    queries, rows = vectors(other, "crimson mug")
    hits = other.index.search(rows, 3)
    features = other.pair_features(queries, rows, hits)[0]
    name = next(n for n, own in enumerate(other.features.names) if "alias" in own)
    best = features[hits.rows[0] == 1, name]
    assert best > features[hits.rows[0] != 1, name].max()


def test_items_without_text_are_items():
    for settings in TOWERS.values():
        catalogue, _ = made(settings, {**ITEMS, "title": ["red mug", None, "pot"]})
        assert found(catalogue, "mug")[0] == 0
        assert catalogue.texts(np.array([1])).to_pylist() == [""]


def test_an_index_of_another_model_is_refused(both, tmp_path):
    catalogue, _ = both
    catalogue.save(tmp_path, model="one")
    assert Catalogue.load(tmp_path, catalogue.tower, model="one").same(catalogue)
    with pytest.raises(InputError, match="is of another model; run `thresher index` again"):
        Catalogue.load(tmp_path, catalogue.tower, model="two")


def test_candidates_of_another_engine(catalogue):
    ids = pa.array(["q0", "q1", "q2"])
    table = pa.table(
        {
            "query_id": ["q2", "q0", "q2", "q2", "q9", "q2"],
            "item_id": ["c", "b", "a", "x", "a", "b"],
            "score": [1.0, 7.0, 5.0, 9.0, 1.0, 1.0],
        }
    )
    hits = catalogue.hits_of(ids, table)
    # best first, equal scores by row; unknown items and queries are left out
    assert hits.rows.tolist() == [[1, -1, -1], [-1, -1, -1], [0, 1, 2]]
    assert hits.scores[[0, 2]].tolist() == [[7, -np.inf, -np.inf], [5, 1, 1]]
    assert isinstance(hits, Hits)
    with pytest.raises(InputError, match="no candidate names both one of these queries and an it"):
        catalogue.hits_of(ids, table.slice(3, 2))
    wrong = table.set_column(2, "score", pa.array([1.0, float("nan"), 1, 1, 1, 1]))
    empty = table.set_column(2, "score", pa.array(["1", "", "1", "1", "1", "1"]))
    for scores in (wrong, empty):
        with pytest.raises(InputError, match="a score of the candidates is missing or no finite"):
            catalogue.hits_of(ids, scores)
    assert catalogue.hits_of(ids, table.slice(0, 0)).rows.tolist() == [[-1], [-1], [-1]]


def test_an_empty_catalogue(both):
    catalogue, run = both
    with pytest.raises(InputError, match="the catalogue has no items; give at least one"):
        catalogue.over(catalogue.items.slice(0, 0), catalogue.tower, None, run)


@pytest.mark.parametrize("content", ["{", "[]", '{"item_text": ["title"]}', '{"item_text": 3}'])
def test_a_damaged_folder(catalogue, tmp_path, content):
    catalogue.save(tmp_path)
    (tmp_path / "catalogue.json").write_text(content)
    with pytest.raises(InputError, match=r"cannot be read.*; run `thresher index` again"):
        Catalogue.load(tmp_path, catalogue.tower)


def test_files_that_are_gone(catalogue, tmp_path):
    catalogue.save(tmp_path)
    files = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    assert len(files) > 5
    for path in files:
        if path.name.startswith("alias_vectors"):  # there are some, or none
            continue
        whole = path.read_bytes()
        path.unlink()
        with pytest.raises(InputError) as caught:
            Catalogue.load(tmp_path, catalogue.tower)
        assert "\n" not in str(caught.value)
        assert str(caught.value).count("again") <= 1
        path.write_bytes(whole)
    Catalogue.load(tmp_path, catalogue.tower)


def test_a_column_that_the_items_lack(both, tmp_path):
    catalogue, run = both
    with pytest.raises(InputError, match="no column 'title'"):
        catalogue.over(pa.table({"id": ["a"], "name": ["red mug"]}), catalogue.tower, None, run)
    catalogue.save(tmp_path)
    about = json.loads((tmp_path / "catalogue.json").read_text())
    (tmp_path / "catalogue.json").write_text(json.dumps({**about, "item_text": ["name"]}))
    loaded = Catalogue.load(tmp_path, catalogue.tower)
    with pytest.raises(InputError, match="no column 'name'"):
        loaded.texts(np.array([0]))
