"""Parts of the queries that are worth a line of their own."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Int

from thresher.data.relation import Relation
from thresher.errors import InputError

HEAD_FROM = 5
"""Training queries from which an item is called frequent; 1 to 4 is the tail."""

Slices = Mapping[str, Bool[np.ndarray, " Q"]]


def slices_by(
    values: Sequence[object] | np.ndarray, *, name: str = ""
) -> dict[str, Bool[np.ndarray, " Q"]]:
    """One slice for each value of a column, named `name=value`, in the order of the values' text.

    Example:
        >>> {k: v.tolist() for k, v in slices_by(["tv", "cpu", "tv"], name="kind").items()}
        {'kind=cpu': [False, True, False], 'kind=tv': [True, False, True]}
    """
    texts = np.array([str(value) for value in values], dtype=np.str_)
    prefix = f"{name}=" if name else ""
    return {f"{prefix}{value}": texts == value for value in np.unique(texts)}


def slices_by_frequency(
    relation: Relation, train_counts: Int[np.ndarray, " N"], *, head_from: int = HEAD_FROM
) -> dict[str, Bool[np.ndarray, " Q"]]:
    """Slices by how often a query's true item stood in training.

    "unseen": never; "tail": 1 to `head_from` - 1 times; "head": `head_from` times or more;
    "no item": the query has no true item. A query with several true items goes by the most
    frequent, which is the easiest to find. Empty slices are left out.

    Args:
        relation: true items of the queries.
        train_counts: training queries of each item.
        head_from: first count of the head.

    Raises:
        InputError: there is not one count an item, or the head begins below 2.
    """
    if len(train_counts) != relation.columns or head_from < 2:
        raise InputError(
            f"{len(train_counts)} training counts for {relation.columns} items and a head from "
            f"{head_from} were given; give one count an item, and a head from 2 or more."
        )
    most = np.full(len(relation), -1, dtype=np.int64)
    pairs = relation.pairs()
    np.maximum.at(most, pairs[:, 0], train_counts[pairs[:, 1]])
    slices = {
        "unseen": most == 0,
        "tail": (most >= 1) & (most < head_from),
        "head": most >= head_from,
        "no item": most < 0,
    }
    return {name: mask for name, mask in slices.items() if mask.any()}
