"""A month of the decision service: audits, drift, the guard, and a calibration from reviews.

    python benchmarks/live_promise.py ARTIFACT [--months 200] [--seed 1] [--figure FILE.svg]
    python benchmarks/live_promise.py --delays

The offers are the held-out queries of an artifact (calibration and test split), with what the model
proposes for each, and what it proposes where the product is taken from the catalogue. Days of 1,000
offers are drawn from them, a tenth without a product; one in ten accepted answers is audited.
From day 15 on four in five offers are of the three categories that the model knows least well, and
24 % have no product: what is accepted is less precise than was certified.

Reviewers err in 3 % of their verdicts; what a reviewer rejects another looks at, and both have to
reject it. All promises are about the precision that reviewers see; the table says how far that is
from the truth, and how often the corrected bound holds the truth.

For each month: is the live bound right at every audit; does the guard act before the drift, and
after how many audits since; what does it do; and is a threshold certified on ten days of reviews
after it stopped as precise as promised. `--delays` draws audits alone: how many it takes until a
fall is proved. `bias` compares certificates on the reviewed alone, on all verdicts alike, and on
the sample that `calibrate --from-reviews` draws.
"""

import argparse
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from thresher.decide.certify import certify
from thresher.decide.guard import guard, stricter_thresholds
from thresher.decide.monitor import EPOCH, error_bounds, log_capital
from thresher.decide.policy import Policy
from thresher.jobs.reviews import HELD_OUT
from thresher.retriever import Retriever

TARGET, LEVEL = 0.95, 0.05
DAYS, A_DAY, DRIFT = 28, 1_000, 14
RATE, REVIEWER = 0.1, 0.03
ABSENT, ABSENT_LATER, LATER_SHARE = 0.1, 0.24, 0.8
LABELS, REVIEW_DAYS = 4_000, 10
FALLS = (
    (0.9, 0, 1_500),
    (0.9, 400, 1_500),
    (0.9, 2_000, 2_500),
    (0.92, 400, 4_000),
    (0.8, 400, 500),
)
"""Precision after a fall from 0.96, audits before it, and the most that are drawn after it."""


@dataclass(frozen=True)
class Pool:
    """What the model proposes for each offer, with its product and without it."""

    present: np.ndarray
    right: np.ndarray
    absent: np.ndarray
    category: np.ndarray

    @classmethod
    def of(cls, model):
        found = []
        for split in ("calibration", "test"):
            part = model.labelled(split)
            own = model.propose(part.queries, ignored=part.ignored)
            without = model.propose(part.queries, ignored=part.ignored.union(part.truth))
            right = part.truth.correct(own.hits.rows[:, :1])[:, 0]
            category = np.array(part.queries.column("category"))
            found.append((own.confidence, right, without.confidence, category))
        return cls(*(np.concatenate(column) for column in zip(*found, strict=True)))

    def mix(self, later):
        """The chance of each offer, and the share without a product, before or after the drift."""
        chance = np.full(len(self.right), 1 / len(self.right))
        if not later:
            return chance, ABSENT
        names = np.unique(self.category)
        precise = [self.precision(0.9, chance * (self.category == n), ABSENT) for n in names]
        weak = np.isin(self.category, names[np.argsort(precise)[:3]])
        chance = np.where(weak, LATER_SHARE / weak.sum(), (1 - LATER_SHARE) / (~weak).sum())
        return chance, ABSENT_LATER

    def precision(self, threshold, chance, absent):
        """The true precision of what a threshold accepts."""
        good = (1 - absent) * (chance * self.right)[self.present >= threshold].sum()
        accepted = (1 - absent) * chance[self.present >= threshold].sum()
        accepted += absent * chance[self.absent >= threshold].sum()
        return good / accepted

    def draw(self, rng, count, later):
        """Confidence and correctness of so many offers."""
        chance, absent = self.mix(later)
        rows, gone = rng.choice(len(chance), count, p=chance), rng.random(count) < absent
        return np.where(gone, self.absent[rows], self.present[rows]), self.right[rows] & ~gone


def judged(rng, right):
    """What people say: a reviewer, and a second one where the first rejects the answer."""
    first = right ^ (rng.random(len(right)) < REVIEWER)
    second = right ^ (rng.random(len(right)) < REVIEWER)
    return first | second


def seen(precision):
    """The precision that reviewers see."""
    wrong = 1 - precision
    return 1 - wrong * (1 - REVIEWER) ** 2 - precision * REVIEWER**2


def evidence(wrong, target=TARGET, epoch=EPOCH):
    """The log evidence of `Audits.log_evidence` after each audit."""
    n, errors = np.arange(1, len(wrong) + 1), np.cumsum(wrong)
    started = (n - 1) // epoch + 1 if epoch else np.ones(len(n), int)
    share = (lambda j: 1 / (j * (j + 1))) if epoch else (lambda j: 1.0)
    left = np.log(1 / (started + 1)) if epoch else np.full(len(n), -np.inf)
    for j in range(1, started[-1] + 1 if len(n) else 1):
        start = (j - 1) * epoch
        own, bad = n[start:] - start, errors[start:] - (errors[start - 1] if start else 0)
        counts = np.stack([own - bad, bad], axis=-1)[:, None, :]
        capital = log_capital(np.full(len(own), 1 - target), counts, np.ones(1), side=1)
        left[start:] = np.logaddexp(left[start:], capital + np.log(share(j)))
    return left


