"""What a report says, before it is drawn: counts, curves and cases as plain values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import final

import numpy as np
from jaxtyping import Bool, Float
from scipy import special

from thresher.errors import InputError
from thresher.evaluate.coverage import check_confidence

INTERVAL = 0.95  # level of every interval that a report computes itself


@final
@dataclass(frozen=True, eq=False)
class System:
    """One way of proposing an item for each query, with how sure it is and whether it is right.

    Args:
        name: short label, such as "model, learned confidence".
        confidence: higher is surer, any unit; -inf where nothing was proposed.
        correct: whether the first proposal is true; False where the query has no true item.

    Raises:
        InputError: the lengths differ, or a confidence is not a number.
    """

    name: str
    confidence: Float[np.ndarray, " Q"]
    correct: Bool[np.ndarray, " Q"]

    def __post_init__(self) -> None:
        check_confidence(self.confidence, len(self.correct))


@final
@dataclass(frozen=True)
class Slice:
    """Some of the test queries, and what the decision did with them.

    Args:
        name: what the queries have in common, such as a category.
        queries: how many there are.
        accepted: those accepted automatically.
        wrong: accepted ones whose proposal is wrong.
        p_at_1: share of the queries whose first proposal is right, a fraction; None if unknown.

    Raises:
        InputError: a count is larger than the one that contains it.
    """

    name: str
    queries: int
    accepted: int
    wrong: int
    p_at_1: float | None = None

    def __post_init__(self) -> None:
        _check_counts(self.queries, self.accepted, self.wrong, f"Slice {self.name!r}")

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


@final
@dataclass(frozen=True)
class Certified:
    """A decision that was certified on calibration queries, and what it did on the test queries.

    Args:
        target: precision that was asked for, a fraction.
        confidence: probability with which the certificate holds, a fraction.
        accept_at: confidences >= this are accepted; None when it differs from segment to segment.
        test: what the decision did with all the test queries.
        calibration_coverage: share of the calibration queries that it accepts, a fraction.
        queries: what the test queries are, as the headline words it.
    """

    target: float
    confidence: float
    accept_at: float | None
    test: Slice
    calibration_coverage: float | None = None
    queries: str = "test queries, kept apart from training and from the choice of the threshold"


@final
@dataclass(frozen=True)
class NotCertified:
    """The honest answer when no threshold could be certified.

    Args:
        target: precision that was asked for, a fraction.
        confidence: probability with which a certificate was to hold, a fraction.
        sentence: what was found instead, as `NoThreshold.sentence()` words it.
    """

    target: float
    confidence: float
    sentence: str


@final
@dataclass(frozen=True)
class Mistake:
    """A wrong proposal that was accepted.

    Args:
        query: text of the query.
        proposed: text of the item it was given to.
        truth: text of the true item; None when the catalogue does not hold it.
        confidence: how sure the model was.
    """

    query: str
    proposed: str
    truth: str | None
    confidence: float


@final
@dataclass(frozen=True)
class Reviewed:
    """A query that was sent to a person, with what the person would be shown.

    Args:
        query: text of the query.
        candidates: texts of the best items, best first; the report shows two.
        confidence: how sure the model was of the first.
        right: which candidate is true, 0 for the first; None when none is, or it is not known.
    """

    query: str
    candidates: Sequence[str]
    confidence: float
    right: int | None = None


@final
@dataclass(frozen=True)
class OpenCatalogue:
    """The same decision after items were taken out of the catalogue.

    Args:
        removed: share of the items taken out, a fraction.
        test: what the decision did with the test queries; accepting one whose item is gone is
            wrong.
    """

    removed: float
    test: Slice


@final
@dataclass(frozen=True, eq=False)
class Report:
    """Everything that a report shows; each part but the title may be absent.

    Args:
        title: what was matched to what.
        headline: the decision and what it did on the test queries, or why there is none.
        metrics: the model's numbers by name; None or NaN is shown as a dash.
        intervals: lower and upper end of some of the metrics.
        systems: the curves to compare; the last is the one that decides.
        categories: the queries of each category, drawn as bars.
        slices: other parts of the queries, listed.
        mistakes: wrong proposals that were accepted.
        reviewed: a sample of what is sent to a person.
        open_catalogue: the decision with a catalogue that lacks items, one entry for each share.
        provenance: where the numbers come from, such as model, data, fingerprint, policy, command.
    """

    title: str
    headline: Certified | NotCertified | None = None
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    systems: Sequence[System] = ()
    categories: Sequence[Slice] = ()
    slices: Sequence[Slice] = ()
    mistakes: Sequence[Mistake] = ()
    reviewed: Sequence[Reviewed] = ()
    open_catalogue: Sequence[OpenCatalogue] = ()
    provenance: Mapping[str, str] = field(default_factory=dict)


def count_slices(
    slices: Mapping[str, Bool[np.ndarray, " Q"]],
    accepted: Bool[np.ndarray, " Q"],
    correct: Bool[np.ndarray, " Q"],
) -> tuple[Slice, ...]:
    """Count what the decision did in each slice of the queries.

    Args:
        slices: name to the queries in it, as `slices_by` makes them.
        accepted: whether the decision accepts the first proposal of a query.
        correct: whether that proposal is true.

    Raises:
        InputError: the lengths differ.

    Example:
        >>> yes = np.ones(3, bool)
        >>> [(s.name, s.queries) for s in count_slices({"tv": yes, "none": ~yes}, yes, yes)]
        [('tv', 3), ('none', 0)]
    """
    lengths = {len(accepted), len(correct), *map(len, slices.values())}
    if len(lengths) > 1:
        raise InputError(
            f"Slices, decisions and verdicts speak of {sorted(lengths)} queries; "
            "give one of each for every query."
        )
    found = []
    for name, rows in slices.items():
        queries = int(rows.sum())
        taken, wrong = int((rows & accepted).sum()), int((rows & accepted & ~correct).sum())
        p_at_1 = int((rows & correct).sum()) / queries if queries else None
        found.append(Slice(name, queries, taken, wrong, p_at_1))
    return tuple(found)


def precision_interval(accepted: int, wrong: int) -> tuple[float, float] | None:
    """Say between which precisions the truth lies, as far as so many accepted can tell.

    Equation:  L with P(Bin(n, L) >= right) = 2.5 %, U with P(Bin(n, U) <= right) = 2.5 %
    Source:    Clopper and Pearson 1934, Biometrika 26(4), two-sided.

    Args:
        accepted: accepted answers, n.
        wrong: wrong ones among them.

    Returns:
        Two fractions; None when nothing is accepted.

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


def _check_counts(queries: int, accepted: int, wrong: int, what: str) -> None:
    if not 0 <= wrong <= accepted <= queries:
        raise InputError(
            f"{what} has {queries} queries, {accepted} accepted and {wrong} wrong; "
            "the wrong ones are part of the accepted, and those part of the queries."
        )
