"""Batches of look-alikes: an order of the training pairs in which neighbours have similar items."""

import numpy as np
from jaxtyping import Float32, Int64


def clustered_order(
    vectors: Float32[np.ndarray, "P D"], *, size: int, generator: np.random.Generator
) -> Int64[np.ndarray, " P"]:
    """Orders training pairs so that a batch holds whole groups of similar items.

    In a random batch hardly any negative is close to the positive. Here P / size random pairs
    become centres, each pair joins the centre closest to its item, and the groups follow one
    another in random order. Drawing new centres every epoch keeps groups from going stale.

    Source:    the idea of clustered batches is NGAME's (Dahiya et al. 2023), which grows a balanced
               tree over query vectors.
    Differs:   random centres in place of the tree, groups of uneven size: one product of matrices,
               no iterations.

    Args:
        vectors: unit vector of the item of each pair.
        size: mean number of pairs in a group; 16 to 128 is usual.
        generator: of the choice of centres and of the order.

    Memory:    a block of 4,096 x P / size scores.
    """
    pairs = len(vectors)
    centres = vectors[generator.choice(pairs, max(1, pairs // size), replace=False)]
    blocks = [(vectors[i : i + 4096] @ centres.T).argmax(1) for i in range(0, pairs, 4096)]
    group = generator.permutation(len(centres))[np.concatenate(blocks)]
    return np.lexsort((generator.random(pairs), group)).astype(np.int64)
