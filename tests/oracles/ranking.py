"""Ranking metrics of one query as slow loops, written from their definitions."""

from math import log, log2


def best_of(scores, ignored, k):
    """The k best rows that are not ignored, equal scores by row; -1 where there are fewer."""
    left = [row for row in range(len(scores)) if row not in ignored]
    best = sorted(left, key=lambda row: (-scores[row], row))[:k]
    return best + [-1] * (k - len(best))


def hits_of(rows, true):
    """For each place, whether it holds a true item that did not stand before; -1 holds none."""
    seen, out = set(), []
    for row in rows:
        out.append(row >= 0 and row in true and row not in seen)
        seen.add(row)
    return out


def precision(rows, true, k):
    return sum(hits_of(rows, true)[:k]) / k


def recall(rows, true, k):
    return sum(hits_of(rows, true)[:k]) / len(true)


def reciprocal_rank(rows, true, k):
    for place, hit in enumerate(hits_of(rows, true)[:k], start=1):
        if hit:
            return 1 / place
    return 0.0


def ndcg(rows, true, k):
    gained = sum(1 / log2(i + 1) for i, h in enumerate(hits_of(rows, true)[:k], start=1) if h)
    return gained / sum(1 / log2(i + 1) for i in range(1, min(k, len(true)) + 1))


def average_precision(rows, true, k):
    hits = hits_of(rows, true)[:k]
    return sum(sum(hits[:i]) / i for i in range(1, len(hits) + 1) if hits[i - 1]) / len(true)


def weight(count, queries, a, b):
    """One over the propensity of an item seen `count` times in training."""
    c = (log(queries) - 1) * (b + 1) ** a
    return 1 + c * (count + b) ** -a


def psp(all_rows, all_true, weights, k):
    """Over all queries: weights of the hits, over the most that could be had."""
    gained = best = 0.0
    for rows, true in zip(all_rows, all_true, strict=True):
        hits = hits_of(rows, true)[:k]
        gained += sum(weights[row] for row, hit in zip(rows[:k], hits, strict=True) if hit)
        best += sum(sorted((weights[item] for item in true), reverse=True)[:k])
    return gained / best


def once_of(rows, scores, k):
    """(item, score) of several lists as one of k places: every item once, where it is best."""
    places = [place for items, values in zip(rows, scores, strict=True)
              for place in zip(items, values, strict=True)]  # fmt: skip
    found = []
    for item, score in sorted(places, key=lambda place: -place[1]):  # stable: the first list first
        if item >= 0 and item not in [known for known, _ in found]:
            found.append((item, score))
    return (found + [(-1, -float("inf"))] * k)[:k]
