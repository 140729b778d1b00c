"""How the service does: coverage, precision, queue, drift of scores, minutes, events."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sqlalchemy as sa
from jaxtyping import Float64, Int64

from thresher.decide.monitor import Live
from thresher.decide.policy import NoThreshold, Policy
from thresher.review import Agreement, Event
from thresher.review.schema import decisions
from thresher.serve.guarding import guarded

DAY = 86_400
DAYS = 7
MOST = 200_000  # decisions that are read, the latest
BINS = 20  # of the histograms
PSI_BINS = 10  # of the population stability index
STABLE, SHIFTED = 0.1, 0.25
_EVENTS = 12


@dataclass(frozen=True)
class Day:
    """Traffic of one day: when it began, all decisions, and the accepted ones among them."""

    at: float
    decided: int
    accepted: int


@dataclass(frozen=True)
class Drift:
    """Confidences of the week beside those of calibration.

    Args:
        before, now: shares of the bins, from the lowest confidence up.
        low, high: ends of the axis.
        psi: population stability index; None with too few decisions.
    """

    before: tuple[float, ...]
    now: tuple[float, ...]
    low: float
    high: float
    psi: float | None

    @property
    def words(self) -> str:
        """What the index says."""
        if self.psi is None:
            return "too few decisions to tell"
        if self.psi < STABLE:
            return "stable"
        return "some drift" if self.psi < SHIFTED else "the scores have shifted: calibrate again"


@dataclass(frozen=True)
class Reviewer:
    """The week of one reviewer."""

    name: str
    judged: int
    seconds: float


@dataclass(frozen=True)
class Overview:
    """What the dashboard shows.

    Args:
        policy: in force, or why there is none.
        live: precision of what was accepted since the threshold is in force, by the audits; None
            before any.
        threshold: from which answers are accepted now; None where all are reviewed.
        stopped: why nothing is accepted; None where something is.
        days: the traffic, oldest day first.
        drift: of the confidences; None without decisions.
        queue: open cases.
        reviewers: of the week, the busiest first.
        agreement: of two people on the same cases.
        events: latest changes of settings.
    """

    policy: Policy | NoThreshold
    live: Live | None
    threshold: float | None
    stopped: str | None
    audit_rate: float
    days: Sequence[Day]
    drift: Drift | None
    queue: dict[str, Any]
    reviewers: Sequence[Reviewer]
    agreement: Agreement
    events: Sequence[Event]

    @property
    def decided(self) -> int:
        """Decisions of the week."""
        return sum(day.decided for day in self.days)

    @property
    def accepted(self) -> int:
        """Accepted ones among them."""
        return sum(day.accepted for day in self.days)

    @property
    def judged(self) -> int:
        """Cases that people judged."""
        return sum(one.judged for one in self.reviewers)

    @property
    def seconds(self) -> float:
        """That they took."""
        return sum(one.seconds for one in self.reviewers)

    @property
    def saved(self) -> float | None:
        """Seconds that the accepted answers would have taken people; None where nobody judged."""
        return self.seconds / self.judged * self.accepted if self.judged else None


def overview(service: Any, now: float) -> Overview:
    """Read the last seven days of a service; `now` is UTC seconds."""
    store, live, rules = service.store, service.live, service.rules()
    first = now - now % DAY - (DAYS - 1) * DAY
    at, accepted, confidence = _traffic(store, first)
    calibrated = live.base.decision.outcomes.confidence
    found = [(name, store.progress(name, first)) for name in store.reviewers(first)]
    reviewers = [Reviewer(name, p["judged"], p["seconds"]) for name, p in found if p["judged"]]
    bar = getattr(live.policy, "accept_at", None)
    if bar is not None and rules.threshold is not None:
        bar = max(bar, rules.threshold)
    return Overview(
        live.policy,
        _live_precision(live, store),
        None if rules.stopped else bar,
        rules.stopped,
        rules.audit_rate,
        _days(at, accepted, first),
        drift(calibrated, confidence) if len(confidence) else None,
        store.queue(),
        sorted(reviewers, key=lambda one: -one.judged),
        store.agreement(),
        store.events(limit=_EVENTS),
    )


def _live_precision(live: Any, store: Any) -> Live | None:
    """The precision that the guard sees; None where it has no say or no audit is judged."""
    action = guarded(live, store)
    return None if action is None or not action.live.audits else action.live


def _traffic(store: Any, since: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """When each decision was made, whether it was accepted, and the confidences there are."""
    query = (
        sa.select(decisions.c.at, decisions.c.decision == "accept", decisions.c.confidence)
        .where(decisions.c.at >= since, decisions.c.decision != "label")
        .order_by(decisions.c.number.desc())
        .limit(MOST)
    )
    with store.database.read() as connection:
        rows = connection.execute(query).all()
    at, accepted, confidence = zip(*rows, strict=True) if rows else ((), (), ())
    known = np.array([c for c in confidence if c is not None], np.float64)
    return np.array(at, np.float64), np.array(accepted, bool), known


def _days(at: np.ndarray, accepted: np.ndarray, first: float) -> list[Day]:
    place: Int64[np.ndarray, " N"] = np.clip((at - first) // DAY, 0, DAYS - 1).astype(np.int64)
    decided = np.bincount(place, minlength=DAYS)
    taken = np.bincount(place[accepted], minlength=DAYS)
    return [Day(first + i * DAY, int(decided[i]), int(taken[i])) for i in range(DAYS)]


def drift(before: Float64[np.ndarray, " N"], now: Float64[np.ndarray, " M"]) -> Drift:
    """Compare two samples of confidences, of at least one each."""
    finite = [values[np.isfinite(values)] for values in (before, now)]
    both = np.concatenate(finite) if any(map(len, finite)) else np.zeros(1)
    low, high = float(min(both.min(), 0.0)), float(max(both.max(), 1.0))
    bars = [np.histogram(v, BINS, (low, high))[0] / max(len(v), 1) for v in finite]
    return Drift(
        tuple(bars[0].tolist()), tuple(bars[1].tolist()), low, high, stability(before, now)
    )


def stability(before: Float64[np.ndarray, " N"], now: Float64[np.ndarray, " M"]) -> float | None:
    """Compute the population stability index of a sample against an earlier one.

    Equation: sum over bins of (q - p) ln(q / p), p and q the shares of the earlier and the later
    sample in bins that hold a tenth of the earlier one each, with half a value added to each bin.

    Source: N. Siddiqi, Credit Risk Scorecards, 2006; below 0.1 is stable, above 0.25 has shifted.

    Returns:
        The index; None with fewer than 100 values on a side.
    """
    if min(len(before), len(now)) < PSI_BINS**2:
        return None
    inner = np.unique(np.quantile(before, np.linspace(0, 1, PSI_BINS + 1)[1:-1]))
    p, q = (
        (np.bincount(np.searchsorted(inner, v, "right"), minlength=len(inner) + 1) + 0.5)
        / (len(v) + 0.5 * (len(inner) + 1))
        for v in (before, now)
    )
    return float(((q - p) * np.log(q / p)).sum())
