"""Items as points of a plane, so that a person sees which of them a model finds alike."""

import numpy as np
from jaxtyping import Float32, Float64

FEWEST = 30
"""Items from which neighbourhoods are drawn; fewer are drawn by their main directions."""
_PERPLEXITY = 30.0  # neighbours that each item is kept near, the field's usual number
_EQUAL = 1e-6  # spread of unit vectors that differ by no more than rounding
_ASIDE = 1e-5  # of the start, which spreads over 1e-4


def item_map(vectors: Float32[np.ndarray, "n D"], *, seed: int = 0) -> Float64[np.ndarray, "n 2"]:
    """Place items in a plane, so that those with vectors of like direction stand together.

    Equation:  t-SNE of the vectors at length 1, whose squared distance is 2 - 2 cosine: points y
               that minimise KL(P || Q), P from the 30 nearest vectors of each, Q by 1 / (1 + |y_i -
               y_j|^2). It starts from the two main directions, and these are the map of fewer than
               30 items

    Source:    van der Maaten and Hinton, JMLR 2008, by scikit-learn (Barnes-Hut).
    Differs:   each point starts a little aside, or equal vectors could never part.

    Args:
        vectors: a row an item, of any length; 500 to 2,000 rows make a map that can be read.
        seed: of how far aside. The same rows and seed give the same map; what two seeds have in
            common is in the vectors.

    Returns:
        Coordinates without unit: near means alike, far apart does not mean how unlike.

    Memory: O(n (D + 90)). Time: about 10 s for 1,500 rows on one core.

    Example:
        >>> placed = item_map(np.array([[2.0, 0.0], [1.0, 0.0], [0.0, 1.0]], dtype=np.float32))
        >>> bool(np.allclose(placed[0], placed[1])), placed.shape
        (True, (3, 2))
    """
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True).astype(np.float64)
    units = vectors / np.where(lengths > 0, lengths, 1)
    main = _main_directions(units)
    spread = main[:, 0].std() if len(main) else 0.0
    if len(main) < FEWEST or spread < _EQUAL:
        return main
    from sklearn.manifold import TSNE  # slow to import, rarely needed

    aside = _ASIDE * np.random.default_rng(seed).standard_normal(main.shape)
    start = (1e-4 * main / spread + aside).astype(np.float32)
    perplexity = min(_PERPLEXITY, (len(main) - 1) / 3)
    return TSNE(init=start, perplexity=perplexity).fit_transform(units).astype(np.float64)


def _main_directions(points: Float64[np.ndarray, "n D"]) -> Float64[np.ndarray, "n 2"]:
    """Coordinates along the two directions in which points differ most, signs fixed."""
    n, _ = points.shape
    centred = points - points.mean(axis=0) if n else points
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    found = np.zeros((n, 2))
    kept = min(2, len(sizes))
    found[:, :kept] = left[:, :kept] * sizes[:kept]
    return found * np.where(found.max(axis=0, initial=0) < -found.min(axis=0, initial=0), -1, 1)
