"""Ranking metrics: by hand, against slow loops, and against trec_eval through ir-measures."""

import ir_measures
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ir_measures import AP, RR, P, R, Success, nDCG

from oracles import ranking as oracle
from thresher.data.relation import Relation
from thresher.data.sequences import Sequences
from thresher.errors import InputError
from thresher.evaluate import propensity, ranking
from thresher.evaluate.ranking import Placed

METRICS = {
    "precision": oracle.precision,
    "recall": oracle.recall,
    "hit": lambda rows, true, k: float(any(oracle.hits_of(rows, true)[:k])),
    "reciprocal_rank": oracle.reciprocal_rank,
    "ndcg": oracle.ndcg,
    "average_precision": oracle.average_precision,
}


def placed_of(rows, true, *, items=8):
    """Lists of rows and sets of true items."""
    pairs = np.array([(q, i) for q, t in enumerate(true) for i in t], dtype=np.int64)
    pairs = pairs.reshape(-1, 2)
    truth = Relation.from_pairs(pairs[:, 0], pairs[:, 1], shape=(len(true), items))
    return Placed.of(np.array(rows, dtype=np.int64), truth)


# Places 2 and 4 hold two of three true items.
BY_HAND = placed_of([[3, 0, 4, 1]], [{0, 1, 2}])


@pytest.mark.parametrize(
    ("metric", "k", "expected"),
    [
        ("precision", 1, 0.0),
        ("precision", 3, 1 / 3),
        ("precision", 8, 2 / 8),  # four were retrieved; k divides all the same
        ("recall", 2, 1 / 3),
        ("recall", 4, 2 / 3),
        ("reciprocal_rank", 1, 0.0),
        ("reciprocal_rank", 4, 1 / 2),
        # (1/log2 3 + 1/log2 5) / (1/log2 2 + 1/log2 3 + 1/log2 4)
        #   = (0.630930 + 0.430677) / (1 + 0.630930 + 0.5) = 1.061607 / 2.130930
        ("ndcg", 4, 0.498189),
        # k = 2: 0.630930 / (1 + 0.630930)
        ("ndcg", 2, 0.386853),
        # (1/2 + 2/4) / 3
        ("average_precision", 4, 1 / 3),
        ("average_precision", 2, 1 / 6),
    ],
)
def test_by_hand(metric, k, expected):
    assert getattr(BY_HAND, metric)(k) == pytest.approx([expected], abs=1e-6)


def test_only_some_of_the_true_pairs_count():
    # of item 1 alone, at place 4
    part = BY_HAND.only(BY_HAND.items == 1)
    assert part.recall(4).tolist() == [1.0]
    assert part.reciprocal_rank(4).tolist() == [0.25]
    assert np.isnan(BY_HAND.only(BY_HAND.items > 9).recall(4)).all()


def test_events_weigh_recall_alone():
    # query 0 takes item 5 twice and 1 once; the list has 5 only
    targets = Sequences(np.array([0, 3]), np.array([5, 1, 5]))
    placed = Placed.of(np.array([[5, 0]]), targets.relation(6), targets)
    assert placed.recall(1) == pytest.approx([2 / 3])
    assert placed.hit(1).tolist() == [1.0]
    assert placed.average_precision(2).tolist() == [0.5]
    with pytest.raises(InputError, match="hold 2 distinct pairs and the truth 1"):
        Placed.of(np.array([[5]]), Sequences(np.array([0, 1]), np.array([5])).relation(6), targets)


def test_many_pairs_are_compared_in_blocks(monkeypatch):
    rng = np.random.default_rng(0)
    rows = [rng.permutation(8)[:4].tolist() for _ in range(30)]
    true = [set(rng.integers(0, 8, 5).tolist()) for _ in range(30)]
    whole = placed_of(rows, true)
    monkeypatch.setattr(ranking, "_CELLS", 12)  # three pairs at a time
    np.testing.assert_array_equal(placed_of(rows, true).places, whole.places)


def test_weights_by_hand():
    # C = (ln 1000 - 1)(2.5^.55) = 5.907755 x 1.655262 = 9.778886
    # unseen: 1 + C x 1.5^-.55 = 1 + C x 0.800110; seen 100 times: 1 + C x 101.5^-.55 = 1 + C x
    # 0.078785
    got = propensity.inverse_propensity(np.array([0, 100]), train_queries=1000)
    assert got == pytest.approx([8.82419, 1.77043], abs=2e-5)


