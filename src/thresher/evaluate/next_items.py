"""How well the listed items foretell what users take next, as named numbers.

Every user has one list and some targets, the events that came next. A metric is computed for each
user and then averaged over the users that have a target, so that a user with many events counts
no more than one with few.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64

from thresher.errors import InputError
from thresher.evaluate.ranking import mean
from thresher.evaluate.target_kinds import target_kinds

KS = (20, 50, 100, 200, 500)

Keep = Bool[np.ndarray, " P"]

_CELLS = 1 << 22  # places of lists that are compared at a time: 32 MB


def next_items(
    rows: Int64[np.ndarray, "U k"],
    target_starts: Int64[np.ndarray, " bounds"],
    target_items: Int64[np.ndarray, " T"],
    *,
    ks: Sequence[int] = KS,
    repeats: bool,
    train_counts: Int64[np.ndarray, " N"],
) -> dict[str, float]:
    """Recall, hit rate, nDCG, precision, coverage and popularity of the first k places.

    Equation:  for a user with list r_1 r_2 ..., targets t with weights w_t, and distinct targets D

        recall@k             sum_t w_t 1[t in r_1..r_k] / sum_t w_t
        hit_rate@k           1[some t in r_1..r_k]
        ndcg@k               sum_{i <= k} 1[r_i in D] / log2(i + 1), over its most: the sum of
                             1 / log2(i + 1) for i <= min(k, |D|)
        map@k                sum_{i <= k} 1[r_i in D] P_i / min(k, |D|), with P_i the share of
                             r_1..r_i that is in D

    each averaged over the users. w_t is the number of events with target t if `repeats`, else 1.
    With c_i the training events of item i,

        catalogue_coverage@k share of the N items that stand in the first k of some list
        popularity@k         mean over users of the mean c of the first k, divided by the mean over
                             users of the w-weighted mean c of the targets: 1 is as popular as what
                             people take, above 1 leans to the popular

    Source:    recall and hit rate as in the published code of ComiRec (Cen et al., KDD 2020), whose
               recall is that of `repeats`; nDCG, Järvelin and Kekäläinen 2002 with gains 0 and 1;
               MAP as in Yao et al., CIKM 2021 (arXiv 2007.12865), reconstructed: the paper gives
               no equation; popularity after Yin et al., VLDB 2012, made relative to the targets
               here.
    Differs:   ComiRec's code discounts by a hit's place among the targets, not in the list.
               `average_precision_at` of queries divides by |D|, so that a user with more than k
               targets cannot reach 1; here a list of k targets is perfect.

    The recall is given by how often a target stood in training, too: `unseen/recall@k` (never),
    `rare/recall@k` (1 to 4 times), `frequent/recall@k` (5 times or more), and again `head/recall@k`
    (its item is of the most popular tenth of the catalogue), `tail/recall@k` (of the others in
    training); see `target_kinds`. Each is over the targets of that kind and the users that have
    one, with their number as `unseen/targets` and so on.

    Args:
        rows: catalogue rows a user, best first, history already taken out where it is to be; -1
            for none, which is never right. An item that stands twice in a list counts once.
        target_starts: targets of user u are target_items[target_starts[u]:target_starts[u + 1]].
        target_items: catalogue rows of all users' targets, one for each event.
        ks: sizes of the lists; at most as long as the lists given, and as the catalogue.
        repeats: whether a target that comes twice counts twice, in recall and in the popularity
            of the targets; all else goes by distinct targets.
        train_counts: training events of each item of the catalogue.

    Returns:
        Names to numbers, with `users`, `targets` (events if `repeats`) and `items`; NaN where a
        number is not defined.

    Memory: as much again as the rows, and 32 MB. Time: O(U k + P k) for P distinct targets.

    Raises:
        InputError: a k is below 1, longer than the lists or larger than the catalogue; the starts
            do not fit; or a row or target is not of the catalogue.

    Example:
        >>> lists, starts, targets = np.array([[2, 0, 1]]), np.array([0, 3]), np.array([0, 0, 3])
        >>> counts = np.array([5, 1, 3, 3])
        >>> found = next_items(lists, starts, targets, ks=[2], repeats=True, train_counts=counts)
        >>> round(found["recall@2"], 3), found["hit_rate@2"], found["catalogue_coverage@2"]
        (0.667, 1.0, 0.5)
    """
    _check_lists(rows, target_starts, target_items, ks)
    _check_catalogue(rows, target_items, ks, len(train_counts))
    found = _find(rows, target_starts, target_items, repeats)
    result = {
        "users": float(len(rows)),
        "targets": float(found.weights.sum()),
        "items": float(len(train_counts)),
    }
    result |= {f"recall@{k}": mean(found.recall(k)) for k in ks}
    result |= {f"hit_rate@{k}": mean(found.hit(k)) for k in ks}
    result |= {f"ndcg@{k}": mean(found.ndcg(k)) for k in ks}
    result |= {f"map@{k}": mean(found.average_precision(k)) for k in ks}
    result |= {f"catalogue_coverage@{k}": _coverage(rows[:, :k], len(train_counts)) for k in ks}
    taken = mean(found.average(train_counts[found.items].astype(np.float64)))
    for k in ks:
        listed = mean(_listed_counts(rows[:, :k], train_counts))
        result[f"popularity@{k}"] = listed / taken if taken > 0 else float("nan")
    for name, kept in target_kinds(train_counts, found.items).items():
        part = found.only(kept)
        result[f"{name}/targets"] = float(part.weights.sum())
        result |= {f"{name}/recall@{k}": mean(part.recall(k)) for k in ks}
    return result


def per_user_recall(
    rows: Int64[np.ndarray, "U k"],
    target_starts: Int64[np.ndarray, " bounds"],
    target_items: Int64[np.ndarray, " T"],
    *,
    ks: Sequence[int] = KS,
    repeats: bool,
) -> Float64[np.ndarray, "U K"]:
    """The recall of each user at each k, from which an interval can be drawn.

    Equation:  that of recall@k in `next_items`, before the mean over users

    Args:
        rows: as for `next_items`.
        target_starts: the same.
        target_items: the same.
        ks: the columns of the result, in this order.
        repeats: whether a target that comes twice counts twice.

    Returns:
        Shares; NaN for a user without a target. A column goes into `bootstrap_mean`; the
        difference of two systems' columns gives the interval of their difference.

    Memory: 32 MB beside the result.

    Raises:
        InputError: a k is below 1 or longer than the lists, the starts do not fit, or
            a target is negative.

    Example:
        >>> lists, starts, targets = np.array([[2, 0], [1, -1]]), np.array([0, 2, 3]), np.arange(3)
        >>> per_user_recall(lists, starts, targets, ks=[1, 2], repeats=False).tolist()
        [[0.0, 0.5], [0.0, 0.0]]
    """
    _check_lists(rows, target_starts, target_items, ks)
    found = _find(rows, target_starts, target_items, repeats)
    return np.stack([found.recall(k) for k in ks], axis=1) if ks else np.empty((len(rows), 0))


class _Found(NamedTuple):
    """The distinct targets of all users, user by user, and where each stands in the list."""

    length: int  # users
    users: Int64[np.ndarray, " P"]
    items: Int64[np.ndarray, " P"]
    weights: Float64[np.ndarray, " P"]
    places: Int64[np.ndarray, " P"]  # from 0; the width of the lists where it is not listed

    def only(self, kept: Keep) -> "_Found":
        columns = (self.users, self.items, self.weights, self.places)
        return _Found(self.length, *(column[kept] for column in columns))

    def average(self, values: Float[np.ndarray, " P"]) -> Float64[np.ndarray, " U"]:
        """The weighted mean of the targets' values, a user; NaN without a target."""
        return self._sum(self.weights * values) / _or_nan(self._sum(self.weights))

    def recall(self, k: int) -> Float64[np.ndarray, " U"]:
        return self.average((self.places < k).astype(np.float64))

    def hit(self, k: int) -> Float64[np.ndarray, " U"]:
        return np.where(np.isnan(self.recall(k)), np.nan, self.recall(k) > 0)

    def ndcg(self, k: int) -> Float64[np.ndarray, " U"]:
        gained = self._sum((self.places < k) / np.log2(self.places + 2.0))
        ideal = np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(k) + 2.0))])
        distinct = np.bincount(self.users, minlength=self.length)
        return gained / _or_nan(ideal[np.minimum(distinct, k)])

    def average_precision(self, k: int) -> Float64[np.ndarray, " U"]:
        places = self.places[np.lexsort((self.places, self.users))]
        before = np.arange(len(places)) - np.searchsorted(self.users, self.users)  # of its user
        gained = self._sum((places < k) * (before + 1) / (places + 1))
        distinct = np.bincount(self.users, minlength=self.length)
        return gained / _or_nan(np.minimum(distinct, k).astype(np.float64))

    def _sum(self, values: Float[np.ndarray, " P"]) -> Float64[np.ndarray, " U"]:
        total = np.bincount(self.users, weights=values, minlength=self.length)
        return total.astype(np.float64)  # of no targets, NumPy returns whole numbers


