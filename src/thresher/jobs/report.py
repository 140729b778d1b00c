"""From what was measured to what the report shows."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from thresher import __version__
from thresher.artifact import Artifact
from thresher.decide.policy import NoThreshold, Policy
from thresher.evaluate.slices import slices_by
from thresher.evaluate.summary import (
    Certified,
    Mistake,
    NotCertified,
    OpenCatalogue,
    Report,
    Reviewed,
    Slice,
    System,
    count_slices,
)
from thresher.jobs.measure import Measured
from thresher.matcher import read_settings

SHOWN = 15
MOST_CATEGORIES = 20


def report_of(
    artifact: Artifact,
    test: Measured,
    metrics: Mapping[str, float | None],
    systems: Mapping[str, System],
    opened: Mapping[float, Measured],
    *,
    by: str | None = None,
    source: str | None = None,
) -> Report:
    """Everything that the report of an artifact shows.

    Args:
        artifact: what was measured.
        test: the measurement.
        metrics: its numbers; those of slices are left to the tables.
        systems: the curves to compare.
        opened: the same measurement after a share of the catalogue was taken away.
        by: column of the queries for the bars; `category` when there is one.
        source: what the queries are, when they are not the artifact's own test split.
    """
    column = by or ("category" if "category" in test.labelled.queries.column_names else None)
    values = slices_by(test.labelled.column(column)) if column else {}
    categories = count_slices(values, test.accepted, test.correct)
    return Report(
        title=f"{artifact.folder.name}: {len(test.labelled):,} queries against "
        f"{len(test.matcher.catalogue.items):,} products",
        headline=_headline(test, source),
        metrics={name: value for name, value in metrics.items() if "/" not in name},
        intervals=test.intervals(),
        systems=tuple(systems.values()),
        categories=sorted(categories, key=lambda s: -s.queries)[:MOST_CATEGORIES],
        slices=count_slices(test.frequency(), test.accepted, test.correct),
        mistakes=_mistakes(test),
        reviewed=_reviewed(test),
        open_catalogue=[OpenCatalogue(share, _slice(m)) for share, m in opened.items()],
        provenance=_provenance(artifact, test),
    )


def _slice(test: Measured) -> Slice:
    accepted, wrong = int(test.accepted.sum()), int((test.accepted & ~test.correct).sum())
    return Slice("all", len(test.labelled), accepted, wrong, float(test.correct.mean()))


def _headline(test: Measured, source: str | None) -> Certified | NotCertified | None:
    policy = test.matcher.policy
    if isinstance(policy, NoThreshold):
        return NotCertified(policy.target_precision, policy.confidence_level, policy.sentence())
    if policy is None:
        return None
    certified = Certified(
        policy.target_precision,
        policy.confidence_level,
        None if policy.segments else policy.accept_at,
        _slice(test),
        None if policy.segments else policy.coverage,
    )
    return certified if source is None else replace(certified, queries=source)


def _mistakes(test: Measured) -> list[Mistake]:
    """The wrong proposals that were accepted with the highest confidence."""
    wrong = np.flatnonzero(test.accepted & ~test.correct)
    worst = wrong[np.argsort(-test.found.confidence[wrong], kind="stable")][:SHOWN]
    catalogue, relation = test.matcher.catalogue, test.labelled.relation
    proposed = catalogue.texts(test.found.hits.rows[worst, 0])
    cases = []
    for row, item in zip(worst, proposed, strict=True):
        true = relation.items_of(row)
        truth = catalogue.texts(true[:1])[0] if len(true) else None
        confidence = float(test.found.confidence[row])
        cases.append(Mistake(test.labelled.texts[row], item, truth, confidence))
    return cases


def _reviewed(test: Measured, *, seed: int = 0) -> list[Reviewed]:
    """A random sample of what a person looks at."""
    sent = np.flatnonzero(~test.accepted)
    some = np.random.default_rng(seed).permutation(sent)[:SHOWN]
    relation, catalogue = test.labelled.relation, test.matcher.catalogue
    cases = []
    for row in some:
        rows = test.found.hits.rows[row, :2]
        right = np.flatnonzero(relation.correct(rows[None], queries=np.array([row]))[0])
        cases.append(
            Reviewed(
                test.labelled.texts[row],
                catalogue.texts(rows[rows >= 0]),
                float(test.found.confidence[row]),
                int(right[0]) if len(right) else None,
            )
        )
    return cases


def _provenance(artifact: Artifact, test: Measured) -> dict[str, str]:
    policy = test.matcher.policy
    settings = read_settings(artifact.part("model"))
    return {
        "model and index": artifact.fingerprint("model", "index"),
        "policy": policy.id if isinstance(policy, Policy) else "none",
        "confidence": test.matcher.options.scorer,
        "text columns of queries": ", ".join(settings["query_columns"]),
        "text columns of products": ", ".join(settings["item_columns"]),
        "thresher": __version__,
        "command": f"thresher evaluate {artifact.folder}",
    }
