"""How scores become decisions: the keys of the `[decide]` table."""

from dataclasses import dataclass
from typing import Literal

from thresher.errors import InputError


@dataclass(frozen=True, kw_only=True)
class DecideOptions:
    """What confidence means, and what has to be certified of it.

    Args:
        confidence: `learned` combines many signs and may propose another of the candidates;
            `margin` is the best score minus the second best; `score` is the best score.
        candidates: retrieved items a query that the learned confidence chooses from.
        target: precision to certify, a fraction.
        confidence_level: probability with which the certificate holds, a fraction.
        by: column of the queries whose values get a threshold each; none for one threshold.
        fit_share: share of the calibration groups that the confidence and the candidate thresholds
            are fitted on; the rest certifies.
        seed: of that cut and of the fit.
    """

    confidence: Literal["learned", "margin", "score"] = "learned"
    candidates: int = 20
    target: float = 0.95
    confidence_level: float = 0.95
    by: str | None = None
    fit_share: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("target", "confidence_level", "fit_share"):
            value = getattr(self, name)
            if not 0 < value < 1:
                raise InputError(f"decide.{name} must lie between 0 and 1, as in 0.95, got {value}")
        if self.candidates < 2:
            raise InputError(f"decide.candidates must be at least 2, got {self.candidates}")
