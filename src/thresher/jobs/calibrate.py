"""From an artifact and labelled queries to a certified policy in it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from thresher.progress import phase
from thresher.retriever import Retriever


def calibrate(
    folder: Path,
    target: float | Sequence[float] | None = None,
    *,
    queries: Path | None = None,
    pairs: Path | None = None,
    without_pairs: str | None = None,
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
        quiet: no progress bar.
        options: other keys of `[decide]`.

    Returns:
        What was found, as JSON values; `certified` is the answer. For several targets `answers`
        holds one of these each.

    Raises:
        InputError: for a damaged artifact, or labels that cannot be used.
    """
    model = Retriever.open(folder)
    with phase("calibrating", quiet=quiet):
        model.calibrate(
            target, queries=queries, pairs=pairs, without_pairs=without_pairs, **options
        )
    summary = {} if model.decision is None else model.decision.summary()
    return {"artifact": str(folder), **summary}
