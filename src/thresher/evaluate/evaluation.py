"""The one call that turns hits into numbers, for all queries and for slices of them."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Float64, Int, Shaped

from thresher.data.relation import Relation
from thresher.errors import InputError
from thresher.evaluate import consistency, propensity, ranking
from thresher.evaluate.coverage import FLOOR, NOTHING, precision_coverage_curve

KS = (1, 5, 10, 50, 100)
PRECISIONS = (0.90, 0.95, 0.98, 0.99)
_OPIS_DEPTH = 10  # retrieved items of a query that count as its pairs

Classes = Shaped[np.ndarray, " Q"] | Sequence[str]


@runtime_checkable
class Retrieved(Protocol):
    """What a search returned: `thresher.retrieve.Hits` is one.

    Retrieval and evaluation do not import each other: this is all that evaluation asks for.
    """

    @property
    def rows(self) -> np.ndarray:
        """Item rows [Q, k], best first; -1 where missing."""
        ...

    @property
    def scores(self) -> np.ndarray:
        """Scores [Q, k], higher is closer; -inf where missing."""
        ...


def evaluate(
    hits: Retrieved,
    relation: Relation,
    *,
    confidence: Float[np.ndarray, " Q"] | None = None,
    train_counts: Int[np.ndarray, " N"] | None = None,
    train_queries: int | None = None,
    constants: str = "other",
    ks: Sequence[int] = KS,
    precisions: Sequence[float] = PRECISIONS,
    thresholds: Mapping[float, float | None] | None = None,
    classes: Classes | None = None,
    floor: int = FLOOR,
) -> dict[str, float]:
    """Everything that is known about a search, as named numbers.

    Ranking (`P@k`, `recall@k`, `mrr@10`, `ndcg@10`, `map@10`, `PSP@k`) is over the queries that
    have a true item. Decisions (`coverage@precision=...`, `certified_...`, `aurc`) are over ALL
    queries: accepting one that has no true item is an error. A metric at more places than were
    retrieved is left out, unless that is the whole catalogue: it would be too low.

    Args:
        hits: one line a query of the relation, in its order; an item repeated in a line counts
            once.
        relation: true items of the queries.
        confidence: how sure each top item is; its raw score when left out.
        train_counts: training queries of each item; without them there is no PSP.
        train_queries: number of training queries; the sum of the counts when left out, which is
            right where a query has one true item.
        constants: propensity constants, "amazon", "wikipedia" or "other".
        ks: places of recall.
        precisions: targets of coverage.
        thresholds: for a target, the threshold that calibration certified, None where none was;
            adds `certified_coverage` (0 without a threshold) and `certified_precision`, the
            precision realised among the accepted (NaN when none is accepted).
        classes: category of each query, for OPIS; items with two queries or more when left out.
        floor: least number of accepted queries that counts for the uncertified coverage.

    Returns:
        Names to numbers; NaN where a number is not defined (`as_json` makes it null).

    Memory: O(Q k + pairs).

    Raises:
        InputError: lengths do not fit, or a confidence is NaN.
    """
    if len(hits.rows) != len(relation):
        raise InputError(
            f"There are hits for {len(hits.rows)} queries but the relation has {len(relation)}; "
            "search once for each query of the relation, in its order."
        )
    correct = ranking.once(hits.rows, relation.correct(hits.rows))
    counts = relation.counts()
    result = {
        "queries": float(len(relation)),
        "queries_without_item": float((counts == 0).sum()),
        "items": float(relation.columns),
    }
    result |= _ranking(correct, counts, ks, relation.columns)
    if train_counts is not None:
        weights = _weights(train_counts, train_queries, constants, relation.columns)
        result |= _propensity(hits.rows, correct, relation, weights)
    confidence = hits.scores[:, 0] if confidence is None else confidence
    result |= _decisions(confidence, correct[:, 0], precisions, thresholds, floor)
    return result | {"opis": _opis(hits, correct, relation, classes)}


def evaluate_slices(
    hits: Retrieved,
    relation: Relation,
    slices: Mapping[str, Bool[np.ndarray, " Q"]],
    *,
    confidence: Float[np.ndarray, " Q"] | None = None,
    classes: Classes | None = None,
    **options: Any,
) -> dict[str, dict[str, float]]:
    """The numbers of `evaluate` for each slice of the queries, under the same global thresholds.

    Args:
        hits: as for `evaluate`.
        relation: true items of all queries.
        slices: name to the queries in it (`slices_by`, `slices_by_frequency`).
        confidence: how sure the top item of each query is; its raw score when left out.
        classes: category of each query, for OPIS.
        options: every other option of `evaluate`.

    Raises:
        InputError: a slice does not mark every query; see also `evaluate`.
    """
    result = {}
    for name, mask in slices.items():
        if len(mask) != len(relation):
            raise InputError(
                f"Slice '{name}' marks {len(mask)} queries of {len(relation)}; "
                "give one True or False for each."
            )
        rows = np.flatnonzero(mask)
        result[name] = evaluate(
            _Part(hits.rows[rows], hits.scores[rows]),
            relation.take(rows),
            confidence=None if confidence is None else confidence[rows],
            classes=None if classes is None else np.asarray(classes)[rows],
            **options,
        )
    return result


def as_json(values: Mapping[str, float]) -> dict[str, float | None]:
    """The same numbers with None instead of NaN, which JSON does not have."""
    return {name: None if np.isnan(value) else value for name, value in values.items()}


class _Part(NamedTuple):
    """The hits of some queries."""

    rows: np.ndarray
    scores: np.ndarray


def _ranking(
    correct: Bool[np.ndarray, "Q w"], counts: Int[np.ndarray, " Q"], ks: Sequence[int], items: int
) -> dict[str, float]:
    metrics = (
        ("P", ranking.precision_at, (1, 3, 5)),
        ("recall", ranking.recall_at, ks),
        ("mrr", ranking.reciprocal_rank_at, (10,)),
        ("ndcg", ranking.ndcg_at, (10,)),
        ("map", ranking.average_precision_at, (10,)),
    )
    return {
        f"{name}@{k}": ranking.mean(metric(correct, counts, k))
        for name, metric, places in metrics
        for k in places
        if _known(k, correct, items)
    }


def _known(k: int, correct: Bool[np.ndarray, "Q w"], items: int) -> bool:
    """Whether enough was retrieved to tell what stands in the first k places."""
    return correct.shape[1] >= min(k, items)


def _propensity(
    rows: Int[np.ndarray, "Q w"],
    correct: Bool[np.ndarray, "Q w"],
    relation: Relation,
    weights: Float64[np.ndarray, " N"],
) -> dict[str, float]:
    queries, items = relation.pairs().T
    return {
        f"PSP@{k}": propensity.psp(*propensity.psp_parts(rows, correct, queries, items, weights, k))
        for k in (1, 3, 5)
        if _known(k, correct, relation.columns)
    }


def _weights(
    train_counts: Int[np.ndarray, " N"], train_queries: int | None, constants: str, items: int
) -> Float64[np.ndarray, " N"]:
    if len(train_counts) != items:
        raise InputError(
            f"There are {len(train_counts)} training counts for {items} items; give one for each."
        )
    known = int(train_counts.sum()) if train_queries is None else train_queries
    return propensity.inverse_propensity(train_counts, train_queries=known, constants=constants)


def _decisions(
    confidence: Float[np.ndarray, " Q"],
    correct: Bool[np.ndarray, " Q"],
    precisions: Sequence[float],
    thresholds: Mapping[float, float | None] | None,
    floor: int,
) -> dict[str, float]:
    curve = precision_coverage_curve(confidence, correct)
    result = {"aurc": curve.aurc()}
    for target in precisions:
        result[f"coverage@precision={target:g}"] = curve.coverage_at(target, floor=floor)
    if thresholds is None:
        return result
    for target in dict.fromkeys((*precisions, *thresholds)):
        threshold = thresholds.get(target)
        accepted = NOTHING if threshold is None else curve.accepted_at(threshold)
        result[f"certified_coverage@precision={target:g}"] = accepted.coverage
        result[f"certified_precision@precision={target:g}"] = accepted.precision
    return result


def _opis(
    hits: Retrieved,
    correct: Bool[np.ndarray, "Q w"],
    relation: Relation,
    classes: Classes | None,
) -> float:
    counts = relation.counts()
    if classes is None:
        members = consistency.members_of_items(*relation.pairs().T)
    else:
        members = consistency.members_of_categories(classes, counts)
    scores, right = hits.scores[:, :_OPIS_DEPTH], correct[:, :_OPIS_DEPTH]
    return consistency.opis(scores, right, counts - right.sum(axis=1), members)
