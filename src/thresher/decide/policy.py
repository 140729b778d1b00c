"""A decision rule that carries its evidence, and the honest answer when there is none."""

import hashlib
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Shaped

from thresher.decide.binomial import check_levels, lower_bound
from thresher.errors import InputError

VERSION = 1


@dataclass(frozen=True)
class Policy:
    """Accept an answer automatically when its confidence is high enough; review it otherwise.

    With `segments`, each row uses the threshold of its segment, and a row of any other segment the
    threshold of this policy, which was then certified on those other segments alone
    (`certify_by`).

    Args:
        accept_at: accept confidences >= this; None sends everything to review.
        target_precision: share of right answers promised among the accepted, a fraction.
        confidence: probability that the promise holds, over the draw of the labels, a fraction.
        accepted: labels of the certify part accepted at the threshold.
        errors: wrong ones among them.
        labelled: labels of the certify part.
        design_effect: labels that counted as one, because queries with the same text repeat.
        fitted_on: fingerprint of the model and the index that gave the scores.
        by: the column of the segments, None without segments.
        segments: a policy for each segment with a threshold of its own; one whose `accept_at` is
            None was tested, failed, and is reviewed.

    Raises:
        InputError: if a value is outside its range.
    """

    accept_at: float | None
    target_precision: float
    confidence: float
    accepted: int
    errors: int
    labelled: int
    design_effect: float = 1.0
    fitted_on: str = ""
    by: str | None = None
    segments: Mapping[str, "Policy"] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_levels(self.target_precision, self.confidence)
        if self.accept_at is not None and not math.isfinite(self.accept_at):
            raise InputError(
                f"accept_at is {self.accept_at}; give a finite number, or none to review all."
            )
        if not 0 <= self.errors <= self.accepted <= self.labelled:
            raise InputError(
                f"A policy with {self.errors} errors, {self.accepted} accepted and "
                f"{self.labelled} labelled is impossible: each may be at most the next."
            )
        if not self.design_effect >= 1:
            raise InputError(f"design_effect is {self.design_effect}; it is 1 or more.")
        if self.segments and self.by is None:
            raise InputError("A policy with segments needs `by`, the column that names them.")

    @property
    def id(self) -> str:
        """Short hash of the content: equal policies have equal ids."""
        text = json.dumps(_content(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def coverage(self) -> float:
        """Share of the certify part that the threshold accepts, a fraction."""
        return self.accepted / self.labelled if self.labelled else 0.0

    @property
    def lower_bound(self) -> float:
        """Clopper-Pearson lower bound of the precision at the threshold.

        It is at least the target. It describes how clear the evidence is; what is promised is the
        target, because the threshold was chosen among several.
        """
        errors, accepted = self.errors / self.design_effect, self.accepted / self.design_effect
        return lower_bound(errors, accepted, confidence=self.confidence)

    def decide(
        self,
        confidence: Float[np.ndarray, " Q"],
        segments: Sequence[str | None] | Shaped[np.ndarray, " Q"] | None = None,
    ) -> Bool[np.ndarray, " Q"]:
        """Say which answers are accepted automatically; the others go to a person.

        Args:
            confidence: confidence of each answer, from the model this policy was fitted on.
            segments: the segment of each row, needed when the policy has segments.

        Returns:
            True where the answer is accepted.

        Raises:
            InputError: if a confidence is not a number, or the segments are missing or too few.
        """
        if np.isnan(confidence).any():
            raise InputError(
                f"{int(np.isnan(confidence).sum())} of {len(confidence)} confidences are not "
                "numbers; give -inf where there is no answer."
            )
        # Comparing with NaN is never true: a missing threshold accepts nothing.
        bars = np.full(len(confidence), _bar(self), np.float64)
        if self.segments:
            names = segment_names(segments, len(confidence), self.by)
            known, row = np.unique(names, return_inverse=True)
            own = [_bar(self.segments.get(str(name), self)) for name in known]
            bars = np.asarray(own, np.float64)[row.reshape(-1)]
        return np.asarray(confidence.astype(np.float64) >= bars)

    def sentence(self) -> str:
        """The policy in words."""
        others = "the others" if self.segments else "queries"
        if self.accept_at is None:
            text = f"No threshold is certified for {others}: a person reviews them."
        else:
            text = (
                f"Accepting {others} at {self.accept_at:.6g} or above decides "
                f"{self.coverage:.1%} of them automatically, with a precision of at least "
                f"{self.target_precision:.4g} at confidence {self.confidence:.4g} "
                f"({self.errors} errors in {self.accepted} accepted labels)."
            )
        if not self.segments:
            return text
        certified = sum(p.accept_at is not None for p in self.segments.values())
        return (
            f"{certified} of {len(self.segments)} segments of {self.by!r} tested alone have a "
            f"threshold of their own. {text}"
        )

    def to_dict(self) -> dict[str, Any]:
        """The policy as JSON values, with its version and its id."""
        return {"version": VERSION, "id": self.id} | _content(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Policy":
        """Read a policy from JSON values.

        Raises:
            InputError: if the version is another, a key is unknown or missing, a value has the
                wrong type or range, or the content does not match its id.
        """
        content = {name: value for name, value in data.items() if name not in ("version", "id")}
        if data.get("version") != VERSION:
            raise InputError(
                f"The policy has version {data.get('version')!r} and this release reads version "
                f"{VERSION}: calibrate again."
            )
        policy = _from_content(content)
        if data.get("id") != policy.id:
            raise InputError(
                f"The policy names itself {data.get('id')!r} and its content is {policy.id!r}: it "
                "was edited or damaged; calibrate again rather than change it by hand."
            )
        return policy

    def save(self, path: Path) -> None:
        """Write the policy as JSON, whole or not at all."""
        aside = path.with_name(path.name + ".part")
        aside.write_text(json.dumps(self.to_dict(), indent=2) + "\n", encoding="utf-8")
        os.replace(aside, path)

    @classmethod
    def load(cls, path: Path, *, fitted_on: str) -> "Policy":
        """Read a policy that was fitted on a given model and index, and refuse any other.

        Args:
            path: the JSON file.
            fitted_on: fingerprint of the model and the index in use.

        Raises:
            InputError: if the file is missing, cut short, not JSON, not a policy, of another
                version, or fitted on something else.
        """
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise InputError(f"There is no policy at {path}: calibrate first.") from error
        except (OSError, ValueError, RecursionError) as error:
            raise InputError(
                f"The policy at {path} is damaged or not JSON ({error}): calibrate again."
            ) from error
        if not isinstance(data, dict):
            raise InputError(
                f"The policy at {path} holds a {type(data).__name__}, not an object: "
                "calibrate again."
            )
        policy = cls.from_dict(data)
        if policy.fitted_on != fitted_on:
            raise InputError(
                f"The policy at {path} was fitted on {policy.fitted_on!r} and the model and index "
                f"in use are {fitted_on!r}: calibrate again."
            )
        return policy


@dataclass(frozen=True)
class NoThreshold:
    """No threshold could be certified, and what could be done about it.

    `reachable_precision` is certified by a procedure of its own at the same confidence. Whoever
    first asks for the target and then takes what is reachable has asked twice: the probability
    that the answer given is wrong is then at most twice 1 - confidence.

    Args:
        target_precision: the precision asked for, a fraction.
        confidence: the confidence asked for, a fraction.
        accepted: labels accepted at the first threshold tested, the one predicted easiest.
        errors: wrong ones among them.
        labelled: labels of the certify part.
        reachable_precision: the highest lower target that was certified, None if none was.
        reachable_coverage: share of the certify part it accepts, a fraction.
        more_labels: about how many more labels would settle it with a probability of 80 %; None
            when no threshold is estimated to be better than the target, so that labels alone will
            not help.
        fitted_on: fingerprint of the model and the index that gave the scores.
    """

    target_precision: float
    confidence: float
    accepted: int
    errors: int
    labelled: int
    reachable_precision: float | None = None
    reachable_coverage: float | None = None
    more_labels: int | None = None
    fitted_on: str = ""

    def sentence(self) -> str:
        """The answer in words."""
        text = (
            f"No threshold reaches a precision of {self.target_precision:.4g} at confidence "
            f"{self.confidence:.4g}"
        )
        if self.reachable_precision is not None and self.reachable_coverage is not None:
            text += (
                f": {self.reachable_precision:.4g} is certified, for "
                f"{self.reachable_coverage:.1%} of the queries"
            )
        if self.more_labels is None:
            return text + "; with this confidence score more labels alone are not expected to help."
        return text + f"; about {_two_digits(self.more_labels):,} more labels would settle it."

    def to_dict(self) -> dict[str, Any]:
        """The answer as JSON values."""
        return asdict(self)


def _bar(policy: Policy) -> float:
    return math.nan if policy.accept_at is None else policy.accept_at


def _two_digits(count: int) -> int:
    unit = 10 ** max(0, len(str(count)) - 2)
    return -(-count // unit) * unit


def segment_names(
    segments: Sequence[str | None] | np.ndarray | None, rows: int, by: str | None
) -> np.ndarray:
    """Segments as text; a missing one is the empty string."""
    if segments is None:
        raise InputError(f"The thresholds depend on {by!r}: give the segment of every row.")
    if len(segments) != rows:
        raise InputError(f"Got {len(segments)} segments for {rows} rows: give one per row.")
    return np.asarray(["" if name is None else str(name) for name in segments], dtype=np.str_)


def _content(policy: Policy) -> dict[str, Any]:
    values = {f.name: getattr(policy, f.name) for f in fields(policy)}
    segments = {name: _content(own) for name, own in sorted(policy.segments.items())}
    return values | {"segments": segments}


_TYPES: dict[str, tuple[type, ...]] = {
    "accept_at": (int, float, type(None)),
    "target_precision": (int, float),
    "confidence": (int, float),
    "accepted": (int,),
    "errors": (int,),
    "labelled": (int,),
    "design_effect": (int, float),
    "fitted_on": (str,),
    "by": (str, type(None)),
    "segments": (dict,),
}


def _from_content(content: Mapping[str, Any]) -> Policy:
    unknown, missing = sorted(set(content) - set(_TYPES)), sorted(set(_TYPES) - set(content))
    if unknown or missing:
        raise InputError(
            f"A policy with unknown keys {unknown} and missing keys {missing} cannot be read: "
            "calibrate again."
        )
    for name, kinds in _TYPES.items():
        value = content[name]
        if not isinstance(value, kinds) or isinstance(value, bool):
            raise InputError(
                f"The policy's {name!r} is {value!r}, not "
                f"{' or '.join(kind.__name__ for kind in kinds)}: calibrate again."
            )
    segments = {}
    for name, own in content["segments"].items():
        if not isinstance(own, dict):
            raise InputError(f"The policy's segment {name!r} is {own!r}, not an object.")
        segments[name] = _from_content(own)
    numbers = {
        name: None if content[name] is None else float(content[name])
        for name in ("accept_at", "target_precision", "confidence", "design_effect")
    }
    return Policy(**{**content, **numbers, "segments": segments})
