"""Rivals that read no feature: those of histories, given the items of each query as its history."""

from collections.abc import Callable
from typing import Any

import numpy as np

from feature_contenders.task import Queries, Score, Task
from history_contenders import factors, neighbours
from history_contenders import task as histories


def item_knn(task: Task, **setting: Any) -> Score:
    """Cosine of items by the queries that took them, summed over what a query has."""
    if task.train.rows is not None:
        setting |= {"half_life": np.inf, "reach": None, "again": 0.0}  # pairs have no order
    return of_histories(neighbours.item_knn, task, setting)


def user_knn(task: Task, **setting: Any) -> Score:
    """Items of the queries that took the same, as session-kNN has it."""
    if task.train.rows is not None:
        setting |= {"half_life": np.inf}
    return of_histories(neighbours.session_knn, task, setting)


def als(task: Task, **setting: Any) -> Score:
    """Weighted matrix factorisation; a query is solved for from what it has."""
    return of_histories(factors.als, task, setting)


def bpr(task: Task, **setting: Any) -> Score:
    """Pairs of a true and a random item; the query's own vector, or the mean of its history's."""
    if task.train.rows is None:
        return of_histories(factors.bpr, task, setting)
    model = factors.bpr_model(task, *setting.values())
    model.iterations = 5
    had = histories.matrix(task.train.histories, task.items)

    def keep() -> tuple[np.ndarray, np.ndarray]:
        return model.user_factors.copy(), model.item_factors.copy()

    score = known_only(task, lambda q: model.user_factors[q.rows] @ model.item_factors.T)
    best = histories.learn(task, lambda: model.fit(had, show_progress=False), score, keep)
    model.user_factors, model.item_factors = best
    return score


def of_histories(fit: Callable[..., histories.Score], task: Task, setting: dict) -> Score:
    """A contender of histories on this task."""

    def lifted(score: histories.Score) -> Score:
        return known_only(task, lambda queries: score(queries.histories))

    of_task = histories.Task(
        task.train.histories,
        task.items,
        task.threads,
        task.minutes,
        task.seed,
        lambda score: task.judge(lifted(score)),
    )
    return lifted(fit(of_task, **setting))


def known_only(task: Task, score: Score) -> Score:
    """The same where a query has something, what is popular where it has not."""
    shares = task.shares()

    def filled(queries: Queries) -> np.ndarray:
        having = np.flatnonzero(queries.histories.counts())
        scores = np.tile(shares, (len(queries), 1))
        scores[having] = score(queries.take(having))
        return scores

    return filled
