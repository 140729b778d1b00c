"""Made-up recommendation data by counting: every case of the model, every row of the tables."""

import itertools
import math
from collections import Counter


def information(joint):
    """Mutual information of a joint distribution {(a, b): probability}, by the definition."""
    first, second = Counter(), Counter()
    for (a, b), p in joint.items():
        first[a] += p
        second[b] += p
    return sum(p * math.log(p / (first[a] * second[b])) for (a, b), p in joint.items() if p > 0)


def entropy(joint):
    """Of the first of the two."""
    first = Counter()
    for (a, _), p in joint.items():
        first[a] += p
    return -sum(p * math.log(p) for p in first.values() if p > 0)


def chances(true, values, correlation, missing):
    """{value: probability} of a feature whose true value is known; None is missing."""
    found = dict.fromkeys(range(values), (1 - missing) * (1 - correlation) / values)
    found[true] += (1 - missing) * correlation
    return {**found, None: missing}


def joint_of(first, second, *, topics, subtopics, correlation, missing):
    """Two features of an item, each "topic" or "home", over every home that an item may have."""
    sizes = {"topic": topics, "home": topics * subtopics}
    joint = Counter()
    for home in range(topics * subtopics):
        true = {"topic": home // subtopics, "home": home}
        of = [chances(true[kind], sizes[kind], correlation, missing) for kind in (first, second)]
        for (a, p), (b, q) in itertools.product(*(one.items() for one in of)):
            joint[a, b] += p * q / (topics * subtopics)
    return joint


def counted(first, second):
    """The joint distribution of two columns."""
    return {pair: n / len(first) for pair, n in Counter(zip(first, second, strict=True)).items()}
