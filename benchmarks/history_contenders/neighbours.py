"""Neighbours: items that were had by the same users, and users who had the same items.

Both read a history with weights that halve every few events, and put what has no neighbour at the
end, the most frequent first.
"""

import numpy as np
from scipy import sparse

from history_contenders.task import CELLS, Score, Task, matrix, popularity
from thresher.data.sequences import Sequences


def item_knn(
    task: Task,
    *,
    neighbours: int,
    shrink: float,
    half_life: float,
    reach: int | None,
    again: float,
) -> Score:
    """Sum over the history of the cosine to each item's neighbours.

    Args:
        task: what to learn from.
        neighbours: of each item that are kept.
        shrink: added to the cosine's denominator, against chance between rare items.
        half_life: after so many events a history's item counts half.
        reach: only events at most so many apart are together, at 1 / distance; None for all of a
            user's.
        again: similarity of an item to itself; 0 where nobody comes back for the same.
    """
    counts = np.bincount(task.sequences.items, minlength=task.items).astype(np.float32)
    together = near(task.sequences, task.items, reach) if reach else None
    had = matrix(task.sequences, task.items)
    if together is None:
        counts = np.asarray(had.sum(axis=0))[0]
    columns = had.tocsc()
    blocks = []
    step = max(1, CELLS // task.items)
    for start in range(0, task.items, step):
        rows = slice(start, start + step)
        shared = (columns[:, rows].T @ had if together is None else together[rows]).tocoo()
        weights = shared.data / (np.sqrt(counts[shared.row + start] * counts[shared.col]) + shrink)
        weights[shared.row + start == shared.col] = 0
        shared.data = weights.astype(np.float32)
        blocks.append(strongest(shared.tocsr(), neighbours))
    similar = sparse.vstack(blocks).tocsr() + again * sparse.identity(task.items, np.float32)
    return lambda h: filled(matrix(h, task.items, half_life) @ similar, popularity(task))


def session_knn(task: Task, *, neighbours: int, half_life: float) -> Score:
    """Sum over the most similar training users of their similarity, for each of their items.

    Like VS-kNN (Ludewig and Jannach 2018): weights by recency, and items weighted by rarity.
    """
    had = matrix(task.sequences, task.items)
    holders = np.asarray(had.sum(axis=0))[0]
    rarity = np.log(had.shape[0] / np.maximum(holders, 1)).astype(np.float32)
    lengths = np.sqrt(np.asarray(had.multiply(rarity**2).sum(axis=1))[:, 0] + 1e-9)
    weighed = sparse.diags((1 / lengths).astype(np.float32)) @ had
    weighed = (weighed @ sparse.diags(rarity)).tocsr()
    by_item = weighed.T.tocsr()

    def score(histories: Sequences) -> np.ndarray:
        asked = matrix(histories, task.items, half_life)
        alike = strongest((asked @ by_item).tocsr(), neighbours)
        return filled(alike @ weighed, popularity(task))

    return score


def near(sequences: Sequences, items: int, reach: int) -> sparse.csr_matrix:
    """Items by items: the sum of 1 / distance over events of a user at most `reach` apart."""
    users = np.repeat(np.arange(len(sequences)), sequences.counts())
    total = sparse.csr_matrix((items, items), dtype=np.float32)
    for distance in range(1, reach + 1):
        same = users[distance:] == users[:-distance]
        pairs = sequences.items[:-distance][same], sequences.items[distance:][same]
        weights = np.full(len(pairs[0]), 1 / distance, np.float32)
        total += sparse.csr_matrix((weights, pairs), shape=total.shape)
    return (total + total.T).tocsr()


def strongest(weights: sparse.csr_matrix, k: int) -> sparse.csr_matrix:
    """The k largest of each row, the rest dropped."""
    counts = np.diff(weights.indptr)
    rows = np.repeat(np.arange(len(counts)), counts)
    order = np.lexsort((-weights.data, rows))
    kept = order[np.arange(len(order)) - np.repeat(weights.indptr[:-1], counts) < k]
    return sparse.csr_matrix(
        (weights.data[kept], (rows[kept], weights.indices[kept])), shape=weights.shape
    )


def filled(scores: sparse.csr_matrix, shares: np.ndarray) -> np.ndarray:
    """Dense scores, with those at 0 below all others and by popularity."""
    dense = scores.toarray()
    return np.where(dense > 0, dense, shares - 2)
