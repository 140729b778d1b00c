"""The hardest negatives of rows of scores, in compiled code."""

from typing import Any

from thresher.compiled import compiled


@compiled
def hardest(scores: Any, left_out: Any, starts: Any, skipped: Any, top: Any, columns: Any) -> None:
    """The highest scores of each row and their columns, the highest first; equal ones in order.

    Args:
        scores: [n, C], which are only read.
        left_out: columns that do not count, those of a row together.
        starts: where those of each row begin [n + 1].
        skipped: False for every column [C], and so afterwards.
        top: -inf [n, K], which is what stays where a row has fewer scores.
        columns: 0 [n, K], in the same way.
    """
    last = top.shape[1] - 1
    for i in range(len(scores)):
        for at in range(starts[i], starts[i + 1]):
            skipped[left_out[at]] = True
        row, best, found = scores[i], top[i], columns[i]
        least = best[last]
        for j in range(len(row)):
            if row[j] > least and not skipped[j]:
                at = last
                while at > 0 and best[at - 1] < row[j]:
                    best[at], found[at] = best[at - 1], found[at - 1]
                    at -= 1
                best[at], found[at] = row[j], j
                least = best[last]
        for at in range(starts[i], starts[i + 1]):
            skipped[left_out[at]] = False
