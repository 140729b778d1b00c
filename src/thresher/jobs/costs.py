"""What reviews and errors cost, on an artifact's labels or on the logged traffic."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from thresher.artifact import Artifact
from thresher.decide.costs import Costs, Prices, costs
from thresher.decide.outcomes import Outcomes
from thresher.errors import InputError
from thresher.jobs.reviews import open_store, right

if TYPE_CHECKING:
    from thresher.review import Store


def costs_of(source: str | Path, prices: Prices) -> dict[str, Any]:
    """Recommend a target, and say what the others would cost.

    Args:
        source: an artifact, whose calibration labels are read, or a review database, whose
            verdicts are, each for as many queries as it was drawn from.
        prices: of a review and of an error.

    Raises:
        InputError: for neither, or one without labels.
    """
    if Path(str(source)).is_dir():
        found = Outcomes.load(Artifact.open(source).part("decision") / "outcomes.parquet")
        own = np.array([name is not None for name in found.ids], bool) & ~found.selection
        return costs(found.confidence[own], found.correct[own], prices).to_dict()
    with open_store(source) as store:
        return costs_of_traffic(store, prices).to_dict()


def costs_of_traffic(store: "Store", prices: Prices) -> Costs:
    """The costs of each target on the logged traffic, by people's verdicts; see `costs`.

    Raises:
        InputError: without a verdict on an audit, where answers were accepted.
    """
    rows = [(one, said) for one, said in store.judged() if said.source == "person"]
    audited = [one for one, _ in rows if one.decision == "accept"]
    if not rows or (not audited and store.decisions(limit=1, decision="accept")):
        raise InputError(
            f"{len(rows)} verdicts of people, {len(audited)} of them on audits of accepted "
            "answers, do not show what the traffic costs; judge some of both"
        )
    return costs(
        [-np.inf if one.confidence is None else one.confidence for one, _ in rows],
        [right(one, said) for one, said in rows],
        prices,
        weights=_weights(store, rows),
    )


def _weights(store: "Store", rows: list[Any]) -> list[float]:
    """For how many queries each judged one stands: its share of all that were drawn alike.

    Reviewed cases stand for all cases to review, judged or not; audits by their probability.
    """
    by = store.queue()["by_reason"]
    judged = sum(one.decision == "review" for one, _ in rows)
    more = 1 + by.get("review", 0) / judged if judged else 1.0
    return [1 / one.audit_probability if one.decision == "accept" else more for one, _ in rows]
