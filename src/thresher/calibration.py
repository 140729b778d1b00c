"""From labelled queries to a decision: fit the confidence, choose and certify the threshold."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from thresher.data.labelled import Labelled
from thresher.data.relation import Relation
from thresher.data.split import normalised, uniform
from thresher.decide.learned import Learned
from thresher.decide.options import DecideOptions
from thresher.decide.outcomes import Outcomes
from thresher.decide.policy import NoThreshold, Policy
from thresher.decide.sequence import draw_clusters
from thresher.errors import InputError
from thresher.matcher import Matcher, rank

FOLDS = 5
FEWEST = 100
# Far from the seeds that cut data into splits: with the same one, a split would lie in one part.
_PART_SEED, _FOLD_SEED = 1_000_003, 2_000_003


@dataclass(frozen=True)
class Decision:
    """What calibration found.

    Args:
        options: how it was asked for.
        policy: the certified threshold, or why there is none.
        outcomes: what it rests on.
        learned: the fitted confidence, when that is the kind.
    """

    options: DecideOptions
    policy: Policy | NoThreshold
    outcomes: Outcomes
    learned: Learned | None

    def summary(self) -> dict[str, Any]:
        """What was found, as JSON values; `certified` is the answer."""
        found = {"certified": isinstance(self.policy, Policy), "sentence": self.policy.sentence()}
        if isinstance(self.policy, Policy):
            found |= {"policy_id": self.policy.id, "coverage": self._coverage(self.policy)}
        return {**found, "policy": self.policy.to_dict()}

    def _coverage(self, policy: Policy) -> float:
        """Share of the certifying queries that the policy accepts, segments and all."""
        rest = ~self.outcomes.selection
        names = np.array(self.outcomes.segments, np.str_)[rest] if policy.by else None
        return float(policy.decide(self.outcomes.confidence[rest], names).mean())

    def save(self, folder: Path) -> None:
        """Writes the decision part of an artifact."""
        settings = {"decide": asdict(self.options)}
        (folder / "settings.json").write_text(json.dumps(settings, indent=2) + "\n", "utf-8")
        if self.learned is not None:
            self.learned.save(folder / "confidence.json")
        if isinstance(self.policy, Policy):
            self.policy.save(folder / "policy.json")
        else:
            text = json.dumps(self.policy.to_dict(), indent=2)
            (folder / "no_threshold.json").write_text(text + "\n", "utf-8")
        self.outcomes.save(folder / "outcomes.parquet")


def calibrate(
    matcher: Matcher, labelled: Labelled, options: DecideOptions, *, fitted_on: str
) -> Decision:
    """Fits the confidence on one part of labelled queries, and certifies a threshold on the other.

    Queries of the same text stay in one part. The thresholds to try are chosen on the first part
    too, with confidences of models that were fitted without the query (5 folds).

    Args:
        matcher: tower and catalogue.
        labelled: queries that nothing was trained on.
        options: the scorer, target, confidence level, segments, share of absent products.
        fitted_on: fingerprint of model and index.

    Raises:
        InputError: with too few labelled queries, or without the column of the segments.
    """
    segments = checked(labelled, options)
    texts = labelled.texts
    _, clusters = np.unique([normalised(text) for text in texts], return_inverse=True)
    clusters = clusters.reshape(-1).astype(np.int64)
    hidden = draw_clusters(clusters, options.absent, seed=options.seed)
    labelled = _without_products(labelled, hidden)
    relation = labelled.relation
    selection = _part(texts, options.selection_share, options.seed + _PART_SEED) == 0
    matcher = replace(matcher, options=options, learned=None, policy=None)
    learned = None
    if options.scorer == "reranker":
        learned, confidence, right = _learned(matcher, labelled, selection, options.seed)
    else:
        found = matcher.propose(texts, ignored=labelled.ignored)
        confidence, right = found.confidence, relation.correct(found.hits.rows)[:, 0]
    absent = relation.counts() == 0
    outcomes = Outcomes(
        ids=labelled.ids(),
        confidence=confidence,
        correct=right,
        selection=selection,
        clusters=clusters,
        segments=segments,
        absent=absent if absent.any() else None,
    )
    policy = outcomes.certify(
        target=options.target,
        confidence_level=options.confidence_level,
        by=options.by,
        fitted_on=fitted_on,
    )
    return Decision(options, policy, outcomes, learned)


def _without_products(labelled: Labelled, hidden: Bool[np.ndarray, " Q"]) -> Labelled:
    """The same queries, with the products of some of them hidden from the catalogue."""
    if not hidden.any():
        return labelled
    pairs = labelled.relation.pairs()
    gone = hidden[pairs[:, 0]]
    shape = labelled.relation.shape
    truth, taken = (Relation.from_pairs(*pairs[rows].T, shape=shape) for rows in (~gone, gone))
    return replace(labelled, relation=truth, ignored=labelled.ignored.union(taken))


def checked(labelled: Labelled, options: DecideOptions) -> list[str]:
    """The segment of each query, none without `by`, once the labels are seen to be of use.

    Raises:
        InputError: with too few labelled queries, or without the column of the segments.
    """
    if len(labelled) < FEWEST:
        raise InputError(
            f"calibration needs at least {FEWEST} labelled queries, and some thousands to certify "
            f"a high precision, got {len(labelled)}; label more of them, or give the calibration "
            f"split a larger share in [data] shares"
        )
    return labelled.column(options.by) if options.by else []


def _learned(
    matcher: Matcher, labelled: Labelled, fit: np.ndarray, seed: int
) -> tuple[Learned, np.ndarray, np.ndarray]:
    """The fitted confidence; how sure it is of each proposal, out of fold; which are right."""
    texts, relation = labelled.texts, labelled.relation
    hits, signs = matcher.signs(texts, ignored=labelled.ignored)
    true, missing = relation.correct(hits.rows), hits.rows < 0
    learned = Learned.fit(signs[fit], true[fit], missing[fit])
    found = rank(learned, hits, signs)
    confidence, right = found.confidence.copy(), relation.correct(found.hits.rows)[:, 0]
    fold = _part(texts, 1 / FOLDS, seed + _FOLD_SEED)
    for number in range(FOLDS):
        inside, outside = fit & (fold == number), fit & (fold != number)
        part = Learned.fit(signs[outside], true[outside], missing[outside])
        other = rank(part, hits, signs)
        confidence[inside] = other.confidence[inside]
        right[inside] = relation.correct(other.hits.rows)[inside, 0]
    return learned, confidence, right


def _part(texts: Sequence[str], share: float, seed: int) -> np.ndarray:
    """The part of each text, 0 for the given share of texts; equal texts are in the same part."""
    return np.array([int(uniform(text, seed) / share) for text in texts], np.int64)
