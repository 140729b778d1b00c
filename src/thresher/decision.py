"""From labelled queries to a decision: fit the re-ranker, choose and certify the threshold."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float, Float64, Int64

from thresher.data.dataset import Part
from thresher.data.relation import Relation
from thresher.data.split import normalised, uniform
from thresher.data.tables import read_table, require_columns, write_table
from thresher.decide.options import DecideOptions
from thresher.decide.outcomes import Outcomes
from thresher.decide.policy import NoThreshold, Policy
from thresher.decide.scorers import margin, raw
from thresher.decide.sequence import MIN_CLUSTERS, SELECTION_SHARE, draw_clusters
from thresher.errors import InputError
from thresher.files import read_json, write_json
from thresher.rerank import Examples, Reranker, cross_fit

if TYPE_CHECKING:
    from thresher.retriever import Retriever

MIN_LABELS = 100
USED = "label_uses.parquet"
BLOCK = 8192
"""Queries that are searched and judged at a time."""
FEW = 3000
"""Labels below which training queries choose the thresholds, so that all labels certify."""
# Far from the seeds that cut data into splits: with the same one, a split would lie in one part.
_PART_SEED = 1_000_003


@dataclass(frozen=True)
class Decision:
    """What turns the scores of one model and index into decisions.

    Args:
        options: the scorer, and what has to be certified of it.
        policy: the certified threshold, or why there is none.
        outcomes: the labels that it rests on.
        reranker: weighs candidates, when that is the scorer.
        others: the answers for further targets, which hold together with the policy; not saved.
        used: how often each label has certified something on this model and index.
    """

    options: DecideOptions
    policy: Policy | NoThreshold
    outcomes: Outcomes
    reranker: Reranker | None = None
    others: tuple[Policy | NoThreshold, ...] = ()
    used: Mapping[str, int] = field(default_factory=dict)

    def answers(self) -> dict[float, Policy | NoThreshold]:
        """What was found for each target; the first is the one that decides."""
        return {answer.target_precision: answer for answer in (self.policy, *self.others)}

    def bound(self, fitted_on: str) -> "Decision":
        """The same decision, which names the model and index that it is for."""
        policy = replace(self.policy, fitted_on=fitted_on)
        if isinstance(policy, Policy):
            own = {name: replace(one, fitted_on=fitted_on) for name, one in policy.segments.items()}
            policy = replace(policy, segments=own)
        return replace(self, policy=policy)

    def summary(self) -> dict[str, Any]:
        """What was found, as JSON values; `certified` is the answer.

        For several targets `answers` holds one of these each, the first of which decides.
        """
        answers = [_summary(answer) for answer in self.answers().values()]
        return {**answers[0], **({"answers": answers} if len(answers) > 1 else {})}

    def save(self, folder: Path) -> None:
        """Write everything into a folder."""
        write_json(folder / "settings.json", asdict(self.options))
        if self.reranker is not None:
            self.reranker.save(folder / "reranker.json")
        if isinstance(self.policy, Policy):
            self.policy.save(folder / "policy.json")
        else:
            write_json(folder / "no_threshold.json", self.policy.to_dict())
        self.outcomes.save(folder / "outcomes.parquet")
        used = {"id": pa.array(self.used, pa.string()), "uses": pa.array(self.used.values())}
        write_table(pa.table(used), folder / USED)

    @classmethod
    def load(cls, folder: Path, *, fitted_on: str) -> "Decision":
        """Read what `save` wrote, and refuse what was fitted on another model or index.

        Raises:
            InputError: when a file is damaged, or the policy is of something else.
        """
        settings = read_json(folder / "settings.json", what="the decision", fix="calibrate again")
        try:
            options = DecideOptions(**settings)
        except TypeError as error:
            raise InputError(f"the decision in {folder} cannot be read ({error})") from None
        path = folder / "reranker.json"
        policy = read_policy(folder, fitted_on=fitted_on)
        outcomes = Outcomes.load(folder / "outcomes.parquet")
        return cls(
            options,
            policy,
            outcomes,
            Reranker.load(path) if options.scorer == "reranker" else None,
            used=_used(folder / USED) or dict.fromkeys(outcomes.labels, policy.label_uses),
        )


def _used(path: Path) -> dict[str, int]:
    """How often each label was used; empty where nothing was kept."""
    table = read_table(path) if path.exists() else None
    if table is None:
        return {}
    require_columns(table, ["id", "uses"], path)
    return dict(zip(table["id"].to_pylist(), table["uses"].to_pylist(), strict=True))


def _summary(policy: Policy | NoThreshold) -> dict[str, Any]:
    coverage = 0.0
    if isinstance(policy, Policy):
        parts = [policy, *policy.segments.values()]
        coverage = sum(p.accepted for p in parts) / max(1, sum(p.labelled for p in parts))
    return {
        "certified": isinstance(policy, Policy),
        "sentence": policy.sentence(),
        "coverage": coverage,
        **policy.to_dict(),
    }


def read_policy(folder: Path, *, fitted_on: str) -> Policy | NoThreshold:
    """The policy of a decision, or why there is none.

    Raises:
        InputError: when it is damaged, or was fitted on another model or index.
    """
    if (folder / "policy.json").exists():
        return Policy.load(folder / "policy.json", fitted_on=fitted_on)
    path = folder / "no_threshold.json"
    values = read_json(path, what="the decision", fix="calibrate again")
    try:
        listed: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in values.items()
        }
        return NoThreshold(**listed)
    except TypeError as error:
        raise InputError(f"{path} cannot be read ({error}); calibrate again") from error


def confidence_of(scorer: str, scores: Float[np.ndarray, "Q k"]) -> Float64[np.ndarray, " Q"]:
    """The confidence in the first candidate, by the scores of all."""
    return (raw if scorer == "score" else margin)(scores).astype(np.float64)


def check_labels(part: Part, options: DecideOptions, text: Sequence[str] = ()) -> None:
    """InputError with too few labelled queries, or without the column of the segments.

    Args:
        part: the labelled queries.
        options: the column of the segments is read.
        text: the columns of their text; too few distinct texts are refused too.
    """
    if len(part.queries) < MIN_LABELS:
        raise InputError(
            f"calibration needs at least {MIN_LABELS} labelled queries, and some thousands to "
            f"certify a high precision, got {len(part.queries)}; label more of them, or give the "
            "calibration split a larger share in [data] shares"
        )
    texts = {normalised(one) for one in part.queries.text(list(text))}
    if text and len(texts) < MIN_CLUSTERS:
        raise InputError(
            f"the {len(part.queries)} labelled queries have {len(texts)} distinct texts; equal "
            f"texts are right or wrong together, and {MIN_CLUSTERS} distinct ones are the least "
            "that certify anything: label queries with other texts"
        )
    if options.by is not None:
        part.queries.column(options.by)


def fit_decision(
    model: "Retriever", part: Part, options: DecideOptions, more_targets: Sequence[float] = ()
) -> Decision:
    """Fit the re-ranker, choose thresholds on one part of labelled queries, certify on the other.

    Queries of the same text stay in one part. The re-ranker is fitted on training queries; without
    any on the first part, whose confidences are then those of fits without the query.

    Where labels are few, a quarter of them orders thresholds badly and is missed by the rest. Below
    `FEW` the thresholds are those of training queries, by their confidences out of fold, and all
    labels certify: the order may come from anywhere but from the labels that certify. Labels still
    choose with segments, with a `selection_share`, where some have no item, and for known texts.

    Args:
        model: the tower and catalogue.
        part: queries that nothing was trained on.
        options: the scorer, target, confidence level, segments.
        more_targets: further precisions to certify; all answers then hold at once.

    Raises:
        InputError: with too few labelled queries, or without the column of the segments.
    """
    check_labels(part, options, model.catalogue.query_text)
    queries = part.queries
    texts = [normalised(text) for text in queries.text(model.catalogue.query_text)]
    keys = texts if model.catalogue.query_text else queries.ids.to_pylist()
    clusters = np.unique(keys, return_inverse=True)[1].reshape(-1).astype(np.int64)
    hidden = draw_clusters(clusters, options.absent, seed=options.seed)
    selection = np.array([uniform(k, options.seed + _PART_SEED) for k in keys])
    selection = selection < (options.selection_share or _share(options, model.examples))
    known, few = model.known(queries), _few(model, part, options)
    if few:
        selection &= np.False_ if known is None else known
    ordering = None
    if options.scorer == "reranker":
        reranker, confidence, correct, ordering = _reranked(
            model, part, options, selection, clusters, hidden, few=few
        )
    else:
        reranker = None
        confidence, correct = _scored(model, part, options, hidden)
    absent = hidden | (part.truth.counts() == 0)
    outcomes = Outcomes(
        ids=queries.ids.to_pylist(),
        confidence=confidence,
        correct=correct,
        selection=selection,
        segments=queries.column(options.by) if options.by else (),
        clusters=clusters,
        known=known,
        absent=absent if absent.any() else None,
    )
    if ordering is not None:
        outcomes = outcomes.ordered_by(*ordering)
    policy, *others = certified(model, outcomes, options, more_targets)
    before = {} if model.decision is None else model.decision.used
    used = {**before, **dict.fromkeys(sorted(outcomes.labels), policy.label_uses)}
    return Decision(options, policy, outcomes, reranker, tuple(others), used)


def _reranked(
    model: "Retriever",
    part: Part,
    options: DecideOptions,
    selection: Bool[np.ndarray, " Q"],
    clusters: Int64[np.ndarray, " Q"],
    hidden: Bool[np.ndarray, " Q"],
    *,
    few: bool,
) -> tuple[
    Reranker, Float64[np.ndarray, " Q"], Bool[np.ndarray, " Q"], tuple[np.ndarray, ...] | None
]:
    """The fitted re-ranker, the confidence in the first candidate, and whether that is right.

    Last the same two of training queries with `few`, and which of those were hidden.
    """
    truth, names = part.truth, model.catalogue.features.names
    if model.examples is None:
        k = min(options.candidates, len(model.items))
        vectors, hits = model.hits(part.queries, k, ignored=part.ignored)
        hits = model.with_words(part.queries, vectors, hits, options=options, ignored=part.ignored)
        features = model.catalogue.pair_features(part.queries, vectors, hits)
        found = cross_fit(
            features,
            hits.rows,
            truth,
            selection=selection,
            clusters=clusters,
            names=names,
            seed=options.seed,
            absent=options.absent,
            hidden=hidden,
        )
        return *found, None
    # All training queries have an item: as many are hidden as of the selection have none.
    has = float((truth.counts()[selection] > 0).mean()) if selection.any() else 1.0
    absent = min(0.99, 1 - has * (1 - options.absent))
    ordering = None
    if few:
        gone = draw_clusters(np.arange(len(model.examples)), options.absent, seed=options.seed)
        reranker, *own = model.examples.fit_and_judge(absent=absent, names=names, hidden=gone)
        ordering = (*own, gone)
    else:
        reranker = _as_before(model, absent) or model.examples.fit(absent=absent, names=names)
    confidence, correct = np.empty(len(part)), np.empty(len(part), bool)
    for start in range(0, len(part), BLOCK):
        rows = np.arange(start, min(start + BLOCK, len(part)))
        own = model.examples_of(part.take(rows), options)
        at = (own.features, own.correct, own.missing, hidden[rows])
        confidence[rows], correct[rows] = reranker.judge(*at)
    return reranker, confidence, correct, ordering


def _as_before(model: "Retriever", absent: float) -> Reranker | None:
    """The re-ranker of the present decision, if it was fitted on the same queries as seen."""
    before = None if model.decision is None else model.decision.reranker
    same = before is not None and before.names == model.catalogue.features.names
    return before if same and before is not None and before.absent == absent else None


def _few(model: "Retriever", part: Part, options: DecideOptions) -> bool:
    """Whether training queries choose the thresholds in place of labels; see `fit_decision`."""
    return (
        options.scorer == "reranker"
        and model.examples is not None
        and len(part) < FEW
        and options.by is None
        and options.selection_share is None
        and bool(part.truth.counts().all())
    )


def _scored(
    model: "Retriever", part: Part, options: DecideOptions, hidden: Bool[np.ndarray, " Q"]
) -> tuple[Float64[np.ndarray, " Q"], Bool[np.ndarray, " Q"]]:
    """The confidence in the first item by scores alone, and whether that is right."""
    pairs = part.truth.pairs()
    gone = Relation.from_pairs(*pairs[hidden[pairs[:, 0]]].T, shape=part.truth.shape)
    k = min(options.candidates, len(model.items))
    _, hits = model.hits(part.queries, k, ignored=part.ignored.union(gone))
    return confidence_of(options.scorer, hits.scores), part.truth.correct(hits.rows[:, :1])[:, 0]


def _share(options: DecideOptions, examples: Examples | None) -> float:
    """Of the labels that choose thresholds, and more of them where they alone fit a re-ranker."""
    return 0.5 if options.scorer == "reranker" and examples is None else SELECTION_SHARE


def certified(
    model: "Retriever", outcomes: Outcomes, options: DecideOptions, more_targets: Sequence[float]
) -> list[Policy | NoThreshold]:
    """What is certified at the target, and at further ones so that all answers hold at once.

    The answers say how often the labels were used: once more than the one of them that was used
    most often, unless they only repeat the present decision.
    """

    def answers(label_uses: int) -> list[Policy | NoThreshold]:
        found = outcomes.certify(
            target=[options.target, *more_targets],
            confidence_level=options.confidence_level,
            by=options.by,
            label_uses=label_uses,
            fitted_on=model.fingerprint,
        )
        return list(found.values())

    before = model.decision
    if before is None:
        return answers(1)
    if before.outcomes.labels == outcomes.labels:
        again = answers(before.policy.label_uses)
        if again == [before.policy]:
            return again
    return answers(1 + max((before.used.get(name, 0) for name in outcomes.labels), default=0))