def first(hits):
    """The place of the first true, or None."""
    found = np.flatnonzero(hits)
    return int(found[0]) if len(found) else None


@dataclass
class Month:
    """What became of one month."""

    threshold: float
    bound_holds: bool
    truth_holds: bool
    false_alarm: bool
    delay: int | None = None
    days: float | None = None
    action: str = "none"
    again: float | None = None
    again_seen: bool | None = None
    again_true: bool | None = None
    coverage: float | None = None
    later: float = 0.0
    path: tuple = ()


def month(rng, pool, *, keep=False):
    """Simulate one month."""
    scores, right = pool.draw(rng, LABELS, later=False)
    policy = certify(scores, judged(rng, right), target=TARGET, seed=rng)
    if not isinstance(policy, Policy):
        return None
    known, threshold = scores, policy.accept_at
    days = [pool.draw(rng, A_DAY, later=day >= DRIFT) for day in range(DAYS)]
    scores, right = (np.concatenate(column) for column in zip(*days, strict=True))
    day = np.repeat(np.arange(DAYS), A_DAY)
    audited = (scores >= threshold) & (rng.random(len(scores)) < RATE)
    scores, right, day = scores[audited], judged(rng, right[audited]), day[audited]
    truth = np.array([pool.precision(threshold, *pool.mix(later)) for later in (False, True)])
    n, errors = np.arange(1, len(right) + 1), np.cumsum(~right)
    counts = np.stack([n - errors, errors], axis=-1)[:, None, :]
    later = (day >= DRIFT).astype(int)
    of, as_seen = (np.cumsum(each[later]) / n for each in (truth, seen(truth)))

    def inside(precision):
        """Whether the bounds hold it at every audit: no capital at it reaches 2 / level."""
        sides = [log_capital(1 - precision, counts, np.ones(1), side=side) for side in (1, -1)]
        return bool((np.maximum(*sides) < np.log(2 / LEVEL)).all())

    found = Month(threshold, inside(as_seen), inside(seen(of)), False, later=truth[1])
    if keep:
        low, high = error_bounds(counts, np.ones(1), level=LEVEL)
        found.path = (day, of, 1 - low, 1 - high)
    at = first(evidence(~right) >= -np.log(LEVEL))
    if at is None:
        return found
    found.false_alarm = bool(day[at] < DRIFT)
    if found.false_alarm:
        return found
    found.delay, found.days = at + 1 - int((day < DRIFT).sum()), float(day[at] - DRIFT + 1)
    asked = slice(0, at + 1)
    found.action = guard(
        scores[asked], right[asked], np.full(at + 1, RATE),
        target=TARGET, threshold=threshold, stricter=stricter_thresholds(known, threshold),
    ).kind  # fmt: skip
    return recalibrated(rng, pool, found)


def recalibrated(rng, pool, found):
    """Certify on the sample of some days after everything went to review."""
    scores, right = pool.draw(rng, int(REVIEW_DAYS * A_DAY * HELD_OUT), later=True)
    policy = certify(scores, judged(rng, right), target=TARGET, seed=rng)
    if isinstance(policy, Policy):
        found.again = pool.precision(policy.accept_at, *pool.mix(True))
        found.again_seen, found.again_true = seen(found.again) > TARGET, found.again > TARGET
        found.coverage = policy.coverage
    return found


def months(pool, count, seed):
    """Print what became of so many months; the first, for the figure."""
    rng = np.random.default_rng(seed)
    all_of = [month(rng, pool, keep=n < 5) for n in range(count)]
    own = [one for one in all_of if one is not None]
    fired = [one for one in own if one.delay is not None]
    again = [one for one in fired if one.again is not None]
    delays, days = [one.delay for one in fired], [one.days for one in fired]
    before = [pool.precision(one.threshold, *pool.mix(False)) for one in own]

    def share(of, values):
        return f"{sum(values)} of {of}"

    rows = [
        ("certified at the start", share(count, [one is not None for one in all_of])),
        ("precision before and after the drift, mean",
         f"{np.mean(before):.3f}, {np.mean([one.later for one in own]):.3f}"),
        ("bound right at every audit, as seen", share(len(own), [o.bound_holds for o in own])),
        ("corrected bound right about the truth", share(len(own), [o.truth_holds for o in own])),
        ("guard acts before the drift", share(len(own), [o.false_alarm for o in own])),
        ("guard acts after it", share(len(own), [o.delay is not None for o in own])),
        ("audits until then: median, 90 %, most",
         ", ".join(f"{v:.0f}" for v in np.percentile(delays, [50, 90, 100]))),
        ("days until then: median, 90 %, most",
         ", ".join(f"{v:.0f}" for v in np.percentile(days, [50, 90, 100]))),
        ("it stops; tightens", f"{sum(o.action == 'stop' for o in fired)}; "
         f"{sum(o.action == 'tighten' for o in fired)}"),
        (f"certified again on {REVIEW_DAYS} days of reviews", f"{len(again)} of {len(fired)}"),
        ("of these as precise as promised, as seen",
         share(len(again), [o.again_seen for o in again])),
        ("of these in truth", share(len(again), [o.again_true for o in again])),
        ("coverage then, mean", f"{np.mean([o.coverage for o in again]) if again else 0:.2f}"),
    ]  # fmt: skip
    print(f"| {count} months | |\n|-|-|")
    for name, value in rows:
        print(f"| {name} | {value} |")
    return next((one for one in own if one.path and one.delay is not None), own[0])


