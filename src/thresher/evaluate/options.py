"""How lists of items are made and measured: the keys of the `[recommend]` table."""

import math
from dataclasses import dataclass
from typing import Literal

from thresher.errors import InputError
from thresher.evaluate.evaluation import KS


@dataclass(frozen=True, kw_only=True)
class RecommendOptions:
    """How lists of items are made and measured.

    Args:
        remove_history: leave out of a user's list what is in the history.
        repeat_boost: added to the score of an item that is in the history: 0.1 to 0.5 where people
            come back for the same, and more to list those first. With "auto" training chooses the
            one of 0, 0.05, 0.1, 0.2, 0.5 and 1 that has the best `train.metric` on validation, the
            smallest of equal ones; 0 without validation.
        count_repeats: count a target that comes several times as often as it comes; else once.
        ks: lengths of the lists that are measured, ascending.
    """

    remove_history: bool = False
    repeat_boost: float | Literal["auto"] = "auto"
    count_repeats: bool = False
    ks: tuple[int, ...] = KS

    def __post_init__(self) -> None:
        if not self.ks or min(self.ks) < 1 or sorted(set(self.ks)) != [*self.ks]:
            raise InputError(
                f"recommend.ks must be whole numbers of 1 or more, ascending, got {list(self.ks)}"
            )
        if not 0 <= self.boost < math.inf:
            raise InputError(
                f"recommend.repeat_boost must be 0 or more, got {self.repeat_boost}; leave it out "
                "to have it chosen on validation"
            )
        if self.boost and self.remove_history:
            raise InputError(
                f"recommend.repeat_boost is {self.repeat_boost}, but recommend.remove_history "
                "leaves out what it would raise; leave out one of the two"
            )

    @property
    def boost(self) -> float:
        """The boost as a number; 0 where none was chosen yet."""
        return 0.0 if self.repeat_boost == "auto" else self.repeat_boost
