"""Few labels: columns as features against glued text, TF-IDF, a rule, and gradient boosting.

    python benchmarks/columns.py FOLDER --seeds 0,1,2 [--pairs 100,200,400] [--arms columns]
        [--redraws 100]

FOLDER holds two tables of products and the matches between them, as the Magellan and DeepMatcher
sets have them: `full_abt`, `full_buy` or `full_amazon`, `full_gp`, and `full_gt`, each .csv.gz.
Every row of the one table that has a match is a query, the other table is the catalogue. Beside
Thresher, on the same text, the same training pairs and the same test queries:

- TF-IDF: words and n-grams of 3 to 5 letters, scikit-learn's, no training;
- rule: the TF-IDF candidate of 20 that shares the query's longest code, else the first;
- boosting: gradient boosting over the 20 TF-IDF candidates of the training queries.

With `--redraws` the labels of each trained run are drawn again from its calibration and test
queries, as many as calibration has, and 0.95 is certified on each draw: how often, and what is
accepted of the others.
"""

import argparse
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.feature_extraction.text import TfidfVectorizer

import thresher
from thresher.decide.outcomes import Outcomes
from thresher.decide.policy import Policy
from thresher.decide.sequence import SELECTION_SHARE
from thresher.retriever import Retriever

SETS = {"abt": ("full_abt", "full_buy", "|"), "amazon": ("full_amazon", "full_gp", "#")}
SHARES = {"train": 0.65, "validation": 0.05, "calibration": 0.15, "test": 0.15}
ARMS = ("title alone", "glued into the title", "columns")
SHOWN = ("P@1", "certified_coverage@precision=0.95", "certified_precision@precision=0.95")


