"""Metrics of lists of next items as slow loops over users, written from their definitions."""

from math import ceil, log2

from oracles.ranking import hits_of


def average(values):
    """The mean, NaN of nothing."""
    values = list(values)
    return sum(values) / len(values) if values else float("nan")


def recall(listed, targets, k, repeats):
    """Of one user with a target."""
    wanted = list(targets) if repeats else sorted(set(targets))
    return sum(1 for target in wanted if target in listed[:k]) / len(wanted)


def ndcg(listed, targets, k):
    hits = hits_of(listed, set(targets))[:k]
    gained = sum(1 / log2(place + 1) for place, hit in enumerate(hits, start=1) if hit)
    return gained / sum(1 / log2(i + 1) for i in range(1, min(k, len(set(targets))) + 1))


def average_precision(listed, targets, k):
    hits = hits_of(listed, set(targets))[:k]
    gained = sum(sum(hits[:i]) / i for i, hit in enumerate(hits, start=1) if hit)
    return gained / min(k, len(set(targets)))


def head(counts):
    """The tenth of the items, rounded up, that stand most often in training, if they do at all."""
    ordered = sorted(range(len(counts)), key=lambda item: (-counts[item], item))
    return [item for item in ordered[: ceil(len(counts) / 10)] if counts[item]]


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
    """Everything that `next_items` returns."""
    asked = [(listed, own) for listed, own in zip(lists, targets, strict=True) if own]
    found = {
        "users": len(lists),
        "targets": sum(len(own) if repeats else len(set(own)) for own in targets),
        "items": len(counts),
    }
    kinds = {
        "unseen": [i for i, c in enumerate(counts) if c == 0],
        "rare": [i for i, c in enumerate(counts) if 1 <= c <= 4],
        "frequent": [i for i, c in enumerate(counts) if c >= 5],
        "head": head(counts),
        "tail": [i for i, c in enumerate(counts) if c and i not in head(counts)],
    }
    parts = {
        name: [[t for t in own if t in kind] for own in targets] for name, kind in kinds.items()
    }
    for name, part in parts.items():
        found[f"{name}/targets"] = sum(len(own) if repeats else len(set(own)) for own in part)
    for k in ks:
        found[f"recall@{k}"] = average(recall(line, own, k, repeats) for line, own in asked)
        found[f"hit_rate@{k}"] = average(
            float(bool(set(line[:k]) & set(own))) for line, own in asked
        )
        found[f"ndcg@{k}"] = average(ndcg(line, own, k) for line, own in asked)
        found[f"map@{k}"] = average(average_precision(line, own, k) for line, own in asked)
        found[f"catalogue_coverage@{k}"] = coverage(lists, k, len(counts))
        found[f"popularity@{k}"] = popularity(lists, targets, k, repeats, counts)
        for name, part in parts.items():
            found[f"{name}/recall@{k}"] = average(
                recall(line, own, k, repeats) for line, own in zip(lists, part, strict=True) if own
            )
    return found
