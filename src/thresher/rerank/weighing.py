"""The loops that weigh candidates: through trees, to probabilities and an order."""

from typing import Any

import numpy as np

from thresher.compiled import compiled

LEAVES = 32
"""Most leaves of a tree: one bit each."""
_ROWS = 64  # candidates that go through the trees at a time
# The place of the one bit that is set in a number of 32 bits, by its product with a de Bruijn word.
_WORD = np.uint32(0x077CB531)
_PLACE = np.empty(32, np.int64)
_PLACE[[((0x077CB531 << i) & 0xFFFFFFFF) >> 27 for i in range(32)]] = np.arange(32)


@compiled
def leaf_masks(start: Any, feature: Any, left: Any, right: Any, mask: Any, leaf: Any) -> None:
    """What each node of each tree rules out, and which leaf stands where.

    Args:
        start: where the nodes of each tree begin.
        feature: -1 for a leaf.
        left: the node to go on at, within its tree.
        right: the same for larger values.
        mask: ones for each node; the bits of the leaves on its left become 0.
        leaf: [trees, LEAVES] to be filled with the nodes of the leaves from left to right.
    """
    way = np.empty(LEAVES, np.int64)  # nodes whose right side is still to be seen
    begun = np.empty(LEAVES, np.int64)  # leaves before each of them
    for tree in range(len(start) - 1):
        node, depth, seen = start[tree], 0, 0
        while True:
            while feature[node] >= 0:
                way[depth], begun[depth] = node, seen
                node = start[tree] + left[node]
                depth += 1
            leaf[tree, seen] = node
            seen += 1
            if depth == 0:
                break
            depth -= 1
            for bit in range(begun[depth], seen):
                mask[way[depth]] &= ~(np.uint32(1) << np.uint32(bit))
            node = start[tree] + right[way[depth]]


@compiled
def add_trees(rows: Any, trees: Any, out: Any) -> None:
    """Adds the value of the leaf of each tree to each row.

    Every node is looked at, some rows at a time and without a branch: one whose value is above the
    threshold rules out the leaves on its left, and the first that is left is where the row falls.

    Source: QuickScorer, Lucchese et al., SIGIR 2015.

    Args:
        rows: features of candidates, float32 [n, F].
        trees: where the splits of each tree begin, their features, thresholds and masks, and the
            values of the leaves [trees, LEAVES].
        out: [n], added to.
    """
    start, feature, threshold, mask, value = trees
    columns = np.empty((rows.shape[1], _ROWS), np.float32)
    left = np.empty(_ROWS, np.uint32)
    for begin in range(0, len(rows), _ROWS):
        many = min(_ROWS, len(rows) - begin)
        for row in range(many):
            for f in range(rows.shape[1]):
                columns[f, row] = rows[begin + row, f]
        for tree in range(len(start) - 1):
            left[:many] = 0xFFFFFFFF
            for node in range(start[tree], start[tree + 1]):
                at, bar, rest = columns[feature[node]], threshold[node], mask[node]
                for row in range(many):
                    left[row] &= rest if at[row] > bar else np.uint32(0xFFFFFFFF)
            for row in range(many):
                bit = left[row] & (~left[row] + np.uint32(1))
                out[begin + row] += value[tree, _PLACE[np.uint32(bit * _WORD) >> np.uint32(27)]]


@compiled
def chances(features: Any, missing: Any, odds: Any, fitted: Any, bias: float) -> Any:
    """The probability of each candidate, their order, and the probabilities in that order.

    See `Reranker`.

    Args:
        features: of the candidates [Q, k, F].
        missing: places without a candidate [Q, k]; they come last, with a probability of 0.
        odds: log odds of trees [Q, k]; of no candidates without trees.
        fitted: mean, scale and weights of the features, those of the odds last.
        bias: log odds when every feature is at its mean.
    """
    mean, scale, weights = fitted
    p, order = np.zeros(missing.shape), np.empty(missing.shape, np.int64)
    ranked = np.empty(missing.shape)
    width = features.shape[2]
    for q in range(len(features)):
        most = 0.0
        for j in range(p.shape[1]):
            if missing[q, j]:
                continue
            logit = bias
            for f in range(width):
                logit += (features[q, j, f] - mean[f]) / scale[f] * weights[f]
            if odds.size:
                logit += (odds[q, j] - mean[width]) / scale[width] * weights[width]
            p[q, j] = logit
            most = max(most, logit)
        total = np.exp(-most)
        for j in range(p.shape[1]):
            if not missing[q, j]:
                p[q, j] = np.exp(p[q, j] - most)
                total += p[q, j]
        p[q] /= total
        _rank(p[q], missing[q], order[q])
        ranked[q] = p[q][order[q]]
    return p, order, ranked


@compiled
def _rank(p: Any, missing: Any, order: Any) -> None:
    """The order of candidates, likeliest first; of equal ones as they stand."""
    for j in range(len(p)):
        at = j
        while at > 0 and _likelier(p, missing, j, order[at - 1]):
            order[at] = order[at - 1]
            at -= 1
        order[at] = j


@compiled
def _likelier(p: Any, missing: Any, one: int, other: int) -> bool:
    """Whether a candidate comes before one that stands before it so far."""
    # A probability may be too small to differ from 0, and is still that of a candidate.
    if missing[one] or missing[other]:
        return missing[other] and not missing[one]
    return bool(p[one] > p[other])
