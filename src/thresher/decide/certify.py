"""From labelled answers of any system to a threshold with a certified precision."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Int64, Shaped

from thresher.decide.policy import Promise, is_missing, segment_names
from thresher.decide.segments import Rows, certify_rows
from thresher.decide.sequence import MIN_CLUSTERS, SELECTION_SHARE, selection_rows
from thresher.errors import InputError

Column = Any
"""A list, a NumPy array, or a column of pandas, polars or Arrow: one value per answer."""


def certify(
    scores: Column,
    correct: Column,
    *,
    target: float | Sequence[float],
    confidence_level: float = 0.95,
    clusters: Column | None = None,
    segments: Column | None = None,
    by: str = "segment",
    selection: Column | None = None,
    absent: float = 0.0,
    label_uses: int = 1,
    seed: int | np.random.Generator = 0,
    fitted_on: str = "",
) -> Any:
    """Find the loosest threshold whose precision is proved to exceed a target.

    Equation:  precision(t) = P(correct | score >= t);  H0(t): precision(t) <= target;
               p(t) = P(Binom(n(t), 1 - target) <= errors(t)), n(t) accepted in the certifying part;
               thresholds t1, t2, ... of the selection part in a fixed order, each tested at
               1 - confidence_level, up to the first failure; the last that passed is the answer.
    Source:    Angelopoulos et al. 2021, "Learn then Test", arXiv 2110.01052, section 2 and the
               split fixed-sequence procedure; Bauer 1991, Stat. Med. 10(6), for the fixed order.

    Promise: over draws of the certifying labels, what is accepted is more precise than the target
    with a probability of `confidence_level` or more, for all targets and segments at once. Answers
    are independent draws from the traffic to come or, approximately, clusters of them are.

    Args:
        scores: confidence of each answer; higher is more certain; -inf is never accepted.
        correct: whether each answer is right: booleans, or 0 and 1.
        target: precision to certify, a fraction in (0, 1), or several.
        confidence_level: probability that the promise holds, a fraction in (0, 1).
        clusters: a value per answer; equal values, such as the same text, stand or fall together.
        segments: a value per answer, such as its category; those that can afford it have
            a threshold each. `KNOWN_TEXT` is never pooled with others.
        by: the name of the column of the segments.
        selection: true for the answers that choose the candidate thresholds, which the model may
            have been fitted on; the others certify. Without it a quarter of the clusters.
        absent: share of these answers whose item is not in the catalogue, kept in the policy.
        label_uses: how often these labels have certified something, this time included.
        seed: a seed or a generator for the drawn selection.
        fitted_on: fingerprint of the model and index, kept in the policy.

    Returns: a `Policy`, or a `NoThreshold` that says what is reachable; for several, a dictionary.
    Raises: InputError for a level outside (0, 1), columns that do not fit together, a score that is
        no number, answers in one cluster or in too few, or labels too few to split.

    Example:
        >>> scores = np.linspace(0, 1, 1000)
        >>> certify(scores, scores > 0.3, target=0.9).decide(np.array([0.1, 0.9])).tolist()
        [False, True]
    """
    targets = _targets(target)
    about = confidence_level, label_uses, absent, fitted_on
    promises = [Promise(one, *about).shared(len(targets)) for one in targets]
    rows = _rows(scores, correct, clusters, segments, selection, seed)
    growth = 1.0 if selection is not None else 1 / (1 - SELECTION_SHARE)
    answers = [certify_rows(rows, promise, by=by, growth=growth) for promise in promises]
    return answers[0] if np.isscalar(target) else dict(zip(targets, answers, strict=True))


def _targets(target: Any) -> list[float]:
    targets: list[float] = np.ravel(np.asarray(target, object)).tolist()
    if not targets:
        raise InputError("no target precision was given; give one or more, as 0.95")
    return targets


def _rows(
    scores: Column,
    correct: Column,
    clusters: Column | None,
    segments: Column | None,
    selection: Column | None,
    seed: int | np.random.Generator,
) -> Rows:
    """The columns, checked and side by side."""
    values, right = _scores(scores), _correct(correct)
    if len(values) != len(right):
        raise InputError(
            f"got {len(values)} scores and {len(right)} labels; give one label a score"
        )
    groups = cluster_codes(clusters, len(values))
    _check_clusters(groups)
    part = _selection(selection, values, right, groups, seed)
    names = None if segments is None else segment_names(segments, len(values))
    return Rows(values, right, groups, part, names)


def cluster_codes(clusters: Column | None, rows: int) -> Int64[np.ndarray, " Q"] | None:
    """A number for each distinct cluster, or None where no two rows share one.

    Raises:
        InputError: if a row has no cluster, or all have one.
    """
    if clusters is None:
        return None
    values = np.asarray(clusters)
    if values.shape != (rows,):
        raise InputError(f"got {values.size} clusters for {rows} rows; give one per row")
    each = clusters if isinstance(clusters, list | tuple) else values.tolist()
    if isinstance(clusters, np.ndarray) and values.dtype.kind in "iub":  # none can be missing
        each = []
    for row, one in enumerate(each, 1):
        if is_missing(one):
            raise InputError(
                f"the cluster of row {row} is missing; give every row one, one of its own where it "
                "stands or falls alone"
            )
    if values.dtype == object:
        values = values.astype(np.str_)
    distinct, codes = np.unique(values, return_inverse=True)
    if len(distinct) == 1 and rows > 1:
        raise InputError(
            f"all {rows} rows are in one cluster, {distinct[0].item()!r}, and say no more than one "
            "label; give the column that tells independent rows apart, such as the query's text"
        )
    return None if len(distinct) == rows else codes.reshape(-1).astype(np.int64)


def _check_clusters(groups: Int64[np.ndarray, " Q"] | None) -> None:
    """InputError where clusters repeat and are too few for any threshold."""
    if groups is not None and groups.max() + 1 < MIN_CLUSTERS:
        raise InputError(
            f"the {len(groups):,} labels are of {groups.max() + 1} distinct clusters, such as "
            f"texts; where they repeat, {MIN_CLUSTERS} accepted ones are the least that certify "
            "anything: label more distinct ones"
        )


def _scores(scores: Column) -> Float64[np.ndarray, " Q"]:
    _check_masked("scores", scores)
    try:
        kind = getattr(scores, "dtype", None)
        if getattr(kind, "kind", "") in ("c", "m", "M"):
            raise TypeError(f"they are of type {kind}")
        values = np.asarray(scores, np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"the scores are not numbers ({error}); give one number a row") from None
    if values.ndim != 1:
        raise InputError(f"got scores of shape {values.shape}; give one number a row")
    if np.isnan(values).any():
        raise InputError(
            f"{int(np.isnan(values).sum())} of {len(values)} scores are not numbers; give -inf "
            "where there is no answer"
        )
    return values


def _correct(correct: Column) -> Bool[np.ndarray, " Q"]:
    _check_masked("labels", correct)
    values = np.asarray(correct)
    if values.ndim != 1:
        raise InputError(f"got labels of shape {values.shape}; give one label a row")
    if values.dtype != np.bool_:
        for value in values.tolist():
            if is_missing(value) or value not in (0, 1):
                raise InputError(
                    f"a label is {value!r}; give true or 1 where the answer is right, false or 0 "
                    "where it is wrong, and leave unlabelled rows out"
                )
    return values.astype(np.bool_)


def _check_masked(what: str, column: Column) -> None:
    """InputError for a masked array, whose masked values would count as others do."""
    if isinstance(column, np.ma.MaskedArray) and np.ma.is_masked(column):
        hidden = int(np.ma.getmaskarray(column).sum())
        raise InputError(f"{hidden} of {column.size} {what} are masked; leave these rows out")


def _selection(
    selection: Column | None,
    scores: Float64[np.ndarray, " Q"],
    correct: Bool[np.ndarray, " Q"],
    clusters: Int64[np.ndarray, " Q"] | None,
    seed: int | np.random.Generator,
) -> Bool[np.ndarray, " Q"]:
    """The rows that choose thresholds: as given, or drawn."""
    if selection is None:
        return selection_rows(scores, correct, clusters, seed=seed)
    _check_masked("values of the selection", selection)
    part: Shaped[np.ndarray, " Q"] = np.asarray(selection)
    boolean = part.dtype == np.bool_
    if not boolean or part.shape != scores.shape or part.all() or not part.any():
        got = (
            f"{int(part.sum())} of {part.size} rows" if boolean else f"values of type {part.dtype}"
        )
        raise InputError(
            f"got a selection of {got} for {len(scores)} scores; give one boolean a row, true for "
            "some and not for all"
        )
    if clusters is not None and len(np.intersect1d(clusters[part], clusters[~part])):
        raise InputError(
            "a cluster has rows in the selection and in the certifying part; keep equal clusters "
            "on one side"
        )
    return part
