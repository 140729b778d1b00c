"""Mutual information of features as slow loops from its definition."""

import math


def mutual_information(items):
    """Of items, each a list of features, each the set of its values."""
    k = len(items[0])
    drawn = [[chances(values) for values in item] for item in items]
    out = [[0.0] * k for _ in range(k)]
    for i in range(k):
        single = mean([item[i] for item in drawn])
        out[i][i] = -sum(p * math.log(p) for p in single.values())
        for j in range(k):
            if j == i:
                continue
            other = mean([item[j] for item in drawn])
            pairs = mean(
                [
                    {(a, b): p * q for a, p in item[i].items() for b, q in item[j].items()}
                    for item in drawn
                ]
            )
            out[i][j] = sum(p * math.log(p / (single[a] * other[b])) for (a, b), p in pairs.items())
    return out


def chances(values):
    """Each value equally likely; no value is a value."""
    return {v: 1 / len(values) for v in values} if values else {"missing": 1.0}


def mean(distributions):
    total = {}
    for distribution in distributions:
        for value, p in distribution.items():
            total[value] = total.get(value, 0.0) + p / len(distributions)
    return total
