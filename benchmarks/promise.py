"""Is the certified precision kept? The calibration is drawn again many times.

    python benchmarks/promise.py ARTIFACT [ARTIFACT ...] [--draws 1000] [--target 0.95]

The re-ranker stays as fitted. The titles of the certifying part are drawn with replacement, equal
titles together, and a threshold is certified on each draw: by titles, as the library does, and
counting each label as one. Two questions:

- test: is the precision on the test split at least the target? (The split has luck of its own.)
- population: certifying and test queries together are taken as all there is, the draws come from
  them, and the precision is measured on all of them: what the promise is about, without that luck.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from thresher.data.split import normalised
from thresher.decide.outcomes import Outcomes
from thresher.decide.policy import Policy
from thresher.measure import measure
from thresher.retriever import Retriever


def test_outcomes(model: Retriever) -> Outcomes:
    """What the model does with its test split, in the form of calibration outcomes."""
    test = measure(model, model.labelled("test"), compare=False, quiet=True)
    queries = test.part.queries
    texts = [normalised(text) for text in queries.text(model.catalogue.query_text)]
    clusters = np.unique(texts, return_inverse=True)[1].reshape(-1)
    nothing = np.zeros(len(texts), bool)
    return Outcomes(queries.ids.to_pylist(), test.confidence, test.correct(), nothing, clusters)


def drawn(source: Outcomes, fit: Outcomes, size: int, rng: np.random.Generator) -> Outcomes:
    """The fit part as it is, and about `size` queries of the source, whole titles at a time."""
    order = np.argsort(source.clusters, kind="stable")
    bounds = np.flatnonzero(np.diff(source.clusters[order], prepend=-1))
    members = np.split(order, bounds[1:])
    picked = rng.integers(0, len(members), round(size * len(members) / len(source.clusters)))
    rows = np.concatenate([members[g] for g in picked])
    groups = np.repeat(np.arange(len(picked)), [len(members[g]) for g in picked])
    return Outcomes(
        [],
        np.concatenate([fit.confidence, source.confidence[rows]]),
        np.concatenate([fit.correct, source.correct[rows]]),
        np.concatenate([np.ones(len(fit.correct), bool), np.zeros(len(rows), bool)]),
        np.concatenate([fit.clusters + len(picked), groups]),
    )


def part(outcomes: Outcomes, rows: np.ndarray) -> Outcomes:
    """Some of the outcomes."""
    names = ("confidence", "correct", "selection", "clusters")
    return Outcomes([], **{name: getattr(outcomes, name)[rows] for name in names})


def joined(one: Outcomes, two: Outcomes) -> Outcomes:
    """Both, as one population; no title stands in two splits."""
    arrays = {
        k: np.concatenate([getattr(one, k), getattr(two, k)]) for k in ("confidence", "correct")
    }
    clusters = np.concatenate([one.clusters, two.clusters + one.clusters.max() + 1])
    return Outcomes([], selection=np.zeros(len(clusters), bool), clusters=clusters, **arrays)


def kept(
    fit: Outcomes,
    source: Outcomes,
    judged: Outcomes,
    size: int,
    options: argparse.Namespace,
    *,
    clustered: bool,
) -> dict[str, float]:
    """Share of draws whose precision is at least the target, and the mean coverage."""
    rng = np.random.default_rng(0)
    good, covered, found = 0, [], 0
    for _ in range(options.draws):
        outcomes = drawn(source, fit, size, rng)
        if not clustered:
            outcomes = replace(outcomes, clusters=np.arange(len(outcomes.correct)))
        policy = outcomes.certify(target=options.target, confidence_level=options.confidence_level)
        if not isinstance(policy, Policy):
            good += 1  # nothing is accepted, so nothing is promised
            covered.append(0.0)
            continue
        accepted = judged.confidence >= policy.accept_at
        found += 1
        covered.append(accepted.mean())
        good += judged.correct[accepted].mean() >= options.target
    draws = options.draws
    return {"kept": good / draws, "coverage": float(np.mean(covered)), "certified": found / draws}


def main() -> None:
    """Asks both questions of every artifact, by titles and by labels."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("artifacts", type=Path, nargs="+")
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--target", type=float, default=0.95)
    parser.add_argument("--confidence-level", type=float, default=0.95)
    options = parser.parse_args()
    results = []
    print("| artifact | labels count | kept on test | coverage | kept in population | coverage |")
    print("|-|-|-|-|-|-|")
    for folder in options.artifacts:
        model = Retriever.open(folder)
        own, test = model.decision.outcomes, test_outcomes(model)
        rest, size = part(own, ~own.selection), int((~own.selection).sum())
        fit, everyone = part(own, own.selection), joined(rest, test)
        for name, clustered in (("by title", True), ("as one each", False)):
            a = kept(fit, rest, test, size, options, clustered=clustered)
            b = kept(fit, everyone, everyone, size, options, clustered=clustered)
            results.append({"artifact": str(folder), "labels": name, "test": a, "population": b})
            numbers = (a["kept"], a["coverage"], b["kept"], b["coverage"])
            print(f"| {folder} | {name} | " + " | ".join(f"{x:.3f}" for x in numbers) + " |")
    print(json.dumps(results))


if __name__ == "__main__":
    main()
