"""All numbers of a search at once, over open and closed catalogues."""

import json

import numpy as np
import pytest

from thresher.data.relation import Relation
from thresher.errors import InputError
from thresher.evaluate import (
    as_json,
    evaluate,
    evaluate_slices,
    slices_by,
    slices_by_frequency,
)
from thresher.retrieve import Hits

# Five queries over six items. Query 3 has no true item. Negative scores, a missing hit.
HITS = Hits(
    np.array([[0, 1, 2], [5, 1, 2], [2, 3, 4], [4, 0, 1], [3, -1, -1]]),
    np.array(
        [
            [0.9, 0.1, -0.3],
            [0.7, 0.2, 0.1],
            [-0.1, -0.2, -0.4],
            [0.8, 0.1, 0.0],
            [0.5, -np.inf, -np.inf],
        ],
        dtype=np.float32,
    ),
)
# Query 0: {0}, 1: {1}, 2: {2, 4}, 4: {5}.
RELATION = Relation.from_pairs(np.array([0, 1, 2, 2, 4]), np.array([0, 1, 2, 4, 5]), shape=(5, 6))


def test_ranking_is_over_queries_with_an_item():
    result = evaluate(HITS, RELATION, ks=(1, 3))
    assert result["queries"] == 5
    assert result["queries_without_item"] == 1
    assert result["items"] == 6
    assert result["P@1"] == pytest.approx(2 / 4)  # queries 0 and 2
    assert result["P@3"] == pytest.approx((1 / 3 + 1 / 3 + 2 / 3 + 0) / 4)
    assert result["recall@1"] == pytest.approx((1 + 0 + 1 / 2 + 0) / 4)
    assert result["recall@3"] == pytest.approx((1 + 1 + 1 + 0) / 4)


def test_a_metric_beyond_what_was_retrieved_is_left_out():
    assert not {"P@5", "mrr@10", "ndcg@10"} & evaluate(HITS, RELATION).keys()
    wide = Hits(np.tile(np.arange(6), (5, 1)), np.zeros((5, 6), dtype=np.float32))
    # Six columns hold the whole catalogue, so that nothing can stand further down.
    result = evaluate(wide, RELATION)
    assert {"P@5", "recall@100", "mrr@10", "ndcg@10", "map@10"} <= result.keys()
    # First true places 1, 2, 3, 6.
    assert result["mrr@10"] == pytest.approx((1 + 1 / 2 + 1 / 3 + 1 / 6) / 4)


def test_decisions_are_over_all_queries():
    result = evaluate(HITS, RELATION, precisions=(0.5, 0.9, 0.95), floor=1)
    # By falling top score: .9 right, .8 no true item: wrong, .7 wrong, .5 wrong, -.1 right.
    assert result["coverage@precision=0.9"] == pytest.approx(1 / 5)
    assert result["coverage@precision=0.5"] == pytest.approx(2 / 5)
    # Error rates 0, 1/2, 2/3, 3/4, 3/5.
    assert result["aurc"] == pytest.approx((0 + 1 / 2 + 2 / 3 + 3 / 4 + 3 / 5) / 5)
    assert not [name for name in result if name.startswith("certified")]


def test_certified_thresholds_are_only_read():
    thresholds = {0.9: 0.6, 0.95: None, 0.5: 2.0}
    result = evaluate(HITS, RELATION, precisions=(0.9, 0.95, 0.98), thresholds=thresholds)
    assert result["certified_coverage@precision=0.9"] == pytest.approx(3 / 5)
    assert result["certified_precision@precision=0.9"] == pytest.approx(1 / 3)
    for target in ("0.95", "0.98", "0.5"):  # refused, never asked, and too high for any query
        assert result[f"certified_coverage@precision={target}"] == 0
        assert np.isnan(result[f"certified_precision@precision={target}"])
    # Two classes that both hold a true and a false pair are needed for OPIS.
    assert as_json(result)["certified_precision@precision=0.98"] is None
    json.dumps(as_json(result), allow_nan=False)


def test_a_given_confidence_decides():
    confidence = np.array([5.0, 1.0, 4.0, 2.0, 3.0])
    result = evaluate(HITS, RELATION, confidence=confidence, floor=1)
    assert result["coverage@precision=0.99"] == pytest.approx(2 / 5)  # queries 0 and 2
    assert result["P@1"] == evaluate(HITS, RELATION)["P@1"]


