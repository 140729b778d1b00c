"""Slow loops over pairs, written from the equations of the losses, on plain lists of numbers."""

import math


def negatives(i, columns, pos, drop):
    return [j for j in range(columns) if (i, j) not in pos and (i, j) not in drop]


def softmax(scores, pos, drop, temperature, log_q=None):
    """Sum over positives, and their number."""
    total = 0.0
    for i, p in pos:
        z = [s / temperature - (log_q[j] if log_q else 0) for j, s in enumerate(scores[i])]
        others = sum(math.exp(z[n]) for n in negatives(i, len(z), pos, drop))
        total -= math.log(math.exp(z[p]) / (math.exp(z[p]) + others))
    return total, len(pos)


PSI = {
    "exp": math.exp,
    "softplus": lambda z: math.log(1 + math.exp(z)),
    "hinge": lambda z: max(z + 0.5, 0),
    "sigmoid": lambda z: 1 / (1 + math.exp(-z)),
}


def smooth_rank(scores, i, p, pos, drop, kernel, temperature, log_q=None):
    """Of the positive p in row i."""
    rank = 1.0
    for j in negatives(i, len(scores[i]), pos, drop):
        w = math.exp(log_q[p] - log_q[j]) if log_q else 1
        rank += w * PSI[kernel]((scores[i][j] - scores[i][p]) / temperature)
    return rank


def croloss(scores, pos, drop, kernel, alpha, temperature, rank_kernel=None, log_q=None):
    """Sum over positives, and their number."""
    total = 0.0
    for i, p in pos:
        x = smooth_rank(scores, i, p, pos, drop, kernel, temperature, log_q)
        if rank_kernel:
            x1 = smooth_rank(scores, i, p, pos, drop, rank_kernel, temperature, log_q)
            total += x / x1**alpha
        elif alpha == 1:
            total += math.log(x)
        else:
            total += (x ** (1 - alpha) - 1) / (1 - alpha)
    return total, len(pos)


def triplet(scores, pos, drop, margin):
    """Sum over positives, and their number."""
    total = 0.0
    for i, p in pos:
        for n in negatives(i, len(scores[i]), pos, drop):
            total += max(scores[i][n] - scores[i][p] + margin, 0)
    return total, len(pos)


def bpr(scores, pos, drop, temperature):
    """Sum over positives, and their number."""
    total = 0.0
    for i, p in pos:
        for n in negatives(i, len(scores[i]), pos, drop):
            total -= log_sigmoid((scores[i][p] - scores[i][n]) / temperature)
    return total, len(pos)


def hinge(scores, pos, drop, hardest, margin, temperature, smallest_margin=None):
    """Sum over positives, and their number."""
    total = 0.0
    for i, p in pos:
        row = scores[i]
        free = negatives(i, len(row), pos, drop)
        hard = sorted(free, key=lambda j: -row[j])[:hardest]
        violating = []
        for n in hard:
            m = margin
            if smallest_margin is not None:
                m = min(max(abs(row[p] - row[n]), smallest_margin), margin)
            if row[n] - row[p] + m > 0:
                violating.append((math.exp(row[n] / temperature), row[n] - row[p] + m))
        total += sum(w * h for w, h in violating) / (sum(w for w, _ in violating) or 1)
    return total, len(pos)


def prototype(gaps, pos, drop, margin):
    """((half the sum, count) over violating positives, (the same) over violating negatives)."""
    up = [gaps[i][p] + margin for i, p in pos if gaps[i][p] + margin >= 0]
    down = [
        margin - row[n]
        for i, row in enumerate(gaps)
        for n in negatives(i, len(row), pos, drop)
        if margin - row[n] >= 0
    ]
    return (sum(up) / 2, len(up)), (sum(down) / 2, len(down))


def tcm(scores, pos, drop, margin_pos, margin_neg):
    """((sum, count) over violating positives, (sum, count) over violating negatives)."""
    up, down = [], []
    for i, row in enumerate(scores):
        for j, s in enumerate(row):
            if (i, j) in pos and s <= margin_pos:
                up.append(margin_pos - s)
            if (i, j) not in pos and (i, j) not in drop and s >= margin_neg:
                down.append(s - margin_neg)
    return (sum(up), len(up)), (sum(down), len(down))


def gelu(x):
    return x * 0.5 * (1 + math.erf(x / math.sqrt(2)))


def dot(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


def times(matrix, vector):
    return [dot(row, vector) for row in matrix]


def plus(*vectors):
    return [sum(xs) for xs in zip(*vectors, strict=True)]


def mean(vectors):
    return [x / len(vectors) for x in plus(*vectors)]


def big_g(a, b):
    gap = [abs(x - y) for x, y in zip(a, b, strict=True)]
    product = [x * y for x, y in zip(a, b, strict=True)]
    return [*a, *b, *gap, *product]


def cross_entropy_at_0(logits):
    return math.log(sum(math.exp(x) for x in logits)) - logits[0]


def log_sigmoid(x):
    return -math.log1p(math.exp(-x))


def alc(left, right, pos, drop, weights, *, hardest, form, context):
    """Sums over positives of L_ql and L_qb, without b1 and b2; weights by their names."""
    w = weights
    query_label = query_batch = 0.0
    for i, p in pos:
        free = negatives(i, len(right), pos, drop)
        hard = sorted(free, key=lambda j: -dot(left[i], right[j]))[:hardest]
        pairs = [big_g(left[i], right[j]) for j in [p, *hard]]

        def represent(pair):
            return [gelu(x) for x in plus(times(w["pair.weight"], pair), w["pair.bias"])]

        g = [represent(pair) for pair in pairs]
        u = [dot(w["label.weight"][0], x) for x in g]
        if form == "binary":
            u = [x + w["label.bias"][0] for x in u]
            misses = [log_sigmoid(-x) for x in u[1:]]
            query_label -= (log_sigmoid(u[0]) + (sum(misses) / len(misses) if misses else 0)) / 2
        else:
            query_label += cross_entropy_at_0(u)
        query_batch += cross_entropy_at_0(
            {"attention": attention, "pooled": pooled, "query_batch": against_mean}[context](
                w, pairs, g, left[i], [right[j] for j in hard], represent
            )
        )
    return query_label, query_batch


def attention(w, pairs, g, query, hard, represent):
    asks, answers, values = ([times(w[f"batch.attend.{n}.weight"], x) for x in g] for n in range(3))
    logits = []
    for own, ask in zip(g, asks, strict=True):
        powers = [math.exp(dot(ask, answer) / math.sqrt(len(own))) for answer in answers]
        heard = plus(
            *([power / sum(powers) * x for x in v] for power, v in zip(powers, values, strict=True))
        )
        logits.append(dot(w["batch.score.weight"][0], plus(own, heard)))
    return logits


def pooled(w, pairs, g, query, hard, represent):
    around = mean(pairs)
    own = [r + m for r, m in zip(w["batch.own.weight"], w["batch.mean"], strict=True)]
    logits = []
    for pair in pairs:
        inner = plus(times(own, [*pair, *around]), w["batch.own.bias"])
        logits.append(dot(w["batch.score.weight"][0], [gelu(x) for x in inner]))
    return logits


def against_mean(w, pairs, g, query, hard, represent):
    seen = [g[0]] + ([represent(big_g(query, mean(hard)))] if hard else [])
    return [dot(w["batch.score.weight"][0], x) for x in seen]
