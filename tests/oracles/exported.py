"""Towers that were never trained, of texts and brands in many scripts."""

from oracles.tables import dataset
from thresher.towers.feature_tower import FeatureTower
from thresher.towers.features import FeatureOptions

TITLES = ["Café-Crème 64GB", "cafe creme", "", "E5 2670 e52670", "café café café", "Ünï x²"]
BRANDS = ["\uff21cme", "acme ", None, "İstanbul", "ΣΑΣ", "true"]
ASKED = {"title": ["creme 64 gb", "e5", "new"]}


def built(more=None, queries=None, *, quantise=True, features=None, **settings):
    """A tower of texts and of more columns of the items, and its data."""
    data = dataset({"title": TITLES, **(more or {})}, queries or ASKED, [(0, 0)], text=True)
    tower = FeatureTower(**{"dim": 16, "bits": 12, **settings})
    tower.fit(data, FeatureOptions(**(features or {})))
    if quantise:
        tower.quantise()
    return tower, data.items, data
