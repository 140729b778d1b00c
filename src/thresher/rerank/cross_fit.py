"""Re-rankers fitted without the query that they judge, so that confidences are honest."""

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from thresher.data.relation import Relation
from thresher.rerank.reranker import Reranker

FOLDS = 5
_FOLD_SEED = 2_000_003  # far from the seeds that split data


def cross_fit(
    features: Float32[np.ndarray, "Q k F"],
    rows: Int64[np.ndarray, "Q k"],
    truth: Relation,
    *,
    selection: Bool[np.ndarray, " Q"],
    clusters: Int64[np.ndarray, " Q"],
    names: tuple[str, ...],
    seed: int,
) -> tuple[Reranker, Float64[np.ndarray, " Q"], Bool[np.ndarray, " Q"]]:
    """Fit a re-ranker on the selection part, and judge every query by one that has not seen it.

    Args:
        features: of the candidates.
        rows: the candidates.
        truth: the true items.
        selection: queries that the re-ranker may be fitted on.
        clusters: a number for each text; queries with the same text are in one fold.
        names: of the features.
        seed: of the folds.

    Returns:
        The re-ranker, the confidence in the first candidate of each query, and whether that is
        right; for queries of the selection part out of fold.
    """
    true, missing = truth.correct(rows), rows < 0
    fitted = Reranker.fit(features[selection], true[selection], missing[selection], names=names)
    confidence, correct = _judged(fitted, features, true, missing)
    distinct = np.unique(clusters)
    drawn = np.random.default_rng((seed, _FOLD_SEED)).integers(FOLDS, size=len(distinct))
    fold = drawn[np.searchsorted(distinct, clusters)]
    for number in range(FOLDS):
        inside, outside = selection & (fold == number), selection & (fold != number)
        if not inside.any():
            continue
        part = Reranker.fit(features[outside], true[outside], missing[outside], names=names)
        at = (features[inside], true[inside], missing[inside])
        confidence[inside], correct[inside] = _judged(part, *at)
    return fitted, confidence, correct


def _judged(
    reranker: Reranker,
    features: Float32[np.ndarray, "Q k F"],
    true: Bool[np.ndarray, "Q k"],
    missing: Bool[np.ndarray, "Q k"],
) -> tuple[Float64[np.ndarray, " Q"], Bool[np.ndarray, " Q"]]:
    order, chances = reranker.rank(features, missing)
    return chances[:, 0].copy(), np.take_along_axis(true, order, axis=1)[:, 0]