def test_psp_by_hand():
    # Weights 5, 2, 3. Query 0 finds item 1 (2) of {0, 1} (best at 1: 5); query 1 finds item 2 (3)
    # of {2} (3). PSP@1 = (2 + 3) / (5 + 3); PSP@2 = (2 + 3) / (7 + 3).
    placed = placed_of([[1, 2], [2, 0]], [{0, 1}, {2}], items=3)
    for k, expected in ((1, 5 / 8), (2, 5 / 10)):
        assert propensity.psp(placed, np.array([5.0, 2, 3]), k) == pytest.approx(expected)


@st.composite
def searches(draw):
    """Retrieved rows (repeats and -1 among them) and true sets of a few queries, some empty."""
    queries, width = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    row = st.lists(st.integers(-1, 7), min_size=width, max_size=width)
    rows = draw(st.lists(row, min_size=queries, max_size=queries))
    true = st.sets(st.integers(0, 7), max_size=5)
    return rows, draw(st.lists(true, min_size=queries, max_size=queries))


@pytest.mark.parametrize("metric", METRICS)
@given(search=searches(), k=st.integers(1, 9))
def test_against_a_slow_loop(metric, search, k):
    rows, true = search
    got = getattr(placed_of(rows, true), metric)(k)
    for value, line, items in zip(got, rows, true, strict=True):
        if items:
            assert value == pytest.approx(METRICS[metric](line, items, k))
        else:
            assert np.isnan(value)
    values = [METRICS[metric](line, t, k) for line, t in zip(rows, true, strict=True) if t]
    assert ranking.mean(got) == pytest.approx(
        sum(values) / len(values) if values else np.nan, nan_ok=True
    )


@given(search=searches(), k=st.integers(1, 7))
def test_correct_marks_the_first_place_of_each_true_item(search, k):
    rows, true = search
    expected = [oracle.hits_of(line, t)[:k] for line, t in zip(rows, true, strict=True)]
    assert placed_of(rows, true).correct(k).tolist() == expected


@given(
    search=searches(),
    k=st.integers(1, 9),
    counts=st.lists(st.integers(0, 50), min_size=8, max_size=8),
    constants=st.sampled_from(
        [("amazon", 0.6, 2.6), ("wikipedia", 0.5, 0.4), ("other", 0.55, 1.5)]
    ),
)
def test_psp_against_a_slow_loop(search, k, counts, constants):
    rows, true = search
    name, a, b = constants
    weights = propensity.inverse_propensity(np.array(counts), train_queries=60, constants=name)
    assert weights == pytest.approx([oracle.weight(c, 60, a, b) for c in counts])
    got = propensity.psp(placed_of(rows, true), weights, k)
    if any(true):
        assert got == pytest.approx(oracle.psp(rows, true, weights, k))
    else:
        assert np.isnan(got)


def test_agreement_with_trec_eval():
    generator = np.random.default_rng(1)
    scores = generator.normal(size=(40, 30))  # on both sides of zero
    true = [set(np.flatnonzero(generator.random(30) < 0.15).tolist()) | {0} for _ in range(40)]
    rows = np.argsort(-scores, axis=1)[:, :20]
    qrels = [ir_measures.Qrel(f"q{q}", f"d{i}", 1) for q, t in enumerate(true) for i in t]

    def document(q, item):
        return ir_measures.ScoredDoc(f"q{q}", f"d{item}", scores[q, item])

    run = [document(q, rows[q, place]) for q, place in np.ndindex(*rows.shape)]
    placed = placed_of(rows.tolist(), true, items=30)
    for measure, metric, k in [
        (P @ 5, "precision", 5),
        (R @ 10, "recall", 10),
        (Success @ 5, "hit", 5),
        (RR @ 10, "reciprocal_rank", 10),
        (nDCG @ 10, "ndcg", 10),
        (AP @ 10, "average_precision", 10),
    ]:
        expected = {m.query_id: m.value for m in ir_measures.iter_calc([measure], qrels, run)}
        got = getattr(placed, metric)(k)
        assert got == pytest.approx([expected[f"q{q}"] for q in range(40)], abs=1e-6), str(measure)


def test_what_cannot_be_computed():
    with pytest.raises(InputError, match="k = 0"):
        BY_HAND.precision(0)
    with pytest.raises(InputError, match="hits for 2 queries and a truth of 1"):
        placed_of([[1], [2]], [{1}])
    with pytest.raises(InputError, match="'books' are unknown"):
        propensity.inverse_propensity(np.array([1]), train_queries=10, constants="books")
    with pytest.raises(InputError, match="3 or more"):
        propensity.inverse_propensity(np.array([1]), train_queries=2)
