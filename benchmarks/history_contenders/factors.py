"""Rivals of the package `implicit`: a vector a user and a vector an item."""

from typing import Any

import numpy as np

from history_contenders.task import Score, Task, learn, matrix
from thresher.data.sequences import Sequences


def als(task: Task, *, factors: int, alpha: float, regularization: float) -> Score:
    """Weighted matrix factorisation; an asked user is solved for from the history, exactly."""
    from implicit.cpu.als import AlternatingLeastSquares

    model = AlternatingLeastSquares(
        factors=factors,
        alpha=alpha,
        regularization=regularization,
        iterations=2,
        num_threads=task.threads,
        random_state=np.random.default_rng(task.seed),
    )

    def users(histories: Sequences) -> np.ndarray:
        asked = matrix(histories, task.items)
        return model.recalculate_user(np.arange(len(histories)), asked)

    return trained(task, model, users)


def bpr(task: Task, *, factors: int, learning_rate: float, regularization: float) -> Score:
    """Pairs of a true and a random item.

    The package cannot fold in: an asked user is the mean of the items of the history.
    """
    model = bpr_model(task, factors, learning_rate, regularization)
    model.iterations = 5

    def users(histories: Sequences) -> np.ndarray:
        asked = matrix(histories, task.items)
        means = asked @ model.item_factors / asked.sum(axis=1).A
        means[:, -1] = 1  # the last factor of an item is its bias
        return means

    return trained(task, model, users)


def bpr_model(task: Task, factors: int, learning_rate: float, regularization: float) -> Any:
    from implicit.cpu.bpr import BayesianPersonalizedRanking

    return BayesianPersonalizedRanking(
        factors=factors,
        learning_rate=learning_rate,
        regularization=regularization,
        num_threads=task.threads,
        random_state=np.random.default_rng(task.seed),  # so that rounds differ
    )


def trained(task: Task, model: Any, users: Any) -> Score:
    """Fit in rounds, which go on from where the last one ended; scores are inner products."""
    had = matrix(task.sequences, task.items)

    def score(histories: Sequences) -> np.ndarray:
        return users(histories) @ model.item_factors.T

    def step() -> None:
        model.fit(had, show_progress=False)

    model.item_factors = learn(task, step, score, lambda: model.item_factors.copy())
    model._YtY = None  # made from the items of the last round
    return score


def bpr_rounds(task: Task) -> tuple[int, Any]:
    """Events of an epoch (the package draws one pair for each), and how to train some epochs."""
    had = matrix(task.sequences, task.items)
    model = bpr_model(task, 64, 0.05, 0.01)

    def train(epochs: int) -> None:
        model.iterations = epochs
        model.fit(had, show_progress=False)

    return had.nnz, train
