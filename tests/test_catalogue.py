"""What is searched: items, their index, and what is known of them."""

import json

import numpy as np
import pyarrow as pa
import pytest

from thresher.catalogue import Catalogue
from thresher.decide.evidence import Known
from thresher.errors import InputError
from thresher.retrieve.options import IndexOptions
from thresher.retrieve.sparse import SparseExact
from thresher.towers.text import BagTower
from thresher.towers.tfidf import TfIdf

ITEMS = pa.table({"id": ["a", "b", "c"], "title": ["red mug", "blue cup", "green pot"]})
KNOWN = Known(("crimson mug", "navy cup", "gone"), ("a", "b", "x"))


@pytest.fixture(params=[TfIdf, lambda: BagTower(dim=8, bits=10)], ids=["sparse", "dense"])
def tower(request):
    made = request.param()
    made.start_from(ITEMS["title"].to_pylist())
    return made


@pytest.fixture
def catalogue(tower):
    return Catalogue.build(ITEMS, ("title",), tower, IndexOptions(), KNOWN)


def found(catalogue, tower, text):
    return catalogue.index.search(tower.encode([text]), 3).rows[0].tolist()


def test_it_finds_and_names_items(catalogue, tower):
    rows = found(catalogue, tower, "cup blue")
    assert rows[0] == 1
    assert catalogue.ids(np.array([1, -1, 0])) == ["b", None, "a"]
    assert catalogue.texts(np.array([1, -1, 0])) == ["blue cup", "", "red mug"]
    assert catalogue.ids(np.array([], np.int64)) == []
    assert isinstance(catalogue.index, SparseExact) == isinstance(tower, TfIdf)


def test_known_queries_of_other_items_are_left_out(catalogue):
    assert catalogue.evidence.known.item_ids == ("a", "b")


def test_saved_and_loaded(catalogue, tower, tmp_path):
    catalogue.save(tmp_path)
    loaded = Catalogue.load(tmp_path)
    assert loaded.items.to_pylist() == catalogue.items.to_pylist()
    assert loaded.columns == ("title",)
    assert loaded.evidence.known == catalogue.evidence.known
    for text in ("cup blue", "mug", ""):
        assert found(loaded, tower, text) == found(catalogue, tower, text)


def test_an_empty_catalogue(tower):
    with pytest.raises(InputError, match="the catalogue has no items; give a table with at least"):
        Catalogue.build(ITEMS.slice(0, 0), ("title",), tower, IndexOptions())


def test_items_without_text_are_items(tower):
    items = pa.table({"id": ["a", "b"], "title": ["red mug", None]})
    catalogue = Catalogue.build(items, ("title",), tower, IndexOptions())
    assert found_first(catalogue, tower) == 0
    assert catalogue.texts(np.array([1])) == [""]


def found_first(catalogue, tower):
    return catalogue.index.search(tower.encode(["mug"]), 1).rows[0, 0]


@pytest.mark.parametrize("content", ["{", "[]", '{"columns": ["title"]}', '{"columns": 3}'])
def test_a_damaged_folder(catalogue, tmp_path, content):
    catalogue.save(tmp_path)
    (tmp_path / "catalogue.json").write_text(content)
    with pytest.raises(InputError, match=r"cannot be read .*run `thresher index` again"):
        Catalogue.load(tmp_path)


def test_a_column_that_the_items_lack(catalogue, tower, tmp_path):
    catalogue.save(tmp_path)
    about = {"columns": ["name"], "sparse": isinstance(tower, TfIdf)}
    (tmp_path / "catalogue.json").write_text(json.dumps(about))
    with pytest.raises(InputError, match="no column 'name'"):
        Catalogue.load(tmp_path)
