"""What a report says, before it is drawn: numbers, curves and cases as plain values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, final

import numpy as np
from jaxtyping import Bool, Float, Float64
from scipy import special

from thresher.errors import InputError
from thresher.evaluate.coverage import check_confidence

INTERVAL = 0.95
"""Level of every interval that a report shows."""

Metrics = Mapping[str, float | None]


@final
@dataclass(frozen=True, eq=False)
class System:
    """One way of proposing an item for each query; a curve is drawn of one with confidences.

    The label is what readers call it, such as "TF-IDF, margin". The confidence of each first
    proposal is -inf where nothing was proposed; `correct` says whether it is true, False where the
    query has no true item. InputError where the lengths differ, or a confidence is not a number.
    """

    label: str
    confidence: Float[np.ndarray, " Q"] | None = None
    correct: Bool[np.ndarray, " Q"] | None = None

    def __post_init__(self) -> None:
        if self.confidence is not None and self.correct is not None:
            check_confidence(self.confidence, len(self.correct))


@final
@dataclass(frozen=True)
class Slice:
    """How many of some queries were accepted automatically, and how many of those wrongly.

    InputError where a count is larger than the one that contains it.
    """

    name: str
    queries: int
    accepted: int
    wrong: int

    def __post_init__(self) -> None:
        if not 0 <= self.wrong <= self.accepted <= self.queries:
            raise InputError(
                f"slice {self.name!r} has {self.queries} queries, {self.accepted} accepted and "
                f"{self.wrong} wrong; the wrong ones are part of the accepted, and those part of "
                "the queries"
            )

    @classmethod
    def of(cls, name: str, metrics: Metrics, target: float, *, prefix: str = "") -> "Slice":
        """The counts behind `queries`, `certified_coverage` and `certified_precision`."""
        queries = round(metrics.get(f"{prefix}queries") or 0)
        share = metrics.get(f"{prefix}certified_coverage@precision={target:g}") or 0.0
        right = metrics.get(f"{prefix}certified_precision@precision={target:g}")
        accepted = round(share * queries)
        precision = 1.0 if right is None or np.isnan(right) else right
        return cls(name, queries, accepted, round((1 - precision) * accepted))

    @property
    def coverage(self) -> float | None:
        """Share of the queries that is accepted, a fraction; None without queries."""
        return self.accepted / self.queries if self.queries else None

    @property
    def precision(self) -> float | None:
        """Share of the accepted that is right, a fraction; None when nothing is accepted."""
        return 1 - self.wrong / self.accepted if self.accepted else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Clopper-Pearson 95 % interval of the precision; None when nothing is accepted."""
        return precision_interval(self.accepted, self.wrong)

    def is_below(self, target: float) -> bool:
        """Whether chance alone hardly explains a precision below the target."""
        return self.interval is not None and self.interval[1] < target


@final
@dataclass(frozen=True)
class Decision:
    """A decision that was certified on calibration queries, or why there is none.

    Args:
        target: precision that was asked for, a fraction.
        confidence_level: probability with which the certificate holds, a fraction.
        refused: why no threshold could be certified, as `NoThreshold.sentence()` words it.
        accept_at: confidences >= this are accepted; None when it differs from segment to segment.
        test: what the decision did with all the test queries.
        calibration_coverage: share of the calibration queries that it accepts, a fraction.
        queries: what the test queries are, as the headline words it.
    """

    target: float
    confidence_level: float
    refused: str = ""
    accept_at: float | None = None
    test: Slice | None = None
    calibration_coverage: float | None = None
    queries: str = "test queries, kept apart from training and from the choice of the threshold"


@final
@dataclass(frozen=True)
class Candidate:
    """An item or a query as a reader sees it: its id, and its text if it has one."""

    id: str
    text: str = ""


