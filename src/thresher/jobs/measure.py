"""One pass of labelled queries through a matcher, and everything that is counted from it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool

from thresher.artifact import Artifact
from thresher.config import read
from thresher.data.labelled import Labelled
from thresher.data.relation import Relation
from thresher.decide.outcomes import Outcomes
from thresher.decide.policy import NoThreshold, Policy
from thresher.decide.scorers import margin, raw
from thresher.evaluate.bootstrap import bootstrap_coverage, bootstrap_mean
from thresher.evaluate.evaluation import PRECISIONS, evaluate, evaluate_slices
from thresher.evaluate.slices import slices_by, slices_by_frequency
from thresher.evaluate.summary import System
from thresher.matcher import Matcher, Proposals, read_settings
from thresher.retrieve import Hits, search_without
from thresher.retrieve.sparse import SparseExact
from thresher.towers.tfidf import TfIdf

DEPTH = 100
# The baseline is there to compare with, not to wait for.
BASELINE_QUERIES = 10_000


@dataclass(frozen=True)
class Measured:
    """Labelled queries, what was proposed for them, and what the policy makes of it.

    Args:
        matcher: what proposed.
        labelled: the queries and their true items.
        found: ranked items and the confidence in the first.
        tower: the same in the tower's own order.
        correct: whether the first proposal is true.
        accepted: whether the policy accepts it.
        thresholds: for each precision, what the artifact's own calibration certifies.
        propensity: whose constants PSP uses.
        train_queries: how many queries the model was trained on; None where it does not tell.
    """

    matcher: Matcher
    labelled: Labelled
    found: Proposals
    tower: Hits
    correct: Bool[np.ndarray, " Q"]
    accepted: Bool[np.ndarray, " Q"]
    thresholds: Mapping[float, float | None]
    propensity: str
    train_queries: int | None

    @classmethod
    def of(
        cls,
        artifact: Artifact,
        matcher: Matcher,
        labelled: Labelled,
        *,
        allow: Bool[np.ndarray, " N"] | None = None,
    ) -> "Measured":
        """Proposes an item for every query; with `allow`, as if the other items were not there."""
        if allow is not None:
            labelled = replace(labelled, relation=_only(labelled.relation, allow))
        texts, ignored = labelled.texts, labelled.ignored
        found = matcher.propose(texts, depth=DEPTH, allow=allow, ignored=ignored)
        depth = min(DEPTH, len(matcher.catalogue.index))
        _, tower = matcher.search(texts, depth, allow=allow, ignored=ignored)
        policy = matcher.policy
        accepted = np.zeros(len(labelled), bool)
        if isinstance(policy, Policy):
            segments = labelled.column(policy.by) if policy.by else None
            accepted = policy.decide(found.confidence, segments)
        return cls(
            matcher,
            labelled,
            found,
            tower,
            labelled.relation.correct(found.hits.rows[:, :1])[:, 0],
            accepted,
            certified_thresholds(artifact, policy),
            read(artifact.part("model") / "config.toml").build("data").propensity,
            read_settings(artifact.part("model")).get("train_queries"),
        )

    def metrics(self) -> dict[str, float]:
        """Every number of the whole; those of the policy's own target are of the policy itself."""
        numbers = evaluate(
            self.found.hits,
            self.labelled.relation,
            confidence=self.found.confidence,
            train_counts=self._train_counts(),
            train_queries=self.train_queries,
            constants=self.propensity,
            thresholds=self.thresholds,
        )
        policy = self.matcher.policy
        if isinstance(policy, Policy):
            name = f"precision={policy.target_precision:g}"
            right = self.correct[self.accepted]
            numbers[f"certified_coverage@{name}"] = float(self.accepted.mean())
            numbers[f"certified_precision@{name}"] = float(right.mean()) if len(right) else np.nan
        return numbers

    def alone(self) -> dict[str, float]:
        """Every number of the tower alone: its own order, with the raw score as confidence."""
        return evaluate(
            self.tower,
            self.labelled.relation,
            train_counts=self._train_counts(),
            train_queries=self.train_queries,
            constants=self.propensity,
        )

    def intervals(self, *, seed: int = 0) -> dict[str, tuple[float, float]]:
        """95 % bootstrap intervals of the numbers that decisions rest on."""
        generator = np.random.default_rng(seed)
        known = self.labelled.relation.counts() > 0
        p = bootstrap_mean(self.correct[known].astype(np.float64), generator=generator)
        found = {"P@1": (p.low, p.high)}
        for precision in PRECISIONS:
            c = bootstrap_coverage(
                self.found.confidence, self.correct, precision=precision, generator=generator
            )
            found[f"coverage@precision={precision:g}"] = (c.low, c.high)
        covered = bootstrap_mean(self.accepted.astype(np.float64), generator=generator)
        if isinstance(policy := self.matcher.policy, Policy):
            name = f"certified_coverage@precision={policy.target_precision:g}"
            found[name] = (covered.low, covered.high)
        return found

    def frequency(self) -> dict[str, Bool[np.ndarray, " Q"]]:
        """Queries by how often their item stood in training."""
        return slices_by_frequency(self.labelled.relation, self._train_counts())

    def column(self, name: str) -> dict[str, Bool[np.ndarray, " Q"]]:
        """Queries by the value of a column."""
        return slices_by(self.labelled.column(name), name=name)

    def of_slices(self, slices: Mapping[str, Bool[np.ndarray, " Q"]]) -> dict[str, float]:
        """The numbers of each slice, named `slice/metric`."""
        found = evaluate_slices(
            self.found.hits,
            self.labelled.relation,
            slices,
            confidence=self.found.confidence,
            thresholds=self.thresholds,
        )
        return {
            f"{name}/{metric}": value
            for name, numbers in found.items()
            for metric, value in numbers.items()
            if metric not in ("opis", "items")
        }

    def systems(self) -> dict[str, System]:
        """What to compare: the baseline, the tower alone, and last the one that decides."""
        untrained = isinstance(self.matcher.tower, TfIdf)
        name = "TF-IDF" if untrained else "model"
        right = self.labelled.relation.correct(self.tower.rows[:, :1])[:, 0]
        systems = {} if untrained else {"tfidf": baseline(self.matcher, self.labelled)}
        alone = {
            "raw": System(f"{name}, raw score", raw(self.tower.scores), right),
            "margin": System(f"{name}, margin", margin(self.tower.scores), right),
        }
        if self.matcher.options.scorer == "score":
            alone = dict(reversed(alone.items()))
        systems |= alone
        if self.matcher.learned is not None:
            systems["learned"] = System(
                f"{name}, learned confidence", self.found.confidence, self.correct
            )
        return systems

    def _train_counts(self) -> np.ndarray:
        return self.matcher.catalogue.evidence.asked