def read(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Queries, items and pairs of a folder."""
    name = next(name for name in SETS if (folder / f"full_{name}.csv.gz").exists())
    *sides, separator = SETS[name]
    tables = [_table(folder / f"{stem}.csv.gz", separator) for stem in (*sides, "full_gt")]
    queries, items, pairs = tables
    pairs = pairs.set_axis(["query_id", "item_id"], axis=1)
    queries, items = (_named(table) for table in (queries, items))
    pairs = pairs[pairs["query_id"].isin(queries["id"]) & pairs["item_id"].isin(items["id"])]
    return queries[queries["id"].isin(pairs["query_id"])], items, pairs


def _table(path: Path, separator: str) -> pd.DataFrame:
    options = {"dtype": str, "keep_default_na": False}
    table = pd.read_csv(path, sep=separator, encoding_errors="replace", **options)
    return table.map(lambda value: value.strip())


def _named(table: pd.DataFrame) -> pd.DataFrame:
    table = table.rename(columns={"name": "title"})
    price = table["price"].str.replace(r"[^\d.]", "", regex=True)
    return table.assign(price=price.where(pd.to_numeric(price) > 0, ""))


def arm(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """The table as one arm reads it."""
    others = [c for c in table.columns if c not in ("id", "title", "description")]
    if name == "columns":
        return table[["id", "title", *others]]
    if name == "title alone":
        return table[["id", "title"]]
    glued = table[["title", *others]].agg(" ".join, axis=1)
    return pd.DataFrame({"id": table["id"], "title": glued})


def codes(text: str) -> set[str]:
    """Words of four characters or more that hold a digit, without signs inside."""
    words = (re.sub(r"[^a-z0-9]", "", word) for word in text.lower().split())
    return {word for word in words if len(word) >= 4 and re.search(r"\d", word)}


class Candidates:
    """The 20 items whose text is closest to that of each query, and what a person would compare."""

    def __init__(self, items: pd.DataFrame, queries: pd.DataFrame) -> None:
        texts, asked = (_glued(table) for table in (items, queries))
        words = TfidfVectorizer(sublinear_tf=True, token_pattern=r"\S+").fit(texts)
        letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True)
        letters.fit(texts)
        both = [(v.transform(asked) @ v.transform(texts).T).toarray() for v in (words, letters)]
        score = both[0] + both[1]
        self.rows = np.argsort(-score, axis=1, kind="stable")[:, :20]
        taken = [np.take_along_axis(x, self.rows, 1) for x in both]
        self.codes = [codes(text) for text in asked], [codes(text) for text in texts]
        pairs = [[self._pair(q, i) for i in row] for q, row in enumerate(self.rows)]
        total = taken[0] + taken[1]
        lead = total - np.maximum(total.max(1, keepdims=True), 0)
        rank = np.broadcast_to(np.arange(20), total.shape)
        columns = [self._column(items[c], queries[c]) for c in items.columns if c in queries]
        features = [*taken, lead, rank, *np.moveaxis(np.array(pairs, float), 2, 0), *columns]
        self.features = np.stack(features, axis=2)

    def _pair(self, query: int, item: int) -> tuple[int, int, int]:
        asked, own = self.codes[0][query], self.codes[1][item]
        return len(asked & own), len(asked - own), len(own - asked)

    def _column(self, items: pd.Series, queries: pd.Series) -> np.ndarray:
        item, query = items.to_numpy()[self.rows], queries.to_numpy()[:, None]
        if items.name == "price":
            a, b = (
                pd.to_numeric(pd.Series(x.ravel())).to_numpy().reshape(x.shape)
                for x in (item, query)
            )
            return np.abs(a - b) / np.maximum(a, b)
        return np.where((item == "") | (query == ""), np.nan, item == query)

    def by_rule(self) -> np.ndarray:
        """The first candidate that shares the query's longest code, else the first."""
        chosen = []
        for query, row in enumerate(self.rows):
            code = max(self.codes[0][query], key=len, default=None)
            having = [item for item in row if code in self.codes[1][item]]
            chosen.append([*having, row[0]][0])
        return np.array(chosen)


def _glued(table: pd.DataFrame) -> list[str]:
    return table.drop(columns=["id"]).agg(" ".join, axis=1).str.lower().tolist()


def contenders(
    items: pd.DataFrame, queries: pd.DataFrame, pairs: pd.DataFrame, split: np.ndarray
) -> dict[str, float]:
    """P@1 on the test queries of what needs no library of ours."""
    found = Candidates(items, queries)
    row = pd.Series(np.arange(len(items)), index=items["id"])
    true = pairs["item_id"].map(row).groupby(pairs["query_id"]).agg(set)
    truth = [true[query] for query in queries["id"]]
    right = np.array([[i in t for i in r] for r, t in zip(found.rows, truth, strict=True)])
    train, test = split == "train", split == "test"
    trees = HistGradientBoostingClassifier(max_leaf_nodes=8, learning_rate=0.05, random_state=0)
    trees.fit(found.features[train].reshape(-1, found.features.shape[2]), right[train].ravel())
    chance = trees.predict_proba(found.features[test].reshape(-1, found.features.shape[2]))[:, 1]
    best = chance.reshape(-1, 20).argmax(1)
    rule = [i in t for i, t in zip(found.by_rule(), truth, strict=True)]
    return {
        "TF-IDF": float(right[test, 0].mean()),
        "rule": float(np.mean(np.array(rule)[test])),
        "boosting": float(right[test][np.arange(test.sum()), best].mean()),
    }


def held_out(queries: pd.DataFrame, pairs: pd.DataFrame, split: np.ndarray) -> list:
    """Queries and pairs of the calibration part and of the test part."""
    parts = [queries[split == name] for name in ("calibration", "test")]
    return [(part, pairs[pairs["query_id"].isin(part["id"])]) for part in parts]


def redrawn(model: Retriever, labels: list, draws: int) -> dict[str, float | list[float]]:
    """Share of the draws that certify 0.95, and coverage and precision on what was not drawn.

    Args:
        model: trained and calibrated.
        labels: queries and pairs of the calibration part, then of the test part.
        draws: of labels.
    """
    parts = [model.labelled("", *each) for each in labels]
    found = [model.propose(part.queries, ignored=part.ignored) for part in parts]
    sure = np.concatenate([own.confidence for own in found])
    each = zip(parts, found, strict=True)
    right = np.concatenate([p.truth.correct(own.hits.rows[:, :1])[:, 0] for p, own in each])
    known = model.decision.outcomes
    training = np.array([name is None for name in known.ids])
    size, covered, kept = len(parts[0]), [], []
    for draw in range(draws):
        rng = np.random.default_rng(draw)
        drawn, rest = np.split(rng.permutation(len(sure)), [size])
        selection = rng.random(size) < SELECTION_SHARE * (not training.any())
        own = Outcomes(drawn.astype(str), sure[drawn], right[drawn], selection, np.arange(size))
        own = own.ordered_by(
            known.confidence[training], known.correct[training], np.zeros(training.sum(), bool)
        )
        policy = own.certify(target=0.95)
        accepted = isinstance(policy, Policy) & (sure[rest] >= getattr(policy, "accept_at", 0))
        covered.append(float(accepted.mean()))
        if accepted.any():
            kept.append(float(right[rest][accepted].mean()))
    return {
        "redraws that certify": float(np.mean(np.array(covered) > 0)),
        "coverage: mean, 10 %, 90 %": [
            round(float(x), 3) for x in (np.mean(covered), *np.quantile(covered, [0.1, 0.9]))
        ],
        "precision: mean": float(np.mean(kept)) if kept else float("nan"),
    }


def main() -> None:
    """Train and measure each arm over the seeds, and print one JSON line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--pairs", default="0", help="training queries to keep; 0 for all")
    parser.add_argument("--arms", default=",".join(ARMS))
    parser.add_argument("--redraws", type=int, default=0, help="draws of labels for each run")
    parser.add_argument("--set", default="{}", help="more of the configuration, as JSON")
    args = parser.parse_args()
    queries, items, pairs = read(args.data)
    for seed in map(int, args.seeds.split(",")):
        rng = np.random.default_rng(seed)
        drawn = rng.choice(list(SHARES), len(queries), p=[*SHARES.values()])
        order = rng.permutation(np.flatnonzero(drawn == "train"))
        for kept in map(int, args.pairs.split(",")):
            split = drawn.copy()
            split[order[kept or len(order) :]] = ""
            used = split != ""
            for name in args.arms.split(","):
                config = {part: {"seed": seed} for part in ("data", "tower", "train", "decide")}
                for section, keys in json.loads(args.set).items():
                    config[section] = {**config.get(section, {}), **keys}
                # The same queries in every arm.
                own, table = arm(queries, name)[used], arm(items, name)
                told = own.assign(split=split[used])
                known = pairs[pairs["query_id"].isin(own["id"])]
                model = thresher.train(table, told, known, 0.95, config=config, quiet=True)
                found = model.evaluate()
                shown = {metric: found.get(metric) for metric in SHOWN}
                shown |= contenders(table, own, known, split[used])
                if args.redraws:
                    shown |= redrawn(model, held_out(own, known, split[used]), args.redraws)
                print(json.dumps({"seed": seed, "pairs": kept, "arm": name, **shown}), flush=True)


if __name__ == "__main__":
    main()
