"""From an artifact and labelled queries to a certified policy in it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from thresher.errors import InputError
from thresher.jobs.reviews import open_store, sampled
from thresher.progress import phase
from thresher.retriever import Retriever


def calibrate(
    folder: Path,
    target: float | Sequence[float] | None = None,
    *,
    queries: Path | None = None,
    pairs: Path | None = None,
    without_pairs: str | None = None,
    from_reviews: str | Path | None = None,
    since: float = 0.0,
    quiet: bool = False,
    **options: Any,
) -> dict[str, Any]:
    """Fit the re-ranker and the threshold again and put them into the artifact.

    Args:
        folder: the artifact.
        target: precision to certify; as configured when left out. Of several all answers hold at
            once, and the model decides by the first.
        queries: labelled queries of your own in place of the calibration split, with `pairs`.
        pairs: their true items.
        without_pairs: what queries without a pair are, "unlabelled" or "no_item".
        from_reviews: a review database, whose uniform sample of the traffic certifies in their
            place (`jobs.reviews.sampled`).
        since: of the answers logged there, only those given from this time on, UTC seconds.
        quiet: no progress bar.
        options: other keys of `[decide]`.

    Returns:
        What was found, as JSON values; `certified` is the answer. For several targets `answers`
        holds one of these each.

    Raises:
        InputError: for a damaged artifact, or labels that cannot be used.
    """
    model = Retriever.open(folder)
    labels: dict[str, Any] = {"queries": queries, "pairs": pairs, "without_pairs": without_pairs}
    told = {}
    if from_reviews is not None:
        if queries is not None or pairs is not None:
            raise InputError("queries and pairs were given and reviews too; give one of them")
        with open_store(from_reviews) as store:
            sample = sampled(store, since=since)
        labels = dict(zip(("queries", "pairs"), sample.tables(), strict=True))
        labels["without_pairs"] = "no_item"
        told = {"reviews": sample.counts()}
    with phase("calibrating", quiet=quiet):
        model.calibrate(target, **labels, **options)
    summary = {} if model.decision is None else model.decision.summary()
    return {"artifact": str(folder), **told, **summary}
