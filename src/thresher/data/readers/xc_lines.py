"""The files of the XC repository line by line; what is wrong with a line names file and line."""

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from thresher.data import json_lines
from thresher.data.findings import counted
from thresher.data.read_diagnostics import numbered_lines, whole
from thresher.errors import InputError

_DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


class Place(NamedTuple):
    """A line of a file; the first is 1."""

    path: Path
    line: int

    def refuse(self, what: str) -> NoReturn:
        """InputError: what is wrong here."""
        raise InputError(f"{self.path}, line {self.line}: {what}")


class Label(NamedTuple):
    """A line of the label file: its text, and its `uid` where it has one."""

    text: str
    uid: str | None


class Point(NamedTuple):
    """A training or test point: its text, and the rows of its labels."""

    text: str
    labels: list[int]


@dataclass(frozen=True)
class Rows:
    """The lines of a file that other files number from 0.

    Args:
        path: the file.
        count: how many lines it has.
    """

    path: Path
    count: int

    def row(self, number: int, what: str, place: Place) -> int:
        """The number, if there is such a line; InputError at the place that names it."""
        if not 0 <= number < self.count:
            lines = counted(self.count, "line", "lines")
            place.refuse(
                f"{what} {number} is not a row of {self.path.name}, which has {lines}, numbered "
                f"0 to {self.count - 1}; take all files from one download, or correct the line"
            )
        return number


def json_labels(path: Path) -> Iterator[Label]:
    """The labels of `lbl.json.gz`."""
    for place, record in _records(path):
        uid = record.get("uid")
        if not (uid is None or isinstance(uid, str) or type(uid) is int):
            place.refuse(f"the uid is {str(uid)[:40]}; it must be text or a whole number")
        yield Label(_not_empty(_title(record, place), place), None if uid is None else str(uid))


def json_points(path: Path, labels: Rows) -> Iterator[Point]:
    """The points of `trn.json.gz` or `tst.json.gz`; a label of relevance 0 is none of its own."""
    for place, record in _records(path):
        yield Point(_title(record, place), _targets(record, labels, place))


def raw_labels(path: Path) -> Iterator[Label]:
    """The labels of `Y.txt`."""
    for place, text in _lines(path):
        yield Label(_not_empty(text, place), None)


def raw_points(path: Path, truth: Path, labels: Rows) -> Iterator[Point]:
    """The points of `trn_X.txt` and `trn_X_Y.txt`, a line of each.

    Raises:
        InputError: a line is damaged, or the header tells of another number of rows or labels.
    """
    lines = _lines(truth)
    place, first = next(lines, (Place(truth, 1), ""))
    rows, columns = _two_numbers(first) or place.refuse(
        f"the header is {first[:40]!r}; it must be the numbers of rows and of labels, such as "
        "'294805 131073'"
    )
    if columns != labels.count:
        place.refuse(
            f"the header tells of {columns:,} labels, but {labels.path} has {labels.count:,} "
            "lines; take both files from one download"
        )
    texts = named = 0
    for text, targets in itertools.zip_longest(_lines(path), lines):
        texts, named = texts + (text is not None), named + (targets is not None)
        if text is not None and targets is not None:
            yield Point(text[1], _numbered(targets[1], labels, targets[0]))
    for file, number in ((truth, named), (path, texts)):
        if number != rows:
            place.refuse(
                f"the header tells of {counted(rows, 'row', 'rows')}, but {file} has "
                f"{number:,} of them; take both files from one download, or correct the header"
            )


def filter_pairs(path: Path, points: Rows, labels: Rows) -> Iterator[tuple[int, int]]:
    """The pairs of a filter list, "point label" on each line; it may be empty."""
    for place, line in _lines(path):
        if not line.strip():
            continue
        point, label = _two_numbers(line) or place.refuse(
            f"{line[:40]!r} is not a point and a label, two row numbers such as '12 7'; "
            "correct or remove the line"
        )
        yield points.row(point, "point", place), labels.row(label, "label", place)


def _lines(path: Path) -> Iterator[tuple[Place, str]]:
    """Every line of a text file, packed or not, without its line break."""
    for number, text in numbered_lines(path):
        yield Place(path, number), text


def _records(path: Path) -> Iterator[tuple[Place, Mapping[str, Any]]]:
    for place, line in _lines(path):
        yield place, json_lines.parse(line, path, place.line)


def _title(record: Mapping[str, Any], place: Place) -> str:
    if "title" not in record:
        place.refuse(f"the object has no 'title'; it has {', '.join(record) or 'nothing'}; add it")
    title = record["title"]
    if title is not None and not isinstance(title, str):
        place.refuse(f"the title is {title!r}; it must be text in quotes")
    return title or ""


def _not_empty(text: str, place: Place) -> str:
    if not text.strip():
        place.refuse(
            "the text of this label is empty; every label needs a text to be found by, so write "
            "its name here (removing the line would renumber the labels after it)"
        )
    return text


def _targets(record: Mapping[str, Any], labels: Rows, place: Place) -> list[int]:
    found, weights = record.get("target_ind"), record.get("target_rel")
    if not isinstance(found, list) or not all(type(label) is int for label in found):
        state = f"is {found!r}"[:60] if "target_ind" in record else "is missing"
        place.refuse(f"target_ind {state}; it must be a list of label rows, such as [3, 14]")
    if weights is None:
        weights = [1.0] * len(found)
    numbers = isinstance(weights, list) and all(type(w) in (int, float) for w in weights)
    if not numbers or len(weights) != len(found):
        place.refuse(
            f"target_rel is {str(weights)[:40]}; it must be one number for each of the "
            f"{counted(len(found), 'label', 'labels')} of target_ind, or be left out"
        )
    rows = [labels.row(label, "label", place) for label in found]
    return _true(rows, weights)


def _numbered(line: str, labels: Rows, place: Place) -> list[int]:
    rows, weights = [], []
    for word in line.split():
        label, _, value = word.partition(":")
        row = whole(label)
        weight = float(value) if _DECIMAL.fullmatch(value) else math.nan
        if row is None or not math.isfinite(weight):
            place.refuse(f"{word[:40]!r} is not label:value, such as '12:1.0'; correct the line")
        rows.append(labels.row(row, "label", place))
        weights.append(weight)
    return _true(rows, weights)


def _true(rows: list[int], weights: Sequence[float | int]) -> list[int]:
    """The labels with a weight above 0, each once."""
    pairs = zip(rows, weights, strict=True)
    return list(dict.fromkeys(row for row, weight in pairs if weight > 0))


def _two_numbers(line: str) -> tuple[int, int] | None:
    numbers = [whole(word) for word in line.split()]
    found = [number for number in numbers if number is not None]
    return (found[0], found[1]) if len(numbers) == len(found) == 2 else None
