"""From a table of scores and labels, of any system, to a certified threshold."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from thresher.data.tables import read_table, require_columns
from thresher.decide.certify import certify
from thresher.decide.policy import Policy
from thresher.errors import InputError

TRUE, FALSE = ("true", "1", "1.0", "yes"), ("false", "0", "0.0", "no")


def certify_table(
    path: Path, *, target: Sequence[float], confidence_level: float = 0.95, seed: int = 0
) -> dict[str, Any]:
    """Certify a threshold on the scores of any system.

    Args:
        path: table with columns `score` and `correct`, and perhaps `segment` and `cluster`.
        target: precision to certify, a fraction; of several, all answers hold at once.
        confidence_level: probability with which it holds.
        seed: of the split into labels that select thresholds and labels that certify one.

    Returns:
        The policy, or what is reachable, as JSON values; `certified` is the answer. For several
        targets `answers` holds one of these each, and `certified` says whether one is a policy.

    Raises:
        InputError: for a table that cannot be used.
    """
    table = read_table(path)
    require_columns(table, ["score", "correct"], path)
    for name in ("score", "correct", "segment", "cluster"):
        if name in table.column_names and pa.types.is_nested(table[name].type):
            raise InputError(f"{path}: `{name}` holds {table[name].type}; give one value a row")
    segments, clusters = (
        table[name].cast(pa.string()).to_pylist() if name in table.column_names else None
        for name in ("segment", "cluster")
    )
    if clusters is not None:  # an empty one of a CSV file is missing
        clusters = [name or None for name in clusters]
    found = certify(
        _numbers(table["score"], path),
        _booleans(table["correct"], path),
        target=list(target),
        confidence_level=confidence_level,
        segments=segments,
        clusters=clusters,
        seed=seed,
    )
    alone = clusters is not None and len(set(clusters)) == len(clusters)
    note = " Every row has a cluster of its own, so each label counts as one." if alone else ""
    answers = [
        {"certified": isinstance(own, Policy), "sentence": own.sentence() + note, **own.to_dict()}
        for own in found.values()
    ]
    if len(answers) == 1:
        return answers[0]
    return {"certified": any(own["certified"] for own in answers), "answers": answers}


def _numbers(column: pa.ChunkedArray, path: Path) -> list[float]:
    numbers = []
    for row, value in enumerate(column.to_pylist(), 1):
        try:
            numbers.append(float(value))
        except (TypeError, ValueError):
            raise InputError(
                f"{path}: `score` is {value!r} in row {row}; give a number, -inf where there is no "
                "answer"
            ) from None
    return numbers


def _booleans(column: pa.ChunkedArray, path: Path) -> Any:
    text = pc.utf8_lower(pc.utf8_trim_whitespace(column.cast(pa.string())))
    true, false = (pc.is_in(text, value_set=pa.array(values)) for values in (TRUE, FALSE))
    bad = pc.invert(pc.or_(true, false))
    if pc.any(bad).as_py():
        row = pc.index(bad, True).as_py()
        raise InputError(
            f"{path}: `correct` is {column[row].as_py()!r} in row {row + 1}; give true or false"
        )
    return true.to_numpy()
