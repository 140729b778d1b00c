"""Which towers can be exported, and what of them is."""

import numpy as np
import pytest

from oracles.exported import BRANDS, built
from oracles.tables import dataset
from thresher.errors import InputError
from thresher.export.tables import Tables
from thresher.towers import save_tower
from thresher.towers.feature_tower import FeatureTower
from thresher.towers.features import FeatureOptions
from thresher.towers.sums import read_sums
from thresher.towers.tfidf import TfIdf


@pytest.mark.parametrize("quantise", [False, True])
def test_the_reader_of_a_saved_tower_has_the_same(tmp_path, quantise):
    asked = {"title": ["creme", "e5", "x"], "brand": ["acme", "x", None]}
    tower, _, _ = built({"brand": BRANDS}, asked, quantise=quantise)
    save_tower(tower, tmp_path)
    one, other = Tables.of(tower), Tables.of(read_sums(tmp_path))
    assert one.about == other.about
    np.testing.assert_array_equal(one.rows, other.rows)
    assert (one.scale is None) == (other.scale is None) == (not quantise)
    assert one.rows.dtype == (np.int8 if quantise else np.float32)
    assert one.rows.shape == (sum(len(table) for table in tower.tables), 16)


def test_tables_lie_under_each_other():
    asked = {"title": ["creme", "e5", "x"], "brand": ["acme", "x", None]}
    tower, _, _ = built({"brand": BRANDS}, asked)
    tables = Tables.of(tower)
    whole = tables.rows * tables.scale[:, None]
    for about, table in zip(tables.about["tables"], tower.tables, strict=True):
        here = whole[about["first"] : about["first"] + len(table)]
        np.testing.assert_array_equal(here, table.detach().numpy())


def refused(tower, message):
    with pytest.raises(InputError, match=message):
        Tables.of(tower)


def test_what_is_no_sum_of_texts_and_values_is_refused():
    asked = {"title": ["a", "b", "c"], "price": [1.0, 2.0, 3.0]}
    tower, _, _ = built({"price": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]}, asked)
    refused(tower, r"features\.query\.price is of kind 'number', which is not exported; leave it")
    refused(built(combine="concat")[0], "a tower with layers or histories is not exported")
    refused(TfIdf(), "only a tower of kind 'features' is exported, and this is a TfIdf")
    data = dataset({"brand": BRANDS}, {"brand": BRANDS}, [(0, 0)])
    tower = FeatureTower(dim=16)
    tower.fit(data, FeatureOptions())
    refused(tower, "this model reads no text of a query, so there is no text tower")
