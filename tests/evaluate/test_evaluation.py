"""All numbers of a search at once: by hand, against slow loops, and what must hold of any lists."""

import json
from math import isnan, log2

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracles import evaluation as oracle
from thresher.data.relation import Relation
from thresher.data.sequences import Sequences
from thresher.errors import InputError
from thresher.evaluate import as_json, evaluate, slices_by
from thresher.evaluate.options import RecommendOptions
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
TRUTH = Relation.from_pairs(np.array([0, 1, 2, 2, 4]), np.array([0, 1, 2, 4, 5]), shape=(5, 6))

ITEMS = 9
COUNTS = [0, 1, 4, 5, 20, 0, 3, 7, 2]


def measured(lists, targets, ks, *, repeats=False, counts=COUNTS):
    """Lists and targets of users, as lists."""
    starts = np.cumsum([0, *(len(own) for own in targets)])
    items = np.array([item for own in targets for item in own], dtype=np.int64)
    events = Sequences(starts, items)
    rows = np.array(lists, dtype=np.int64)
    return evaluate(
        Hits(rows, np.where(rows < 0, -np.inf, -1.0 * np.arange(rows.shape[1])).astype("f4")),
        events.relation(len(counts)),
        targets=events,
        count_repeats=repeats,
        ks=ks,
        train_counts=np.array(counts),
    )


@st.composite
def searches(draw, least=0, distinct=False):
    """Lists (each item once, then -1) and targets of a few users; a user may have none of both."""
    users, width = draw(st.integers(1, 5)), draw(st.integers(1, ITEMS))
    order = st.permutations(range(ITEMS))
    lists = [
        (draw(order)[: draw(st.integers(0, width))] + [-1] * width)[:width] for _ in range(users)
    ]
    own = st.lists(st.integers(0, ITEMS - 1), min_size=least, max_size=6, unique=distinct)
    return lists, draw(st.lists(own, min_size=users, max_size=users))


# Queries and decisions, by hand


def test_ranking_is_over_queries_with_an_item():
    result = evaluate(HITS, TRUTH, ks=(1, 3))
    assert result["queries"] == 5
    assert result["queries_without_item"] == 1
    assert result["targets"] == 5
    assert result["items"] == 6
    assert result["P@1"] == pytest.approx(2 / 4)  # queries 0 and 2
    assert result["precision@3"] == pytest.approx((1 / 3 + 1 / 3 + 2 / 3 + 0) / 4)
    assert result["recall@1"] == pytest.approx((1 + 0 + 1 / 2 + 0) / 4)
    assert result["recall@3"] == pytest.approx((1 + 1 + 1 + 0) / 4)


def test_a_metric_beyond_what_was_retrieved_is_left_out():
    assert not {"precision@5", "mrr@10", "ndcg@10"} & evaluate(HITS, TRUTH).keys()
    wide = Hits(np.tile(np.arange(6), (5, 1)), np.zeros((5, 6), dtype=np.float32))
    # Six columns hold the whole catalogue, so that nothing can stand further down.
    result = evaluate(wide, TRUTH)
    assert {"precision@5", "recall@100", "mrr@10", "ndcg@10", "map@10"} <= result.keys()
    # First true places 1, 2, 3, 6.
    assert result["mrr@10"] == pytest.approx((1 + 1 / 2 + 1 / 3 + 1 / 6) / 4)


def test_decisions_are_over_all_queries():
    result = evaluate(HITS, TRUTH, floor=1)
    # By falling top score: .9 right, .8 no true item: wrong, .7 wrong, .5 wrong, -.1 right.
    assert result["coverage@precision=0.9"] == pytest.approx(1 / 5)
    # Error rates 0, 1/2, 2/3, 3/4, 3/5.
    assert result["aurc"] == pytest.approx((0 + 1 / 2 + 2 / 3 + 3 / 4 + 3 / 5) / 5)
    assert not [name for name in result if name.startswith("certified")]
    # Five queries are too few to say anything of a coverage.
    assert as_json(evaluate(HITS, TRUTH))["coverage@precision=0.9"] is None


