"""Vectors made elsewhere: from columns and files, scaled, refused where they do not fit."""

import numpy as np
import pyarrow as pa
import pytest
import torch
from safetensors.numpy import save_file

from oracles.tables import dataset, queries_of
from thresher.data.queries import Queries
from thresher.errors import InputError
from thresher.towers import FeatureOptions, build_tower, load_tower, save_tower

ITEMS = np.array([[3.0, 4.0], [0.0, 2.0], [0.0, 0.0]], np.float32)
ASKED = np.array([[0.0, -5.0], [8.0, 6.0]], np.float32)
UNIT = [[0.6, 0.8], [0, 1], [0, 0]]


def columns(rows):
    return {"v": pa.array([row.tolist() for row in rows], pa.list_(pa.float32()))}


DATA = dataset(columns(ITEMS), columns(ASKED), [(0, 0)])


def fitted(folder, item="v", query="v", data=DATA):
    tower = build_tower("vectors", base=folder, item_vectors=item, query_vectors=query)
    tower.fit(data, FeatureOptions())
    return tower


def check(tower):
    np.testing.assert_allclose(tower.encode(tower.items()), UNIT, atol=1e-6)
    asked = tower.queries(DATA.part("train").queries)
    np.testing.assert_allclose(tower.encode(asked), [[0, -1], [0.8, 0.6]], atol=1e-6)
    assert tower.dim == 2


def test_columns(tmp_path):
    check(fitted(tmp_path))


def test_files(tmp_path):
    np.save(tmp_path / "items.npy", ITEMS.astype(np.float64))
    save_file({"x": ASKED}, tmp_path / "asked.safetensors")
    tower = fitted(tmp_path, "items.npy", "asked.safetensors")
    check(tower)
    save_tower(tower, tmp_path / "tower")
    loaded = load_tower(tmp_path / "tower")
    loaded.describe(DATA.items)
    check(loaded)


def test_the_row_of_each_query_is_its_own(tmp_path):
    np.save(tmp_path / "asked.npy", ASKED)
    tower = fitted(tmp_path, query="asked.npy")
    table = queries_of(columns(ASKED)).table
    some = Queries(pa.array([*"abc"]), table, np.array([1, -1, 0]), None)
    found = tower.encode(tower.queries(some))
    np.testing.assert_allclose(found, [[0.8, 0.6], [0, 0], [0, -1]], atol=1e-6)


def test_rows_can_be_cut_and_taken(tmp_path):
    rows = fitted(tmp_path).items()
    assert rows[1:].rows.tolist() == rows.take(torch.tensor([1, 2])).rows.tolist()
    assert len(rows) == 3


def refused(folder, words, **options):
    asked = options.get("data", DATA).part("train").queries
    with pytest.raises(InputError, match=words):
        fitted(folder, **options).queries(asked)


def test_what_does_not_fit_is_refused(tmp_path):
    np.save(tmp_path / "short.npy", ITEMS[:2])
    refused(tmp_path, r"shape \[2, 2\], and the table has 3 rows", item="short.npy")
    np.save(tmp_path / "wide.npy", np.ones((2, 3)))
    refused(tmp_path, r"query_vectors has 3 numbers a row, .* items have 2", query="wide.npy")
    np.save(tmp_path / "nan.npy", np.full((2, 2), np.nan))
    refused(tmp_path, "all to be finite", query="nan.npy")
    save_file({"a": ASKED, "b": ASKED}, tmp_path / "two.safetensors")
    refused(tmp_path, r"two\.safetensors holds 2 tensors", query="two.safetensors")
    (tmp_path / "none.npy").write_bytes(b"no")
    refused(tmp_path, r"none\.npy cannot be read", query="none.npy")
    refused(tmp_path, "absent.npy cannot be read", query="absent.npy")
    refused(tmp_path, "has no column 'w'", query="w")
    refused(tmp_path, "'id' holds string; give lists of numbers", query="id")
    events = dataset(columns(ITEMS), None, [(0, 0)], history=[[0]])
    refused(tmp_path, "reads queries from a table, and there is none", data=events)
