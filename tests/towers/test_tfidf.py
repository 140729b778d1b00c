"""TF-IDF against the equation, written out."""

import math

import numpy as np
import pytest

from thresher.towers.tfidf import TfIdf


def test_words_weigh_by_their_rarity():
    tower = TfIdf(longest=0)
    tower.start_from(["red mug", "blue mug", "mug"])
    # Tokens of "red mug": red, mug, and the pair redmug. N = 3; df(mug) = 3, df(red) = 1,
    # df(redmug) = 1. idf(mug) = ln(4/4) + 1 = 1; idf(red) = idf(redmug) = ln(4/2) + 1.
    rare = math.log(2) + 1
    want = sorted(x / math.sqrt(1 + 2 * rare**2) for x in (1, rare, rare))
    row = tower.encode(["red mug"])
    assert sorted(row.data.tolist()) == pytest.approx(want, rel=1e-6)
    # "mug" alone shares only the one token with it.
    assert (tower.encode(["mug"]) @ row.T).toarray()[0, 0] == pytest.approx(want[0], rel=1e-6)


def test_a_repeated_word_counts_by_its_logarithm():
    tower = TfIdf(longest=0)
    tower.start_from(["a"])
    # "mug mug": mug twice, the pair mugmug once; all of df 0 and so of one idf.
    weight = 1 + math.log(2)
    row = sorted(tower.encode(["mug mug"]).data.tolist())
    length = math.hypot(1, weight)
    assert row == pytest.approx([1 / length, weight / length], rel=1e-6)


def test_pieces_find_a_code_that_is_written_otherwise():
    tower = TfIdf()
    items = ["Nordal KX-1234 kettle", "Nordal KX-9876 kettle", "Veltek AB-555 mixer"]
    tower.start_from(items)
    scores = (tower.encode(["kettle kx1234"]) @ tower.encode(items).T).toarray()[0]
    assert scores.argmax() == 0
    assert np.all(scores >= 0)
