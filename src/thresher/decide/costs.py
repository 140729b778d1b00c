"""What reviews and errors cost at each target, and which target costs least."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64

from thresher.checks import are_numbers
from thresher.errors import InputError

TARGETS = tuple(round(0.80 + 0.01 * step, 2) for step in range(20))
PER = 1_000


@dataclass(frozen=True, kw_only=True)
class Prices:
    """What a review and an error cost.

    Args:
        minutes_per_review: that a person takes, 0 or more.
        wage: of an hour, in any currency, 0 or more.
        cost_per_error: of a wrong answer that was accepted, in the same currency, 0 or more.

    Raises:
        InputError: if one is no such number.
    """

    minutes_per_review: float
    wage: float
    cost_per_error: float

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not are_numbers(value) or not 0 <= value < np.inf:
                raise InputError(f"{name} is {value!r}; give a number, 0 or more")


@dataclass(frozen=True)
class At:
    """What happens to `PER` queries at one target; all fields but `target` are numbers of these.

    Args:
        target: precision among the accepted, a fraction.
        threshold: the loosest with that precision on the answers given; None accepts nothing.
        accepted, reviews, errors: expected numbers.
        hours: of review.
        cost: of reviews and errors, in the currency of the wage.
    """

    target: float
    threshold: float | None
    accepted: float
    reviews: float
    errors: float
    hours: float
    cost: float


@dataclass(frozen=True)
class Costs:
    """The targets, and the one that costs least.

    Args:
        targets: what each costs, rising.
        recommended: the cheapest, the strictest of equal ones.
        answers: labelled answers that this rests on.
    """

    targets: tuple[At, ...]
    recommended: float
    answers: int

    def at(self, target: float) -> At:
        """What happens at one of the targets."""
        return next(one for one in self.targets if one.target == target)

    def saved(self, one: float, other: float) -> float:
        """What going from one target to another saves in `PER` queries."""
        return self.at(one).cost - self.at(other).cost

    def sentence(self) -> str:
        """The recommendation in words."""
        best = self.at(self.recommended)
        text = (
            f"a target of {best.target:.12g} costs least: {best.cost:,.2f} for {PER:,} queries, "
            f"{best.reviews:,.0f} of them reviewed in {best.hours:,.1f} hours and "
            f"{best.errors:,.1f} accepted wrongly"
        )
        place = self.targets.index(best)
        for near in (place - 1, place + 1):
            if 0 <= near < len(self.targets):
                other = self.targets[near]
                text += f"; {other.target:.12g} would cost {other.cost - best.cost:,.2f} more"
        return text + "."

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "recommended": self.recommended,
            "sentence": self.sentence(),
            "answers": self.answers,
            "per": PER,
            "targets": [vars(one) for one in self.targets],
        }


def costs(
    scores: Sequence[float] | np.ndarray,
    correct: Sequence[bool] | np.ndarray,
    prices: Prices,
    *,
    weights: Sequence[float] | np.ndarray | None = None,
    targets: Sequence[float] = TARGETS,
) -> Costs:
    """Say what each target costs, by labelled answers.

    Equation:  cost(target) = reviews m w / 60 + errors c for `PER` queries, with the loosest
               threshold whose precision on these answers is at least the target; m minutes a
               review, w an hour's wage, c the cost of an error. A review costs no error.

    The cheapest threshold accepts while the chance of an error, times c, is less than a review
    costs. The answers say what thresholds did and certify nothing: `thresher calibrate` accepts a
    little less at the same target, the less the more labels there are.

    Args:
        scores: confidence of each answer; -inf where there is none.
        correct: whether each is right.
        prices: m, w and c.
        weights: how many queries of the traffic each stands for, 1 / the probability with which it
            was judged; all alike when left out.
        targets: precisions to compare, fractions.

    Raises:
        InputError: for no answers, or columns that do not fit together.

    Example:
        >>> prices = Prices(minutes_per_review=2.0, wage=30.0, cost_per_error=10.0)
        >>> found = costs([0.9, 0.8, 0.2, 0.1], [True, True, False, False], prices)
        >>> found.at(0.95).reviews, found.at(0.95).cost
        (500.0, 500.0)
    """
    values, right = np.asarray(scores, np.float64), np.asarray(correct, np.bool_)
    weight = np.ones(len(values)) if weights is None else np.asarray(weights, np.float64)
    if not len(values) == len(right) == len(weight) or not weight.sum() > 0:
        raise InputError(
            f"got {len(values)} scores, {len(right)} labels and {len(weight)} weights; give at "
            "least one answer, and one of each an answer"
        )
    minutes = prices.minutes_per_review
    thresholds, accepted, errors = _curve(values, right, weight / weight.sum() * PER)
    precise = 1 - errors / np.maximum(accepted, 1e-300)
    rows = []
    for target in sorted(targets):
        place = np.flatnonzero((accepted == 0) | (precise >= target - 1e-12))[-1]
        reviews = max(0.0, PER - accepted[place])  # sums of weights are rounded
        rows.append(
            At(
                float(target),
                float(thresholds[place]) if place else None,
                float(accepted[place]),
                float(reviews),
                float(errors[place]),
                float(reviews * minutes / 60),
                float(reviews * minutes / 60 * prices.wage + errors[place] * prices.cost_per_error),
            )
        )
    best = min(reversed(rows), key=lambda one: round(one.cost, 9))
    return Costs(tuple(rows), best.target, len(values))


def _curve(
    scores: Float64[np.ndarray, " Q"], right: np.ndarray, weight: Float64[np.ndarray, " Q"]
) -> tuple[Float64[np.ndarray, " T"], Float64[np.ndarray, " T"], Float64[np.ndarray, " T"]]:
    """Thresholds from none to the loosest, and what they accept, right or wrong, by weight."""
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True) & np.isfinite(ranked))
    accepted = np.cumsum(weight[order])[last]
    errors = np.cumsum(weight[order] * ~right[order])[last]
    return np.append(np.inf, ranked[last]), np.append(0.0, accepted), np.append(0.0, errors)
