"""Candidates of training queries by towers that were trained without them."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from thresher.config import Config
from thresher.data.dataset import Dataset
from thresher.data.split import normalised
from thresher.rerank import Examples
from thresher.retriever import Retriever

MOST = 4000
"""Training queries that a re-ranker learns from, about."""
_SEED = 3_000_017  # far from the seeds that split data


def examples_of(
    config: Config, data: Dataset, train: Callable[[Dataset, int], Retriever | None]
) -> Examples | None:
    """What the re-ranker learns from the training queries, as if they were new.

    A tower knows the queries that it was trained on too well. So they are cut into `decide.folds`
    parts, or more of `MOST` queries each, equal texts together; for each part a tower is trained
    on the others, and its candidates are compared with the queries as those of new queries will
    be. It ends once there are `MOST`. Users with histories are no such examples: what training
    asks of them is another question than the one that labels answer.

    Source:    cross-fitting, as in stacked generalisation (Wolpert 1992, Neural Networks 5(2)).

    Args:
        config: of the run.
        data: of the run.
        train: a model of a dataset, by the number of the fold; None on other processes.

    Returns:
        The examples; None on all but the first of several processes, where nothing is decided, and
        where queries have histories.
    """
    options = config.build("decide") if config.decides else None
    if options is None or options.scorer != "reranker" or not options.folds:
        return None
    part = data.part("train")
    if part.queries.histories is not None:
        return None
    texts = [normalised(text) for text in part.queries.text(data.query_text)]
    keys = texts if data.query_text else part.queries.ids.to_pylist()
    distinct, at = np.unique(keys, return_inverse=True)
    folds = max(options.folds, round(len(at) / MOST))
    drawn = np.random.default_rng((options.seed, _SEED)).permutation(len(distinct)) % folds
    fold = drawn[at.reshape(-1)]

    def found() -> Iterator[Examples]:
        done = 0
        for number in range(folds):
            held = np.flatnonzero(fold == number)
            if done >= 0.9 * MOST or not len(held):
                return
            rest = replace(
                data, parts={**data.parts, "train": part.take(np.flatnonzero(fold != number))}
            )
            model = train(rest, number + 1)
            done += len(held)
            if model is not None:
                yield model.examples_of(part.take(held[:MOST]), options)

    parts = list(found())
    return Examples.joined(parts) if parts else None
