"""Batches of look-alikes: an order of the training pairs in which neighbours are alike."""

import numpy as np
from jaxtyping import Float32, Int64

_ROWS = 8192  # of vectors that are copied at a time: they stay in the processor's cache
_ROUNDS = 8  # of moving the two centres; further ones change little


def balanced_tree(
    vectors: Float32[np.ndarray, "P D"], *, leaves: int, generator: np.random.Generator
) -> Int64[np.ndarray, " P"]:
    """Divides vectors into a number of groups of look-alikes, all of one size.

    A tree of halves: each node has two centres, the half of its rows that lies more to the first
    than to the second goes left, and the centres become the means of the halves,

        left    = the half of the rows x with the highest x . c1 - x . c2
        c1, c2 <- mean of the left rows, mean of the right rows, both scaled to length 1

    a few times over, from two random rows. The sizes of the groups differ by one row at most.

    **Source**: NGAME (Dahiya et al., WSDM 2023, arXiv 2207.04452): a balanced 2-means tree, of
    which batches take whole leaves.
    Differs: the leaves need not be a power of two, a node is then parted as its leaves are; the
    centres move a fixed number of times; those of a node of more than 8,192 rows are learnt from
    as many drawn ones.

    Args:
        vectors: unit rows.
        leaves: number of groups, 1 to that of the rows, which makes each its own.
        generator: of the first centres, and of the sample; with the vectors, it alone decides.

    Returns:
        The number of each row's group, from 0; groups of close numbers are close in the tree.

    Memory: 32 bytes a row and a copy of 8,192 rows; never a second copy of the vectors.
    """
    rows = len(vectors)
    bounds = np.arange(leaves + 1) * rows // max(leaves, 1)
    order = np.arange(rows)
    # One level of the tree: from which leaf to which each node goes. Single rows need no parting.
    nodes = np.array([[0, leaves if leaves < rows else 0]])
    while len(nodes := nodes[nodes[:, 1] - nodes[:, 0] > 1]):
        middle = nodes.sum(axis=1) // 2
        start, cut, end = bounds[nodes[:, 0]], bounds[middle], bounds[nodes[:, 1]]
        _halve(vectors, order, start, np.stack([end - start, cut - start]), generator)
        lower, upper = np.stack([nodes[:, 0], middle]), np.stack([middle, nodes[:, 1]])
        nodes = np.stack([lower.ravel(), upper.ravel()], axis=1)
    groups = np.empty(rows, dtype=np.int64)
    groups[order] = np.repeat(np.arange(leaves), np.diff(bounds))
    return groups


def _halve(
    vectors: Float32[np.ndarray, "P D"],
    order: Int64[np.ndarray, " P"],
    start: Int64[np.ndarray, " nodes"],
    sizes: Int64[np.ndarray, "2 nodes"],
    generator: np.random.Generator,
) -> None:
    """Sorts the rows of each node of a level, in place: those of its left half first."""
    # The nodes of a level have a handful of sizes; nodes of one size are halved together.
    distinct, which = np.unique(sizes, axis=1, return_inverse=True)
    for number, (count, left) in enumerate(distinct.T.tolist()):
        starts = start[which.ravel() == number, None]
        together = max(1, _ROWS // count)
        for i in range(0, len(starts), together):
            places = starts[i : i + together] + np.arange(count)
            order[places] = _halved(vectors, order[places], left, generator)


def clustered_order(
    vectors: Float32[np.ndarray, "P D"], *, size: int, generator: np.random.Generator
) -> Int64[np.ndarray, " P"]:
    """Orders training pairs so that a batch holds whole groups of look-alikes.

    In a random batch hardly any negative is close to the positive. Here the leaves of a
    `balanced_tree`, of `size` pairs at most, follow one another in random order, and the pairs of a
    group stand in random order. A group at the edge of a batch is cut in two. The unit vector of a
    pair is that of its query or of its item; a size of 16 to 128 is usual, 1 gives a random order.

    **Source**: NGAME (Dahiya et al., WSDM 2023, arXiv 2207.04452).

    Memory: 40 bytes a pair, and a copy of 8,192 vectors.
    """
    groups = balanced_tree(vectors, leaves=-(-len(vectors) // size), generator=generator)
    places = generator.permutation(groups.max(initial=0) + 1)
    return np.lexsort((generator.random(len(groups)), places[groups])).astype(np.int64)


def _halved(
    vectors: Float32[np.ndarray, "P D"],
    rows: Int64[np.ndarray, "nodes n"],
    left: int,
    generator: np.random.Generator,
) -> Int64[np.ndarray, "nodes n"]:
    """The rows of each node, those of its left half first."""
    count = rows.shape[1]
    if count <= _ROWS:
        x = vectors[rows]
        side = _side(x, _direction(x, left, generator))
    else:
        some = vectors[rows[:, generator.integers(0, count, _ROWS)]]
        direction = _direction(some, left * _ROWS // count, generator)
        side = np.concatenate(
            [_side(vectors[rows[:, i : i + _ROWS]], direction) for i in range(0, count, _ROWS)],
            axis=1,
        )
    return np.take_along_axis(rows, _highest(side, left), axis=1)


def _direction(
    x: Float32[np.ndarray, "nodes n D"], left: int, generator: np.random.Generator
) -> Float32[np.ndarray, "nodes D"]:
    """The first centre less the second, of each node."""
    nodes, count = x.shape[:2]
    one = generator.integers(0, count, nodes)
    two = (one + generator.integers(1, count, nodes)) % count
    direction = x[np.arange(nodes), one] - x[np.arange(nodes), two]
    total = x.sum(axis=1)
    for _ in range(_ROUNDS):
        near = np.zeros((nodes, 1, count), dtype=np.float32)
        np.put_along_axis(near[:, 0], _highest(_side(x, direction), left)[:, :left], 1, axis=1)
        mine = (near @ x)[:, 0]
        direction = _unit(mine) - _unit(total - mine)
    return direction


def _side(
    x: Float32[np.ndarray, "nodes n D"], direction: Float32[np.ndarray, "nodes D"]
) -> Float32[np.ndarray, "nodes n"]:
    return (x @ direction[:, :, None])[:, :, 0]


def _highest(side: Float32[np.ndarray, "nodes n"], left: int) -> Int64[np.ndarray, "nodes n"]:
    """Places in each line, those of the `left` highest first."""
    return np.argpartition(-side, left - 1, axis=1)


def _unit(x: Float32[np.ndarray, "nodes D"]) -> Float32[np.ndarray, "nodes D"]:
    length = np.linalg.norm(x, axis=1, keepdims=True)
    return x / np.maximum(length, np.finfo(np.float32).tiny)