def test_certified_thresholds_are_only_read():
    result = evaluate(HITS, TRUTH, thresholds={0.9: 0.6, 0.95: None, 0.5: 2.0})
    assert result["certified_coverage@precision=0.9"] == pytest.approx(3 / 5)
    assert result["certified_precision@precision=0.9"] == pytest.approx(1 / 3)
    for target in ("0.95", "0.5"):  # refused, and too high for any query
        assert result[f"certified_coverage@precision={target}"] == 0
        assert np.isnan(result[f"certified_precision@precision={target}"])
    assert "certified_coverage@precision=0.98" not in result
    assert as_json(result)["certified_precision@precision=0.95"] is None
    json.dumps(as_json(result), allow_nan=False)


def test_what_a_policy_accepts_wins_over_a_threshold():
    accepted = np.array([True, False, True, False, False])
    result = evaluate(HITS, TRUTH, accepted={0.9: accepted}, thresholds={0.9: 0.6, 0.5: -1.0})
    assert result["certified_coverage@precision=0.9"] == pytest.approx(2 / 5)
    assert result["certified_precision@precision=0.9"] == 1
    assert result["certified_coverage@precision=0.5"] == 1


def test_a_given_confidence_decides():
    confidence = np.array([5.0, 1.0, 4.0, 2.0, 3.0])
    result = evaluate(HITS, TRUTH, confidence=confidence, floor=1)
    assert result["coverage@precision=0.99"] == pytest.approx(2 / 5)  # queries 0 and 2
    assert result["P@1"] == evaluate(HITS, TRUTH)["P@1"]


def test_propensities_weigh_rare_items():
    seen = np.array([50, 1, 0, 0, 9, 0])
    result = evaluate(HITS, TRUTH, train_counts=seen, constants="amazon")
    # Hits at 1: items 0 and 2; the most: items 0, 1, 2 and 5, as item 2 weighs more than item 4.
    # C = (ln 60 - 1) 3.6^.6; w(c) = 1 + C (c + 2.6)^-.6
    c = (np.log(60) - 1) * 3.6**0.6
    w = {n: 1 + c * (n + 2.6) ** -0.6 for n in (0, 1, 50)}
    assert result["PSP@1"] == pytest.approx((w[50] + w[0]) / (w[50] + w[1] + 2 * w[0]))
    more = evaluate(HITS, TRUTH, train_counts=seen, train_queries=1000)
    assert more["PSP@1"] != pytest.approx(result["PSP@1"])
    # of two training queries no propensity is defined
    assert "PSP@1" not in evaluate(HITS, TRUTH, train_counts=seen, train_queries=2)


def test_a_repeated_item_counts_once():
    twice = Hits(np.array([[2, 2, 4]]), np.array([[0.3, 0.3, -0.2]], dtype=np.float32))
    result = evaluate(twice, TRUTH.take(np.array([2])), ks=(3,))
    assert result["recall@3"] == 1
    assert result["precision@3"] == pytest.approx(2 / 3)


def test_no_query_has_an_item():
    nobody = Relation.from_pairs(np.empty(0, int), np.empty(0, int), shape=(5, 6))
    result = evaluate(HITS, nobody, train_counts=np.ones(6, dtype=int), floor=1)
    assert np.isnan([result["P@1"], result["recall@1"], result["PSP@1"], result["opis"]]).all()
    assert result["coverage@precision=0.9"] == 0
    assert result["aurc"] == 1


def test_missing_hits_are_never_accepted_however_sure():
    empty = Hits(np.full((5, 1), -1), np.full((5, 1), -np.inf, dtype=np.float32))
    sure = {"confidence": np.ones(5), "accepted": {0.9: np.ones(5, bool)}, "thresholds": {0.5: 0.1}}
    for options in ({}, sure):
        result = evaluate(empty, TRUTH, floor=1, **options)
        assert result["P@1"] == result["coverage@precision=0.9"] == 0
        assert result.get("certified_coverage@precision=0.9", 0) == 0
        assert result.get("certified_coverage@precision=0.5", 0) == 0


# Slices


def test_slices_keep_the_global_threshold():
    result = evaluate(
        HITS,
        TRUTH,
        slices=slices_by(["a", "b", "a", "b", "b"], name="shop"),
        confidence=np.array([5.0, 1.0, 4.0, 2.0, 3.0]),
        thresholds={0.9: 2.5},
    )
    assert (result["shop=a/queries"], result["shop=b/queries"]) == (2, 3)
    assert (result["shop=a/P@1"], result["shop=b/P@1"]) == (1, 0)
    assert result["shop=a/certified_coverage@precision=0.9"] == 1
    assert result["shop=b/certified_coverage@precision=0.9"] == pytest.approx(1 / 3)  # query 4
    assert result["shop=b/certified_precision@precision=0.9"] == 0
    assert as_json(result)["shop=a/coverage@precision=0.9"] is None  # of two queries


