"""From labelled queries to a decision: fit the confidence, choose and certify the threshold."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float64, Int64

from thresher.data.labelled import Labelled
from thresher.data.split import normalised, uniform
from thresher.data.tables import read_table, write_table
from thresher.decide.certify import certify
from thresher.decide.learned import Learned
from thresher.decide.options import DecideOptions
from thresher.decide.policy import NoThreshold, Policy
from thresher.decide.repeats import design_effect
from thresher.decide.segments import certify_by
from thresher.errors import InputError
from thresher.matcher import Matcher, rank

FOLDS = 5
FEWEST = 100
# Far from the seeds that cut data into splits: with the same one, a split would lie in one part.
_PART_SEED, _FOLD_SEED = 1_000_003, 2_000_003

_ARRAYS = ("confidence", "correct", "fit", "groups")


@dataclass(frozen=True)
class Outcomes:
    """The labelled queries that a policy rests on, kept so that any target can be certified later.

    Args:
        query_ids: of the queries.
        confidence: in the proposal for each, out of fold where the confidence was fitted on it.
        correct: whether the proposal is a true item.
        fit: whether the query chose the candidate thresholds; the others certify.
        segments: value of the column that thresholds may depend on; empty without one.
        groups: a number for each text; queries with the same text are right or wrong together.
    """

    query_ids: list[str]
    confidence: Float64[np.ndarray, " Q"]
    correct: Bool[np.ndarray, " Q"]
    fit: Bool[np.ndarray, " Q"]
    segments: list[str]
    groups: Int64[np.ndarray, " Q"]

    def certify(
        self, *, target: float, confidence: float, by: str | None = None, fitted_on: str = ""
    ) -> Policy | NoThreshold:
        """The loosest threshold with this precision, or what is reachable instead."""
        effect = self.design_effect(target)
        if by is not None:
            return certify_by(
                self.confidence,
                self.correct,
                self.segments,
                by=by,
                target=target,
                confidence=confidence,
                fit_rows=self.fit,
                design_effect=effect,
                fitted_on=fitted_on,
            )
        rest = ~self.fit
        return certify(
            self.confidence[rest],
            self.correct[rest],
            target=target,
            confidence=confidence,
            fit_scores=self.confidence[self.fit],
            fit_correct=self.correct[self.fit],
            design_effect=effect,
            fitted_on=fitted_on,
        )

    def design_effect(self, target: float) -> float:
        """How many labels say as much as one, among those about as sure as the target asks for.

        Those are the labels accepted at the loosest confidence at which the fit part reaches the
        target; all labels where it never does.
        """
        order = np.argsort(-self.confidence[self.fit], kind="stable")
        precise = np.cumsum(self.correct[self.fit][order]) >= target * (np.arange(len(order)) + 1)
        last = np.flatnonzero(precise)
        bar = self.confidence[self.fit][order][last[-1]] if len(last) else -np.inf
        sure = self.confidence >= bar
        return design_effect(self.correct[sure], self.groups[sure])

    def save(self, path: Path) -> None:
        """Writes a table of one row a query."""
        columns = {name: pa.array(getattr(self, name)) for name in _ARRAYS}
        ids = pa.array(self.query_ids, pa.string())
        segments = pa.array(self.segments or [""] * len(self.query_ids), pa.string())
        write_table(pa.table({"query_id": ids, **columns, "segment": segments}), path)

    @classmethod
    def load(cls, path: Path) -> "Outcomes":
        """Reads what `save` wrote."""
        t = read_table(path)
        arrays = {name: t[name].to_numpy(zero_copy_only=False) for name in _ARRAYS}
        ids, segments = t["query_id"].to_pylist(), t["segment"].to_pylist()
        return cls(query_ids=ids, segments=segments, **arrays)


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
        rest = ~self.outcomes.fit
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
        options: kind of confidence, target, confidence level, segments.
        fitted_on: fingerprint of model and index.

    Raises:
        InputError: with too few labelled queries, or without the column of the segments.
    """
    segments = checked(labelled, options)
    texts, relation = labelled.texts, labelled.relation
    fit = _part(texts, options.fit_share, options.seed + _PART_SEED) == 0
    matcher = replace(matcher, options=options, learned=None, policy=None)
    learned = None
    if options.confidence == "learned":
        learned, confidence, right = _learned(matcher, labelled, fit, options.seed)
    else:
        found = matcher.propose(texts, ignored=labelled.ignored)
        confidence, right = found.confidence, relation.correct(found.hits.rows)[:, 0]
    _, groups = np.unique([normalised(text) for text in texts], return_inverse=True)
    outcomes = Outcomes(
        labelled.ids(), confidence, right, fit, segments, groups.reshape(-1).astype(np.int64)
    )
    policy = outcomes.certify(
        target=options.target,
        confidence=options.confidence_level,
        by=options.by,
        fitted_on=fitted_on,
    )
    return Decision(options, policy, outcomes, learned)


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
