"""How scores become decisions: the keys of the `[decide]` table."""

from dataclasses import dataclass
from typing import Literal

from thresher.checks import are_numbers
from thresher.errors import InputError, percent_hint

SCORERS = ("reranker", "margin", "score")


@dataclass(frozen=True, kw_only=True)
class DecideOptions:
    """Which number is thresholded, and what is certified of it.

    Args:
        scorer: `reranker` is the re-ranker's probability, and may propose another candidate than
            the first; `margin` is the best score minus the second best; `score` is the best score.
        candidates: retrieved items a query that the re-ranker chooses from.
        candidates_by_words: further ones that share the rarest words with the query.
        folds: parts of the training queries that the re-ranker learns from, each with a tower that
            is trained without it; 0, and with histories: it learns from calibration labels alone.
        target: precision to certify, a fraction.
        confidence_level: probability with which the certificate holds, a fraction.
        by: column of the queries whose values get a threshold each; none for one threshold.
        absent: share of the traffic whose item is not in the catalogue, a fraction; the products
            of so many calibration queries are hidden before anything is certified.
        selection_share: share of the calibration clusters that choose the candidate thresholds
            (and fit the re-ranker without `folds`); the others certify. Left out, a quarter; a half
            where they fit the re-ranker; of fewer than 3,000 labels none, where training queries
            can choose.
        seed: seed of that split, of the hidden products and of the fit.

    Raises:
        InputError: if a value is outside its range.
    """

    scorer: Literal["reranker", "margin", "score"] = "reranker"
    candidates: int = 20
    candidates_by_words: int = 10
    folds: int = 3
    target: float = 0.95
    confidence_level: float = 0.95
    by: str | None = None
    absent: float = 0.0
    selection_share: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.scorer not in SCORERS:
            raise InputError(
                f"decide.scorer is {self.scorer!r}; it must be one of {', '.join(SCORERS)}"
            )
        for name in ("target", "confidence_level", "selection_share"):
            value = getattr(self, name)
            if value is not None and not 0 < value < 1:
                raise InputError(
                    f"decide.{name} is {value:g}; it must lie strictly between 0 and 1"
                    f"{percent_hint(value) or ', as 0.95'}"
                )
        check_absent(self.absent, "decide.absent")
        if self.seed < 0:
            raise InputError(f"decide.seed is {self.seed}; it must be 0 or more")
        for name, least in (("candidates_by_words", 0), ("folds", 0)):
            if getattr(self, name) < least:
                raise InputError(f"decide.{name} is {getattr(self, name)}; it must be 0 or more")
        if self.folds == 1:
            raise InputError("decide.folds is 1; give 2 or more, or 0 to train no further towers")
        if self.candidates < 2:
            raise InputError(f"decide.candidates is {self.candidates}; it must be at least 2")


def check_absent(absent: float, name: str = "absent") -> None:
    """Refuse a share of queries without an item that is outside [0, 1).

    Raises:
        InputError: with a hint when it looks like a percentage.
    """
    if not are_numbers(absent):
        raise InputError(f"{name} is {absent!r}; give the share of queries without an item, as 0.1")
    if not 0 <= absent < 1:
        raise InputError(
            f"{name} is {absent:g}; it is the share of queries without an item, at least 0 and "
            f"below 1, as 0.1{percent_hint(absent)}"
        )