def test_a_slice_of_items_holds_the_queries_that_have_one():
    # 0 is the head (one of six); 1 is rare and in the tail; 2, 3 and 5 were never seen; 4 is rare
    result = evaluate(HITS, TRUTH, ks=(1, 3), train_counts=np.array([9, 1, 0, 0, 4, 0]))
    found = {
        name: [result[f"{name}/{m}"] for m in ("queries", "targets", "P@1", "recall@3")]
        for name in ("head", "frequent", "rare", "tail", "unseen", "no item")
    }
    assert found["head"] == found["frequent"] == [1, 1, 1, 1]
    # queries 1 and 2, of which 2 has its first right (with another of its items)
    assert found["rare"] == found["tail"] == [2, 2, 0.5, 1]
    # queries 2 (item 2, found) and 4 (item 5, not found)
    assert found["unseen"] == [2, 2, 0.5, 0.5]
    assert found["no item"][:2] == [1, 0]
    assert isnan(found["no item"][2])


# Lists of next items, by hand

# A takes 3 twice and 1 once and is shown 7, 3, 2; B takes 4 and 0 and is shown 4, 8 and no more.
LISTS, TARGETS = [[7, 3, 2], [4, 8, -1]], [[3, 1, 3], [4, 0]]


@pytest.mark.parametrize(
    ("repeats", "name", "expected"),
    [
        # distinct: A finds 3 of {3, 1}, B finds 4 of {4, 0}
        (False, "recall@1", (0 / 2 + 1 / 2) / 2),
        (False, "recall@3", (1 / 2 + 1 / 2) / 2),
        # events: A finds two of three
        (True, "recall@3", (2 / 3 + 1 / 2) / 2),
        (False, "hit_rate@1", 1 / 2),
        (True, "hit_rate@3", 1.0),
        # A: 3 at place 2 of 1/log2 2 + 1/log2 3; B: 4 at place 1 of the same; repeats play no part
        (False, "ndcg@3", ((1 / log2(3)) + 1) / (1 + 1 / log2(3)) / 2),
        (True, "ndcg@3", ((1 / log2(3)) + 1) / (1 + 1 / log2(3)) / 2),
        # at 1, A gets 0, and B 1 of 1
        (False, "ndcg@1", 1 / 2),
        # A: at place 2, 1 of 2 is right; B: at place 1, 1 of 1; each has two distinct targets
        (False, "map@3", (1 / 2 / 2 + 1 / 2) / 2),
        (True, "map@3", (1 / 2 / 2 + 1 / 2) / 2),
        # at 1, A gets 0, and B 1 of its two targets
        (False, "map@1", (0 + 1 / 2) / 2),
        # 7, 3, 2, 4, 8 of nine items; at 1: 7 and 4
        (False, "catalogue_coverage@3", 5 / 9),
        (False, "catalogue_coverage@1", 2 / 9),
        # shown: A (7 + 5 + 4)/3, B (20 + 2)/2; taken: A (5 + 1)/2, B (20 + 0)/2
        (False, "popularity@3", (16 / 3 + 11) / (3 + 10)),
        # events: A takes (5 + 1 + 5)/3; shown at 1: 7 and 20
        (True, "popularity@1", (7 + 20) / (11 / 3 + 10)),
        # 0 was never seen: B's, not found; 1 is rare: A's, not found
        (False, "unseen/recall@3", 0.0),
        (False, "rare/recall@3", 0.0),
        (False, "rare/targets", 1),
        # 3 (five times) is A's, 4 is B's: both found, at 1 only B's
        (False, "frequent/recall@3", 1.0),
        (False, "frequent/recall@1", 1 / 2),
        (False, "frequent/targets", 2),
        (True, "frequent/targets", 3),
        # a tenth of nine items, rounded up, is one: 4 (twenty times), B's, found at place 1
        (False, "head/recall@1", 1.0),
        (False, "head/targets", 1),
        # 3 and 1 are A's, 3 found; 0 was never seen and is in neither
        (False, "tail/recall@3", 1 / 2),
        (True, "tail/recall@3", 2 / 3),
        (False, "tail/targets", 2),
        (True, "tail/targets", 3),
        (False, "targets", 4),
        (True, "targets", 5),
        (True, "queries", 2),
        (True, "items", 9),
    ],
)
def test_lists_by_hand(repeats, name, expected):
    assert measured(LISTS, TARGETS, [1, 3], repeats=repeats)[name] == pytest.approx(expected)


