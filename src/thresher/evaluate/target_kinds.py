"""Kinds of targets whose recall is told apart, by how often their items stood in training."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Int64

from thresher.evaluate.slices import HEAD_FROM

HEAD = 10
"""The head is one item of so many: the most popular tenth of the catalogue."""

Kinds = Mapping[str, Bool[np.ndarray, " T"]]


def target_kinds(train_counts: Int64[np.ndarray, " N"], items: Int64[np.ndarray, " T"]) -> Kinds:
    """Which targets are new, rare or frequent, and which are bestsellers or in the long tail.

    Equation:  with c_i the training events of item i, and H the ceil(N / 10) items of highest c,
               equal ones by row

        unseen   c_i = 0                    head   i in H and c_i > 0
        rare     1 <= c_i <= 4              tail   i not in H and c_i > 0
        frequent c_i >= 5

    Each column with the unseen shares the targets out among its kinds.

    Source:        the top 10 % of the items as head, Yao et al., CIKM 2021, arXiv 2007.12865.
    Reconstructed: that the count is of training events, that equal counts go by row, and that an
                   item which is never in training is in neither; the paper says nothing of these.

    Args:
        train_counts: training events of each item of the catalogue.
        items: catalogue rows of the targets.

    Memory: O(N + T).

    Example:
        >>> kinds = target_kinds(np.array([0, 7, 2]), np.array([2, 1]))
        >>> [name for name, kept in kinds.items() if kept[0]]
        ['rare', 'tail']
    """
    highest = np.argsort(-train_counts, kind="stable")[: -(-len(train_counts) // HEAD)]
    counts, head = train_counts[items], np.isin(items, highest)
    return {
        "unseen": counts == 0,
        "rare": (counts >= 1) & (counts < HEAD_FROM),
        "frequent": counts >= HEAD_FROM,
        "head": head & (counts > 0),
        "tail": ~head & (counts > 0),
    }