@final
@dataclass(frozen=True)
class Mistake:
    """A wrong proposal that was accepted; the truth is None when the catalogue does not hold it.

    A `suspect` is one whose label looks wrong: the query names the codes of the proposed item.
    """

    query: Candidate
    proposed: Candidate
    truth: Candidate | None
    confidence: float
    suspect: bool = False


@final
@dataclass(frozen=True)
class Reviewed:
    """A query that was sent to a person, with the candidates that the person is shown, best first.

    The confidence is that of the first. `right` is the candidate that is true, 0 for the first;
    None when none is, or it is not known.
    """

    query: Candidate
    candidates: Sequence[Candidate]
    confidence: float
    right: int | None = None


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Report:
    """Everything that a report shows; each part but the title and the numbers may be absent.

    Args:
        title: what was matched to what.
        metrics: the numbers of `thresher.evaluate.evaluate`, those of a system as `system/name`,
            those of a slice as `slice/name`; None or NaN is shown as a dash.
        systems: prefix of a system in the metrics to what it is; "" is the model itself.
        who: has the lists, "users" (of events) or "queries".
        intervals: lower and upper end of some of the model's metrics.
        warnings: sentences that a reader must not miss.
        decision: the certified decision, or why there is none.
        by: the column whose values are slices of the metrics, as `by=value`.
        mistakes: wrong proposals that were accepted, the surest first.
        reviewed: a sample of what is sent to a person.
        open_catalogue: for shares of the items taken out of the catalogue, what the decision does
            then; accepting a query whose item is gone is wrong.
        information: names of the item features, and what `mutual_information` says of them.
        item_map: where `item_map` places items, up to 2,000, and the category of each, "" for none.
        neighbours: items, and what is nearest to each by a name, such as "after training".
        facts: what the data holds, such as queries, pairs and items.
        findings: sentences that say what of the data was changed or left out.
        provenance: where the numbers come from: date, files, seed, command, model, policy.
    """

    title: str
    metrics: Metrics = field(default_factory=dict)
    systems: Mapping[str, System] = field(default_factory=dict)
    who: Literal["users", "queries"] = "queries"
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    decision: Decision | None = None
    by: str | None = None
    mistakes: Sequence[Mistake] = ()
    reviewed: Sequence[Reviewed] = ()
    open_catalogue: Mapping[float, Slice] = field(default_factory=dict)
    information: tuple[tuple[str, ...], Float64[np.ndarray, "k k"]] | None = None
    item_map: tuple[Float64[np.ndarray, "n 2"], Sequence[str]] | None = None
    neighbours: Sequence[tuple[Candidate, Mapping[str, Sequence[Candidate]]]] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    findings: Sequence[str] = ()
    provenance: Mapping[str, str] = field(default_factory=dict)

    def ks(self) -> list[int]:
        """Where the recall of the model is known, ascending."""
        found = (name.partition("@") for name, value in self.metrics.items() if value is not None)
        return sorted(int(k) for name, _, k in found if name == "recall")

    def curves(self) -> dict[str, System]:
        """The systems of which a curve can be drawn."""
        return {n: s for n, s in self.systems.items() if s.correct is not None and len(s.correct)}


def precision_interval(accepted: int, wrong: int) -> tuple[float, float] | None:
    """Say between which precisions the truth lies, as far as so many accepted can tell.

    Equation:  L with P(Bin(n, L) >= right) = 2.5 %, U with P(Bin(n, U) <= right) = 2.5 %
    of n accepted answers, some of them wrong; two fractions, None when nothing is accepted.
    Source:    Clopper and Pearson 1934, Biometrika 26(4), two-sided.

    Example:
        >>> tuple(round(end, 4) for end in precision_interval(100, 0))
        (0.9638, 1.0)
    """
    if accepted == 0:
        return None
    tail, right = (1 - INTERVAL) / 2, accepted - wrong
    low = float(special.betaincinv(right, wrong + 1, tail)) if right else 0.0
    high = float(special.betaincinv(right + 1, wrong, 1 - tail)) if wrong else 1.0
    return low, high
