"""Lists of next items against scores of everything, computed in one matrix."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch

from thresher.data.sequences import Sequences
from thresher.errors import InputError
from thresher.evaluate.options import RankingOptions
from thresher.recommender import Recommender
from thresher.retrieve.options import IndexOptions
from thresher.towers.encode import vectors
from thresher.towers.histories import Histories
from thresher.towers.history import HistoryTower

ITEMS = pa.table({"id": [f"i{n}" for n in range(30)]})
# The third customer has had an item twice, the fourth one has no history.
HAD = Sequences(np.array([0, 3, 4, 7, 7]), np.array([3, 9, 4, 20, 5, 8, 5]))


def recommender(*, interests=1, **options):
    tower = HistoryTower(dim=8, interests=interests, seed=1)
    tower.start_from(ITEMS, (), (), np.ones(len(ITEMS), np.int64))
    return Recommender.build(tower, ITEMS, IndexOptions(), RankingOptions(**options))


def scored(made, again=0.0):
    """The best score of any interest for every item, raised for those of the history."""
    users = vectors(made.tower, Histories.of(HAD, made.tower.longest)).reshape(len(HAD), -1, 8)
    scores = (users @ vectors(made.tower, torch.arange(len(ITEMS))).T).max(axis=1)
    for user in range(len(HAD)):
        scores[user, np.unique(HAD.items[HAD.starts[user] : HAD.starts[user + 1]])] += again
    return scores


@pytest.mark.parametrize("interests", [1, 3])
@pytest.mark.parametrize("again", [0.0, 0.3, 5.0])
def test_what_was_had_is_listed_by_its_raised_score(interests, again):
    made = recommender(interests=interests, again=again)
    hits = made.recommend(HAD, 6)
    scores = scored(made, again)
    best = np.sort(scores, axis=1)[:, ::-1][:, :6]
    assert hits.scores == pytest.approx(best, abs=1e-6)
    rows = np.take_along_axis(scores, hits.rows, axis=1)
    assert rows == pytest.approx(best, abs=1e-6)
    assert all(len(set(row)) == 6 for row in hits.rows.tolist())
    if again == 5.0:
        assert [
            sorted(row[:n]) for row, n in zip(hits.rows.tolist(), (3, 1, 2, 0), strict=True)
        ] == [
            [3, 4, 9],
            [20],
            [5, 8],
            [],
        ]


def test_fewer_places_than_what_was_had():
    made = recommender(again=5.0)
    assert set(made.recommend(HAD, 2).rows[0].tolist()) < {3, 9, 4}


def test_what_was_had_may_be_left_out_whatever_the_model_says():
    made = recommender(again=5.0)
    removed = made.recommend(HAD, 27, remove_history=True)
    assert not {3, 9, 4} & set(removed.rows[0].tolist())
    assert sorted(removed.rows[0].tolist()) == sorted(set(range(30)) - {3, 9, 4})


def test_a_list_cannot_be_raised_and_left_out():
    with pytest.raises(InputError, match=r"ranking\.again is 0\.5, but ranking\.remove_history"):
        RankingOptions(again=0.5, remove_history=True)
    for again in (-0.1, float("nan"), float("inf")):
        with pytest.raises(InputError, match=r"ranking\.again must be 0 or more"):
            RankingOptions(again=again)


def test_more_items_than_there_are():
    made = replace(recommender(), options=RankingOptions(depths=(20, 50)))
    assert made.depths() == (20,)
    with pytest.raises(InputError, match="31 items are asked for, and the catalogue has 30"):
        made.recommend(HAD, 31)
