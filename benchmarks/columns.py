"""Columns as features against the same text glued into the title.

    python benchmarks/columns.py FOLDER --seeds 0,1,2

FOLDER holds two tables of products and the matches between them, as the Magellan and DeepMatcher
sets have them: `full_abt`, `full_buy` or `full_amazon`, `full_gp`, and `full_gt`, each .csv.gz.
Every row of the one table that has a match is a query, the other table is the catalogue.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd

import thresher

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


def main() -> None:
    """Train and measure each arm over the seeds, and print one JSON line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", default="0,1,2")
    args = parser.parse_args()
    queries, items, pairs = read(args.data)
    for seed in map(int, args.seeds.split(",")):
        drawn = np.random.default_rng(seed).choice(list(SHARES), len(queries), p=[*SHARES.values()])
        for name in ARMS:
            seeds = {part: {"seed": seed} for part in ("data", "tower", "train", "decide")}
            own = arm(queries, name).assign(split=drawn)  # the same queries in every arm
            model = thresher.train(arm(items, name), own, pairs, 0.95, config=seeds, quiet=True)
            found = model.evaluate()
            shown = {metric: found.get(metric) for metric in SHOWN}
            shown["tfidf/P@1"] = found.get("tfidf/P@1")
            print(json.dumps({"seed": seed, "arm": name, **shown}), flush=True)


if __name__ == "__main__":
    main()
