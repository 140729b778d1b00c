"""Where a label fits in a drawing: beside what it names, clear of everything else."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float64

Side = Literal["left", "center", "right"]

ENOUGH = 40.0  # pixels: a label that is this far from everything gains nothing from more room
BESIDE = 7.0  # pixels between a label and what it names


class Place(NamedTuple):
    """Where a label stands: the lower left corner of its box, and the side that it is set from."""

    corner: Float64[np.ndarray, "2"]
    align: Side


def roomiest(
    size: Float64[np.ndarray, "2"],
    own: Float64[np.ndarray, "P 2"],
    others: Sequence[Float64[np.ndarray, "_ 2"]],
    *,
    frame: Float64[np.ndarray, "2 2"],
    taken: Sequence[Float64[np.ndarray, "2 2"]],
) -> Place:
    """Find the place beside a curve that is farthest from all else.

    Args:
        size: width and height of the label, in pixels.
        own: the points of the curve that the label names; it stands near one of them.
        others: points of what it must stay clear of, dense enough that no label slips between.
        frame: lower left and upper right corner of where it may stand.
        taken: the same two corners of each label that stands already.

    Returns:
        Where it stands. The side it is set from is that of its curve, so that it stays beside the
        curve in a font narrower than the one it was measured in.
    """
    inside = ((own >= frame[0]) & (own <= frame[1])).all(axis=1)
    points = own[inside] if inside.any() else own
    shifts = np.array([[shift, lift] for _, shift in _sides(size[0]) for lift in _lifts(size[1])])
    corners = (points[:, None] + shifts).reshape(-1, 2)
    corners = np.clip(corners, frame[0], np.maximum(frame[1] - size, frame[0]))
    ends = corners + size
    # Overlapping labels are worst, then a label on its own curve, then one on another curve.
    score = 10 * np.minimum(_gaps(corners, ends, own).min(axis=1), BESIDE / 2)
    near = np.full(len(corners), ENOUGH)
    for path in others:
        gaps = _gaps(corners, ends, path)
        near = np.minimum(near, gaps.min(axis=1))
        score -= (gaps == 0).sum(axis=1) / 4
    clear = np.full(len(corners), BESIDE)
    for block in taken:
        apart = np.maximum(np.maximum(corners - block[1], block[0] - ends), 0)
        clear = np.minimum(clear, np.hypot(*apart.T))
    best = int(np.argmax(score + near + 40 * clear))
    align, _ = _sides(size[0])[best % len(shifts) // 2]
    return Place(corners[best], align)


def _sides(width: float) -> tuple[tuple[Side, float], ...]:
    """How far left or right of its point a label begins, and the side that it is set from."""
    return ("left", BESIDE), ("right", -width - BESIDE), ("center", -width / 2)


def _lifts(height: float) -> tuple[float, float]:
    """How far above its point the foot of a label stands: over it, or under it."""
    return BESIDE, -height - BESIDE


def _gaps(
    corners: Float64[np.ndarray, "B 2"],
    ends: Float64[np.ndarray, "B 2"],
    points: Float64[np.ndarray, "P 2"],
) -> Float64[np.ndarray, "B P"]:
    """Pixels from each box to each point, 0 inside."""
    outside = np.maximum(corners[:, None] - points, points - ends[:, None])
    return np.asarray(np.hypot(*np.moveaxis(np.maximum(outside, 0), 2, 0)))
