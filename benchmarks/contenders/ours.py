"""Thresher itself, as a user runs it."""

from dataclasses import replace
from typing import Any

import numpy as np

from contenders.task import Decided, Fitted, Task, Texts


def thresher(task: Task, **settings: Any) -> Fitted:
    """`thresher train` and what it puts into the artifact."""
    from thresher import jobs
    from thresher.config import read
    from thresher.decide.policy import Policy
    from thresher.matcher import Matcher

    seeds = {"tower.seed": task.seed, "train.seed": task.seed}
    config = read(task.run, [f"{key}={value}" for key, value in (settings | seeds).items()])
    files = {name: str(task.tables / f"{name}.parquet") for name in ("items", "queries", "pairs")}
    data = {**config.sections["data"], **files, "bundled": None}
    config = replace(config, sections={**config.sections, "data": data})
    jobs.train(config, task.scratch / "model", quiet=True)
    matcher = Matcher.open(task.scratch / "model")

    def decide(queries: Texts) -> Decided:
        found = matcher.propose(queries)
        accepted = np.zeros(len(queries), bool)
        if isinstance(matcher.policy, Policy):
            accepted = matcher.policy.decide(found.confidence)
        return Decided(found.hits.rows[:, 0], found.confidence, accepted)

    return Fitted(matcher.encode, lambda q, k: matcher.search(q, k)[1], -1.0, decide)
