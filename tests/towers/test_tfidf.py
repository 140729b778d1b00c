"""TF-IDF against the equation, written out."""

import math

import numpy as np
import pytest

from oracles.tables import dataset, queries_of
from thresher.towers import FeatureOptions
from thresher.towers.tfidf import TfIdf


def fitted(texts, **options):
    """A tower over items of these texts and one query without a word."""
    tower = TfIdf(**options)
    tower.fit(dataset({"title": texts}, {"title": [""]}, [(0, 0)], text=True), FeatureOptions())
    return tower


def encoded(tower, texts):
    return tower.encode(tower.queries(queries_of({"title": texts})))


def test_words_weigh_by_their_rarity():
    tower = fitted(["red mug", "blue mug", "mug"], ngram_range=(0, 0))
    # Tokens of "red mug": red, mug, and the pair redmug. N = 4; df(mug) = 3, df(red) = 1,
    # df(redmug) = 1. idf(mug) = ln(5/4) + 1; idf(red) = idf(redmug) = ln(5/2) + 1.
    rare, common = math.log(5 / 2) + 1, math.log(5 / 4) + 1
    want = sorted(x / math.sqrt(common**2 + 2 * rare**2) for x in (common, rare, rare))
    row = encoded(tower, ["red mug"])
    assert sorted(row.data.tolist()) == pytest.approx(want, rel=1e-6)
    # "mug" alone shares only the one token with it.
    found = (encoded(tower, ["mug"]) @ row.T).toarray()[0, 0]
    assert found == pytest.approx(want[0], rel=1e-6)


def test_a_repeated_word_counts_by_its_logarithm():
    tower = fitted(["a"], ngram_range=(0, 0))
    # "mug mug": mug twice, the pair mugmug once; all of df 0 and so of one idf.
    weight = 1 + math.log(2)
    row = sorted(encoded(tower, ["mug mug"]).data.tolist())
    length = math.hypot(1, weight)
    assert row == pytest.approx([1 / length, weight / length], rel=1e-6)


def test_pieces_find_a_code_that_is_written_otherwise():
    items = ["Nordal KX-1234 kettle", "Nordal KX-9876 kettle", "Veltek AB-555 mixer"]
    tower = fitted(items)
    scores = (encoded(tower, ["kettle kx1234"]) @ tower.encode(tower.items()).T).toarray()[0]
    assert scores.argmax() == 0
    assert np.all(scores >= 0)