def test_popularity_of_targets_that_were_never_seen_is_not_known():
    assert isnan(measured([[1]], [[0]], [1])["popularity@1"])


# Against loops, and what must hold


@given(case=searches(), repeats=st.booleans(), data=st.data())
def test_against_slow_loops(case, repeats, data):
    lists, targets = case
    ks = data.draw(st.lists(st.integers(1, len(lists[0])), min_size=1, max_size=3, unique=True))
    expected = oracle.metrics(lists, targets, ks, repeats, COUNTS)
    got = measured(lists, targets, ks, repeats=repeats)
    assert {name: got[name] for name in expected} == pytest.approx(expected, nan_ok=True)


@given(case=searches(), repeats=st.booleans(), data=st.data())
def test_the_order_of_users_and_targets_plays_no_part(case, repeats, data):
    lists, targets = case
    k = len(lists[0])
    order = data.draw(st.permutations(range(len(lists))))
    moved = [lists[u] for u in order], [data.draw(st.permutations(targets[u])) for u in order]
    before = measured(lists, targets, [k], repeats=repeats)
    assert measured(*moved, [k], repeats=repeats) == pytest.approx(before, nan_ok=True)


@given(case=searches(least=1), repeats=st.booleans())
def test_longer_lists_find_no_less(case, repeats):
    ks = list(range(1, len(case[0][0]) + 1))
    found = measured(*case, ks, repeats=repeats)
    for name in ("recall", "hit_rate", "catalogue_coverage", "mrr", "map"):
        values = [found[f"{name}@{k}"] for k in ks]
        assert values == sorted(values)
        assert 0 <= values[0] <= values[-1] <= 1


@given(case=searches(least=1), data=st.data())
def test_a_perfect_list_is_perfect(case, data):
    _, targets = case
    perfect = [
        data.draw(st.permutations(sorted(set(own)))) + [i for i in range(ITEMS) if i not in own]
        for own in targets
    ]
    found = measured(perfect, targets, range(1, ITEMS + 1))
    assert [found[f"ndcg@{k}"] for k in range(1, ITEMS + 1)] == pytest.approx([1.0] * ITEMS)
    assert found[f"map@{ITEMS}"] == pytest.approx(1.0)
    assert found[f"recall@{ITEMS}"] == found["P@1"] == 1


# Bad input


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([[0, 9]], "row 9, but the catalogue has 9 items; give rows from 0 to 8"),
        ([[0, -2]], "row -2, but the catalogue"),
    ],
)
def test_rows_outside_the_catalogue_are_refused(rows, sentence):
    with pytest.raises(InputError, match=sentence):
        measured(rows, [[0]], [1])


def test_what_does_not_fit():
    with pytest.raises(InputError, match="hits for 4 queries and a truth of 5"):
        evaluate(HITS[:4], TRUTH)
    with pytest.raises(InputError, match="NaN"):
        evaluate(HITS, TRUTH, confidence=np.array([1, 2, np.nan, 3, 4]))
    with pytest.raises(InputError, match="3 confidences for 5 queries"):
        evaluate(HITS, TRUTH, confidence=np.ones(3))
    with pytest.raises(InputError, match="4 training counts for 6 items"):
        evaluate(HITS, TRUTH, train_counts=np.ones(4, dtype=int))
    with pytest.raises(InputError, match="'half' marks 3 queries of 5"):
        evaluate(HITS, TRUTH, slices={"half": np.ones(3, dtype=bool)})


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"ks": ()}, "recommend.ks"),
        ({"ks": (5, 1)}, "ascending"),
        ({"repeat_boost": -1.0}, "recommend.repeat_boost must be 0 or more"),
        ({"repeat_boost": 0.1, "remove_history": True}, "leave out one of the two"),
    ],
)
def test_options_that_make_no_list(options, sentence):
    with pytest.raises(InputError, match=sentence):
        RecommendOptions(**options)
