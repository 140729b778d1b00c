"""Parts of the items and of the queries that are worth numbers of their own."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Int

FREQUENT_FROM = 5
"""Training pairs from which an item is frequent; 1 to 4 are rare."""
HEAD = 10
"""The head is one item of so many: the most popular tenth of the catalogue."""

Slices = Mapping[str, Bool[np.ndarray, " Q"]]


def item_kinds(train_counts: Int[np.ndarray, " N"]) -> dict[str, Bool[np.ndarray, " N"]]:
    """Which items are new, rare or frequent, and which are bestsellers or in the long tail.

    Equation:  with c_i the training pairs (events) of item i, and H the ceil(N / 10) items of
               highest c, equal ones by row

        unseen   c_i = 0                    head   i in H and c_i > 0
        rare     1 <= c_i <= 4              tail   i not in H and c_i > 0
        frequent c_i >= 5

    Each column with the unseen holds every item once.

    Source:        the top 10 % of the items as head, Yao et al., CIKM 2021 (arXiv:2007.12865).
    Reconstructed: that the count is of training events, that equal counts go by row, and that an
                   item which is never in training is in neither; the paper says nothing of these.

    Example:
        >>> kinds = item_kinds(np.array([0, 7, 2]))
        >>> [name for name, members in kinds.items() if members[2]]
        ['rare', 'tail']
    """
    head = np.zeros(len(train_counts), np.bool_)
    head[np.argsort(-train_counts, kind="stable")[: -(-len(train_counts) // HEAD)]] = True
    seen = train_counts > 0
    frequent = train_counts >= FREQUENT_FROM
    return {
        "unseen": ~seen,
        "rare": seen & ~frequent,
        "frequent": frequent,
        "head": head & seen,
        "tail": ~head & seen,
    }


def slices_by(
    values: Sequence[object] | np.ndarray, *, name: str = ""
) -> dict[str, Bool[np.ndarray, " Q"]]:
    """One slice for each value of a column, named `name=value`, in the order of the values' text.

    Example:
        >>> {k: v.tolist() for k, v in slices_by(["tv", "cpu", "tv"], name="kind").items()}
        {'kind=cpu': [False, True, False], 'kind=tv': [True, False, True]}
    """
    texts = np.array(["" if value is None else str(value) for value in values], dtype=np.str_)
    prefix = f"{name}=" if name else ""
    return {f"{prefix}{value}": texts == value for value in np.unique(texts)}
