"""Time the pair features of the bundled offers: compiled loops beside the slow oracle form.

    python benchmarks/pair_features.py
    python benchmarks/pair_features.py --vectors tfidf --queries 2000

Candidates are the nearest items by TF-IDF. Reported are the p50 and p99 of one query at a time, and
the time per 1,000 queries of a batch.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from sklearn.preprocessing import normalize

from thresher.data.bundled import bundled
from thresher.data.tables import read_table
from thresher.data.tokens import Tokens, idf, log_counts
from thresher.rerank import PairFeatures, QueryAliases
from thresher.towers.quantised import quantised, restored

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from oracles.pair_features import NAMES, SlowPairFeatures, few


def shop(train: int, queries: int, k: int, dense: bool):
    """Items, aliases of the first offers, and later offers with their vectors and candidates."""
    folder = bundled("pricerunner")
    names = ("items", "queries", "pairs")
    items, offers, pairs = (read_table(folder / f"{name}.parquet") for name in names)
    place = {item: row for row, item in enumerate(items["id"].to_pylist())}
    title = dict(zip(offers["id"].to_pylist(), offers["title"].to_pylist(), strict=True))
    shuffled = np.random.default_rng(0).permutation(len(pairs))
    pairs = pairs.take(pa.array(shuffled))
    texts = [title[q] for q in pairs["query_id"].to_pylist()]
    item_ids = pairs["item_id"].to_pylist()
    tokens = Tokens(bits=17)
    counts = tokens.counts(items["title"].to_pylist())
    weight = idf(counts)
    own = normalize(log_counts(counts).multiply(weight[None]).tocsr()).astype(np.float32)
    mixing = np.random.default_rng(1).normal(size=(counts.shape[1], 256)).astype(np.float32)

    def encode(given):
        found = tokens.counts(given)
        unit = normalize(log_counts(found).multiply(weight[None]).tocsr()).astype(np.float32)
        return normalize(unit @ mixing) if dense else unit

    asked = texts[train : train + queries]
    near = encode(asked)
    scores = near @ (normalize(own @ mixing) if dense else own).T
    scores = scores if dense else scores.toarray()
    rows = np.argsort(-scores, axis=1)[:, :k].astype(np.int64)
    taken = np.take_along_axis(scores, rows, axis=1).astype(np.float32)
    aliases = texts[:train], item_ids[:train]
    return items, place, aliases, asked, encode, near, rows, taken


def timed(call, repeats: int) -> np.ndarray:
    """Seconds of each call."""
    spent = np.empty(repeats)
    for i in range(repeats):
        begun = time.perf_counter()
        call(i)
        spent[i] = time.perf_counter() - begun
    return spent


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--train", type=int, default=23_000)
    parser.add_argument("--candidates", type=int, default=20)
    parser.add_argument("--vectors", choices=("dense", "tfidf"), default="dense")
    options = parser.parse_args()
    items, place, (texts, item_ids), asked, encode, near, rows, scores = shop(
        options.train, options.queries, options.candidates, options.vectors == "dense"
    )
    counts = np.bincount([place[i] for i in item_ids], minlength=len(items))
    begun = time.perf_counter()
    fast = PairFeatures.build(
        items,
        text=("title",),
        query_text=("title",),
        aliases=QueryAliases(texts, item_ids),
        train_counts=counts,
        encode=encode,
    )
    print(f"build                  {time.perf_counter() - begun:8.1f} s (compilation included)")
    kept = few(list(zip(texts, (place[i] for i in item_ids), strict=True)), 16)
    vectors = encode([text for text, _ in kept])
    vectors = restored(*quantised(vectors)) if options.vectors == "dense" else vectors
    slow = SlowPairFeatures(items["title"].to_pylist(), kept, vectors, counts)
    table = pa.table({"title": asked})
    begun = time.perf_counter()
    found = fast.read(table, near, rows, scores)
    print(f"first call             {time.perf_counter() - begun:8.1f} s (compilation included)")
    names = fast.names
    other = slow.read(asked, near, rows, scores)
    gap = np.abs(found - other[..., [NAMES.index(n) for n in names]])
    print(f"largest difference     {gap.max():8.1e} ({names[int(gap.max((0, 1)).argmax())]})")
    forms = {
        "fast": lambda s: fast.read(table[s], near[s], rows[s], scores[s]),
        "slow": lambda s: slow.read(asked[s], near[s], rows[s], scores[s]),
    }
    p50 = {}
    for name, call in forms.items():
        one = 1e3 * timed(lambda i, c=call: c(slice(i, i + 1)), min(options.queries, 200))
        batch = 1e6 * timed(lambda _, c=call: c(slice(None)), 5).min() / options.queries
        p50[name] = np.median(one), batch
        print(f"{name}, one query   p50 {np.median(one):6.2f} ms, p99 {np.quantile(one, 0.99):.2f}")
        print(f"{name}, 1,000 queries   {batch:6.0f} ms")
    ratios = (p50["slow"][i] / p50["fast"][i] for i in (0, 1))
    print("ratio, one query {:.1f}x, batch {:.1f}x".format(*ratios))


if __name__ == "__main__":
    main()
