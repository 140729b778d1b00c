"""How lists of next items are ranked and counted: the keys of the `[ranking]` table."""

import math
from dataclasses import dataclass

from thresher.errors import InputError


@dataclass(frozen=True, kw_only=True)
class RankingOptions:
    """How lists of next items are made and measured.

    Args:
        remove_history: leave out of a customer's list what is in the history.
        again: added to the score of an item that is in the history: 0.1 to 0.5 where people come
            back for the same, and more to list those first.
        repeats: count a target that comes several times as often as it comes; else once.
        depths: lengths of the lists that are measured, ascending.
    """

    remove_history: bool = False
    again: float = 0.0
    repeats: bool = False
    depths: tuple[int, ...] = (20, 50, 100, 200, 500)

    def __post_init__(self) -> None:
        if not self.depths or min(self.depths) < 1 or sorted(set(self.depths)) != [*self.depths]:
            raise InputError(
                f"ranking.depths must be whole numbers of 1 or more, ascending, got "
                f"{list(self.depths)}"
            )
        if not 0 <= self.again < math.inf:
            raise InputError(f"ranking.again must be 0 or more, got {self.again}")
        if self.again and self.remove_history:
            raise InputError(
                f"ranking.again is {self.again}, but ranking.remove_history leaves out what it "
                "would raise; leave out one of the two"
            )
