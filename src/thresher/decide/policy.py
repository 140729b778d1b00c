"""A decision rule that carries its evidence, and the honest answer when there is none."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Shaped

from thresher.checks import are_numbers
from thresher.decide.binomial import check_levels, labels_needed, lower_bound
from thresher.decide.options import check_absent
from thresher.decide.sequence import MIN_CLUSTERS
from thresher.errors import InputError
from thresher.files import read_json, write_json

VERSION = 2
KNOWN_TEXT = "known text"
"""The segment of queries whose text stands among the training queries: never pooled with others."""


@dataclass(frozen=True)
class Promise:
    """What is to be certified, and what is known of the labels it will rest on.

    Args:
        target_precision: share of right answers promised among the accepted, a fraction.
        confidence_level: probability that the promise holds, over the draw of the labels.
        label_uses: how often these labels have certified something, this time included.
        absent: share of the labelled queries whose item is not in the catalogue, a fraction: the
            traffic for which the promise is made.
        fitted_on: fingerprint of the model and the index that gave the scores.

    Raises:
        InputError: if a value is outside its range.
    """

    target_precision: float
    confidence_level: float
    label_uses: int = 1
    absent: float = 0.0
    fitted_on: str = ""

    def __post_init__(self) -> None:
        check_levels(self.target_precision, self.confidence_level)
        check_absent(self.absent)
        if not (are_numbers(self.label_uses, whole=True) and self.label_uses >= 1):
            raise InputError(f"label_uses is {self.label_uses!r}; it counts from 1, this use")

    @property
    def level(self) -> float:
        """Probability that the promise is broken, a fraction."""
        return 1 - self.confidence_level

    def shared(self, tests: int) -> "Promise":
        """The promise that each of several tests keeps, so that all of them keep this one."""
        return replace(self, confidence_level=1 - self.level / tests)


@dataclass(frozen=True)
class Policy:
    """Accept an answer automatically when its confidence is high enough; review it otherwise.

    With `segments`, each row uses the threshold of its segment, and a row of any other segment the
    threshold of this policy, which was then certified on those other segments alone.

    Args:
        accept_at: accept confidences >= this; None sends everything to review.
        target_precision, confidence_level, label_uses, absent, fitted_on: see `Promise`.
        accepted: certifying labels accepted at the threshold.
        errors: wrong ones among them.
        labelled: certifying labels.
        effective_labels: independent labels that the accepted say as much as; fewer than
            `accepted` where clusters (such as equal texts) repeat.
        distinct_clusters: distinct clusters among the accepted; `accepted` where none repeats.
        by: the column of the segments, None without one.
        segments: a policy for each segment with a threshold of its own; one whose `accept_at` is
            None is reviewed. `KNOWN_TEXT` needs no column.

    Raises:
        InputError: if a value is outside its range.
    """

    accept_at: float | None
    target_precision: float
    confidence_level: float
    accepted: int
    errors: int
    labelled: int
    effective_labels: float
    distinct_clusters: int
    label_uses: int = 1
    absent: float = 0.0
    fitted_on: str = ""
    by: str | None = None
    segments: Mapping[str, "Policy"] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _ = self.promise  # checks its values
        if self.accept_at is not None and not math.isfinite(self.accept_at):
            raise InputError(
                f"accept_at is {self.accept_at}; give a finite number, or none to review all"
            )
        labels, clusters = self.effective_labels, self.distinct_clusters
        rising = 0 <= self.errors <= self.accepted <= self.labelled
        if not (rising and 0 <= labels <= clusters <= self.accepted):
            raise InputError(
                f"a policy with {self.errors} errors in {self.accepted} accepted of "
                f"{self.labelled} labels, {clusters} clusters and {labels:g} effective labels is "
                "impossible; errors, effective labels and clusters are at most the accepted ones"
            )
        if self.by is None and set(self.segments) - {KNOWN_TEXT}:
            raise InputError("a policy with segments needs `by`, the column that names them")

    @cached_property
    def id(self) -> str:
        """Short hash of the content: equal policies have equal ids."""
        return _hash(asdict(self))

    @property
    def promise(self) -> Promise:
        """What is promised, without the counts."""
        return Promise(**{part.name: getattr(self, part.name) for part in fields(Promise)})

    @property
    def coverage(self) -> float:
        """Share of the certifying labels that the threshold accepts, a fraction."""
        return self.accepted / self.labelled if self.labelled else 0.0

    @property
    def lower_bound(self) -> float:
        """Clopper-Pearson lower bound of the precision at the threshold, on effective labels.

        It is at least the target. It describes how clear the evidence is; what is promised is the
        target, because the threshold was chosen among several.
        """
        errors = self.errors * self.effective_labels / max(self.accepted, 1)
        return lower_bound(errors, self.effective_labels, confidence_level=self.confidence_level)

    def share(self, segment: str) -> float:
        """Share of the certifying labels that lie in a segment of its own, a fraction."""
        total = self.labelled + sum(own.labelled for own in self.segments.values())
        own = self.segments.get(segment)
        return own.labelled / total if own and total else 0.0

    def reviewing(self, labelled: int) -> "Policy":
        """The same promise for a segment of so many labels that is reviewed as a whole."""
        own: dict[str, Any] = {"accept_at": None, "labelled": labelled, "by": None, "segments": {}}
        none = {"accepted": 0, "errors": 0, "effective_labels": 0.0, "distinct_clusters": 0}
        return Policy(**asdict(self) | own | none)

    def decide(
        self,
        confidence: Float[np.ndarray, " Q"] | Sequence[float],
        segments: Sequence[str | None] | Shaped[np.ndarray, " Q"] | None = None,
        *,
        known: np.ndarray | None = None,
    ) -> Bool[np.ndarray, " Q"]:
        """Say which answers are accepted automatically; the others go to a person.

        Args:
            confidence: confidence of each answer, from the model this policy was fitted on.
            segments: the value of the column `by` in each row, needed when there is one.
            known: whether the text of each row stands among the training queries, needed when the
                policy has the segment `KNOWN_TEXT`.

        Raises:
            InputError: if there is not one number for each answer, or what names the segment of
                each row is missing or too short.
        """
        try:
            given = np.asarray(confidence, np.float64)
        except (TypeError, ValueError):
            given = np.zeros(())
        if given.ndim != 1:
            raise InputError(
                f"the confidence is {confidence!r}; give one number for each answer, as in [0.97]"
            )
        missing = int(np.isnan(given).sum())
        if missing:
            raise InputError(
                f"{missing} of {len(given)} confidences are not numbers; give -inf where "
                "there is no answer"
            )
        if KNOWN_TEXT in self.segments and known is None:
            raise InputError(
                "the policy treats texts that training knew apart; give `known`, true for them"
            )
        if self.by is not None and segments is None:
            raise InputError(f"the thresholds depend on {self.by!r}; give the segment of every row")
        # Comparing with NaN is never true: a missing threshold accepts nothing.
        bars = {
            name: np.nan if one.accept_at is None else one.accept_at
            for name, one in self.segments.items()
        }
        others = np.nan if self.accept_at is None else self.accept_at
        own = np.full(len(given), others, np.float64)
        if bars:
            apart = known if KNOWN_TEXT in bars else None
            names = segment_names(segments, len(given), known=apart).tolist()
            own[:] = [bars.get(name, others) for name in names]
        return np.asarray(given >= own)

    def sentence(self) -> str:
        """The policy in words."""
        own = dict(self.segments)
        known = own.pop(KNOWN_TEXT, None)
        others = "the others" if own else "queries" if known is None else "queries of new texts"
        text = f"No threshold is certified for {others}: a person reviews them."
        if self.accept_at is not None:
            text = f"Accepting {others} at {self._fate()}."
        elif self.segments and not self.labelled:
            text = ""  # there are no others
        if own:
            has = sum(one.accept_at is not None for one in own.values())
            each = "; ".join(
                f"{name}: " + ("review" if one.accept_at is None else f"accepting at {one._fate()}")
                for name, one in own.items()
            )
            text = (
                f"{has} of {len(own)} segments of {self.by!r} tested alone have their own "
                f"threshold. {each}. {text}".rstrip()
            )
        if self.by is not None and not own:
            text += f" No value of {self.by!r} has labels enough for a threshold of its own."
        if known is not None:
            share = f"{self.share(KNOWN_TEXT):.1%} of the labels" if known.labelled else "no label"
            fate = "review" if known.accept_at is None else f"accepting at {known._fate()}"
            text += f" Queries whose text stands in the training data ({share}): {fate}."
        return text.strip() + _caveats(self)

    def _fate(self) -> str:
        return (
            f"{self.accept_at:.6g} or above decides {self.coverage:.1%} of them automatically, "
            f"with a precision of at least {self.target_precision:.12g} at confidence level "
            f"{self.confidence_level:.4g} ({evidence(self)}, {_count(self.labelled, 'label')} in "
            "all)"
        )

    def to_dict(self) -> dict[str, Any]:
        """The policy as JSON values, with its version and its id."""
        return {"version": VERSION, "id": self.id} | asdict(self)

    def save(self, path: str | Path) -> None:
        """Write the policy as JSON, whole or not at all."""
        write_json(path, self.to_dict())

    @classmethod
    def load(cls, path: str | Path, *, fitted_on: str) -> "Policy":
        """Read a policy that was fitted on a given model and index, and refuse any other.

        Args:
            path: the JSON file.
            fitted_on: fingerprint of the model and the index in use.

        Raises:
            InputError: if the file is missing, damaged, edited, of another version, or fitted on
                something else.
        """
        data = read_json(path, what="the policy", fix="calibrate again")
        content = dict(data) if isinstance(data, dict) else {}
        version, name = content.pop("version", None), content.pop("id", None)
        fault = None
        if version != VERSION:
            fault = f"has version {version!r} and this release reads version {VERSION}"
        elif name != _hash(content):
            fault = f"names itself {name!r} and its content is {_hash(content)!r}: it was edited"
        elif content["fitted_on"] != fitted_on:
            fault = (
                f"was fitted on {content['fitted_on']!r} and the model and index in use are "
                f"{fitted_on!r}"
            )
        if fault:
            raise InputError(f"the policy at {path} {fault}; calibrate again")
        own = {segment: cls(**values) for segment, values in content["segments"].items()}
        return cls(**{**content, "segments": own})


@dataclass(frozen=True)
class NoThreshold:
    """No threshold could be certified, why, and what could be done about it.

    `reachable_precision` is certified by a procedure of its own at the same level. Whoever first
    asks for the target and then takes what is reachable has asked twice: the probability that the
    answer given is wrong is then at most twice 1 - confidence_level.

    Args:
        target_precision, confidence_level, label_uses, absent, fitted_on: see `Promise`.
        accepted: labels accepted at the first threshold tested, the one predicted easiest.
        errors: wrong ones among them.
        labelled: certifying labels.
        effective_labels: independent labels that the accepted say as much as.
        distinct_clusters: distinct clusters among the accepted.
        reachable_precision: the highest lower target that was certified, None if none was.
        reachable_coverage: share of the certifying labels it accepts, a fraction.
        more_labels: how many more labels would settle it with a probability of 80 %, from and to:
            if the precision is at the upper and at the lower end of its 80 % interval. The second
            is None where the lower end is not above the target; the whole where neither is.
    """

    target_precision: float
    confidence_level: float
    accepted: int
    errors: int
    labelled: int
    effective_labels: float
    distinct_clusters: int
    reachable_precision: float | None = None
    reachable_coverage: float | None = None
    more_labels: tuple[int, int | None] | None = None
    label_uses: int = 1
    absent: float = 0.0
    fitted_on: str = ""

    @property
    def reason(self) -> str:
        """Why nothing was certified: too little evidence, or too many errors."""
        needed = labels_needed(self.target_precision, self.confidence_level)
        text = f"{evidence(self)} at the most promising threshold are too "
        if self.distinct_clusters < min(MIN_CLUSTERS, self.accepted):
            return f"{text}few (where clusters repeat {MIN_CLUSTERS} distinct ones are the least)"
        if self.errors and (self.more_labels is None or self.effective_labels >= needed):
            return f"{text}many"
        if self.effective_labels >= needed:
            return f"{text}few"
        return f"{text}few ({needed:,} independent labels without an error are the least)"

    def sentence(self) -> str:
        """The answer in words."""
        text = (
            f"No threshold reaches a precision of {self.target_precision:.12g} at confidence level "
            f"{self.confidence_level:.4g}: {self.reason}"
        )
        if self.reachable_precision is not None and self.reachable_coverage is not None:
            text += (
                f"; {self.reachable_precision:.4g} is certified, for "
                f"{self.reachable_coverage:.1%} of the queries"
            )
        return f"{text}; {_more(self.more_labels)}.{_caveats(self)}"

    def to_dict(self) -> dict[str, Any]:
        """The answer as JSON values."""
        return asdict(self)


def evidence(answer: Policy | NoThreshold) -> str:
    """The counts behind an answer, in words."""
    text = f"{_count(answer.errors, 'error')} in {_count(answer.accepted, 'accepted label')}"
    if answer.distinct_clusters < answer.accepted:
        text += (
            f" of {answer.distinct_clusters:,} distinct clusters, which count as "
            f"{answer.effective_labels:,.0f}"
        )
    return text


def segment_names(
    segments: Any, rows: int, *, known: np.ndarray | None = None
) -> Shaped[np.ndarray, " Q"]:
    """The segment of each row as text: `KNOWN_TEXT` where known, else its value, "" for none.

    One value has one name in every kind of column: whatever marks a missing value is none, and a
    whole number that a column holds as a float, since others are missing, is written as such.

    Args:
        segments: a list, a NumPy array, or a column of pandas, polars or Arrow; None for no values.
        rows: how many there have to be.
        known: which rows have a known text.

    Raises:
        InputError: if there is not one value for each row.
    """
    for what, values in (("segments", segments), ("values of `known`", known)):
        if values is not None and (len(values) != rows or getattr(values, "ndim", 1) != 1):
            shape = getattr(values, "shape", (len(values),))
            got = f"{len(values)}" if len(shape) == 1 else f"{' x '.join(map(str, shape))}"
            raise InputError(f"got {got} {what} for {rows} rows; give one per row")
    given = [""] * rows if segments is None else segments
    plain = given.tolist() if isinstance(given, np.ndarray) else given
    names = np.asarray([_segment_name(value) for value in plain], dtype=np.str_)
    return names if known is None else np.where(known, KNOWN_TEXT, names)


def is_missing(value: Any) -> bool:
    """Whether a value of a column, of whatever library, is none: None, NaN, NaT, NA or null."""
    return not isinstance(value, str) and str(value) in ("None", "nan", "<NA>", "NaT")


def _segment_name(value: Any) -> str:
    if is_missing(value):
        return ""
    if isinstance(value, list | tuple | dict | set | np.ndarray):
        raise InputError(f"a segment is {value!r}; give one text or number a row")
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _caveats(answer: Policy | NoThreshold) -> str:
    """What traffic the answer is for, and how often its labels were used."""
    text = ""
    if answer.absent:
        text = f" It is made for traffic of which {answer.absent:.1%} has no item in the catalogue."
    if answer.label_uses > 1:
        text += (
            f" These labels were used {answer.label_uses} times: the chances of an error add up."
        )
    return text


def _more(labels: tuple[int, int | None] | None) -> str:
    if labels is None:
        return "with this confidence score more labels alone are not expected to help"
    # One digit: an estimate is no more exact than that.
    units = [10 ** (len(str(count)) - 1) for count in labels if count]
    low, *high = [f"{-(-n // u) * u:,}" for n, u in zip(labels, units, strict=False) if n]
    if not high:
        return f"at least {low} more labels would be needed, perhaps many more"
    span = low if low == high[0] else f"{low} to {high[0]}"
    return f"about {span} more labels would settle it"


def _hash(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]
