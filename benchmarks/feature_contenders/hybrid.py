"""LightFM: a vector for every id and every feature, summed, with the WARP loss."""

import copy

import numpy as np
from scipy import sparse

from feature_contenders.task import Queries, Score, Task, unit
from history_contenders.task import learn, matrix
from thresher.data.sequences import Sequences, bounds, ranges

CUTS = 4  # a training user is a query after each quarter of the events but the last


def lightfm(task: Task, *, components: int, learning_rate: float, penalty: float) -> Score:
    """Items and queries are their id, words and categories; users the ids of their history.

    Nothing that is to be predicted may stand in a history: it ends before the next quarter of the
    events, which are the ones to predict. (With the whole history, or with its words and
    categories too, recall@10 on `amazon-beauty` is lower after as many seconds.)
    """
    from lightfm import LightFM

    learnt, taken = cut_for_training(task.train)
    model = LightFM(
        no_components=components,
        learning_rate=learning_rate,
        item_alpha=penalty,
        user_alpha=penalty,
        loss="warp",
        random_state=task.seed,
    )
    targets = matrix(taken, task.items)
    of_items = sparse.hstack(
        [sparse.identity(task.items), *task.of_items.values()], "csr", np.float32
    )
    of_queries = described(task, learnt)

    def step() -> None:
        model.fit_partial(targets, of_queries, of_items, epochs=3, num_threads=task.threads)

    def score(queries: Queries) -> np.ndarray:
        biases, items = model.get_item_representations(of_items)
        _, users = model.get_user_representations(described(task, queries))
        return users @ items.T + biases

    def keep() -> dict[str, np.ndarray]:
        return copy.deepcopy(vars(model))

    vars(model).update(learn(task, step, score, keep))
    return score


def described(task: Task, queries: Queries) -> sparse.csr_matrix:
    """What LightFM sees of a query."""
    if queries.rows is None:
        return unit(matrix(queries.histories, task.items))
    known = len(next(iter(task.of_queries.values())).indptr) - 1
    own = sparse.identity(known, np.float32, "csr")[queries.rows]
    features = [task.described(queries, group) for group in task.of_items]
    return sparse.hstack([own, *features], "csr", np.float32)


def cut_for_training(train: Queries) -> tuple[Queries, Sequences]:
    """Queries and what they take: that of the pairs, or of users what comes after each cut."""
    if train.rows is not None:
        return train, train.histories
    counts, starts = train.histories.counts(), train.histories.starts[:-1]
    histories, targets = [], []
    for part in range(1, CUTS):
        cut, end = counts * part // CUTS, counts * (part + 1) // CUTS
        kept = (cut > 0) & (end > cut)
        histories.append((starts[kept], cut[kept]))
        targets.append(((starts + cut)[kept], (end - cut)[kept]))
    return Queries(None, pieces(train.histories, histories)), pieces(train.histories, targets)


def pieces(of: Sequences, parts: list[tuple[np.ndarray, np.ndarray]]) -> Sequences:
    """The pieces that begin at these places and are that long, as sequences."""
    starts, counts = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Sequences(bounds(counts), of.items[ranges(starts, counts)])
