"""A candidate beside the live model on the same sample of the traffic: may it take its place?"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int64
from scipy import stats

from thresher.decide.binomial import p_value
from thresher.decide.policy import Policy
from thresher.jobs.reviews import Sample, open_store, sampled
from thresher.retriever import ACCEPT, Retriever


@dataclass(frozen=True)
class Answers:
    """What one model says to each query of the sample.

    Args:
        accepted: whether it accepts its answer.
        correct: whether people named that item.
    """

    accepted: Bool[np.ndarray, " n"]
    correct: Bool[np.ndarray, " n"]

    def errors(self) -> int:
        """Accepted answers that are wrong."""
        return int((self.accepted & ~self.correct).sum())


def promote(
    candidate: Path, over: Path, from_reviews: str | Path, *, since: float = 0.0
) -> dict[str, Any]:
    """Compare a candidate with the live model, query by query, on the same audits.

    Equation:  difference of coverage = (b - c) / n; b queries only the candidate accepts, c only
               the live model, of n; its p-value is P(Binom(b + c, 1/2) <= b).
    Source:    McNemar 1947, Psychometrika 12(2), in its exact form.

    The sample is the uniform one of `sampled`, which trained neither. The candidate is refused

    - without a certified threshold, or with a lower target or confidence level than the live one;
    - where it accepts less of the sample, by however little, even where that may be noise;
    - where its accepted answers contradict its certificate: so many errors have a probability of
      5 % or less at a precision of its target.

    Args:
        candidate: the artifact that is to go live.
        over: the live artifact.
        from_reviews: the review database.
        since: of the answers logged there, only those given from this time on, UTC seconds.

    Returns:
        What was found, as JSON values; `promoted` is the answer. It is kept in the database as an
        event of the same name.

    Raises:
        InputError: for a damaged artifact, or verdicts that cannot be used.
    """
    new, live = Retriever.open(candidate), Retriever.open(over)
    with open_store(from_reviews) as store:
        sample = sampled(store, since=since)
        found = compared(sample, new, live)
        result = {"candidate": str(candidate), "over": str(over), **found}
        store.set("promoted", result, reason=result["sentence"], by="thresher promote")
    return result


def compared(sample: Sample, new: Retriever, live: Retriever) -> dict[str, Any]:
    """The comparison of `promote` for opened models."""
    mine, theirs = answers(new, sample), answers(live, sample)
    only_new = int((mine.accepted & ~theirs.accepted).sum())
    only_live = int((theirs.accepted & ~mine.accepted).sum())
    n, gain = len(sample), only_new - only_live
    spread = np.sqrt(max(only_new + only_live - gain**2 / n, 0)) / n
    refusal = _refusal(new, live, mine, gain)
    told = (
        f"on {n:,} sampled queries the candidate accepts {mine.accepted.mean():.1%} with "
        f"{mine.errors()} errors and the live model {theirs.accepted.mean():.1%} with "
        f"{theirs.errors()}: {only_new} only the candidate, {only_live} only the live model"
    )
    return {
        "promoted": refusal is None,
        "sentence": f"{'promoted' if refusal is None else f'refused, {refusal}'}: {told}",
        "coverage": {
            "candidate": float(mine.accepted.mean()),
            "live": float(theirs.accepted.mean()),
        },
        "errors": {"candidate": mine.errors(), "live": theirs.errors()},
        "difference": gain / n,
        "interval": [gain / n - 1.96 * spread, gain / n + 1.96 * spread],
        "only_candidate": only_new,
        "only_live": only_live,
        "p_value": float(stats.binom.cdf(only_new, only_new + only_live, 0.5)),
        "sample": sample.counts(),
    }


def answers(model: Retriever, sample: Sample) -> Answers:
    """What a model says to the queries of a sample, by its own policy."""
    queries, pairs = sample.tables()
    true = dict(zip(*(pairs[name].to_pylist() for name in pairs.column_names), strict=True))
    rows = model.match(queries).to_pylist()
    order: Int64[np.ndarray, " n"] = np.argsort(np.argsort(queries["id"].to_pylist()))
    by_id = sorted(rows, key=lambda row: row["query_id"])
    in_order = [by_id[at] for at in order]
    return Answers(
        np.array([row["decision"] == ACCEPT for row in in_order], bool),
        np.array([row["item_id"] == true.get(row["query_id"], "") for row in in_order], bool),
    )


def _refusal(new: Retriever, live: Retriever, mine: Answers, gain: int) -> str | None:
    """Why the candidate may not go live; None where it may."""
    own, other = new.policy, live.policy
    if not isinstance(own, Policy):
        return "the candidate has no certified threshold"
    if other is not None and own.target_precision < other.target_precision:
        promised = f"{own.target_precision:.12g} and the live model {other.target_precision:.12g}"
        return f"it promises {promised}"
    if other is not None and own.confidence_level < other.confidence_level:
        return "its confidence level is lower than that of the live model"
    if gain < 0:
        return "the certified coverage falls"
    accepted, errors = int(mine.accepted.sum()), mine.errors()
    # P(so many errors or more) at the target, the mirror image of the test that certifies.
    if errors and 1 - p_value(errors - 1, accepted, target=own.target_precision) <= 0.05:
        return f"{errors} errors in {accepted} accepted contradict its certificate"
    return None
