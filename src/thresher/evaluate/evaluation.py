"""The one call that turns hits into numbers, for every kind of run and for slices of its queries.

Ranking, over the queries that have a true item (`ranking.Placed` has the equations):
    P@1, precision@k, recall@k, hit_rate@k, ndcg@k, mrr@k, map@k, PSP@k (a ratio of sums)
Decisions, over ALL queries, since accepting one without a true item is an error:
    aurc, coverage@precision=t      of the best threshold, known afterwards
    certified_coverage@precision=t  share that is accepted by a decision made beforehand
    certified_precision@precision=t share of those that is right; NaN when none is accepted
    opis                            how unequally one threshold treats the items
Lists:
    catalogue_coverage@k  share of the N items that stand in the first k of some list
    popularity@k          mean over queries of the mean training count of the first k, divided by
                          the mean over queries of the mean count of their true items: 1 is as
                          popular as what is right, above 1 leans to the popular. After Yin et al.,
                          VLDB 2012, made relative to the true items here

Slices are named `slice/metric`. A slice of items (`slices.item_kinds`: unseen, rare, frequent,
head, tail) holds the queries that have a true item of the kind: its recall@k counts the true items
of that kind alone; all else in a slice is that of its queries. "no item" holds the queries without
a true item.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Float64, Int, Int64

from thresher.data.relation import Relation
from thresher.data.sequences import Sequences
from thresher.errors import InputError
from thresher.evaluate import consistency, propensity
from thresher.evaluate.coverage import FLOOR, precision_coverage_curve
from thresher.evaluate.ranking import Placed, mean
from thresher.evaluate.slices import Slices, item_kinds

KS = (1, 5, 10, 20, 50, 100)
PRECISIONS = (0.90, 0.95, 0.98, 0.99)
_OPIS_DEPTH = 10  # retrieved items of a query that count as its pairs

Accepted = Mapping[float, Bool[np.ndarray, " Q"]]


@runtime_checkable
class Retrieved(Protocol):
    """What a search returned: `thresher.retrieve.Hits` is one."""

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
    truth: Relation,
    *,
    confidence: Float[np.ndarray, " Q"] | None = None,
    accepted: Accepted | None = None,
    thresholds: Mapping[float, float | None] | None = None,
    targets: Sequences | None = None,
    count_repeats: bool = False,
    ks: Sequence[int] = KS,
    train_counts: Int[np.ndarray, " N"] | None = None,
    train_queries: int | None = None,
    constants: str = "other",
    slices: Slices | None = None,
    floor: int = FLOOR,
) -> dict[str, float]:
    """Everything that is known about a search, as named numbers; the module says what each is.

    A metric at more places than were retrieved is left out, unless that is the whole catalogue: it
    would be too low. A query for which nothing was retrieved is never accepted.

    Args:
        hits: one line a query of the truth, in its order; an item repeated in a line counts once.
        truth: true items of the queries.
        confidence: how sure each top item is; its raw score when left out.
        accepted: for a target precision, which queries a decision made beforehand accepts.
        thresholds: the same by the least confidence accepted; None where none was certified.
        targets: events whose distinct pairs are the truth, for `count_repeats`.
        count_repeats: a true item counts as often as its events, in recall and popularity.
        ks: places of the lists.
        train_counts: training pairs of each item; without them no PSP, popularity, slice of items.
        train_queries: training queries, for PSP; the sum of the counts when left out.
        constants: propensity constants, "amazon", "wikipedia" or "other".
        slices: name to the queries of a further slice (`slices_by`).
        floor: least number of queries, and of accepted ones, that makes an uncertified coverage.

    Returns: names to numbers; NaN where one is not defined. Memory: O(Q k + pairs).

    Raises:
        InputError: lengths or rows do not fit, a confidence is NaN, or the targets are others.
    """
    _check(hits.rows, truth, train_counts, slices)
    placed = Placed.of(hits.rows, truth, targets if count_repeats else None)
    ks = [k for k in ks if hits.rows.shape[1] >= min(k, truth.columns)]
    sure = sureness(hits, confidence)
    certified = _certified(sure, accepted, thresholds)
    decisions = _Decisions(sure, placed.first_is_right(), certified, floor)
    result = _counts(placed, truth) | _ranking(placed, ks) | decisions.numbers()
    result |= _lists(hits.rows, placed, ks, truth.columns, train_counts)
    result["opis"] = _opis(hits.scores, placed)
    whole = {name: (mask, mask[placed.queries]) for name, mask in (slices or {}).items()}
    if train_counts is not None:
        known = int(train_counts.sum()) if train_queries is None else train_queries
        result |= _propensity(placed, ks, train_counts, known, constants)
        whole |= _kinds(placed, train_counts)
    for name, (mask, kept) in whole.items():
        own = _slice(placed, mask, placed.only(kept), ks) | decisions.only(mask).numbers()
        result |= {f"{name}/{metric}": value for metric, value in own.items()}
    return result


def as_json(values: Mapping[str, float]) -> dict[str, float | None]:
    """The same numbers with None instead of NaN, which JSON does not have."""
    return {name: None if np.isnan(value) else value for name, value in values.items()}


def sureness(
    hits: Retrieved, confidence: Float[np.ndarray, " Q"] | None
) -> Float64[np.ndarray, " Q"]:
    """The confidence, or the raw first score; -inf where nothing was retrieved."""
    if not hits.rows.shape[1]:
        return np.full(len(hits.rows), -np.inf)
    given = hits.scores[:, 0] if confidence is None else confidence
    if len(given) != len(hits.rows):
        raise InputError(
            f"there are {len(given)} confidences for {len(hits.rows)} queries; give one for each"
        )
    return np.where(hits.rows[:, 0] < 0, -np.inf, given).astype(np.float64)


class _Decisions(NamedTuple):
    """What was proposed first, how surely, and what is accepted for each target."""

    confidence: Float64[np.ndarray, " Q"]
    correct: Bool[np.ndarray, " Q"]
    accepted: Accepted
    floor: int

    def only(self, mask: Bool[np.ndarray, " Q"]) -> "_Decisions":
        accepted = {target: taken[mask] for target, taken in self.accepted.items()}
        return _Decisions(self.confidence[mask], self.correct[mask], accepted, self.floor)

    def numbers(self) -> dict[str, float]:
        curve = precision_coverage_curve(self.confidence, self.correct)
        result = {"aurc": curve.aurc()}
        for target in PRECISIONS:
            found = curve.coverage_at(target, floor=self.floor)
            result[f"coverage@precision={target:g}"] = found
        for target, taken in self.accepted.items():
            result[f"certified_coverage@precision={target:g}"] = _share(taken)
            result[f"certified_precision@precision={target:g}"] = _share(self.correct[taken])
        return result


def _certified(
    confidence: Float64[np.ndarray, " Q"],
    accepted: Accepted | None,
    thresholds: Mapping[float, float | None] | None,
) -> dict[float, Bool[np.ndarray, " Q"]]:
    found = {
        target: confidence >= (np.inf if bar is None else bar)
        for target, bar in (thresholds or {}).items()
    }
    found |= accepted or {}
    return {target: taken & (confidence > -np.inf) for target, taken in found.items()}


def _counts(placed: Placed, truth: Relation) -> dict[str, float]:
    return {
        "queries": float(len(truth)),
        "queries_without_item": float((truth.counts() == 0).sum()),
        "targets": float(placed.weights.sum()),
        "items": float(truth.columns),
    }


def _ranking(placed: Placed, ks: Sequence[int]) -> dict[str, float]:
    metrics = {
        "precision": placed.precision,
        "recall": placed.recall,
        "hit_rate": placed.hit,
        "ndcg": placed.ndcg,
        "mrr": placed.reciprocal_rank,
        "map": placed.average_precision,
    }
    found = {f"{name}@{k}": mean(metric(k)) for name, metric in metrics.items() for k in ks}
    found.pop("precision@1", None)  # that is P@1
    return {"P@1": mean(placed.precision(1))} | found


def _slice(
    whole: Placed, mask: Bool[np.ndarray, " Q"], own: Placed, ks: Sequence[int]
) -> dict[str, float]:
    return {
        "queries": float(mask.sum()),
        "targets": float(own.weights.sum()),
        "P@1": mean(whole.precision(1)[mask]),
        **{f"recall@{k}": mean(own.recall(k)) for k in ks},
    }


def _kinds(
    placed: Placed, train_counts: Int[np.ndarray, " N"]
) -> dict[str, tuple[Bool[np.ndarray, " Q"], Bool[np.ndarray, " P"]]]:
    """For each kind of items the queries that have one, and which true pairs are of the kind."""
    found = {}
    for name, members in item_kinds(train_counts).items():
        kept = members[placed.items]
        found[name] = np.bincount(placed.queries[kept], minlength=placed.total) > 0, kept
    return found | {"no item": (placed.counts() == 0, np.zeros(len(placed.items), np.bool_))}


def _propensity(
    placed: Placed,
    ks: Sequence[int],
    train_counts: Int[np.ndarray, " N"],
    train_queries: int,
    constants: str,
) -> dict[str, float]:
    if train_queries < propensity.FEWEST_QUERIES:
        return {}
    weights = propensity.inverse_propensity(
        train_counts, train_queries=train_queries, constants=constants
    )
    return {f"PSP@{k}": propensity.psp(placed, weights, k) for k in ks}


def _lists(
    rows: Int64[np.ndarray, "Q k"],
    placed: Placed,
    ks: Sequence[int],
    items: int,
    train_counts: Int[np.ndarray, " N"] | None,
) -> dict[str, float]:
    seen = np.zeros(items + 1, np.bool_)  # -1 marks the last, which is no item
    result = {}
    for k in ks:
        seen[rows[:, :k]] = True
        result[f"catalogue_coverage@{k}"] = _share(seen[:-1])
        seen[:] = False
    if train_counts is None:
        return result
    counts = np.append(train_counts, 0)  # -1 reads the last
    right = mean(placed.average(train_counts[placed.items].astype(np.float64)))
    for k in ks:
        listed = (rows[:, :k] >= 0).sum(axis=1)
        total = counts[rows[:, :k]].sum(axis=1)
        shown = mean(total / np.where(listed > 0, listed, np.nan))
        result[f"popularity@{k}"] = shown / right if right > 0 else float("nan")
    return result


def _opis(scores: Float[np.ndarray, "Q k"], placed: Placed) -> float:
    right = placed.correct(_OPIS_DEPTH)
    members = consistency.members_of_items(placed.queries, placed.items)
    missed = placed.counts() - right.sum(axis=1)
    return consistency.opis(scores[:, :_OPIS_DEPTH], right, missed, members)


def _share(mask: Bool[np.ndarray, " _"]) -> float:
    return float(mask.mean()) if len(mask) else float("nan")


def _check(
    rows: Int[np.ndarray, "Q k"],
    truth: Relation,
    train_counts: Int[np.ndarray, " N"] | None,
    slices: Mapping[str, np.ndarray] | None,
) -> None:
    items = truth.columns
    if rows.min(initial=-1) < -1 or rows.max(initial=-1) >= items:
        wrong = rows.max() if rows.max() >= items else rows.min()
        raise InputError(
            f"a list holds row {wrong}, but the catalogue has {items:,} items; give rows from 0 to "
            f"{items - 1:,}, and -1 where a list has none"
        )
    if train_counts is not None and len(train_counts) != items:
        raise InputError(
            f"there are {len(train_counts)} training counts for {items} items; give one for each"
        )
    for name, mask in (slices or {}).items():
        if len(mask) != len(truth):
            raise InputError(
                f"slice {name!r} marks {len(mask)} queries of {len(truth)}; give one True or False "
                "for each"
            )