def _find(
    rows: Int64[np.ndarray, "U k"],
    starts: Int64[np.ndarray, " bounds"],
    items: Int64[np.ndarray, " T"],
    repeats: bool,
) -> _Found:
    span = int(items.max(initial=0)) + 1
    keys = np.repeat(np.arange(len(rows)), np.diff(starts)) * span + items
    pairs, events = np.unique(keys, return_counts=True)
    users, distinct = np.divmod(pairs, span)
    weights = events.astype(np.float64) if repeats else np.ones(len(pairs))
    return _Found(len(rows), users, distinct, weights, _places(rows, users, distinct))


def _places(
    rows: Int64[np.ndarray, "U k"],
    users: Int64[np.ndarray, " P"],
    items: Int64[np.ndarray, " P"],
) -> Int64[np.ndarray, " P"]:
    """Where each item first stands in its user's list; the list's length where it does not."""
    width = rows.shape[1]
    places = np.full(len(users), width, dtype=np.int64)
    step = max(1, _CELLS // max(1, width))
    for start in range(0, len(users) if width else 0, step):
        block = slice(start, start + step)
        same = rows[users[block]] == items[block, None]
        first = same.argmax(axis=1)
        places[block] = np.where(same.any(axis=1), first, width)
    return places


def _coverage(listed: Int64[np.ndarray, "U k"], items: int) -> float:
    seen = np.zeros(items + 1, dtype=np.bool_)  # -1 marks the last, which is no item
    seen[listed] = True
    return float(seen[:-1].mean()) if items else float("nan")


def _listed_counts(
    listed: Int64[np.ndarray, "U k"], train_counts: Int64[np.ndarray, " N"]
) -> Float64[np.ndarray, " U"]:
    """The mean training count of what each user is shown; NaN for an empty list."""
    counts = np.append(train_counts, 0)  # -1 reads the last
    return counts[listed].sum(axis=1) / _or_nan((listed >= 0).sum(axis=1).astype(np.float64))


def _or_nan(values: Float[np.ndarray, " U"]) -> Float64[np.ndarray, " U"]:
    return np.where(values > 0, values, np.nan)


def _check_lists(
    rows: Int64[np.ndarray, "U k"],
    starts: Int64[np.ndarray, " bounds"],
    items: Int64[np.ndarray, " T"],
    ks: Sequence[int],
) -> None:
    if len(starts) != len(rows) + 1:
        raise InputError(
            f"There are lists for {len(rows):,} users and targets for {len(starts) - 1:,}; "
            "give one list and one set of targets for each user."
        )
    if starts[0] != 0 or starts[-1] != len(items) or (np.diff(starts) < 0).any():
        raise InputError(
            f"The starts of the targets run from {starts[0]} to {starts[-1]} over {len(items):,} "
            "targets; give starts that rise from 0 to the number of targets."
        )
    if items.min(initial=0) < 0:
        raise InputError(
            f"A target is row {items.min()}; give catalogue rows, which begin at 0, and leave out "
            "targets that the catalogue does not hold."
        )
    for k in ks:
        if not 1 <= k <= rows.shape[1]:
            raise InputError(
                f"Metrics were asked at N = {k}, but the lists hold {rows.shape[1]} items a user; "
                f"ask for 1 to {rows.shape[1]}, or retrieve {k} items."
            )


def _check_catalogue(
    rows: Int64[np.ndarray, "U k"],
    items: Int64[np.ndarray, " T"],
    ks: Sequence[int],
    catalogue: int,
) -> None:
    if max(ks, default=0) > catalogue:
        raise InputError(
            f"Metrics were asked at N = {max(ks)}, but the catalogue has {catalogue:,} items, and "
            "a list of all of them finds everything; ask for a smaller N."
        )
    highest = max(rows.max(initial=-1), items.max(initial=-1))
    if rows.min(initial=-1) < -1 or highest >= catalogue:
        wrong = highest if highest >= catalogue else rows.min()
        raise InputError(
            f"A list or a target holds row {wrong}, but the catalogue has {catalogue:,} items; "
            f"give rows from 0 to {catalogue - 1:,}, and -1 where a list has none."
        )
