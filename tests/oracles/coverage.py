"""Coverage, the area under the risk curve, and OPIS as slow loops from their definitions."""


def accepted(confidence, correct, threshold):
    """Number accepted at a threshold, and how many of these are right."""
    chosen = [c for s, c in zip(confidence, correct, strict=True) if s >= threshold]
    return len(chosen), sum(chosen)


def coverage_at(confidence, correct, precision, floor):
    if len(confidence) < floor:
        return float("nan")
    best = 0.0
    for threshold in confidence:
        if threshold == float("-inf"):  # nothing was proposed
            continue
        n, right = accepted(confidence, correct, threshold)
        if n >= floor and right / n >= precision:
            best = max(best, n / len(confidence))
    return best


def aurc(confidence, correct):
    """Each query adds the error rate of accepting everything at least as sure as it is."""
    area = 0.0
    for threshold in confidence:
        n, right = accepted(confidence, correct, threshold)
        area += (1 - right / n) / len(confidence)
    return area


def opis(true_of_class, false_of_class, grid):
    """1,000 x the variance over classes of U(d), averaged over the thresholds d."""
    total = 0.0
    for d in grid:
        utilities = []
        for true, false in zip(true_of_class, false_of_class, strict=True):
            sensitivity = sum(s >= d for s in true) / len(true)
            specificity = sum(s < d for s in false) / len(false)
            both = sensitivity + specificity
            utilities.append(2 * sensitivity * specificity / both if both else 0.0)
        middle = sum(utilities) / len(utilities)
        total += sum((u - middle) ** 2 for u in utilities) / len(utilities)
    return 1000 * total / len(grid)