def test_propensities_weigh_rare_items():
    seen = np.array([50, 1, 0, 0, 9, 0])
    result = evaluate(HITS, RELATION, train_counts=seen, constants="amazon")
    # Hits at 1: items 0 and 2; the most: items 0, 1, 2 and 5, as item 2 weighs more than item 4.
    # C = (ln 60 - 1) 3.6^.6; w(c) = 1 + C (c + 2.6)^-.6
    c = (np.log(60) - 1) * 3.6**0.6
    w = {n: 1 + c * (n + 2.6) ** -0.6 for n in (0, 1, 50)}
    assert result["PSP@1"] == pytest.approx((w[50] + w[0]) / (w[50] + w[1] + 2 * w[0]))
    more = evaluate(HITS, RELATION, train_counts=seen, train_queries=1000)
    assert more["PSP@1"] != pytest.approx(result["PSP@1"])


def test_a_repeated_item_counts_once():
    twice = Hits(np.array([[2, 2, 4]]), np.array([[0.3, 0.3, -0.2]], dtype=np.float32))
    result = evaluate(twice, RELATION.take(np.array([2])), ks=(3,))
    assert result["recall@3"] == 1
    assert result["P@3"] == pytest.approx(2 / 3)


def test_no_query_has_an_item():
    nobody = Relation.from_pairs(np.empty(0, int), np.empty(0, int), shape=(5, 6))
    result = evaluate(HITS, nobody, train_counts=np.ones(6, dtype=int), floor=1)
    assert np.isnan([result["P@1"], result["recall@1"], result["PSP@1"], result["opis"]]).all()
    assert result["coverage@precision=0.9"] == 0
    assert result["aurc"] == 1


def test_missing_hits_are_never_the_surest():
    empty = Hits(np.full((5, 1), -1), np.full((5, 1), -np.inf, dtype=np.float32))
    result = evaluate(empty, RELATION, floor=1, thresholds={0.9: -100.0})
    assert result["P@1"] == 0
    assert result["certified_coverage@precision=0.9"] == 0


def test_slices_keep_the_global_threshold():
    slices = slices_by(["a", "b", "a", "b", "b"], name="shop")
    assert list(slices) == ["shop=a", "shop=b"]
    result = evaluate_slices(
        HITS,
        RELATION,
        slices,
        confidence=np.array([5.0, 1.0, 4.0, 2.0, 3.0]),
        classes=["x", "y", "x", "y", "y"],
        precisions=(0.9,),
        thresholds={0.9: 2.5},
    )
    a, b = result["shop=a"], result["shop=b"]
    assert (a["queries"], b["queries"], b["queries_without_item"]) == (2, 3, 1)
    assert (a["P@1"], b["P@1"]) == (1, 0)
    assert a["certified_coverage@precision=0.9"] == 1
    assert b["certified_coverage@precision=0.9"] == pytest.approx(1 / 3)  # query 4
    assert b["certified_precision@precision=0.9"] == 0


def test_slices_by_training_frequency():
    slices = slices_by_frequency(RELATION, np.array([9, 1, 0, 0, 4, 0]))
    # Query 2 has items seen 0 and 4 times: the most frequent decides.
    assert {name: np.flatnonzero(mask).tolist() for name, mask in slices.items()} == {
        "unseen": [4],
        "tail": [1, 2],
        "head": [0],
        "no item": [3],
    }


def test_what_does_not_fit():
    with pytest.raises(InputError, match="hits for 4 queries but the relation has 5"):
        evaluate(HITS[:4], RELATION)
    with pytest.raises(InputError, match="NaN"):
        evaluate(HITS, RELATION, confidence=np.array([1, 2, np.nan, 3, 4]))
    with pytest.raises(InputError, match="4 training counts for 6 items"):
        evaluate(HITS, RELATION, train_counts=np.ones(4, dtype=int))
    with pytest.raises(InputError, match="'half' marks 3 queries of 5"):
        evaluate_slices(HITS, RELATION, {"half": np.ones(3, dtype=bool)})
    with pytest.raises(InputError, match="3 training counts for 6 items"):
        slices_by_frequency(RELATION, np.ones(3, dtype=int))
