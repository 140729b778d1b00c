"""What a search returns: for each query, the nearest items and how near they are."""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float32, Int64

from thresher.errors import InputError


@final
@dataclass(frozen=True, eq=False)
class Hits:
    """The retrieved items of each query, best first, with their scores.

    Args:
        rows: row numbers in the catalogue; -1 where fewer than k items could be returned.
        scores: inner products, higher is closer; -inf where the row is -1.

    Raises:
        InputError: rows and scores differ in shape.

    Example:
        >>> hits = Hits(np.array([[4, 2], [0, -1]]), np.array([[.9, -.1], [.3, -np.inf]], "f4"))
        >>> len(hits), hits.top(1).rows.tolist(), hits[1:].rows.tolist()
        (2, [[4], [0]], [[0, -1]])
    """

    rows: Int64[np.ndarray, "Q k"]
    scores: Float32[np.ndarray, "Q k"]

    def __post_init__(self) -> None:
        if self.rows.shape != self.scores.shape:
            raise InputError(
                f"Hits need one score for each row, but rows are {self.rows.shape} and scores "
                f"{self.scores.shape}; give two arrays of the same shape."
            )

    def __len__(self) -> int:
        """Number of queries."""
        return len(self.rows)

    def __getitem__(self, rows: slice | np.ndarray) -> "Hits":
        """The hits of some of the queries: a slice, row numbers, or a boolean mask."""
        return Hits(self.rows[rows], self.scores[rows])

    def top(self, k: int) -> "Hits":
        """The best k items of each query.

        Raises:
            InputError: k is not between 1 and the number retrieved.
        """
        width = self.rows.shape[1]
        if not 1 <= k <= width:
            raise InputError(
                f"top({k}) was asked of hits that hold {width} items a query; "
                f"ask for 1 to {width}, or search again with a larger k."
            )
        return Hits(self.rows[:, :k], self.scores[:, :k])
