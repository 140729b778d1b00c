"""Wrong labels planted in the test split of a run: how many are found, beside cleanlab.

    python benchmarks/label_errors.py ARTIFACT --share 0.03 --seeds 0,1,2

ARTIFACT is the folder of a run that was calibrated with a re-ranker. A share of its test labels is
given to the candidate that the model finds likeliest beside the true item. Each method ranks or
lists all labels; precision and recall are of the planted ones, so that labels that were wrong
before count against every method alike. cleanlab (`pip install cleanlab`; left out where it is not
there) sees the same probabilities: a class for each of the candidates and labels, the rest of the
row in "none".
"""

import argparse
import json
from pathlib import Path

import numpy as np

from thresher.data.relation import Relation
from thresher.evaluate.label_errors import LabelConfidence
from thresher.retriever import Retriever


def planted(rows, truth, share, rng):
    """The labels with some of them given away, and which."""
    items = truth.indices.copy()
    wrong = np.sort(rng.permutation(len(rows))[: round(share * len(rows))])
    other = np.where(rows[wrong] == items[wrong, None], -1, rows[wrong])
    items[wrong] = other[np.arange(len(wrong)), (other >= 0).argmax(axis=1)]
    return items, np.isin(np.arange(len(rows)), wrong)


def rankings(rows, chances, items, columns, rng):
    """For each method all queries, the most suspicious first, and how many it lists of itself."""
    truth = Relation.from_pairs(np.arange(len(rows)), items, shape=(len(rows), columns))
    sure = LabelConfidence.of(rows, chances, truth)
    margin = np.argsort(sure.own - sure.against, kind="stable")
    listed = sure.suspected()
    found = {
        "thresher": (np.concatenate([listed, margin[~np.isin(margin, listed)]]), len(listed)),
        "confidence in the label": (np.argsort(sure.own, kind="stable"), None),
        "random": (rng.permutation(len(rows)), None),
    }
    return found | cleanlab(rows, chances, items)


def cleanlab(rows, chances, items):
    """The same of cleanlab's filters and of its ranking."""
    try:
        from cleanlab.filter import find_label_issues
        from cleanlab.rank import get_label_quality_scores
    except ImportError:
        return {}
    known = np.unique(np.concatenate([rows[rows >= 0], items]))
    p = np.full((len(rows), len(known) + 1), 0.0)
    query, place = np.nonzero(rows >= 0)
    p[query, np.searchsorted(known, rows[query, place])] = chances[query, place]
    p[:, -1] = np.clip(1 - p.sum(axis=1), 0, 1)
    p /= p.sum(axis=1, keepdims=True)
    labels = np.searchsorted(known, items)
    score = get_label_quality_scores(labels, p, method="normalized_margin")
    found = {"cleanlab, normalised margin": (np.argsort(score, kind="stable"), None)}
    for name in ("prune_by_noise_rate", "confident_learning", "low_normalized_margin"):
        issues = find_label_issues(
            labels,
            p,
            filter_by=name,
            return_indices_ranked_by="normalized_margin",
            n_jobs=1,
        )
        rest = np.argsort(score, kind="stable")
        order = np.concatenate([issues, rest[~np.isin(rest, issues)]])
        found[f"cleanlab, {name}"] = (order, len(issues))
    return found


def main() -> None:
    """Read the arguments; print a line of JSON for each method and seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--share", type=float, default=0.03)
    parser.add_argument("--seeds", default="0,1,2")
    args = parser.parse_args()
    model = Retriever.open(args.artifact)
    part = model.labelled("test")
    part = part.take(np.flatnonzero(part.truth.counts() == 1))
    found = model.propose(part.queries, ignored=part.ignored)
    rows = found.hits.rows[:, : found.chances.shape[1]]
    for seed in map(int, args.seeds.split(",")):
        rng = np.random.default_rng(seed)
        items, wrong = planted(rows, part.truth, args.share, rng)
        ranked = rankings(rows, found.chances, items, len(model.items), rng)
        for name, (order, listed) in ranked.items():
            n = int(wrong.sum())
            line = {"precision at planted": wrong[order[:n]].mean()}
            if listed is not None:
                hit = wrong[order[:listed]]
                line |= {"listed": listed, "precision": hit.mean(), "recall": hit.sum() / n}
            shown = {name: round(float(value), 3) for name, value in line.items()}
            print(json.dumps({"seed": seed, "method": name, **shown}), flush=True)


if __name__ == "__main__":
    main()
