"""A review database of a shop: its model answers new offers, and people judge them."""

import csv
import random

import numpy as np
import pyarrow as pa

from oracles.shop import noisy, products
from thresher.retriever import Retriever
from thresher.review import Decided, Store


class Clock:
    """A second passes whenever it is asked."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        self.now += 1
        return self.now


def offers(folder, count, *, without_item=0.1, seed=9):
    """Texts of new offers, and the item of each; None for one whose product is not listed."""
    draw = random.Random(seed)
    with (folder / "items.csv").open(encoding="utf-8") as file:
        catalogue = [(row["id"], row["title"]) for row in csv.DictReader(file)]
    foreign = list(products(draw, 300))
    rows = []
    for _ in range(count):
        item, title = draw.choice(catalogue)
        if draw.random() < without_item:
            item, title = None, draw.choice(foreign)[1]
        rows.append((noisy(draw, title), item))
    return rows


def judge(store, truth, *, cases=None, source="person", reviewer="ann"):
    """Say of open cases what is true; `truth` maps query ids to items."""
    for case in store.cases(limit=100_000) if cases is None else cases:
        item = truth[case.decision.query_id]
        kind = "none" if item is None else "item"
        given = {"kind": kind, "item_id": item, "source": source}
        store.verdict(case.id, reviewer=reviewer, **given)


def logged(url, folder, rows, *, rate=0.5, seed=1):
    """Log what the shop's model answers; the store, and the truth by query id."""
    store = Store.open(url, clock=Clock())
    model = Retriever.open(folder / "model")
    ids = [f"o{n}" for n in range(len(rows))]
    # The column that the clients of this shop send beside the text.
    shops = ["north" if n % 2 else "south" for n in range(len(rows))]
    queries = [
        {"id": i, "title": text, "shop": s}
        for i, (text, _), s in zip(ids, rows, shops, strict=True)
    ]
    audits = np.random.default_rng(seed).random(len(rows)) < rate
    policy = model.policy
    decided = []
    answers = model.match(pa.Table.from_pylist(queries)).to_pylist()
    for row, audit, query in zip(answers, audits, queries, strict=True):
        accepted = row["decision"] == "accept"
        decided.append(
            Decided(
                at=store.clock(),
                query_id=row["query_id"],
                query={k: v for k, v in query.items() if k != "id"},
                item_id=row["item_id"],
                score=row["score"],
                confidence=row["confidence"],
                decision=row["decision"],
                threshold=policy.accept_at,
                candidates=[{"item_id": row["item_id"], "item": row["item"]}],
                policy=policy.id,
                audit_probability=rate if accepted else 1.0,
                audited=bool(accepted and audit),
            )
        )
    store.log(decided)
    return store, dict(zip(ids, (item for _, item in rows), strict=True))
