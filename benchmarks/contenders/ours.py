"""Thresher itself, as a user runs it."""

from typing import Any

import numpy as np
import pyarrow as pa

from contenders.task import Decided, Fitted, Task, Texts


def thresher(task: Task, **settings: Any) -> Fitted:
    """`thresher train` and what it puts into the artifact."""
    from thresher.config import read
    from thresher.data.queries import Queries
    from thresher.decide.policy import Policy
    from thresher.jobs.train import train

    seeds = {"tower.seed": task.seed, "train.seed": task.seed}
    files = {
        f"data.{name}": f"{task.tables / name}.parquet" for name in ("items", "queries", "pairs")
    }
    text = ("id", "split", *task.data.query_text)
    others = [n for n in task.data.part("train").queries.table.column_names if n not in text]
    alone = {f"features.query.{name}": "ignored" for name in others}  # as the others read it
    overrides = [f"{key}={value}" for key, value in (files | settings | seeds | alone).items()]
    model, _ = train(read(task.run, overrides), task.scratch / "model", quiet=True)
    column = task.data.query_text[0]

    def queries(texts: Texts) -> Queries:
        return Queries.of_table(pa.table({column: list(texts)}))

    def decide(texts: Texts) -> Decided:
        found = model.propose(queries(texts))
        accepted = np.zeros(len(texts), bool)
        if isinstance(model.policy, Policy):
            accepted = model.policy.decide(found.confidence)
        return Decided(found.hits.rows[:, 0], found.confidence, accepted)

    def encode(texts: Texts) -> Any:
        return model.tower.encode(model.tower.queries(queries(texts)))

    return Fitted(encode, lambda texts, k: model.hits(queries(texts), k)[1], -1.0, decide)
