"""F1 on the labelled pairs of the DeepMatcher splits, beside published figures.

    python benchmarks/pairs.py FOLDER [--seeds 0,1,2]

FOLDER holds `deepmatcher_tableA`, `deepmatcher_tableB` and the pairs `deepmatcher_train`, `_valid`
and `_test`, each .csv.gz. The training matches alone train: rows of A are queries, B is the
catalogue; labelled non-matches are not looked at. The score of a pair is its probability among the
query's candidates in all of B and "none of them", and it matches above the threshold with the best
F1 on `valid`.

Published F1, abt-buy and amazon-google: Ditto 89.33, 75.58 (Li et al., arXiv 2004.00584); R-SupCon
94.29, 79.28 (Peeters and Bizer, arXiv 2202.02098). Both fine-tune RoBERTa on all labelled pairs.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import f1_score, precision_recall_curve

import thresher
from columns import _table, arm
from thresher.retrieve import Hits
from thresher.retriever import Retriever

SPLITS = {"train": "train", "valid": "calibration", "test": "test"}


def read(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, pd.DataFrame]]:
    """Both tables, and the labelled pairs of each split."""
    names = ("tableA", "tableB", *SPLITS)
    a, b, *pairs = (_table(folder / f"deepmatcher_{name}.csv.gz", ",") for name in names)
    named = [pair.set_axis(["query_id", "item_id", "label"], axis=1) for pair in pairs]
    sides = (arm(table.rename(columns={"name": "title"}), "columns") for table in (a, b))
    return *sides, dict(zip(SPLITS, named, strict=True))


def trained(
    a: pd.DataFrame, b: pd.DataFrame, pairs: dict[str, pd.DataFrame], seed: int
) -> Retriever:
    """A model of the training matches; those of `valid` are its calibration labels."""
    matches = pd.concat(
        [pairs[name][pairs[name]["label"] == "1"].assign(split=SPLITS[name]) for name in SPLITS]
    )
    first = matches.drop_duplicates("query_id").set_index("query_id")["split"]
    own = a.assign(split=a["id"].map(first))
    own = own[own["split"].isin(["train", "calibration"])]
    matches = matches[matches["query_id"].map(first) == matches["split"]]
    known = matches[matches["query_id"].isin(own["id"])][["query_id", "item_id"]]
    config = {part: {"seed": seed} for part in ("data", "tower", "train", "decide")}
    return thresher.train(b, own, known, 0.95, config=config, quiet=True)


def scores(model: Retriever, a: pd.DataFrame, pairs: pd.DataFrame) -> np.ndarray:
    """The probability of each pair, its item put beside the query's candidates if it is none."""
    asked = model.as_queries(a[a["id"].isin(pairs["query_id"])])
    place = pd.Series(np.arange(len(asked)), index=asked.ids.to_pylist())
    query = pairs["query_id"].map(place).to_numpy()
    item = np.asarray(model.catalogue.rows(pairs["item_id"].tolist()))
    vectors, hits = model.hits(asked, model.options.candidates)
    hits = model.with_words(asked, vectors, hits)
    new = np.flatnonzero((hits.rows[query] != item[:, None]).all(axis=1))
    column = pd.Series(query[new]).groupby(query[new]).cumcount().to_numpy()
    more = np.full((len(asked), column.max(initial=-1) + 1), -1)
    close = np.full(more.shape, -np.inf, np.float32)
    more[query[new], column] = item[new]
    close[query[new], column] = model.scores(vectors, query[new], item[new])
    hits = Hits(np.hstack([hits.rows, more]), np.hstack([hits.scores, close]))
    chances = model.decision.reranker.probabilities(
        model.catalogue.pair_features(asked, vectors, hits), hits.rows < 0
    )
    return chances[query, (hits.rows[query] == item[:, None]).argmax(axis=1)]


def main() -> None:
    """Train and measure over the seeds, and print one JSON line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", default="0,1,2")
    args = parser.parse_args()
    a, b, pairs = read(args.data)
    right = {name: (pairs[name]["label"] == "1").to_numpy() for name in SPLITS}
    for seed in map(int, args.seeds.split(",")):
        model = trained(a, b, pairs, seed)
        valid, test = (scores(model, a, pairs[name]) for name in ("valid", "test"))
        precision, recall, bars = precision_recall_curve(right["valid"], valid)
        f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-9)
        reached = f1_score(right["test"], test >= bars[f1[:-1].argmax()])
        shown = {"valid": float(f1.max()), "test": float(reached)}
        print(json.dumps({"seed": seed, **shown}), flush=True)


if __name__ == "__main__":
    main()
