"""Is the certified precision kept? The calibration is drawn again many times.

    python benchmarks/promise.py ARTIFACT [ARTIFACT ...] [--draws 1000] [--target 0.95]

The learned confidence stays as fitted. The titles of the certifying part are drawn with
replacement, equal titles together, and a threshold is certified on each draw: counting labels by
their design effect, as the library does, and counting each label as one. Two questions:

- test: is the precision on the test split at least the target? (The split has luck of its own.)
- population: certifying and test queries together are taken as all there is, the draws come from
  them, and the precision is measured on all of them: what the promise is about, without that luck.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from thresher.artifact import Artifact
from thresher.data.split import normalised
from thresher.decide.outcomes import Outcomes
from thresher.decide.policy import Policy
from thresher.jobs.data import labelled_queries
from thresher.jobs.measure import Measured
from thresher.matcher import Matcher


class Single(Outcomes):
    """Outcomes whose labels each count as one."""

    def certify(self, **options) -> object:
        """As if every row were a cluster of its own."""
        alone = {**vars(self), "clusters": np.arange(len(self.confidence))}
        return Outcomes(**alone).certify(**options)


def test_outcomes(folder: Path) -> Outcomes:
    """What the artifact does with its test split, in the form of calibration outcomes."""
    artifact, matcher = Artifact.open(folder), Matcher.open(folder)
    labelled = labelled_queries(artifact, matcher, {}, split="test")
    test = Measured.of(artifact, matcher, labelled)
    groups = np.unique([normalised(t) for t in labelled.texts], return_inverse=True)[1]
    nothing = np.zeros(len(labelled), bool)
    return Outcomes(
        labelled.ids(), test.found.confidence, test.correct, nothing, groups.reshape(-1)
    )


def drawn(source: Outcomes, fit: Outcomes, size: int, rng: np.random.Generator) -> Outcomes:
    """The fit part as it is, and about `size` queries of the source, whole titles at a time."""
    order = np.argsort(source.clusters, kind="stable")
    bounds = np.flatnonzero(np.diff(source.clusters[order], prepend=-1))
    members = np.split(order, bounds[1:])
    picked = rng.integers(0, len(members), round(size * len(members) / len(source.clusters)))
    rows = np.concatenate([members[g] for g in picked])
    groups = np.repeat(np.arange(len(picked)), [len(members[g]) for g in picked])
    return type(fit)(
        [],
        np.concatenate([fit.confidence, source.confidence[rows]]),
        np.concatenate([fit.correct, source.correct[rows]]),
        np.concatenate([np.ones(len(fit.correct), bool), np.zeros(len(rows), bool)]),
        np.concatenate([fit.clusters + len(picked), groups]),
    )


def part(outcomes: Outcomes, rows: np.ndarray) -> Outcomes:
    """Some of the outcomes."""
    arrays = {
        k: getattr(outcomes, k)[rows] for k in ("confidence", "correct", "selection", "clusters")
    }
    return replace(outcomes, ids=[], segments=[], known=None, absent=None, **arrays)


def joined(one: Outcomes, two: Outcomes) -> Outcomes:
    """Both, as one population; no title stands in two splits."""
    arrays = {
        k: np.concatenate([getattr(one, k), getattr(two, k)]) for k in ("confidence", "correct")
    }
    groups = np.concatenate([one.clusters, two.clusters + one.clusters.max() + 1])
    return replace(one, selection=np.zeros(len(groups), bool), clusters=groups, **arrays)


def kept(
    fit: Outcomes, source: Outcomes, judged: Outcomes, size: int, options: argparse.Namespace
) -> dict[str, float]:
    """Share of draws whose precision is at least the target, and the mean coverage."""
    rng = np.random.default_rng(0)
    good, covered, found = 0, [], 0
    for _ in range(options.draws):
        outcomes = drawn(source, fit, size, rng)
        policy = outcomes.certify(target=options.target, confidence_level=options.confidence)
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
    """Asks both questions of every artifact, with and without clusters."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("artifacts", type=Path, nargs="+")
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--target", type=float, default=0.95)
    parser.add_argument("--confidence", type=float, default=0.95)
    options = parser.parse_args()
    results = []
    print("| artifact | labels count | kept on test | coverage | kept in population | coverage |")
    print("|-|-|-|-|-|-|")
    for folder in options.artifacts:
        path = Artifact.open(folder).part("decision") / "outcomes.parquet"
        own, test = Outcomes.load(path), test_outcomes(folder)
        rest, size = part(own, ~own.selection), int((~own.selection).sum())
        for name, kind in (("by cluster", Outcomes), ("as one each", Single)):
            fit = part(own, own.selection)
            fit = kind(**{k: getattr(fit, k) for k in fit.__dataclass_fields__})
            a = kept(fit, rest, test, size, options)
            b = kept(fit, joined(rest, test), joined(rest, test), size, options)
            results.append({"artifact": str(folder), "labels": name, "test": a, "population": b})
            numbers = (a["kept"], a["coverage"], b["kept"], b["coverage"])
            print(f"| {folder} | {name} | " + " | ".join(f"{x:.3f}" for x in numbers) + " |")
    print(json.dumps(results))


if __name__ == "__main__":
    main()