def bias(pool, count, seed):
    """Print what certificates on three kinds of verdicts say of the precision, and how it is."""
    rng, chance = np.random.default_rng(seed), pool.mix(False)
    gaps, accepted, broken = ({k: [] for k in ("reviewed", "all", "sample")} for _ in range(3))
    in_force = 0.9
    for _ in range(count):
        scores, right = pool.draw(rng, 40_000, later=False)
        certain = scores >= in_force
        audit, u = certain & (rng.random(len(scores)) < RATE), rng.random(len(scores))
        rows = {
            "reviewed": ~certain,
            "all": ~certain | audit,
            "sample": audit | (~certain & (u < RATE)),
        }
        # The precision at a looser threshold, as these verdicts show it.
        truth = pool.precision(0.8, *chance)
        for name, own in rows.items():
            above = own & (scores >= 0.8)
            gaps[name].append(right[above].mean() - truth)
            policy = certify(scores[own], right[own], target=TARGET, seed=rng)
            certified = isinstance(policy, Policy)
            accepted[name].append((scores >= policy.accept_at).mean() if certified else 0.0)
            broken[name].append(certified and pool.precision(policy.accept_at, *chance) <= TARGET)
    names = {"reviewed": "reviewed alone", "all": "all alike", "sample": "the sample"}
    print(
        "| verdicts | precision at 0.8, less the truth | coverage certified | broken |\n|-|-|-|-|"
    )
    for key, name in names.items():
        print(f"| {name} | {np.mean(gaps[key]):+.3f} | {np.mean(accepted[key]):.2f} | "
              f"{np.mean(broken[key]):.3f} |")  # fmt: skip


def delays(count, seed):
    """Print after how many audits a fall is proved, with and without sequences that start again."""
    rng = np.random.default_rng(seed)
    print("| precision | audits before | median | 90 % | without restarts: median | 90 % |")
    print("|-|-|-|-|-|-|")
    for after, pre, most in FALLS:
        cells = []
        for epoch in (EPOCH, 0):
            ends = []
            for _ in range(count):
                wrong = np.r_[rng.random(pre) >= 0.96, rng.random(most) >= after]
                at = first(evidence(wrong, epoch=epoch)[pre:] >= -np.log(LEVEL))
                ends.append(most if at is None else at + 1)
            cells += [f"{value:,.0f}" for value in np.percentile(ends, [50, 90])]
        print(f"| 0.96 to {after:.2f} | {pre:,} | " + " | ".join(cells) + " |", flush=True)


def figure(found, path):
    """Draw the live bounds of one month."""
    from matplotlib.figure import Figure

    day, truth, upper, lower = found.path
    n, sheet = np.arange(1, len(day) + 1), Figure(figsize=(7, 3.2), layout="constrained")
    axes = sheet.add_subplot()
    axes.fill_between(n, lower, upper, alpha=0.25, linewidth=0, label="bounds, valid at any time")
    axes.plot(n, truth, label="true mean precision since day 1")
    axes.axhline(TARGET, color="0.4", linewidth=0.8, linestyle="--", label="target")
    axes.axvline(first(day >= DRIFT), color="tab:red", linewidth=0.8, label="drift, day 15")
    if found.delay is not None:
        axes.axvline(
            first(day >= DRIFT) + found.delay, color="k", linewidth=0.8, label="guard acts"
        )
    axes.set(xlabel="audits", ylabel="precision", ylim=(0.8, 1), xlim=(1, len(day)))
    axes.legend(loc="lower left", fontsize=8, frameon=False)
    sheet.savefig(path)


def main() -> None:
    """Print the tables, and draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("artifact", type=Path, nargs="?")
    parser.add_argument("--months", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--delays", action="store_true")
    options = parser.parse_args()
    run = partial(delays, options.months, options.seed)
    if options.delays or options.artifact is None:
        run()
        return
    pool = Pool.of(Retriever.open(options.artifact))
    one = months(pool, options.months, options.seed)
    bias(pool, min(60, options.months), options.seed)
    if options.figure is not None:
        figure(one, options.figure)


if __name__ == "__main__":
    main()
