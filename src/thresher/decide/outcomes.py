"""The labelled queries that a policy rests on, kept so that any target can be certified later."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float64, Int64

from thresher.data.tables import read_table, write_table
from thresher.decide.certify import certify
from thresher.decide.policy import KNOWN_TEXT, NoThreshold, Policy, segment_names

_COLUMNS = ("confidence", "correct", "selection", "clusters", "segments", "known", "absent")


@dataclass(frozen=True)
class Outcomes:
    """What was proposed for labelled queries, and whether it was right.

    They should be drawn like the traffic: with as many texts that training knew (`known`), and as
    many queries without an item (`absent`, which `draw_clusters` chooses and hiding their products
    makes), as the traffic has.

    Args:
        ids: of the queries; None for training queries, which only choose thresholds.
        confidence: in the proposal for each, out of fold where it was fitted on the query.
        correct: whether the proposal is a true item.
        selection: whether the query chooses the candidate thresholds; the others certify.
        clusters: a number for each distinct text; equal texts are right or wrong together.
        segments: value of the column that thresholds may depend on, for each query; or empty.
        known: whether the text stands among the training queries; None where that is not told.
        absent: whether the query has no item in the catalogue; None where all have one.
    """

    ids: Sequence[str | None]
    confidence: Float64[np.ndarray, " Q"]
    correct: Bool[np.ndarray, " Q"]
    selection: Bool[np.ndarray, " Q"]
    clusters: Int64[np.ndarray, " Q"]
    segments: Sequence[str | None] = ()
    known: Bool[np.ndarray, " Q"] | None = None
    absent: Bool[np.ndarray, " Q"] | None = None

    @property
    def labels(self) -> set[str]:
        """The ids of the labelled queries."""
        return {name for name in self.ids if name is not None}

    def ordered_by(
        self,
        confidence: Float64[np.ndarray, " E"],
        correct: Bool[np.ndarray, " E"],
        absent: Bool[np.ndarray, " E"],
    ) -> "Outcomes":
        """The same labels, and training queries that choose thresholds, of new texts each.

        Args:
            confidence: in the proposal for each, out of fold.
            correct: whether that is right.
            absent: whether its item was hidden.
        """
        more, first = len(confidence), int(self.clusters.max()) + 1
        known = None if self.known is None else np.append(self.known, np.zeros(more, bool))
        return replace(
            self,
            ids=[*self.ids, *[None] * more],
            confidence=np.append(self.confidence, confidence),
            correct=np.append(self.correct, correct),
            selection=np.append(self.selection, np.ones(more, bool)),
            clusters=np.append(self.clusters, first + np.arange(more)),
            known=known,
            absent=None if self.absent is None else np.append(self.absent, absent),
        )

    def certify(
        self,
        *,
        target: float | Sequence[float],
        confidence_level: float = 0.95,
        by: str | None = None,
        label_uses: int = 1,
        fitted_on: str = "",
    ) -> Any:
        """Find the loosest threshold with this precision, or what is reachable instead.

        Texts that training knew are certified by themselves or go to review: their precision is
        not that of new texts, and labels rarely have as many of them as the traffic.

        Args:
            target: precision to certify, or several that all hold at once.
            confidence_level: probability that the promise holds, a fraction in (0, 1).
            by: the column whose values `segments` are; None for one threshold.
            label_uses: how often these labels have certified something, this time included.
            fitted_on: fingerprint of the model and index.

        Returns and raises what `certify` does.
        """
        names = None
        if by is not None or self.known is not None:
            given = self.segments if by is not None else None
            names = segment_names(given, len(self.confidence), known=self.known)
        absent = 0.0 if self.absent is None else float(self.absent[~self.selection].mean())
        answers = certify(
            self.confidence,
            self.correct,
            target=target,
            confidence_level=confidence_level,
            clusters=self.clusters,
            segments=names,
            by=by or "",
            selection=self.selection,
            absent=round(absent, 4),
            label_uses=label_uses,
            fitted_on=fitted_on,
        )
        if isinstance(answers, dict):
            return {one: self._with_known(answer) for one, answer in answers.items()}
        return self._with_known(answers)

    def _with_known(self, answer: Policy | NoThreshold) -> Policy | NoThreshold:
        """Send known texts to review where no label is of one."""
        if self.known is None or isinstance(answer, NoThreshold) or KNOWN_TEXT in answer.segments:
            return answer
        return replace(answer, segments={**answer.segments, KNOWN_TEXT: answer.reviewing(0)})

    def save(self, path: str | Path) -> None:
        """Write a table of one row per query."""
        values = {name: getattr(self, name) for name in _COLUMNS}
        columns = {n: pa.array(v) for n, v in values.items() if v is not None and len(v)}
        write_table(pa.table({"id": pa.array(self.ids, pa.string()), **columns}), Path(path))

    @classmethod
    def load(cls, path: str | Path) -> "Outcomes":
        """Read what `save` wrote.

        Raises:
            InputError: if the file is missing or damaged.
        """
        table = read_table(path)
        arrays = {
            name: table[name].to_numpy(zero_copy_only=False)
            for name in _COLUMNS
            if name in table.column_names and name != "segments"
        }
        has = "segments" in table.column_names
        segments = tuple(table["segments"].to_pylist()) if has else ()
        return cls(ids=table["id"].to_pylist(), segments=segments, **arrays)
