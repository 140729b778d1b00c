"""The numbers of a whole search as slow loops over queries, written from their definitions."""

from math import ceil

from oracles import ranking
from oracles.ranking import hits_of


def average(values):
    """The mean, NaN of nothing."""
    values = list(values)
    return sum(values) / len(values) if values else float("nan")


def recall(listed, targets, k, repeats):
    """Of one query with a target."""
    wanted = list(targets) if repeats else sorted(set(targets))
    return sum(1 for target in wanted if target in listed[:k]) / len(wanted)


def head(counts):
    """The tenth of the items, rounded up, that stand most often in training, if they do at all."""
    ordered = sorted(range(len(counts)), key=lambda item: (-counts[item], item))
    return [item for item in ordered[: ceil(len(counts) / 10)] if counts[item]]


def kinds(counts):
    return {
        "unseen": [i for i, c in enumerate(counts) if c == 0],
        "rare": [i for i, c in enumerate(counts) if 1 <= c <= 4],
        "frequent": [i for i, c in enumerate(counts) if c >= 5],
        "head": head(counts),
        "tail": [i for i, c in enumerate(counts) if c and i not in head(counts)],
    }


def coverage(lists, k, items):
    seen = {item for listed in lists for item in listed[:k] if item >= 0}
    return len(seen) / items


def popularity(lists, targets, k, repeats, counts):
    shown = [[counts[item] for item in listed[:k] if item >= 0] for listed in lists]
    wanted = [[counts[t] for t in (own if repeats else set(own))] for own in targets]
    listed = average(average(line) for line in shown if line)
    taken = average(average(line) for line in wanted if line)
    return listed / taken if taken > 0 else float("nan")


def metrics(lists, targets, ks, repeats, counts):
    """Every number of ranking and of lists that `evaluate` returns, slices of items among them."""

    def size(own):
        return len(own) if repeats else len(set(own))

    wanted = [(listed, own) for listed, own in zip(lists, targets, strict=True) if own]
    found = {
        "queries": len(lists),
        "queries_without_item": sum(not own for own in targets),
        "targets": sum(map(size, targets)),
        "items": len(counts),
        "P@1": average(ranking.precision(line, set(own), 1) for line, own in wanted),
    }
    parts = {
        name: [[t for t in own if t in kind] for own in targets]
        for name, kind in kinds(counts).items()
    }
    for name, part in parts.items():
        own = [(line, whole) for line, whole, t in zip(lists, targets, part, strict=True) if t]
        found[f"{name}/queries"] = len(own)
        found[f"{name}/targets"] = sum(map(size, part))
        found[f"{name}/P@1"] = average(ranking.precision(a, set(b), 1) for a, b in own)
    for k in ks:
        one = {
            "precision": ranking.precision,
            "ndcg": ranking.ndcg,
            "mrr": ranking.reciprocal_rank,
            "map": ranking.average_precision,
        }
        if k == 1:
            del one["precision"]
        for name, metric in one.items():
            found[f"{name}@{k}"] = average(metric(line, set(own), k) for line, own in wanted)
        found[f"recall@{k}"] = average(recall(line, own, k, repeats) for line, own in wanted)
        found[f"hit_rate@{k}"] = average(any(hits_of(a, set(b))[:k]) for a, b in wanted)
        found[f"catalogue_coverage@{k}"] = coverage(lists, k, len(counts))
        found[f"popularity@{k}"] = popularity(lists, targets, k, repeats, counts)
        for name, part in parts.items():
            found[f"{name}/recall@{k}"] = average(
                recall(line, own, k, repeats) for line, own in zip(lists, part, strict=True) if own
            )
    return found
