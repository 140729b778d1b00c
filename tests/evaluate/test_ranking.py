"""Ranking metrics: by hand, against slow loops, and against trec_eval through ir-measures."""

import ir_measures
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ir_measures import AP, RR, P, R, nDCG

from oracles import ranking as oracle
from thresher.errors import InputError
from thresher.evaluate import propensity, ranking

METRICS = {
    ranking.precision_at: oracle.precision,
    ranking.recall_at: oracle.recall,
    ranking.reciprocal_rank_at: oracle.reciprocal_rank,
    ranking.ndcg_at: oracle.ndcg,
    ranking.average_precision_at: oracle.average_precision,
}

# Places 2 and 4 hold two of three true items.
CORRECT, COUNTS = np.array([[False, True, False, True]]), np.array([3])


@pytest.mark.parametrize(
    ("metric", "k", "expected"),
    [
        (ranking.precision_at, 1, 0.0),
        (ranking.precision_at, 3, 1 / 3),
        (ranking.precision_at, 8, 2 / 8),  # four were retrieved; k divides all the same
        (ranking.recall_at, 2, 1 / 3),
        (ranking.recall_at, 4, 2 / 3),
        (ranking.reciprocal_rank_at, 1, 0.0),
        (ranking.reciprocal_rank_at, 4, 1 / 2),
        # (1/log2 3 + 1/log2 5) / (1/log2 2 + 1/log2 3 + 1/log2 4)
        #   = (0.630930 + 0.430677) / (1 + 0.630930 + 0.5) = 1.061607 / 2.130930
        (ranking.ndcg_at, 4, 0.498189),
        # k = 2: 0.630930 / (1 + 0.630930)
        (ranking.ndcg_at, 2, 0.386853),
        # (1/2 + 2/4) / 3
        (ranking.average_precision_at, 4, 1 / 3),
        (ranking.average_precision_at, 2, 1 / 6),
    ],
)
def test_by_hand(metric, k, expected):
    assert metric(CORRECT, COUNTS, k) == pytest.approx([expected], abs=1e-6)


def test_weights_by_hand():
    # C = (ln 1000 - 1)(2.5^.55) = 5.907755 x 1.655262 = 9.778886
    # unseen: 1 + C x 1.5^-.55 = 1 + C x 0.800110; seen 100 times: 1 + C x 101.5^-.55 = 1 + C x
    # 0.078785
    got = propensity.inverse_propensity(np.array([0, 100]), train_queries=1000)
    assert got == pytest.approx([8.82419, 1.77043], abs=2e-5)


def test_psp_by_hand():
    # Weights 5, 2, 3. Query 0 finds item 1 (2) of {0, 1} (best at 1: 5); query 1 finds item 2 (3)
    # of {2} (3). PSP@1 = (2 + 3) / (5 + 3); PSP@2 = (2 + 3) / (7 + 3).
    rows = np.array([[1, 2], [2, 0]])
    correct = np.array([[True, False], [True, False]])
    queries, items, weights = np.array([0, 0, 1]), np.array([0, 1, 2]), np.array([5.0, 2, 3])
    for k, expected in ((1, 5 / 8), (2, 5 / 10)):
        parts = propensity.psp_parts(rows, correct, queries, items, weights, k)
        assert propensity.psp(*parts) == pytest.approx(expected)


@st.composite
def searches(draw):
    """Retrieved rows (repeats and -1 among them) and true sets of a few queries, some empty."""
    queries, width = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    row = st.lists(st.integers(-1, 7), min_size=width, max_size=width)
    rows = draw(st.lists(row, min_size=queries, max_size=queries))
    true = st.sets(st.integers(0, 7), max_size=5)
    return rows, draw(st.lists(true, min_size=queries, max_size=queries))


def correct_of(rows, true):
    raw = [[r in t for r in line] for line, t in zip(rows, true, strict=True)]
    return ranking.once(np.array(rows), np.array(raw))


@pytest.mark.parametrize("metric", METRICS)
@given(search=searches(), k=st.integers(1, 9))
def test_against_a_slow_loop(metric, search, k):
    rows, true = search
    got = metric(correct_of(rows, true), np.array([len(t) for t in true]), k)
    for value, line, items in zip(got, rows, true, strict=True):
        if items:
            assert value == pytest.approx(METRICS[metric](line, items, k))
        else:
            assert np.isnan(value)
    values = [METRICS[metric](line, t, k) for line, t in zip(rows, true, strict=True) if t]
    assert ranking.mean(got) == pytest.approx(
        sum(values) / len(values) if values else np.nan, nan_ok=True
    )


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
    pairs = np.array([(q, i) for q, t in enumerate(true) for i in sorted(t)], dtype=int)
    pairs = pairs.reshape(-1, 2)
    parts = propensity.psp_parts(
        np.array(rows), correct_of(rows, true), pairs[:, 0], pairs[:, 1], weights, k
    )
    if pairs.size:
        assert propensity.psp(*parts) == pytest.approx(oracle.psp(rows, true, weights, k))
    else:
        assert np.isnan(propensity.psp(*parts))


def test_agreement_with_trec_eval():
    generator = np.random.default_rng(1)
    scores = generator.normal(size=(40, 30))  # on both sides of zero
    true = [set(np.flatnonzero(generator.random(30) < 0.15).tolist()) | {0} for _ in range(40)]
    rows = np.argsort(-scores, axis=1)[:, :20]
    qrels = [ir_measures.Qrel(f"q{q}", f"d{i}", 1) for q, t in enumerate(true) for i in t]

    def document(q, item):
        return ir_measures.ScoredDoc(f"q{q}", f"d{item}", scores[q, item])

    run = [document(q, rows[q, place]) for q, place in np.ndindex(*rows.shape)]
    correct, counts = correct_of(rows.tolist(), true), np.array([len(t) for t in true])
    for measure, metric, k in [
        (P @ 5, ranking.precision_at, 5),
        (R @ 10, ranking.recall_at, 10),
        (RR @ 10, ranking.reciprocal_rank_at, 10),
        (nDCG @ 10, ranking.ndcg_at, 10),
        (AP @ 10, ranking.average_precision_at, 10),
    ]:
        expected = {m.query_id: m.value for m in ir_measures.iter_calc([measure], qrels, run)}
        got = metric(correct, counts, k)
        assert got == pytest.approx([expected[f"q{q}"] for q in range(40)], abs=1e-6), str(measure)


def test_what_cannot_be_computed():
    with pytest.raises(InputError, match="k = 0"):
        ranking.precision_at(CORRECT, COUNTS, 0)
    with pytest.raises(InputError, match="'books' are unknown"):
        propensity.inverse_propensity(np.array([1]), train_queries=10, constants="books")
    with pytest.raises(InputError, match="3 or more"):
        propensity.inverse_propensity(np.array([1]), train_queries=2)
