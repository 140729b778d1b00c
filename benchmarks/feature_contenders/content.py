"""Rivals that read text and categories: alike items, popular ones of a kind, alike queries'."""

import numpy as np
from scipy import sparse

from feature_contenders.task import Queries, Score, Task, unit
from history_contenders.neighbours import filled
from history_contenders.task import CELLS, best, matrix


def category_popularity(task: Task, *, of: str, power: float = 1.0) -> Score:
    """What is popular in the categories of the query, or of its history.

    Args:
        task: what to learn from.
        of: "items", training pairs of an item times the cosine of its categories; "queries", how
            often the training queries of each category took it, rare categories weighted more.
        power: of the cosine.
    """
    shares = task.shares()
    if of == "items":
        categories = task.of_items["categories"].T.tocsr()

        def score(queries: Queries) -> np.ndarray:
            alike = task.described(queries, "categories") @ categories
            return filled(alike.power(power) @ sparse.diags(shares), shares)

        return score
    taken = task.described(task.train, "categories").T @ matrix(task.train.histories, task.items)
    return lambda queries: filled(task.described(queries, "categories") @ taken, shares)


def tf_idf(task: Task, *, categories: float) -> Score:
    """Cosine of words and categories of the query, or of its history's mean, to an item's.

    Args:
        task: what to learn from.
        categories: share of the cosine of the categories in the sum; the rest is of the words.
    """
    return lambda queries: filled(alike(task, queries, task.of_items, categories), task.shares())


def content_knn(task: Task, *, neighbours: int, categories: float) -> Score:
    """Items of the training queries that read alike, each summed by how much they do.

    Args:
        task: what to learn from.
        neighbours: training queries that count.
        categories: as for `tf_idf`.
    """
    had = unit(matrix(task.train.histories, task.items))
    known = {group: task.described(task.train, group) for group in task.of_items}

    def score(queries: Queries) -> np.ndarray:
        parts = []
        step = max(1, CELLS // had.shape[0])
        for start in range(0, len(queries), step):
            block = queries.take(np.arange(start, min(start + step, len(queries))))
            near = alike(task, block, known, categories).toarray()
            columns = best(near, min(neighbours, near.shape[1]))
            weights = np.take_along_axis(near, columns, axis=1).ravel()
            rows = np.repeat(np.arange(len(block)), columns.shape[1])
            kept = sparse.csr_matrix((weights, (rows, columns.ravel())), shape=near.shape)
            parts.append(kept @ had)
        return filled(sparse.vstack(parts), task.shares())

    return score


def alike(task: Task, queries: Queries, others: dict, categories: float) -> sparse.csr_matrix:
    """Cosine of the words and of the categories of queries to those of others, weighted."""
    shares = {"text": 1 - categories, "categories": categories}
    parts = [
        share * (task.described(queries, group) @ others[group].T.tocsr())
        for group, share in shares.items()
        if share
    ]
    return sum(parts[1:], parts[0]).tocsr()