def certified_thresholds(
    artifact: Artifact, policy: Policy | NoThreshold | None
) -> dict[float, float | None]:
    """The threshold that the calibration labels certify for each precision; None where none is."""
    if policy is None:
        return {}
    outcomes = Outcomes.load(artifact.part("decision") / "outcomes.parquet")
    found: dict[float, float | None] = {}
    for precision in PRECISIONS:
        answer = outcomes.certify(target=precision, confidence_level=policy.confidence_level)
        found[precision] = answer.accept_at if isinstance(answer, Policy) else None
    return found


def baseline(matcher: Matcher, labelled: Labelled) -> System:
    """Character TF-IDF with the lead over the runner-up: what needs no training."""
    texts = labelled.texts[:BASELINE_QUERIES]
    tower = TfIdf()
    items, known = matcher.catalogue.evidence.texts, matcher.catalogue.evidence.known
    tower.start_from([*items, *known.texts])
    index, vectors = SparseExact(tower.encode(items)), tower.encode(texts)
    some = np.arange(len(texts))
    ignored = labelled.ignored.take(some)
    hits = search_without(lambda k: index.search(vectors, k), min(2, len(index)), ignored)
    right = labelled.relation.correct(hits.rows[:, :1], queries=some)[:, 0]
    return System("TF-IDF, margin", margin(hits.scores), right)


def _only(relation: Relation, allow: Bool[np.ndarray, " N"]) -> Relation:
    pairs = relation.pairs()
    kept = pairs[allow[pairs[:, 1]]]
    return Relation.from_pairs(kept[:, 0], kept[:, 1], shape=relation.shape)
