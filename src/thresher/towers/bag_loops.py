"""The loops of `thresher.towers.bags`, in compiled code."""

from typing import Any

import numpy as np

from thresher.compiled import compiled

DIGIT = 11
"""Bits of a token by which one pass sorts."""


@compiled
def take(tokens: Any, weights: Any, offsets: Any, rows: Any) -> Any:
    """The tokens, weights and offsets of these rows, one after the other."""
    taken = np.zeros(len(rows) + 1, np.int64)
    for i in range(len(rows)):
        taken[i + 1] = taken[i] + offsets[rows[i] + 1] - offsets[rows[i]]
    out_tokens, out_weights = np.empty(taken[-1], np.int32), np.empty(taken[-1], np.float32)
    for i in range(len(rows)):
        first, to = offsets[rows[i]], taken[i]
        for at in range(taken[i + 1] - to):
            out_tokens[to + at] = tokens[first + at]
            out_weights[to + at] = weights[first + at]
    return out_tokens, out_weights, taken


@compiled
def weighty(tokens: Any, weights: Any, offsets: Any) -> Any:
    """The tokens of another weight than 0, their weights and the offsets of the rows."""
    out_tokens, out_weights = np.empty(len(tokens), np.int32), np.empty(len(tokens), np.float32)
    kept = np.zeros(len(offsets), np.int64)
    to = 0
    for i in range(len(offsets) - 1):
        for at in range(offsets[i], offsets[i + 1]):
            # Written always, and kept by moving on: no branch to guess.
            out_tokens[to], out_weights[to] = tokens[at], weights[at]
            to += weights[at] != 0
        kept[i + 1] = to
    return out_tokens[:to].copy(), out_weights[:to].copy(), kept


@compiled
def by_token(tokens: Any, weights: Any, offsets: Any) -> Any:
    """The distinct tokens, ascending, and a bag for each: its rows, its weights in them, offsets.

    Sorted digit by digit, which costs the tokens of the bags, however many there are in the table.
    """
    size, most = len(tokens), 0
    rows = np.empty(size, np.int32)
    for i in range(len(offsets) - 1):
        for at in range(offsets[i], offsets[i + 1]):
            rows[at] = i
            most = max(most, tokens[at])
    other, other_rows, other_weights = tokens.copy(), rows.copy(), weights.copy()
    tokens, weights = tokens.copy(), weights.copy()
    shift = 0
    while most >> shift:
        place = np.zeros((1 << DIGIT) + 1, np.int64)
        for at in range(size):
            place[((tokens[at] >> shift) & ((1 << DIGIT) - 1)) + 1] += 1
        place = np.cumsum(place)
        for at in range(size):
            digit = (tokens[at] >> shift) & ((1 << DIGIT) - 1)
            to = place[digit]
            other[to], other_rows[to], other_weights[to] = tokens[at], rows[at], weights[at]
            place[digit] = to + 1
        tokens, other = other, tokens
        rows, other_rows = other_rows, rows
        weights, other_weights = other_weights, weights
        shift += DIGIT
    used, starts = np.empty(size, np.int64), np.empty(size + 1, np.int32)
    count = 0
    for at in range(size):
        if at == 0 or tokens[at] != tokens[at - 1]:
            used[count], starts[count] = tokens[at], at
            count += 1
    starts[count] = size
    return used[:count].copy(), rows, weights, starts[: count + 1].copy()
