"""A label prototype one item at a time, from the equation, in numpy."""

import math

import numpy as np


def unit(x):
    return x / max(np.linalg.norm(x), 1e-12)


def layer_norm(x, scale):
    centred = x - x.mean()
    return scale * centred / math.sqrt((centred**2).mean() + 1 / len(x))


def gelu(x):
    return np.array([0.5 * v * (1 + math.erf(v / math.sqrt(2))) for v in x])


def prototype(weights, text, free=None, queries=()):
    """The unit vector of one item.

    Args:
        weights: kinds, scale (two), match, value, hidden, out.
        text: the vector of its text.
        free: its learnt vector; None for a new item, which is its text.
        queries: the vectors of its queries, without the one left out.
    """
    if free is None:
        return text
    parts = {0: text, 1: free}
    if len(queries):
        parts[2] = unit(np.sum(queries, axis=0))
    read = {j: layer_norm(x, weights["scale"][0]) + weights["kinds"][j] for j, x in parts.items()}
    total = np.zeros_like(text)
    for j, x in parts.items():
        scores = {i: read[j] @ weights["match"] @ u / math.sqrt(len(u)) for i, u in read.items()}
        highest = max(scores.values())
        shares = {i: math.exp(s - highest) for i, s in scores.items()}
        attended = sum(shares[i] * read[i] for i in read) / sum(shares.values())
        y = x + attended @ weights["value"]
        hidden = gelu(layer_norm(y, weights["scale"][1]) @ weights["hidden"])
        total = total + y + hidden @ weights["out"]
    return unit(total)
