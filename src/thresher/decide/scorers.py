"""How sure is a query's first answer: one number from the scores of its candidates.

A gap to the second candidate often separates right from wrong answers better than the first score
itself. Both scorers take scores [Q, k], best first, higher is closer, -inf where missing, and give
-inf, which no policy accepts, for a query without a candidate.
"""

import numpy as np
from jaxtyping import Float

from thresher.errors import InputError


def raw(scores: Float[np.ndarray, "Q k"]) -> Float[np.ndarray, " Q"]:
    """Trust the score of the best candidate.

    Equation:  s_1

    Raises:
        InputError: if there is no column.
    """
    _check_width(scores)
    return scores[:, 0].copy()


def margin(scores: Float[np.ndarray, "Q k"], *, floor: float = -1.0) -> Float[np.ndarray, " Q"]:
    """Trust the best candidate by how far it leads the second.

    Equation:  s_1 - max(s_2, floor);  s_2 = floor where there is no second candidate

    The margin is finite wherever there is a candidate, never falls when the first score rises, and
    never rises when the second does. A query's margin depends on no other query.

    Args:
        scores: scores of the candidates.
        floor: the lowest possible score: -1 for cosines; lower for unbounded scores.

    Raises:
        InputError: if there is no column, or the floor is not finite.
    """
    _check_width(scores)
    if not np.isfinite(floor):
        raise InputError(f"the floor of the margin is {floor}; give the lowest possible score")
    first = scores[:, 0]
    second = scores[:, 1] if scores.shape[1] > 1 else np.full_like(first, floor)
    return first - np.maximum(second, np.asarray(floor, scores.dtype))


def _check_width(scores: Float[np.ndarray, "Q k"]) -> None:
    if scores.shape[1] == 0:
        raise InputError("got scores of 0 candidates a query; retrieve at least one")
